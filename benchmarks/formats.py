"""Every network in every format: its file, labels that differ from the network's, mIoU, time.

    python benchmarks/formats.py [MODEL ...] --data DIR [--size HxW] [--only FORMAT ...]

MODEL: weights, a run folder, a shipped name, or the name of a network, whose weights then are
random but for its batch norms, which have seen images of DIR; it is scored by nothing, and not
rounded to int8. Without one: what is shipped, and every other network.

Labels are compared on 20 images of val, each of the size that the files take, with those that the
network gives in torch; mIoU is of the whole val split, at the labels' size. int8 is kept whatever
it loses. Milliseconds are medians from image to labels in two threads, each file's in a process of
its own, as `briskseg bench` has it; Keras' in this one, alone; the page's are what it says itself,
with threads.

What cannot be made, or is not installed, is named below the table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.web.browser import Browser
from tests.web.servers import serve

from briskseg import create_model, open_dataset
from briskseg.benchmark.speed import Candidate, measure
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.errors import BriskError
from briskseg.core.images import resize_image, write_png
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.data import Dataset
from briskseg.export import export
from briskseg.export.int8 import Int8
from briskseg.export.keras_file import open_keras
from briskseg.models import MODELS
from briskseg.runtime.load import open_file
from briskseg.runtime.model_files import find_weights, model_name, read_file, shipped_files

COMPARED, THREADS, ANY_LOSS = 20, 2, 101.0
FORMATS = {  # name: (--to, what runs it, in int8)
    "onnx": ("onnx", "onnx", False),
    "openvino": ("openvino", "openvino", False),
    "openvino int8": ("openvino", "openvino", True),
    "litert": ("litert", "litert", False),
    "litert int8": ("litert", "litert", True),
    "ncnn": ("ncnn", "ncnn", False),
    "keras": ("keras", "", False),
    "web": ("web", "", False),
}

Labels = Callable[[np.ndarray], np.ndarray]  # image (H, W, 3) uint8 RGB -> labels (H, W) uint8


class Way(NamedTuple):
    """A file in use. candidate: for `measure`, where one of our backends runs it. reported: the
    milliseconds of the last image, where what runs it tells them."""

    megabytes: float
    labels: Labels
    candidate: Candidate | None = None
    reported: Callable[[], float] | None = None


def save_random(name: str, dataset: Dataset, size_hw: tuple[int, int], folder: Path) -> Path:
    """A weights file of the network with random weights, for images of this size."""
    torch.manual_seed(0)
    network = create_model(name, len(dataset.labels.names))
    for norm in (module for module in network.modules() if hasattr(module, "momentum")):
        norm.momentum = None  # its statistics are those of all that it sees
    images = [resize_image(dataset.read_image(pair), size_hw) for pair in dataset.pairs("val")[:4]]
    with torch.no_grad():
        network.train()(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255)
    card = Card(
        network=NetworkCard(name=name, classes=network.classes, options=network.options),
        labels=LabelsCard.from_label_set(dataset.labels),
        input=InputCard(size=size_hw),
    )
    path = folder / f"{name}.safetensors"
    save_weights(path, {key: value.numpy() for key, value in network.state_dict().items()}, card)
    return path


def open_page(page: Path, folder: Path, stack: ExitStack) -> Way:
    """The page in Chromium, fed with pictures."""
    address = stack.enter_context(serve(page.parent, isolated=True))
    browser = stack.enter_context(Browser(folder / "browser"))
    browser.open(address)
    browser.wait_ready()
    numbers = iter(range(10**9))

    def labels(image: np.ndarray) -> np.ndarray:
        name = f"picture{next(numbers)}"
        write_png(folder / f"{name}.png", image)
        browser.choose(folder / f"{name}.png")
        browser.wait_status(f"{name}.png, ")
        browser.press("l")
        return np.asarray(
            cv2.imread(str(browser.saved(f"{name}_labels.png")), cv2.IMREAD_UNCHANGED)
        )

    def reported() -> float:
        rows = browser.run("document.getElementById('times').innerText").splitlines()
        stages = dict(row.rsplit("\t", 1) for row in rows if "\t" in row)
        return sum(float(stages[stage]) for stage in ("network", "decode"))

    return Way(page.stat().st_size / 1e6, labels, reported=reported)


def open_way(
    name: str, weights: Path, size_hw: tuple[int, int], dataset: Dataset, stack: ExitStack
) -> Way:
    """Export `weights` in a format of FORMATS and open it. Raises BriskError where that fails."""
    to, backend, in_int8 = FORMATS[name]
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    int8 = Int8(dataset, ANY_LOSS, ANY_LOSS) if in_int8 else None
    written = export(weights, to, folder / f"model{suffix_for(to)}", size_hw, int8=int8)
    if to == "web":
        return open_page(written.file, folder, stack)
    files = [file for file in folder.iterdir() if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    if to == "keras":
        logits = open_keras(written.file)
        return Way(megabytes, lambda image: logits(image).argmax(axis=0).astype(np.uint8))
    precision = "int8" if in_int8 else "float32"
    candidate = Candidate(name, written.file, backend, precision, THREADS, size_hw)
    return Way(megabytes, open_file(written.file, backend, THREADS), candidate)


def suffix_for(to: str) -> str:
    from briskseg.export.formats import FORMATS as RECORDS

    return "" if to == "web" else RECORDS[to].suffix


def rows_of(
    title: str,
    weights: Path,
    trained: bool,
    names: list[str],
    size_hw: tuple[int, int],
    dataset: Dataset,
    rounds: int,
) -> Iterator[str]:
    """A line for each format, and what could not be made."""
    with ExitStack() as stack:
        ways, missing = {}, []
        for name in names:
            if not trained and FORMATS[name][2]:
                continue
            try:
                ways[name] = open_way(name, weights, size_hw, dataset, stack)
            except BriskError as error:
                missing.append(f"  {name}: {error}")
        pairs = dataset.pairs("val")
        chosen = pairs[:: max(1, len(pairs) // COMPARED)][:COMPARED]
        images = [resize_image(dataset.read_image(pair), size_hw) for pair in chosen]
        network = open_file(weights, "torch", THREADS)
        expected = [network(image) for image in images]
        times = timed(ways, images[0], rounds)
        for name, way in ways.items():
            differing = sum(
                np.count_nonzero(way.labels(image) != labels)
                for image, labels in zip(images, expected, strict=True)
            )
            miou = f"{100 * score(way, dataset, size_hw):6.2f} %" if trained else f"{'-':>8}"
            yield (
                f"{title:24} {name:14} {way.megabytes:5.1f} MB "
                f"{100 * differing / sum(labels.size for labels in expected):9.4f} % {miou} "
                f"{times.get(name, float('nan')):7.1f} ms"
            )
        yield from missing


def timed(ways: dict[str, Way], image: np.ndarray, rounds: int) -> dict[str, float]:
    """Median milliseconds of each."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        write_png(file, image)
        files = [way.candidate for way in ways.values() if way.candidate is not None]
        images = {candidate.size_hw: file for candidate in files}
        for timing in measure(files, images).timings if files else ():
            stages = ("resize", "inference", "decode")
            found[timing.candidate.model] = sum(map(timing.median, stages))
    for name, way in ways.items():
        if way.candidate is None:
            found[name] = statistics.median(alone(way, image) for _ in range(rounds))
    return found


