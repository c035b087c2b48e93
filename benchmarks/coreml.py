"""On a Mac: does an .mlpackage give the labels of `predict`?

    python benchmarks/coreml.py MODEL model.mlpackage IMAGE ...

MODEL: the weights that it was exported from. Needs macOS and `pip install 'briskseg[coreml]'`. Each
image is resized to the package's size, and the share of labels that differ is printed for Core ML
on the CPU, where it computes in float32, and on all that the Mac has; milliseconds are the median
of 20 runs. Ends with status 1 where on the CPU more than 1 in 1,000 labels differ.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import coremltools
import numpy as np
from PIL import Image

import briskseg
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.images import read_image, resize_image
from briskseg.runtime.decode.enlargement import Enlargement

MOST, RUNS = 1e-3, 20


def main(model: str, package: str, images: list[str]) -> int:
    """Prints a line an image and kind of processor; 1 where labels differ, else 0."""
    units = {
        "cpu": coremltools.ComputeUnit.CPU_ONLY,
        "all": coremltools.ComputeUnit.ALL,
    }
    opened = {
        name: coremltools.models.MLModel(package, compute_units=u) for name, u in units.items()
    }
    said = opened["cpu"].user_defined_metadata
    exported = Exported.model_validate_json(said[EXPORT_KEY])
    assert exported.size is not None
    enlargement = Enlargement(exported.factor, exported.align_corners)
    backend, worst = briskseg.load(model, "torch").backend, 0.0
    for path in images:
        image = resize_image(read_image(Path(path)), exported.size)
        expected = backend.infer(image).argmax(axis=0)
        for name, network in opened.items():
            given = {"image": Image.fromarray(image)}
            seconds = []
            for _ in range(RUNS):
                started = time.perf_counter()
                logits = np.asarray(network.predict(given)["logits"], np.float32)[0]
                seconds.append(time.perf_counter() - started)
            labels = enlargement.full(logits, exported.size).argmax(axis=0)
            share = float((labels != expected).mean())
            worst = max(worst, share if name == "cpu" else 0.0)
            print(
                f"{Path(path).name:30} {name}  labels that differ: {100 * share:.3f} %, "
                f"{1e3 * statistics.median(seconds):.1f} ms"
            )
    return int(worst > MOST)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
