"""The ONNX Runtime backend: an .onnx file that `briskseg export` wrote, on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import MissingExtraError, WeightsError
from briskseg.core.exported import NETWORK_IMAGES, read_exported
from briskseg.core.onnx_pruning import prune
from briskseg.core.types import Image, Labels, Logits
from briskseg.runtime.decode.enlargement import Enlargement

try:
    import onnxruntime
except ModuleNotFoundError as error:
    raise MissingExtraError("onnxruntime", "running an .onnx file", "") from error


_ERRORS_ONLY = 3  # of ONNX Runtime's levels of what it writes to standard error


class OnnxBackend:
    """Sessions of one output each, made when first asked for; the file's other output is cut off.
    Where the file resizes images itself, `infer` and `run` begin behind that: theirs are resized.

    Several threads may call it at once; they share the threads of ONNX Runtime.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Raises WeightsError where the file has no card or is no network."""
        self.card, self.exported = read_exported(path)
        self.enlargement = Enlargement(self.exported.factor, self.exported.align_corners)
        self._resizes = self.card.input.size is not None and self.exported.size is None
        self._path, self._threads = path, threads
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, threads: int | None = None) -> tuple[OnnxBackend, Card]:
        """The backend and the file's card."""
        backend = cls(path, threads)
        return backend, backend.card

    def infer(self, image_hwc: Image) -> Logits:
        """Image (H, W, 3) uint8 RGB -> logits (C, H, W) float32."""
        height, width = image_hwc.shape[:2]
        return self.enlargement.full(self._run("logits", image_hwc), (height, width))

    def labels(self, image_hwc: Image) -> Labels:
        """What the whole file gives: labels (H, W) uint8 of the image (H, W, 3) uint8 RGB."""
        labels_hw: Labels = self._run("labels", image_hwc).copy()
        return labels_hw

    def run(self, image_hwc: Image, at_own_size: bool) -> Labels | Logits:
        """As `CoarseBackend.run`."""
        if at_own_size and self.exported.factor == 1 and not self._resizes:
            return self.labels(image_hwc)
        logits_chw: Logits = self._run("logits", image_hwc)
        return logits_chw

    def _run(self, output: str, image_hwc: Image) -> Any:
        session = self._session(output)
        try:
            images = np.ascontiguousarray(image_hwc)[None]
            return session.run([output], {session.get_inputs()[0].name: images})[0][0]
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise WeightsError(f"{self._path} cannot be run: {_first_line(error)}") from None

    def _session(self, output: str) -> Any:
        with self._lock:
            if output not in self._sessions:
                self._sessions[output] = self._open(output)
            return self._sessions[output]

    def _open(self, output: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = self._threads or 0
        # Threads that wait for work by spinning slow down everything else on the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            begin = NETWORK_IMAGES if output == "logits" else ""
            model = prune(self._path.read_bytes(), output, begin)
            return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(
                f"{self._path} is no network that ONNX Runtime {onnxruntime.__version__} can run: "
                f"{_first_line(error)}; copy the file or export it again"
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
