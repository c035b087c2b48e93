"""The OpenVINO backend: an .xml or .onnx file that `briskseg export` wrote, on the CPU."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import RequestError, WeightsError, needs
from briskseg.core.exported import NETWORK_IMAGES
from briskseg.core.parallel import available_threads
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Image
from briskseg.runtime.backends.exported_backend import ExportedBackend

with no_telemetry(), needs("running a file with OpenVINO", "openvino"):
    import openvino


class OpenVINOBackend(ExportedBackend):
    """The file's two outputs as networks of their own, compiled for the sizes that come.

    Those of the first `sizes` are fastest; where sizes keep changing, one network that takes any
    size serves the rest, which differs by rounding.
    precision: "float32", or "bfloat16" where the processor computes in it. Several threads may call
    it at once: each has buffers of its own, which it uses again. callers: for so many of them the
    processors are divided, where otherwise each call has them all and the others wait.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        callers: int = 1,
        precision: str = "float32",
    ) -> None:
        """Raises WeightsError where the file has no card or is no network, RequestError for a
        precision that the processor has not."""
        super().__init__(path)
        if precision == "bfloat16" and not has_bfloat16():
            raise RequestError("this processor does not compute in bfloat16; leave out bfloat16")
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        if callers > 1:
            self._options["NUM_STREAMS"] = min(callers, threads or available_threads())
        try:
            self._model = core().read_model(path)
        except RuntimeError as error:
            raise WeightsError(
                f"{path} is no network that OpenVINO {openvino.__version__} can read: "
                f"{_last_line(error)}; copy it (an .xml with its .bin) or export it again"
            ) from None
        self._networks: dict[tuple[str, tuple[int, int] | None], Any] = {}
        self._lock = threading.Lock()
        self._own = threading.local()

    def _run(self, output: str, image_hwc: Image) -> Any:
        """The output of one image, in the request's own memory."""
        try:
            request = self._request(output, (image_hwc.shape[0], image_hwc.shape[1]))
            images = np.ascontiguousarray(image_hwc)[None]
            request.infer({0: openvino.Tensor(images, shared_memory=images.flags.writeable)})
        except RuntimeError as error:
            raise WeightsError(f"{self.path} cannot be run: {_last_line(error)}") from None
        return request.get_output_tensor(0).data[0]

    def _request(self, output: str, size_hw: tuple[int, int]) -> Any:
        """This thread's buffers for images of this size."""
        requests = self._own.__dict__.setdefault("requests", {})
        with self._lock:
            sizes = {size for name, size in self._networks if name == output and size is not None}
            key = (output, size_hw if size_hw in sizes or len(sizes) < self.sizes else None)
            if key not in self._networks:
                self._networks[key] = self._compiled(*key)
        if key not in requests:
            requests[key] = self._networks[key].create_infer_request()
        return requests[key]

    def _compiled(self, output: str, size_hw: tuple[int, int] | None) -> Any:
        copied = self._model.clone()
        model = openvino.Model([copied.output(output)], copied.get_parameters(), "briskseg")
        if output == "logits":
            model = network_part(model)
        if size_hw is not None:
            model.reshape([1, *size_hw, 3])
        return core().compile_model(model, "CPU", self._options)


def network_part(model: Any) -> Any:
    """The `openvino.Model` from the resized images on, where it resizes them itself."""
    for node in model.get_ordered_ops():
        for value in node.outputs():
            if NETWORK_IMAGES in value.get_names():
                images = openvino.opset8.parameter([-1, -1, -1, 3], np.uint8)
                for target in value.get_target_inputs():
                    target.replace_source_output(images.output(0))
                return openvino.Model(model.outputs, [images], "briskseg")
    return model


@functools.cache
def core() -> Any:
    """The process's one `openvino.Core`, which is kept: one that ends takes with it the stack that
    it gave the thread for signal handlers, and the next signal (Ctrl-C) ends the process."""
    made = openvino.Core()
    made.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # loads what gives the thread that stack
    if sys.platform == "linux":
        _enlarge_signal_stack()
    return made


class _SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


_SIGNAL_STACK = ctypes.create_string_buffer(1 << 18)  # kept as long as the process


def _enlarge_signal_stack() -> None:
    """Where the processor has AMX, OpenVINO replaces this thread's stack for signal handlers by one
    that holds a single signal's registers (12 KB each): a second signal that comes meanwhile would
    end the process."""
    libc, present = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(present))
    if present.start and present.size < len(_SIGNAL_STACK):
        larger = _SignalStack(ctypes.addressof(_SIGNAL_STACK), 0, len(_SIGNAL_STACK))
        libc.sigaltstack(ctypes.byref(larger), None)


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2]
