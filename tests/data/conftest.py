"""Small data sets in each layout, written by the tests themselves."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

CLASSES = ("road", "car", "sky")


def write_image(path: Path, number: int, size_hw: tuple[int, int] = (12, 16)) -> None:
    """Write a picture that differs from those of all other numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(number).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    assert cv2.imwrite(str(path), image)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a label file with these values, or these RGB colors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), mask[..., ::-1] if mask.ndim == 3 else mask)


def write_json(path: Path, content: object) -> None:
    """Write JSON, or a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def stripes(classes: int = 3, size_hw: tuple[int, int] = (12, 16)) -> np.ndarray:
    """A mask in which every class occurs, in rows."""
    rows = (np.arange(size_hw[0]) % classes).astype(np.uint8)
    return np.repeat(rows[:, None], size_hw[1], axis=1)


@pytest.fixture
def write_folder(tmp_path) -> Callable[..., Path]:
    """Writes a sound set in the folder layout -> its folder."""

    def write(
        splits: Iterable[str] = ("train", "val"), images: int = 3, classes: str | None = None
    ) -> Path:
        root = tmp_path / "set"
        root.mkdir()
        (root / "classes.txt").write_text(classes or "".join(f"{name}\n" for name in CLASSES))
        for place, split in enumerate(splits):
            for number in range(images):
                write_image(root / "images" / split / f"{number:03d}.jpg", 100 * place + number)
                write_mask(root / "labels" / split / f"{number:03d}.png", stripes())
        return root

    return write
