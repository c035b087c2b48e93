"""Tiny data sets laid out like the real ones, and runs that are interrupted where a test asks."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from briskseg.core.images import write_png
from briskseg.core.labels import CAMVID32
from briskseg.recipe import PretrainingRecipe, Recipe

# Label ids of the download: road, building, car, bicycle; unlabeled and ego vehicle, no classes.
CITYSCAPES_IDS = (7, 11, 26, 33, 0, 1)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def patches(rng: np.random.Generator, values: object, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, ...) of the values (or colors) in patches of 8x8 pixels."""
    choice = rng.integers(0, len(values), (-(-size_hw[0] // 8), -(-size_hw[1] // 8)))
    large = np.kron(choice, np.ones((8, 8), int))[: size_hw[0], : size_hw[1]]
    return np.array(values, np.uint8)[large]


@pytest.fixture(scope="session")
def cityscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 train and 2 val images of 64x128 with their label ids, as Cityscapes is unpacked."""
    root = tmp_path_factory.mktemp("data") / "cityscapes"
    for split, city, number in (("train", "aachen", 6), ("val", "lindau", 2)):
        for index in range(number):
            rng = np.random.default_rng((index, number))
            stem = f"{city}_{index:06d}_000019"
            image = root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
            labels = root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"
            for path in (image, labels):
                path.parent.mkdir(parents=True, exist_ok=True)
            ids = patches(rng, CITYSCAPES_IDS, (64, 128))
            write_png(labels, ids)
            noise = rng.integers(0, 40, (64, 128, 3))
            write_png(image, (ids[..., None] * (5, 4, 3) + noise).astype(np.uint8))
    return root


@pytest.fixture(scope="session")
def camvid32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """11 images of 48x64 with masks of all 32 colors, as CamVid is published, without lists."""
    root = tmp_path_factory.mktemp("data") / "camvid"
    images, masks = root / "701_StillsRaw_full", root / "LabeledApproved_full"
    images.mkdir(parents=True)
    masks.mkdir()
    for index in range(11):
        mask = patches(np.random.default_rng(index), CAMVID32.colors, (48, 64))
        write_png(masks / f"0001TP_{index:06d}_L.png", mask)
        write_png(images / f"0001TP_{index:06d}.png", cv2.GaussianBlur(mask, (0, 0), 1))
    return root


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 classes, each of one hue, 8 train and 3 val JPEGs of differing sizes a class."""
    root = tmp_path_factory.mktemp("data") / "imagenet"
    for split, number in (("train", 8), ("val", 3)):
        for place, name in enumerate(("n01440764", "n01443537", "n01484850")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(number):
                rng = np.random.default_rng((place, index, number))
                size = (40 + 3 * index, 52 - 2 * index, 3)
                pixels = rng.integers(0, 60, size) + np.eye(3, dtype=int)[place] * 150
                path = folder / f"{name}_{index}.JPEG"
                assert cv2.imwrite(str(path), pixels.astype(np.uint8))
    return root


@pytest.fixture
def sit() -> Callable[..., Path]:
    """`sit(recipe, run, resume=, until=)`: a session of a run, with Ctrl-C during step `until`."""
    from briskseg.core.errors import Interrupted
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession

    def sit(
        recipe: Recipe | PretrainingRecipe, run: Path, resume: bool = False, until: int = 0
    ) -> Path:
        def listen(event: dict) -> None:
            if event["phase"] == "train" and event["step"] == until - 1:
                signal.raise_signal(signal.SIGINT)

        session = RunSession(resume, "cpu", listener=listen)
        if not until:
            return fit(recipe, run, session)
        # at an epoch's end that is within its validation
        with pytest.raises(Interrupted, match=f"interrupted (at step {until}|while validating);"):
            fit(recipe, run, session)
        return run

    return sit


def checkpoint(run: Path) -> dict:
    """What last.ckpt holds."""
    found: dict = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return found
