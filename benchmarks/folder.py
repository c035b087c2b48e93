"""A folder of images: reading, inference, drawing and writing at once, against one after the other.

    python benchmarks/folder.py [MODEL] [--images N] [--size HxW] [--rounds N] [--backend NAME]

Three ways, in turns in the same run: an image after the other; two whole images at once, each in a
thread that does all of it; and `predict`'s pipeline. What is done to an image is the same in all:
read a JPEG, label it, draw, and write NAME_labels.png, NAME_color.png and NAME_overlay.png.

Then what each stage takes alone, in one thread (inference in the backend's own), and what share of
the rate that the slowest of them allows the pipeline reaches; and of the rate that this machine's
processors allow, were they busy with nothing else. Where each way kept fewer processors busy than
it could, others were at work on the machine: measure again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from briskseg import load
from briskseg.core.images import read_image, write_jpeg
from briskseg.core.labels import LabelSet
from briskseg.core.parallel import available_threads, thread_map
from briskseg.core.types import Image, Labels
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.inputs import Input, find_inputs
from briskseg.runtime.predictions import label_images, write_predictions
from briskseg.runtime.predictor import Predictor


def draw_folder(folder: Path, count: int, size_hw: tuple[int, int]) -> None:
    """Drawn streets with a camera's noise, so that files are as large as photographs'."""
    rng = np.random.default_rng(0)
    scene, _ = draw_scene(3, size_hw)
    for number in range(count):
        noise = rng.normal(0, 3, scene.shape).astype(np.float32)
        image_hwc = np.clip(np.roll(scene, 64 * number, axis=1) + noise, 0, 255)
        write_jpeg(folder / f"{number:03d}.jpg", image_hwc.astype(np.uint8))


def ways(
    predictor: Predictor, inputs: list[Input], out: Path
) -> dict[str, Callable[[], list[object]]]:
    labels: LabelSet = predictor.card.labels.to_label_set()

    def write(source: Input, image_hwc: Image, labels_hw: Labels) -> list[Path]:
        return write_predictions(source, image_hwc, labels_hw, labels, out)

    def whole(source: Input) -> list[Path]:
        image_hwc = read_image(source.path)
        return write(source, image_hwc, predictor(image_hwc))

    return {
        "one after the other": lambda: [whole(source) for source in inputs],
        "two whole images at once": lambda: [*thread_map(whole, inputs, threads=2)],
        "pipeline": lambda: [*label_images(predictor, inputs, write)],
    }


def stages(predictor: Predictor, source: Input, out: Path) -> dict[str, tuple[float, float]]:
    """Seconds an image of each stage alone, and seconds of processor time."""
    image_hwc = read_image(source.path)
    labels_hw, label_set = predictor(image_hwc), predictor.card.labels.to_label_set()
    work: dict[str, Callable[[], object]] = {
        "read": lambda: read_image(source.path),
        "infer": lambda: predictor(image_hwc),
        "draw and write": lambda: write_predictions(source, image_hwc, labels_hw, label_set, out),
    }
    return {name: least(each) for name, each in work.items()}


def least(work: Callable[[], object], runs: int = 7) -> tuple[float, float]:
    found = []
    for _ in range(runs):
        wall, used = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - used))
    return min(found)[0], min(used for _, used in found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="fast-scnn-camvid11")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", default="1024x2048")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="auto")
    asked = parser.parse_args()
    height, width = map(int, asked.size.split("x"))
    predictor = load(asked.model, asked.backend)
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "images", Path(name) / "out"
        folder.mkdir()
        draw_folder(folder, asked.images, (height, width))
        inputs = find_inputs([str(folder)], out)
        seconds: dict[str, list[float]] = {}
        used: dict[str, float] = {}
        for way in ways(predictor, inputs[:2], out).values():
            way()  # what is first used is loaded
        for _ in range(asked.rounds):
            for name, way in ways(predictor, inputs, out).items():
                started, before = time.perf_counter(), time.process_time()
                way()
                seconds.setdefault(name, []).append(time.perf_counter() - started)
                used[name] = used.get(name, 0.0) + time.process_time() - before
        alone = stages(predictor, inputs[0], out)
    print(f"{asked.images} images of {asked.size}, {predictor.ran}")
    serial = seconds["one after the other"]
    for name, took in seconds.items():
        ratio = statistics.median(s / t for s, t in zip(serial, took, strict=True))
        rate = asked.images / statistics.median(took)
        kept = f"{used[name] / sum(took):.2f} processors busy"
        print(f"{name:26}{rate:8.2f} images/s   {ratio:.2f} x one after the other, {kept}")
    for name, (wall, own) in alone.items():
        print(f"  {name:24}{1e3 * wall:8.1f} ms alone, {1e3 * own:.1f} ms of processors")
    rate = asked.images / statistics.median(seconds["pipeline"])
    slowest = max(alone, key=lambda name: alone[name][0])
    processors = available_threads()
    busy = sum(own for _, own in alone.values()) / processors
    print(f"of what the slowest stage, {slowest}, allows: {rate * alone[slowest][0]:.0%}")
    print(f"of what {processors} processors allow: {rate * busy:.0%}")


if __name__ == "__main__":
    main()
