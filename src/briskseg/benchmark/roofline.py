"""What the machine itself can do: arithmetic in matrix products, and copying memory.

Peaks are measured, not read off a data sheet: the highest rate of several short attempts, on the
threads that the networks use. Matrix products are ONNX Runtime's, by a constant matrix as a
network's weights are; of int8 they are of unsigned by signed bytes, which the processor's int8
instructions take where it has them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import needs
from briskseg.core.parallel import available_threads
from briskseg.core.protobuf import field
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Array, Floats32

SIDES = (512, 1024)  # of the square matrices: for small caches and for large ones
COPIED_BYTES = 1 << 26  # beyond most caches, so that it is memory that is measured
_ATTEMPTS = 3

# ONNX's numbers for types of elements (TensorProto.DataType).
_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6


@dataclass(frozen=True)
class Peaks:
    """float32, int8: operations per second (a multiplication with its addition is 2); copy: bytes
    per second, read and written both counted."""

    float32: float
    int8: float
    copy: float

    def best(self, other: Peaks) -> Peaks:
        """The higher of each."""
        return Peaks(*map(max, astuple(self), astuple(other)))

    def of(self, precision: str) -> float | None:
        """The peak of arithmetic in this precision, None where it is not known."""
        return {"float32": self.float32, "int8": self.int8}.get(precision)


def measure_peaks(threads: int | None = None) -> Peaks:
    """The machine's peaks on so many threads, all by default; takes about half a second."""
    threads = threads or available_threads()
    return Peaks(
        max(_product(np.ones((side, side), np.float32), threads) for side in SIDES),
        max(_product(np.ones((side, side), np.int8), threads) for side in SIDES),
        _copy(threads),
    )


def _product(b: Array, threads: int) -> float:
    with no_telemetry(), needs("measuring the machine's peaks", ""):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(product_model(b), options, ["CPUExecutionProvider"])
    a = np.ones(b.shape, np.uint8 if b.dtype == np.int8 else np.float32)
    return 2 * len(b) ** 3 / _shortest(lambda: session.run(None, {"a": a}))


def _copy(threads: int) -> float:
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.zeros_like(source)  # written to, so that the copy meets no page fault
    target[:] = 1
    parts = np.array_split(target, threads), np.array_split(source, threads)
    with ThreadPoolExecutor(threads) as pool:
        return 2 * COPIED_BYTES / _shortest(lambda: list(pool.map(np.copyto, *parts)))


def _shortest(work: Callable[[], object]) -> float:
    """Seconds; the first attempt warms up."""
    times = []
    for _ in range(_ATTEMPTS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def product_model(b: Floats32 | npt.NDArray[np.int8]) -> bytes:
    """An ONNX model y = a @ b of square matrices, as protobuf has it on the wire; the numbers of
    the fields are those of onnx.proto. It spares the package onnx on a device.

    b: float32, or int8 for a uint8 `a` and an int32 `y`.
    """
    kinds = (_UINT8, _INT8, _INT32) if b.dtype == np.int8 else (_FLOAT, _FLOAT, _FLOAT)
    operation = b"MatMulInteger" if b.dtype == np.int8 else b"MatMul"
    sides = [field(1, side) for side in b.shape]
    node = field(1, b"a") + field(1, b"b") + field(2, b"y") + field(4, operation)
    graph = field(1, node) + field(2, b"probe")
    constant = b"".join(sides) + field(2, kinds[1]) + field(8, b"b") + field(9, b.tobytes())
    graph += field(5, constant)
    for number, name, kind in ((11, b"a", kinds[0]), (12, b"y", kinds[2])):
        shape = b"".join(field(1, side) for side in sides)
        tensor = field(1, kind) + field(2, shape)
        graph += field(number, field(1, name) + field(2, field(1, tensor)))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 18))
