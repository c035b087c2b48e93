"""A made-up run folder, as training writes it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.images import write_png
from briskseg.core.labels import LabelSet

LABELS = LabelSet(
    names=("sky & cloud", "<b>road</b>", "car"),
    colors=((70, 130, 180), (128, 64, 128), (0, 0, 142)),
)
EPOCHS = 3
SIZE_HW = (30, 200)  # the film's own width, so that its masks keep every pixel


def prediction(epoch: int, place: int) -> np.ndarray:
    """A different mask for every epoch and image."""
    rng = np.random.default_rng([epoch, place])
    return rng.integers(0, 3, SIZE_HW, dtype=np.uint8)


class MadeUp(NamedTuple):
    """What the run's film holds."""

    labels: LabelSet
    epochs: int
    prediction: Callable[[int, int], np.ndarray]  # (epoch, place) -> labels_hw


@pytest.fixture
def made_up() -> MadeUp:
    return MadeUp(LABELS, EPOCHS, prediction)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "fir<st>"
    for folder in ("film", "examples"):
        (run / folder).mkdir(parents=True)
    (run / "recipe.yaml").write_text("name: first\nnote: '<script>alert(1)</script>'\n")
    _write_metrics(run / "metrics.csv")
    scores = {
        "miou": 0.4321,
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.7,
        "frequency_weighted_iou": 0.65,
        "classes": {
            LABELS.names[0]: {"iou": 0.25, "accuracy": 0.5},
            LABELS.names[1]: {"iou": 0.6142, "accuracy": 0.75},
            LABELS.names[2]: {"iou": None, "accuracy": None},
        },
        "confusion": [[5, 5, 0], [25, 75, 0], [0, 0, 0]],
        "images": [{"name": f"a/{n}.x", "miou": 0.1 * n, "pixel_accuracy": 0.5} for n in range(6)],
        "split": "val",
        "network": "fast_scnn",
    }
    (run / "scores.json").write_text(json.dumps(scores))
    card = Card(
        network=NetworkCard(name="fast_scnn", classes=3),
        labels=LabelsCard.from_label_set(LABELS),
        input=InputCard(size=SIZE_HW),
        training={"recipe": "first", "epoch": 2, "data": "folder"},
    )
    save_weights(run / "model.safetensors", {"w": np.zeros(1, np.float32)}, card)
    _write_pictures(run)
    return run


def _write_metrics(path: Path) -> None:
    with path.open("w", newline="") as file:
        columns = ["step", "epoch", "samples", "seconds", "loss", "lr", "images_per_s"]
        columns += ["val_loss", "val_miou", "val_pixel_accuracy"]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for epoch in range(EPOCHS):
            for step in range(10 * epoch + 5, 10 * epoch + 11, 5):
                row = {"step": step, "epoch": epoch, "samples": 8 * step, "seconds": step / 2}
                writer.writerow(row | {"loss": 1 / step, "lr": 0.01, "images_per_s": 16})
            done = {"step": 10 * epoch + 10, "epoch": epoch + 1, "samples": 80 * (epoch + 1)}
            done |= {"seconds": 5 * (epoch + 1) + 100, "val_loss": 1.0}
            writer.writerow(done | {"val_miou": 0.1 * epoch + 0.2, "val_pixel_accuracy": 0.5})


def _write_pictures(run: Path) -> None:
    rng = np.random.default_rng(0)
    palette = LABELS.palette
    for place in range(2):
        image = rng.integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        write_png(run / f"film/image-{place}.png", image)
        truth = np.full(SIZE_HW, place, np.uint8)
        write_png(run / f"film/truth-{place}.png", truth, palette=palette)
        for epoch in range(1, EPOCHS + 1):
            shot = run / f"film/epoch-{epoch:04d}-{place}.png"
            write_png(shot, prediction(epoch, place), palette=palette)
    for kind, numbers in (("best", (5, 4)), ("worst", (0, 1))):
        for place, number in enumerate(numbers):
            stem = run / "examples" / f"{kind}-{place}-a_{number}.x"
            write_png(Path(f"{stem}.image.png"), np.full((8, 9, 3), 200, np.uint8))
            for part in ("truth", "prediction"):
                write_png(Path(f"{stem}.{part}.png"), np.zeros((8, 9), np.uint8), palette=palette)