def alone(way: Way, image: np.ndarray) -> float:
    """Milliseconds of one image."""
    started = time.perf_counter()
    way.labels(image)
    elapsed = 1e3 * (time.perf_counter() - started)
    return way.reported() if way.reported else elapsed


def score(way: Way, dataset: Dataset, size_hw: tuple[int, int]) -> float:
    """mIoU in [0, 1] on val."""
    confusion = ConfusionMatrix(len(dataset.labels.names))
    for pair in dataset.pairs("val"):
        truth = dataset.read_labels(pair)
        found = way.labels(resize_image(dataset.read_image(pair), size_hw))
        if found.shape != truth.shape:
            found = cv2.resize(found, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
        confusion.update(truth, found)
    return confusion.miou


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="weights, runs, shipped names or networks")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", default="360x480", help="HxW")
    parser.add_argument("--only", nargs="*", choices=FORMATS, default=[*FORMATS])
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    dataset = open_dataset(given.data)
    models = given.models or [*shipped_files(), *MODELS]
    print(f"{'network':24} {'format':14} {'file':>8} {'differing':>11} {'mIoU':>8} {'time':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            trained = model not in MODELS
            if trained:
                weights = find_weights(Path(model))
                scored = dataset.of_classes(read_file(weights)[0].labels.names)
            else:
                scored = dataset
                weights = save_random(model, dataset, (height, width), Path(folder))
            rows = rows_of(
                model_name(Path(model)),
                weights,
                trained,
                given.only,
                (height, width),
                scored,
                given.rounds,
            )
            for row in rows:
                print(row, flush=True)


if __name__ == "__main__":
    main()
