"""An ONNX file as if it had fewer outputs: without the nodes that only the others need.

ONNX Runtime computes every node of a file, whichever outputs are asked for. The file is a protobuf
message: ModelProto has its graph in field 7; GraphProto its nodes in field 1, its constants in 5,
its outputs in 12; NodeProto the names of its inputs in field 1 and of its outputs in 2, TensorProto
its name in 8, ValueInfoProto in 1. Nodes are sorted: each comes after those that it takes from.
"""

from __future__ import annotations

from briskseg.core.protobuf import fields, varint

_GRAPH, _NODE, _CONSTANT, _OUTPUT = 7, 1, 5, 12


def prune(model: bytes, output: str) -> bytes:
    """The serialized model with the one output of this name; other content as it was.

    Raises ValueError where the bytes are no ONNX model or have no such output.
    """
    pieces = []
    for number, first, start, end in fields(model, 0, len(model)):
        if number == _GRAPH:
            graph = _pruned(model, start, end, output)
            pieces += [bytes([_GRAPH << 3 | 2]), varint(len(graph)), graph]
        else:
            pieces.append(model[first:end])
    return b"".join(pieces)


def _pruned(model: bytes, start: int, end: int, output: str) -> bytes:
    parts = [*fields(model, start, end)]
    needed = {output.encode()}
    if not any(n == _OUTPUT and _names(model, a, b, 1) == [*needed] for n, _, a, b in parts):
        raise ValueError(f"no output '{output}'")
    kept = []
    for number, first, begin, stop in reversed(parts):
        if number == _NODE:
            if needed.isdisjoint(_names(model, begin, stop, 2)):
                continue
            needed.update(_names(model, begin, stop, 1))
        elif number == _OUTPUT and _names(model, begin, stop, 1) != [output.encode()]:
            continue
        kept.append((number, first, begin, stop))
    return b"".join(
        model[first:stop]
        for number, first, begin, stop in reversed(kept)
        if number != _CONSTANT or not needed.isdisjoint(_names(model, begin, stop, 8))
    )


def _names(model: bytes, start: int, end: int, field: int) -> list[bytes]:
    return [model[a:b] for number, _, a, b in fields(model, start, end) if number == field]
