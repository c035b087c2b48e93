"""Logits to labels, 19x128x256 -> 1024x2048: ours against interpolating all and taking the argmax.

    python benchmarks/decode.py [--logits FILE.npy ...]

The logits are of drawn streets, as a network sure of itself gives them: a class's share of each
cell, smoothed, through a logarithm, with noise. `--logits` takes a network's own, (C, h, w) or
(N, C, h, w), decoded to eight times their size. Prints medians of several rounds, taken in turns on
the same logits, and the median of the ratios; then how many pixels differ, and how far apart their
two classes' logits are: no farther than float32 rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from briskseg import decode_labels
from briskseg.data.synthetic import draw_scene

CLASSES, CELLS, TIMES = 19, (128, 256), 8
ROUNDS = 9


def street_logits(seed: int) -> np.ndarray:
    """(CLASSES, h, w) float32 for a street drawn at full size."""
    rng = np.random.default_rng(seed)
    _, labels = draw_scene(seed, (CELLS[0] * TIMES, CELLS[1] * TIMES))
    shares = []
    for index in range(CLASSES):
        share = cv2.resize(
            (labels == index).astype(np.float32), CELLS[::-1], interpolation=cv2.INTER_AREA
        )
        noise = cv2.GaussianBlur(rng.standard_normal(CELLS).astype(np.float32), (0, 0), 1.5)
        shares.append(2 * np.log(cv2.GaussianBlur(share, (0, 0), 0.8) + 1e-3) + 2 * noise)
    return np.stack(shares).astype(np.float32)


def by_torch(logits: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    up = F.interpolate(torch.from_numpy(logits)[None], size_hw, mode="bilinear")
    return up.argmax(dim=1)[0].to(torch.uint8).numpy()


def by_opencv(logits: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    up = [cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits]
    return np.stack(up).argmax(axis=0).astype(np.uint8)


def channels_last(logits: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)


def compare(logits: np.ndarray, size_hw: tuple[int, int]) -> str:
    """How many pixels differ from torch's, and by how much at most."""
    up = F.interpolate(torch.from_numpy(logits)[None], size_hw, mode="bilinear")[0].numpy()
    ours = decode_labels(logits, size_hw)
    differ = up.argmax(axis=0) != ours
    chosen = np.take_along_axis(up, ours[None].astype(np.int64), axis=0)[0]
    apart = (up.max(axis=0) - chosen)[differ]
    rounds = float(np.spacing(np.abs(logits).max()))
    assert not apart.size or apart.max() <= 4 * rounds
    return (
        f"{np.count_nonzero(differ)} of {ours.size} pixels differ, by at most "
        f"{apart.max(initial=0):.1e} (float32 rounds by {rounds:.1e})"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logits", nargs="*", default=[])
    maps: list[np.ndarray] = []
    for file in parser.parse_args().logits:
        loaded = np.load(file).astype(np.float32)
        maps += list(loaded.reshape(-1, *loaded.shape[-3:]))
    maps = maps or [street_logits(seed) for seed in range(3)]
    size_hw = (maps[0].shape[1] * TIMES, maps[0].shape[2] * TIMES)
    last = [channels_last(one) for one in maps]
    half = [one.astype(np.float16) for one in maps]
    ways: dict[str, Callable[[int], object]] = {
        "ours": lambda i: decode_labels(maps[i], size_hw),
        "torch interpolate + argmax": lambda i: by_torch(maps[i], size_hw),
        "OpenCV per class + argmax": lambda i: by_opencv(maps[i], size_hw),
        "ours, logits (h, w, C)": lambda i: decode_labels(last[i], size_hw),
        "ours, half precision": lambda i: decode_labels(half[i], size_hw),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, ROUNDS):
        for name, work in ways.items():
            start = time.perf_counter()
            work(turn % len(maps))
            if turn >= 0:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    shape = "x".join(map(str, maps[0].shape))
    print(f"{shape} -> {size_hw[0]}x{size_hw[1]}, {torch.get_num_threads()} threads for torch")
    for name, each in times.items():
        ratio = statistics.median(a / b for a, b in zip(each, times["ours"], strict=True))
        print(f"{name:28} {statistics.median(each) * 1e3:8.2f} ms   {ratio:6.1f} times ours")
    print("aim: torch at least 8 times ours")
    for index, logits in enumerate(maps):
        winners = logits.argmax(axis=0)
        edges = (winners[:-1, :-1] != winners[1:, :-1]) | (winners[:-1, :-1] != winners[:-1, 1:])
        print(f"map {index}, {edges.mean():.1%} of cells at borders: {compare(logits, size_hw)}")


if __name__ == "__main__":
    main()
