"""Training speed: `briskseg train` against a stock loop, data loading and augmentation included.

    python benchmarks/training.py [--device cuda]

Both train the same network on the same drawn streets (360x480) with the same operations: random
scale, rotation, crop, flip, brightness, contrast and saturation. The stock loop is float32, NCHW,
reads its files every time and makes each picture with PIL, in two worker processes. Runs alternate,
each in a process of its own; prints the medians of images/s over the steps and of their ratios, and
which share of its time ours waited for data. The last column is the ratio over a run whose samples
grow as those of the shipped recipe do (`augment.progressive_resize`): ours is measured at each of
their sizes, and the stock loop, which has no such thing, at the full one. `--network erfnet`
measures that one alone; `--steps` and `--rounds` say how long.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from briskseg.data.synthetic import draw_dataset
from briskseg.recipe import load_recipe

SIZE = (360, 480)
CASES = {"erfnet": 6, "fast_scnn": 16, "lite_seg": 8}  # network: batch
RECIPES = {name: name.replace("_", "-") + "-camvid11" for name in CASES}
WARM = 3  # steps before the clock
ROUNDS = 3


def ours(
    data: Path, network: str, batch: int, steps: int, device: str, folder: Path, factor: float
):
    """Images/s at `factor` of the size, and the share of the time spent waiting for data."""
    recipe = {
        "model": {"name": network},
        "data": {"size": list(SIZE)},
        "augment": {
            "scale": [0.6, 2.0], "rotate": 10, "flip": 0.5, "brightness": [0.7, 1.3],
            "contrast": [0.7, 1.3], "saturation": [0.7, 1.3],
            "progressive_resize": None if factor == 1 else {"factors": [factor], "until": [1.0]},
        },
        "training": {
            "steps": steps, "batch": batch, "log_every": 1, "validate_every": 1000,
        },
    }  # fmt: skip
    path = folder / f"{network}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    words = ["train", path, "--data", data, "--out", out, "--device", device]
    briskseg = Path(sys.executable).with_name("briskseg")
    subprocess.run([briskseg, *map(str, words)], check=True, capture_output=True)
    with (out / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["images_per_s"]][WARM:]
    columns = ("images_per_s", "waiting")
    return tuple(statistics.median(float(row[name]) for row in rows) for name in columns)


def shares_of_sizes(network: str) -> dict[float, float]:
    """The factors by which the shipped recipe's samples grow, and the share of epochs of each."""
    resize = load_recipe(RECIPES[network]).augment.progressive_resize
    ends = [*resize.until, 1.0]
    shares = [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]
    return dict(zip([*resize.factors, 1.0], shares, strict=True))


def theirs(data: Path, network: str, batch: int, steps: int, device: str) -> float:
    """The stock loop, in a process of its own."""
    words = [__file__, "--stock", network, str(data), str(batch), str(steps), "--device", device]
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    return float(done.stdout)


def stock_loop(data: Path, network: str, batch: int, steps: int, device: str) -> float:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    import stock
    from briskseg.models import create_model

    class Streets(Dataset):
        def __init__(self) -> None:
            self.images = sorted((data / "images" / "train").iterdir()) * 20

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int):
            rng = np.random.default_rng(index)
            path = self.images[index]
            image = Image.open(path).convert("RGB")
            labels = Image.open(data / "labels" / "train" / path.name)
            scale = rng.uniform(0.6, 2.0)
            image, labels = stock.resize(image, labels, tuple(round(s * scale) for s in SIZE))
            image, labels = stock.rotate(image, labels, rng.uniform(-10, 10))
            image, labels = stock.crop(image, labels, rng, SIZE)
            if rng.random() < 0.5:
                image, labels = stock.flip(image, labels)
            image = stock.recolor(image, *rng.uniform(0.7, 1.3, 3))
            pixels = (np.asarray(image, np.float32) / 255 - 0.45) / 0.225
            return (
                torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
                torch.from_numpy(np.asarray(labels, np.int64)),
            )

    net = create_model(network, 11).to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loader = DataLoader(Streets(), batch, shuffle=True, num_workers=2, drop_last=True)
    rates, last = [], time.perf_counter()
    for _, (images, labels) in zip(range(steps), loader, strict=False):
        images, labels = images.to(device), labels.to(device)
        outputs = net.forward_train(images)
        loss = F.cross_entropy(outputs.pop("logits"), labels, ignore_index=255)
        for output in outputs.values():
            full = F.interpolate(output, SIZE, mode="bilinear")
            loss = loss + 0.4 * F.cross_entropy(full, labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        now = time.perf_counter()
        rates.append(batch / (now - last))
        last = now
    return statistics.median(rates[WARM:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--network", choices=CASES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--stock", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stock:
        network, data, batch, steps = given.stock
        print(stock_loop(Path(data), network, int(batch), int(steps), given.device))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = draw_dataset(folder / "streets", train=48, val=1, size_hw=SIZE, seed=0)
        print(
            f"{'network':10} {'batch':>5} {'ours':>8} {'stock':>8} images/s {'ratio':>6}  waiting"
            "  over a run"
        )
        for network, batch in CASES.items():
            if given.network not in {None, network}:
                continue
            shares = shares_of_sizes(network)
            rounds = []
            for _ in range(given.rounds):
                how = (data, network, batch, given.steps + WARM, given.device)
                rates = {factor: ours(*how, folder, factor) for factor in shares}
                rounds.append((rates, theirs(*how)))
            fast = statistics.median(rates[1.0][0] for rates, _ in rounds)
            slow = statistics.median(stock for _, stock in rounds)
            ratio = statistics.median(rates[1.0][0] / stock for rates, stock in rounds)
            waiting = statistics.median(rates[1.0][1] for rates, _ in rounds)
            whole = statistics.median(
                1 / sum(share / rates[factor][0] for factor, share in shares.items()) / stock
                for rates, stock in rounds
            )
            numbers = f"{fast:8.2f} {slow:8.2f}          {ratio:6.2f}  {waiting:7.1%} {whole:11.2f}"
            print(f"{network:10} {batch:5} {numbers}", flush=True)


if __name__ == "__main__":
    main()
