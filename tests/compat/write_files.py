"""Writes what `run_files.py` runs elsewhere: exported files, images, and `predict`'s labels.

`make compat` calls it, where everything is installed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

import briskseg
from briskseg.core.images import resize_image
from briskseg.data.synthetic import draw_scene
from briskseg.export import export

SIZES_HW = ((720, 1280), (360, 480), (1080, 1440))  # a camera's, the cards' own, a larger one
FIXED_HW = (360, 480)


def main(folder: Path) -> None:
    """Each shipped model, for any size and for one, with labels of a drawn street at each size."""
    shutil.rmtree(folder, ignore_errors=True)  # of another time, perhaps broken off
    folder.mkdir(parents=True)
    scene = draw_scene(3)[0]
    images = {f"{h}x{w}": resize_image(scene, (h, w)) for h, w in SIZES_HW}
    np.savez(folder / "images.npz", **images)
    for name in ("fast-scnn-camvid11", "erfnet-camvid11", "lite-seg-camvid11"):
        weights = Path(briskseg.__file__).parent / "weights" / f"{name}.safetensors"
        predictor = briskseg.load(weights, backend="torch")
        np.savez(folder / f"{name}.npz", **{key: predictor(image) for key, image in images.items()})
        export(weights, "onnx", folder / f"{name}.onnx")
        export(weights, "onnx", folder / f"{name}-fixed.onnx", size_hw=FIXED_HW)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
