"""Scoring holds one image at a time, however many there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from briskseg.core.images import write_png

# ru_maxrss is the whole process's peak, so a process of its own; in KiB on Linux
SCRIPT = """
import resource, sys
import briskseg
from briskseg.data import open_dataset
from briskseg.evaluation.accuracy import evaluate

peaks = {}
def watch(done, total):
    peaks[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

model, data = sys.argv[1:]
evaluate(briskseg.load(model, threads=1), open_dataset(data), "val", progress=watch)
print(peaks[30], peaks[240])
"""


def test_peak_memory_does_not_grow_with_the_number_of_images(
    weights_file: Path, small_data: Path
) -> None:
    """210 more images of 240x320: kept, their pixels alone would be 48 MB, their labels 16 MB."""
    rng = np.random.default_rng(0)
    for name in small_data.glob("*/val/*"):
        name.unlink()
    write_png(small_data / "pixels.png", rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
    write_png(small_data / "indices.png", rng.integers(0, 3, (240, 320), dtype=np.uint8))
    for number in range(240):
        (small_data / "images/val" / f"{number:03}.png").hardlink_to(small_data / "pixels.png")
        (small_data / "labels/val" / f"{number:03}.png").hardlink_to(small_data / "indices.png")
    words = [sys.executable, "-c", SCRIPT, str(weights_file), str(small_data)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    early, late = map(int, done.stdout.split())
    assert late - early < 10_000, f"{late - early} KiB more after 210 further images"
