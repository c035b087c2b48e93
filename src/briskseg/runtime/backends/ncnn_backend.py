"""The ncnn backend: a .ncnn.param and .ncnn.bin that `briskseg export` wrote, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import WeightsError, needs
from briskseg.core.ncnn_param import INPUT, OUTPUT, check_bin, read_param
from briskseg.core.parallel import available_threads
from briskseg.core.process_settings import environment_variable, standard_error_silenced
from briskseg.core.types import Image
from briskseg.runtime.backends.exported_backend import ExportedBackend

# Its threads wait for work by spinning, which slows down everything else on the machine and,
# where that is busy, themselves by a hundred times. This is read when its library is loaded.
with (
    environment_variable("OMP_WAIT_POLICY", "PASSIVE"),
    needs("running a .ncnn.param file", "ncnn"),
):
    import ncnn


class NcnnBackend(ExportedBackend):
    """The file's logits (C, h, w), in float32 on every processor: left to itself, ncnn rounds to
    half precision where it is faster. Several threads may call it at once."""

    gives_labels = False

    def __init__(self, path: Path, threads: int | None = None, callers: int = 1) -> None:
        """Raises WeightsError where the file has no card, its .bin is missing or another's, or ncnn
        cannot run it."""
        super().__init__(path)
        weights = path.with_suffix(".bin")
        try:
            param = read_param(path.read_text("utf-8"))
            check_bin(weights, param.layers)
        except OSError as error:
            raise WeightsError(
                f"{weights} cannot be read: {error.strerror or error}; it belongs to {path.name}: "
                "copy both, or export it again"
            ) from None
        except ValueError as error:
            raise WeightsError(
                f"{path} and {weights.name} do not belong together ({error}); copy both, or export "
                "it again"
            ) from None
        self._network = _network(max(1, (threads or available_threads()) // callers))
        with standard_error_silenced():  # it tells of what is wrong
            failed = self._network.load_param_mem(param.text()) or self._network.load_model(
                os.fspath(weights)
            )
        if failed:
            raise WeightsError(
                f"{path} is no network that ncnn {ncnn.__version__} can run; copy the file or "
                "export it again"
            )

    def _run(self, output: str, image_hwc: Image) -> Any:
        assert output == "logits"
        height, width = image_hwc.shape[:2]
        pixels = np.ascontiguousarray(image_hwc)
        image = ncnn.Mat.from_pixels(pixels, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        extractor = self._network.create_extractor()
        extractor.input(INPUT, image)
        failed, found = extractor.extract(OUTPUT)
        logits_chw = np.array(found, np.float32)
        if failed or logits_chw.ndim != 3 or len(logits_chw) != self.card.network.classes:
            raise WeightsError(
                f"{self.path} cannot be run: ncnn gives {logits_chw.shape}, expected logits of "
                f"{self.card.network.classes} classes; export it again"
            )
        return logits_chw


def _network(threads: int) -> Any:
    """An empty `ncnn.Net` with its options."""
    network = ncnn.Net()
    options = network.opt
    options.num_threads = threads
    options.use_vulkan_compute = False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_packed = options.use_bf16_storage = False
    return network
