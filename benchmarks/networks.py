"""Every network in OpenVINO, float32 and int8: milliseconds from pixels to coarse logits.

    python benchmarks/networks.py [--size HxW ...] [--only NAME ...] [--rounds N]

The weights are random, which changes no time; int8 is calibrated on drawn streets, of 11 classes,
and kept whatever it loses, with no layer left in float. The files of a network run in turns; the
figures are medians. Decoding is left out: random logits have a border in every cell.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from briskseg import create_model, open_dataset
from briskseg.benchmark.layers import count_work
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.labels import LabelSet
from briskseg.data.synthetic import draw_dataset, draw_scene
from briskseg.export import export
from briskseg.export.int8 import Int8
from briskseg.models import MODELS
from briskseg.runtime.backends.openvino_backend import OpenVINOBackend

ANY_LOSS = 101.0  # points of mIoU, more than there are
WARM_UP = 3


def save_random(name: str, labels: LabelSet, size_hw: tuple[int, int], folder: Path) -> Path:
    """A weights file of the network with random weights, for images of this size."""
    torch.manual_seed(0)
    network = create_model(name, len(labels.names)).eval()
    card = Card(
        network=NetworkCard(name=name, classes=network.classes, options=network.options),
        labels=LabelsCard.from_label_set(labels),
        input=InputCard(size=size_hw),
    )
    path = folder / f"{name}-{size_hw[0]}x{size_hw[1]}.safetensors"
    save_weights(path, {key: value.numpy() for key, value in network.state_dict().items()}, card)
    return path


def measure(
    weights: Path, size_hw: tuple[int, int], int8: Int8, rounds: int
) -> tuple[float, float, float]:
    """GMAC, and the milliseconds of float32 and of int8."""
    written = [
        export(weights, "openvino", weights.with_suffix(suffix), size_hw, int8=how)
        for suffix, how in ((".xml", None), (".int8.xml", int8))
    ]
    backends = [OpenVINOBackend.open(item.file, threads=2)[0] for item in written]
    image_hwc, _ = draw_scene(0, size_hw)
    times: list[list[float]] = [[], []]
    for number in range(rounds + WARM_UP):
        for backend, taken in zip(backends, times, strict=True):
            started = time.perf_counter()
            backend.run(image_hwc, at_own_size=False)
            if number >= WARM_UP:
                taken.append(1e3 * (time.perf_counter() - started))
    gmac = count_work(written[0].card.network, size_hw).flop / 2e9
    return gmac, statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="append", help="HxW; by default 360x480 and 512x1024")
    parser.add_argument("--only", nargs="*", choices=MODELS, default=[*MODELS])
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    sizes = [tuple(map(int, text.split("x"))) for text in given.size or ("360x480", "512x1024")]
    print(f"{'network':20} {'size':>9} {'params':>7} {'GMAC':>6} {'float32':>8} {'int8':>7}  ratio")
    with tempfile.TemporaryDirectory() as scratch:
        streets = draw_dataset(Path(scratch) / "streets", train=8, val=1, size_hw=(256, 512))
        int8 = Int8(open_dataset(streets), ANY_LOSS, ANY_LOSS)
        for name in given.only:
            for size_hw in sizes:
                weights = save_random(name, int8.dataset.labels, size_hw, Path(scratch))
                gmac, float32, quantized = measure(weights, size_hw, int8, given.rounds)
                size = f"{size_hw[0]}x{size_hw[1]}"
                print(
                    f"{name:20} {size:>9} {MODELS[name].parameters / 1e6:6.1f}M {gmac:6.1f} "
                    f"{float32:5.1f} ms {quantized:4.1f} ms  {float32 / quantized:.1f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
