"""Cityscapes' scores of 2048x1024 label maps: ours against the benchmark's own package.

    python benchmarks/cityscapes.py

Drawn streets with 20 objects each, which is what Cityscapes has, and predictions with coarse
borders. Both count the same files in turns and must give the same result to the last bit. Two ways:
from label maps in memory, which is the counting alone, and from PNG files, where most of our time
goes into decoding them. Medians per image, of wall time and of processor time: the package works in
one thread, ours reads files in as many as there are processors.
"""

from __future__ import annotations

import importlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from briskseg.core.parallel import thread_map
from briskseg.data.cityscapes.benchmark import CityscapesIds, CityscapesScores, read_ids
from briskseg.data.cityscapes.tree import instance_file, read_label_ids
from briskseg.data.synthetic import draw_scene

# numpy 2.4 has dropped the name under which that package calls it
setattr(np, "in1d", np.isin)  # noqa: B010
PACKAGE = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")

IMAGES, ROUNDS = 8, 7
SIZE = (1024, 2048)

# The drawn streets' classes as label ids; then objects: label id and mean size in pixels.
LABEL_IDS = np.array([23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 33] + [0] * 245, np.uint16)
OBJECTS = ((24, 3462), (26, 12794), (33, 4672), (25, 3930))


def draw(folder: Path, index: int) -> tuple[Path, Path]:
    """A prediction and its labels, with the instance ids beside them."""
    rng = np.random.default_rng(index)
    instances = LABEL_IDS[draw_scene(index, SIZE)[1]]
    for number in range(20):
        label_id, mean = OBJECTS[number % len(OBJECTS)]
        radius = math.sqrt(mean * rng.uniform(0.2, 2) / math.pi)
        center = (int(rng.integers(SIZE[1])), int(rng.integers(300, 800)))
        axes = (max(2, int(radius * 0.8)), max(2, int(radius * 1.2)))
        cv2.ellipse(instances, center, axes, 0, 0, 360, 1000 * label_id + number, -1)
    ids = np.where(instances < 1000, instances, instances // 1000).astype(np.uint8)
    coarse = cv2.resize(ids, (512, 256), interpolation=cv2.INTER_NEAREST)
    predicted = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    predicted[predicted == 0] = 7
    label = folder / f"city_{index:06}_000019_gtFine_labelIds.png"
    prediction = folder / f"prediction_{index:06}.png"
    for path, values in ((label, ids), (instance_file(label), instances), (prediction, predicted)):
        Image.fromarray(values).save(path)
    return prediction, label


class Decoded:
    """In the place of Pillow's `Image`: opens files that were decoded before."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.arrays = {str(path): np.array(Image.open(path)) for path in paths}

    def open(self, name: str) -> Decoded.Picture:
        return self.Picture(self.arrays[name])

    class Picture:
        def __init__(self, array: np.ndarray) -> None:
            self.array, self.size = array, array.shape[::-1]

        def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
            return self.array.copy() if copy else self.array


def package(pairs: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    predictions, labels = ([str(path) for path in paths] for paths in zip(*pairs, strict=True))
    return PACKAGE.evaluateImgLists(predictions, labels, PACKAGE.args)


def from_maps(maps: Sequence[tuple[np.ndarray, ...]]) -> dict[str, Any]:
    scores = CityscapesScores()
    for predicted, ids, instances in maps:
        scores.update(predicted, ids, instances)
    return scores.to_json()


def from_files(pairs: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """Read by as many threads as there are processors."""

    def read(pair: tuple[Path, Path]) -> tuple[np.ndarray, CityscapesIds]:
        return read_label_ids(pair[0]), read_ids(pair[1], instances=True)

    scores = CityscapesScores()
    for predicted, truth in thread_map(read, pairs):
        scores.update(predicted, *truth)
    return scores.to_json()


def without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def compare(
    what: str, theirs: Callable[[], dict[str, Any]], ours: Callable[[], dict[str, Any]]
) -> None:
    assert without_nan(theirs()) == ours(), "the scores differ"
    times: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
    for _ in range(ROUNDS):
        for name, work in (("theirs", theirs), ("ours", ours)):
            wall, processor = time.perf_counter(), time.process_time()
            work()
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    for place, kind in enumerate(("wall", "processor")):
        both = [[one[place] / IMAGES * 1e3 for one in times[name]] for name in times]
        ratio = statistics.median(a / b for a, b in zip(*both, strict=True))
        theirs_ms, ours_ms = map(statistics.median, both)
        print(f"{what:22}{kind:11}{theirs_ms:14.1f} ms{ours_ms:9.1f} ms{ratio:8.1f}", flush=True)


def main() -> None:
    cv2.setNumThreads(1)
    PACKAGE.args.quiet, PACKAGE.args.JSONOutput = True, False
    compiled = "with its compiled counting" if PACKAGE.CSUPPORT else "as pip installs it"
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; the package {compiled}")
    print(f"{'per image':22}{'time':11}{'cityscapesscripts':>17}{'ours':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        pairs = [draw(Path(folder), index) for index in range(IMAGES)]
        maps = [(read_ids(pair[0], False).ids_hw, *read_ids(pair[1], True)) for pair in pairs]
        image = PACKAGE.Image
        PACKAGE.Image = Decoded(sorted(Path(folder).iterdir()))
        compare("label maps to scores", lambda: package(pairs), lambda: from_maps(maps))
        PACKAGE.Image = image
        compare("PNG files to scores", lambda: package(pairs), lambda: from_files(pairs))
        times = []
        for prediction, label in pairs * ROUNDS:
            start = time.process_time()
            read_ids(prediction, False), read_ids(label, True)
            times.append(time.process_time() - start)
        print(f"of that, decoding three files with OpenCV: {statistics.median(times) * 1e3:.1f} ms")
    print("aim: a ratio of at least 5")


if __name__ == "__main__":
    main()
