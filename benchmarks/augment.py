"""Augmentation: every operation of the 32-class CamVid write-up, 960x720 -> 256x256, on one core.

    python benchmarks/augment.py

Ours (one warp, one color pass) against PIL and numpy, a step an operation, on the same drawn street
in turns; prints the median milliseconds of both and the median of their ratios.
"""

from __future__ import annotations

import statistics
import time

import cv2
import numpy as np
from PIL import Image

import stock
from briskseg.data.synthetic import draw_scene
from briskseg.recipe import AugmentPart
from briskseg.training.samples.augment import Augmenter

SIZE = (256, 256)
ROUNDS, SAMPLES = 9, 40

# Shadow, rotation -30..30 degrees, crop 0.66..1 resized back, brightness and contrast (normal, sd
# 0.5, clipped), a little blur, noise with standard deviation 10.
PART = AugmentPart(
    rotate=30,
    crop=(0.66, 1.0),
    brightness={"sd": 0.5, "min": 0.4, "max": 4},
    contrast={"sd": 0.5, "min": 0.3, "max": 5},
    blur=1.0,
    noise=10,
    shadow=1.0,
)


def separate_steps(image: Image.Image, labels: Image.Image, index: int):
    rng = np.random.default_rng((0, 0, index))
    image, labels = stock.resize(image, labels, SIZE)
    image, labels = stock.rotate(image, labels, rng.uniform(-30, 30))
    share = rng.uniform(0.66, 1.0)
    image, labels = stock.crop(image, labels, rng, (round(256 * share), round(256 * share)))
    image, labels = stock.resize(image, labels, SIZE)
    image = stock.shadow(image, rng)
    brightness = float(np.clip(rng.normal(1, 0.5), 0.4, 4))
    contrast = float(np.clip(rng.normal(1, 0.5), 0.3, 5))
    image = stock.recolor(image, brightness, contrast, 1.0)
    image = stock.blur(image, rng.uniform(0, 1))
    image = stock.noise(image, rng, 10)
    return np.asarray(image), np.asarray(labels)


def main() -> None:
    cv2.setNumThreads(1)
    image, labels = draw_scene(1, (720, 960))
    pictures = Image.fromarray(image), Image.fromarray(labels)
    augmenter = Augmenter(PART)

    def ours(index: int):
        params = augmenter.params(image.shape[:2], SIZE, 0, 0, index)
        return augmenter.apply(image, labels, params)

    def theirs(index: int):
        return separate_steps(*pictures, index)

    times: dict[str, list[float]] = {"ours": [], "separate steps": []}
    for _ in range(ROUNDS):
        for name, work in (("ours", ours), ("separate steps", theirs)):
            start = time.perf_counter()
            for index in range(SAMPLES):
                work(index)
            times[name].append((time.perf_counter() - start) / SAMPLES)
    for name, each in times.items():
        median = statistics.median(each)
        print(f"{name:16} {median * 1e3:7.2f} ms  {1 / median:6.0f} images/s on one core")
    ratios = [b / a for a, b in zip(times["ours"], times["separate steps"], strict=True)]
    print(f"ratio            {statistics.median(ratios):7.2f}  (aim: at least 5)")


if __name__ == "__main__":
    main()
