"""A data set in pictures: pairs with their overlay, samples as training varies them, and how much
of each image every class fills (`violins.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import writing
from briskseg.core.images import resize_image, write_png
from briskseg.core.overlay import PAPER, draw_text, overlay, with_legend
from briskseg.core.types import Image, Progress
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.frequencies import count_pixels
from briskseg.data.violins import save_violins
from briskseg.recipe import Recipe
from briskseg.training.samples.augment import Augmenter

EPOCHS = 5  # the columns of the augmentation: each sample in so many epochs
_CELL = 360  # pixels, at most, along a cell's longer side
_GAP, _STRIP, _LETTERS = 6, 24, 13  # pixels between cells, of a line of text, of its letters


def show_dataset(
    dataset: Dataset,
    split: str,
    recipe: Recipe,
    folder: Path,
    samples: int = 4,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the pictures of a split into `folder`, and return their paths.

    samples.png: image, labels, overlay. augmented.png and augmented-overlay.png: each sample as it
    is in the first five epochs of training by `recipe`. class-shares.png: the share of the labeled
    pixels that each class fills, image by image. The samples lie evenly through the split.

    Raises RequestError for an unknown split, DataError for a damaged pair, BriskError where the
    folder cannot be written, MissingExtraError without matplotlib.
    """
    pairs = dataset.pairs(split)
    if not pairs:
        raise RequestError(f"the split '{split}' of {dataset.root} has no images, expected some")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(samples, len(pairs))).round().astype(int))
    plain, overlaid = augmentation_sheets(dataset, pairs, chosen.tolist(), recipe)
    pictures = {
        "samples.png": samples_sheet(dataset, [pairs[i] for i in chosen]),
        "augmented.png": plain,
        "augmented-overlay.png": overlaid,
    }
    counts = count_pixels(dataset, split, progress=progress)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            write_png(folder / name, picture)
        save_violins(counts, dataset.labels, folder / "class-shares.png")
    return [folder / name for name in (*pictures, "class-shares.png")]


def samples_sheet(dataset: Dataset, pairs: Sequence[Pair]) -> Image:
    """One row a pair: the image, its labels in their colors, and both together."""
    rows, present = [], set[Any]()
    for pair in pairs:
        image_hwc, labels_hw = dataset.read(pair)
        present |= set(np.unique(labels_hw))
        cells = (
            image_hwc,
            dataset.labels.colorize(labels_hw),
            overlay(image_hwc, labels_hw, dataset.labels),
        )
        rows.append((pair.name, [_fitted(cell) for cell in cells]))
    sheet = _sheet(("image", "labels", "overlay"), rows)
    return with_legend(sheet, dataset.labels, present, _LETTERS)


def augmentation_sheets(
    dataset: Dataset, pairs: Sequence[Pair], chosen: Sequence[int], recipe: Recipe
) -> tuple[Image, Image]:
    """One row a sample, a column an epoch: as the network sees it, and with its labels over it.

    The very samples of a training on these pairs, on one device: they follow from the recipe's
    seed, the epoch and the pair's index alone, and their size from how many epochs there are.
    """
    red, green, blue = (round(255 * mean) for mean in recipe.data.mean)
    augmenter = Augmenter(recipe.augment, (red, green, blue))
    training = recipe.training
    per_epoch = max(1, len(pairs) // training.batch)
    steps = max(1, len(training.stages)) * (training.steps or (training.epochs or 1) * per_epoch)
    epochs = -(-steps // per_epoch)
    plain, overlaid, present = [], [], set[Any]()
    for index in chosen:
        image_hwc, labels_hw = dataset.read(pairs[index])
        height, width = image_hwc.shape[:2]
        key = (height, width), recipe.data.size, training.seed
        params = [augmenter.params(*key, epoch, index, epochs) for epoch in range(EPOCHS)]
        varied = [augmenter.apply(image_hwc, labels_hw, each) for each in params]
        present |= {label for _, labels in varied for label in np.unique(labels)}
        name = pairs[index].name
        plain.append((name, [_fitted(image) for image, _ in varied]))
        both = [overlay(image, labels, dataset.labels) for image, labels in varied]
        overlaid.append((name, [_fitted(picture) for picture in both]))
    titles = [f"epoch {epoch + 1}" for epoch in range(EPOCHS)]
    under = with_legend(_sheet(titles, overlaid), dataset.labels, present, _LETTERS)
    return _sheet(titles, plain), under


def _fitted(picture: Image) -> Image:
    """Shrunk to fit a cell; a small one stays as it is."""
    height, width = picture.shape[:2]
    factor = min(1.0, _CELL / max(height, width))
    return resize_image(picture, (max(1, round(height * factor)), max(1, round(width * factor))))


def _sheet(titles: Sequence[str], rows: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """Cells on paper: the columns' titles on top, each row's name above it."""
    width = max(cell.shape[1] for _, cells in rows for cell in cells)
    heights = [max(cell.shape[0] for cell in cells) for _, cells in rows]
    shape_hw = (
        _STRIP + sum(heights) + (_STRIP + _GAP) * len(rows),
        _GAP + (width + _GAP) * len(titles),
    )
    paper = np.full((*shape_hw, 3), PAPER, np.uint8)
    for column, title in enumerate(titles):
        draw_text(paper, title, _GAP + column * (width + _GAP), _STRIP - 7, _LETTERS)
    top = _STRIP
    for (name, cells), height in zip(rows, heights, strict=True):
        draw_text(paper, name, _GAP, top + _STRIP - 7, _LETTERS)
        top += _STRIP
        for column, cell in enumerate(cells):
            left = _GAP + column * (width + _GAP)
            paper[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        top += height + _GAP
    return paper
