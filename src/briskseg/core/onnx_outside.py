"""Whether an ONNX file keeps numbers in other files, which it names by a path of its choice.

ModelProto has its graph in field 7 and functions in 25; GraphProto its nodes in 1, constants in 5
and sparse ones in 15; NodeProto attributes in 5; AttributeProto tensors, graphs and sparse tensors
in 5, 6, 10, 11, 22 and 23; SparseTensorProto its tensors in 1 and 2. A TensorProto has in field 13
where its numbers lie, if that is another file (https://onnx.ai/onnx/repo-docs/ExternalData.html).
"""

from __future__ import annotations

from mmap import mmap

from briskseg.core.protobuf import fields

_OUTSIDE = 13
_DEEPEST = 32  # graphs within nodes of graphs

# What holds tensors: field -> what that field holds.
_HOLDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def keeps_numbers_outside(model: bytes | mmap) -> bool:
    """Whether any tensor of the serialized model lies in another file.

    Raises ValueError where the bytes are no ONNX model.
    """
    return _looks_outside(model, "model", 0, len(model), 0)


def _looks_outside(model: bytes | mmap, kind: str, start: int, end: int, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} messages within messages")
    for number, _, begin, stop in fields(model, start, end):
        if kind == "tensor":
            if number == _OUTSIDE:
                return True
        elif (inner := _HOLDS[kind].get(number)) and _looks_outside(
            model, inner, begin, stop, depth + 1
        ):
            return True
    return False
