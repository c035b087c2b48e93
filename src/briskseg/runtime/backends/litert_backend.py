"""The LiteRT backend: a .tflite file that `briskseg export` wrote, on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import WeightsError, needs
from briskseg.core.parallel import available_threads
from briskseg.core.process_settings import standard_error_silenced
from briskseg.core.types import Image
from briskseg.core.wording import first_line
from briskseg.runtime.backends.exported_backend import ExportedBackend

with needs("running a .tflite file", "litert", "ai-edge-litert"):
    from ai_edge_litert.interpreter import Interpreter


class LiteRTBackend(ExportedBackend):
    """The file's logits, (1, h, w, C), as this package has them. Threads that call it at once wait
    for each other, however many `callers` there are: LiteRT's interpreter has one set of tensors.
    """

    gives_labels = False

    def __init__(self, path: Path, threads: int | None = None, callers: int = 1) -> None:
        """Raises WeightsError where the file has no card, or LiteRT cannot run it."""
        super().__init__(path)
        self._lock = threading.Lock()
        try:
            # The file as bytes: LiteRT keeps a path mapped, and a file in use cannot be moved
            # everywhere.
            self._content = path.read_bytes()
            with standard_error_silenced():  # it tells of its delegate
                self._interpreter = Interpreter(
                    model_content=self._content, num_threads=threads or available_threads()
                )
                self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
            (self._logits,) = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path} is no network that LiteRT can run: {first_line(error)}; copy the file "
                "or export it again"
            ) from None

    def _run(self, output: str, image_hwc: Image) -> Any:
        assert output == "logits"
        with self._lock:
            try:
                self._interpreter.set_tensor(self._input["index"], image_hwc[None])
                self._interpreter.invoke()
                logits_nhwc = self._interpreter.get_tensor(self._logits["index"])  # a copy
            except (ValueError, RuntimeError) as error:
                raise WeightsError(f"{self.path} cannot be run: {first_line(error)}") from None
        return np.moveaxis(logits_nhwc[0], -1, 0)
