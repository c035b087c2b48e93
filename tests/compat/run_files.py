"""Runs exported files with nothing but onnxruntime and numpy, and compares with `predict`'s labels.

`make compat` calls it in an environment of its own, with the oldest onnxruntime that is allowed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime

MOST = 1e-3  # of the labels: where two classes are as likely, rounding decides


def main(folder: Path) -> int:
    """Prints a line a file and size; the number of those that differ."""
    print(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}")
    images, wrong = np.load(folder / "images.npz"), 0
    for file in sorted(folder.glob("*.onnx")):
        expected = np.load(folder / f"{file.stem.removesuffix('-fixed')}.npz")
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        fixed = session.get_inputs()[0].shape[1:3]
        for key in images.files:
            image = images[key]
            if "-fixed" in file.name and list(image.shape[:2]) != fixed:
                continue
            labels = session.run(["labels"], {"images": image[None]})[0][0]
            fits = labels.shape == expected[key].shape
            share = float((labels != expected[key]).mean()) if fits else 1.0
            wrong += share > MOST
            print(f"{file.name:28} {key:>10}  labels that differ: {100 * share:.3f} %")
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
