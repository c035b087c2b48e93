"""An ONNX file as if it had fewer outputs, or began further in: without the nodes not needed then.

ONNX Runtime computes every node of a file, whichever outputs are asked for. The file is a protobuf
message: ModelProto has its graph in field 7; GraphProto its nodes in field 1, its constants in 5,
its inputs in 11, its outputs in 12, the types of tensors in between in 13; NodeProto the names of
its inputs in field 1 and of its outputs in 2, TensorProto its name in 8, ValueInfoProto in 1. Nodes
are sorted: each comes after those that it takes from.
"""

from __future__ import annotations

from briskseg.core.protobuf import field, fields

_GRAPH, _NODE, _CONSTANT, _INPUT, _OUTPUT, _INNER = 7, 1, 5, 11, 12, 13

Part = tuple[int, int, int, int]  # a field: its number, first byte, start and end of its content


def prune(model: bytes, output: str, begin: str = "") -> bytes:
    """The serialized model with the one output of this name.

    begin: a tensor; where the file states its type, it becomes the input. Other content stays as it
    was. Raises ValueError where the bytes are no ONNX model or have no such output.
    """
    pieces = []
    for number, first, start, end in fields(model, 0, len(model)):
        if number == _GRAPH:
            graph = _pruned(model, [*fields(model, start, end)], output, begin)
            pieces.append(field(_GRAPH, graph))
        else:
            pieces.append(model[first:end])
    return b"".join(pieces)


def _pruned(model: bytes, parts: list[Part], output: str, begin: str) -> bytes:
    if not any(part[0] == _OUTPUT and _name(model, part) == output for part in parts):
        raise ValueError(f"no output '{output}'")
    inner = [part for part in parts if part[0] == _INNER and _name(model, part) == begin]
    needed, kept = {output.encode()}, list[Part]()
    for part in reversed(parts):
        number, _, start, stop = part
        if number == _NODE:
            outputs = _names(model, start, stop, 2)
            if needed.isdisjoint(outputs) or (inner and begin.encode() in outputs):
                continue
            needed.update(_names(model, start, stop, 1))
        elif (number == _OUTPUT and _name(model, part) != output) or (number == _INPUT and inner):
            continue
        kept.append(part)
    graph = b"".join(
        model[first:stop]
        for number, first, start, stop in reversed(kept)
        if number != _CONSTANT or not needed.isdisjoint(_names(model, start, stop, 8))
    )
    return graph + b"".join(field(_INPUT, model[start:stop]) for _, _, start, stop in inner)


def _name(model: bytes, part: Part) -> str:
    return b"".join(_names(model, *part[2:], 1)).decode(errors="replace")


def _names(model: bytes, start: int, end: int, field: int) -> list[bytes]:
    return [model[a:b] for number, _, a, b in fields(model, start, end) if number == field]
