"""What the machine itself can do: arithmetic in matrix products, and copying memory.

Peaks are measured, not read off a data sheet: the highest rate of several short attempts, on the
threads that the networks use. Matrix products are ONNX Runtime's, in whose kernels the processor's
int8 instructions are used where it has them; without that package, numpy's, in float32 alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from briskseg.core.protobuf import varint

SIDES = (512, 1024)  # of the square matrices: for small caches and for large ones
COPIED_BYTES = 1 << 26  # beyond most caches, so that it is memory that is measured
_ATTEMPTS = 3

# ONNX's numbers for types of elements (TensorProto.DataType).
_FLOAT, _UINT8, _INT32 = 1, 2, 6


@dataclass(frozen=True)
class Peaks:
    """float32, int8: operations per second (a multiplication with its addition is 2), int8 None
    where nothing here can measure it; copy: bytes per second, read and written both counted."""

    float32: float
    int8: float | None
    copy: float

    def best(self, other: Peaks) -> Peaks:
        """The higher of each."""
        known = [peak for peak in (self.int8, other.int8) if peak is not None]
        return Peaks(
            max(self.float32, other.float32),
            max(known, default=None),
            max(self.copy, other.copy),
        )

    def of(self, precision: str) -> float | None:
        """The peak of arithmetic in this precision, None where it is not known."""
        return {"float32": self.float32, "int8": self.int8}.get(precision)


def measure_peaks(threads: int | None = None) -> Peaks:
    """The machine's peaks on so many threads, all by default; takes about half a second."""
    threads = threads or available_threads()
    try:
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError:
        return Peaks(max(map(_numpy_product, SIDES)), None, _copy(threads))
    return Peaks(
        max(_product("MatMul", side, threads) for side in SIDES),
        max(_product("MatMulInteger", side, threads) for side in SIDES),
        _copy(threads),
    )


def available_threads() -> int:
    """The processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _numpy_product(side: int) -> float:
    a, out = np.ones((side, side), np.float32), np.empty((side, side), np.float32)
    return 2 * side**3 / _shortest(lambda: np.matmul(a, a, out=out))


def _product(operation: str, side: int, threads: int) -> float:
    import onnxruntime

    takes, gives = (_FLOAT, _FLOAT) if operation == "MatMul" else (_UINT8, _INT32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        _one_operation(operation, side, takes, gives), options, ["CPUExecutionProvider"]
    )
    a = np.ones((side, side), np.float32 if takes == _FLOAT else np.uint8)
    return 2 * side**3 / _shortest(lambda: session.run(None, {"a": a, "b": a}))


def _copy(threads: int) -> float:
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.zeros_like(source)  # written to, so that the copy meets no page fault
    target[:] = 1
    parts = [
        (a, b)
        for a, b in zip(
            np.array_split(target, threads), np.array_split(source, threads), strict=True
        )
    ]
    with ThreadPoolExecutor(threads) as pool:
        return 2 * COPIED_BYTES / _shortest(lambda: list(pool.map(lambda p: np.copyto(*p), parts)))


def _shortest(work: Callable[[], object]) -> float:
    """Seconds; the first attempt warms up."""
    times = []
    for _ in range(_ATTEMPTS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _one_operation(operation: str, side: int, takes: int, gives: int) -> bytes:
    """An ONNX model y = operation(a, b) of square matrices, as protobuf has it on the wire; the
    numbers of the fields are those of onnx.proto. It spares the package onnx on a device."""
    node = _text(1, "a") + _text(1, "b") + _text(2, "y") + _text(4, operation)
    graph = _message(1, node) + _text(2, "probe")
    for field, name, kind in ((11, "a", takes), (11, "b", takes), (12, "y", gives)):
        side_field = _message(1, _number(1, side))
        tensor = _number(1, kind) + _message(2, side_field * 2)
        graph += _message(field, _text(1, name) + _message(2, _message(1, tensor)))
    return _number(1, 8) + _message(7, graph) + _message(8, _text(1, "") + _number(2, 18))


def _message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + varint(value)
