"""The ONNX Runtime backend: an .onnx file that `briskseg export` wrote, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import WeightsError, needs
from briskseg.core.exported import NETWORK_IMAGES
from briskseg.core.onnx_pruning import prune
from briskseg.core.telemetry import no_telemetry
from briskseg.core.types import Array, Image
from briskseg.core.wording import first_line
from briskseg.runtime.backends.exported_backend import ExportedBackend

with no_telemetry(), needs("running an .onnx file", ""):
    import onnxruntime


_ERRORS_ONLY = 3  # of ONNX Runtime's levels of what it writes to standard error


class OnnxBackend(ExportedBackend):
    """Sessions of one output each, made when first asked for; the file's other output is cut off.

    Several threads may call it at once; they share the threads of ONNX Runtime, however
    many `callers` there are.
    """

    def __init__(self, path: Path, threads: int | None = None, callers: int = 1) -> None:
        super().__init__(path)
        self._threads = threads
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _run(self, output: str, image_hwc: Image) -> Any:
        with self._lock:
            if output not in self._sessions:
                self._sessions[output] = self._open(output)
            session = self._sessions[output]
        return run_session(session, self.path, output, np.ascontiguousarray(image_hwc)[None])[0]

    def _open(self, output: str) -> Any:
        begin = NETWORK_IMAGES if output == "logits" else ""
        return open_session(
            self.path, lambda model: prune(model, output, begin), threads=self._threads
        )


def open_session(
    path: Path, change: Callable[[bytes], bytes] = bytes, threads: int | None = None
) -> Any:
    """An `onnxruntime.InferenceSession` of a file's bytes after `change`, on the CPU.

    Raises WeightsError, naming the file, where ONNX Runtime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # Threads that wait for work by spinning slow down everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        model = change(path.read_bytes())
        return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(
            f"{path} is no network that ONNX Runtime {onnxruntime.__version__} can run: "
            f"{first_line(error)}; copy the file or export it again"
        ) from None


def run_session(session: Any, path: Path, output: str, images: Array) -> Any:
    """An output of the session of `path` for its only input.

    Raises WeightsError, naming the file, where ONNX Runtime fails.
    """
    try:
        return session.run([output], {session.get_inputs()[0].name: images})[0]
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise WeightsError(f"{path} cannot be run: {first_line(error)}") from None
