"""Images in a folder a class, as ImageNet lies on disk, for pretraining: no masks, one class each.

    ROOT/train/CLASS/NAME.jpg   ROOT/val/CLASS/NAME.jpg

The classes are the folders of `train` in alphabetical order, as torchvision's ImageFolder has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import read_image, resize_image
from briskseg.core.types import Image
from briskseg.core.wording import counted
from briskseg.data.matching import image_files
from briskseg.recipe import CropPart

Sample = tuple[Image, NDArray[np.int64], str]

SPLITS = ("train", "val")
TRIES = 10  # for a part of an image that fits into it


@dataclass(frozen=True)
class ClassifiedImage:
    """An image file and the number of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ClassFolders:
    """The classes, and each split's images."""

    classes: tuple[str, ...]
    train: tuple[ClassifiedImage, ...]
    val: tuple[ClassifiedImage, ...]


def open_class_folders(root: str | Path) -> ClassFolders:
    """Find the images of both splits; none is read.

    Raises RequestError where the folder is not laid out so, DataError where a class of train has no
    image, or val has a class that train has not.
    """
    root = Path(root)
    if not all((root / split).is_dir() for split in SPLITS):
        found = "is no folder" if not root.is_dir() else "has not both of train and val"
        raise RequestError(
            f"{root} {found}; expected images in a folder a class: train/CLASS/NAME.jpg and "
            "val/CLASS/NAME.jpg, as ImageNet's are"
        )
    folders = [check_file_name(path) for path in (root / "train").iterdir() if path.is_dir()]
    classes = tuple(sorted(folder.name for folder in folders))
    if len(classes) < 2:
        raise RequestError(
            f"{root}/train holds {counted(len(classes), 'class folder')}, expected two or more: "
            "train/CLASS/NAME.jpg"
        )
    unknown = [f.name for f in (root / "val").iterdir() if f.is_dir() and f.name not in classes]
    if unknown:
        raise DataError(
            f"{root}/val has the class '{sorted(unknown)[0]}', which train has not; give its "
            "folder the name of the one in train, or remove it"
        )
    train, val = (_images(root / split, classes) for split in SPLITS)
    missing = set(range(len(classes))) - {image.label for image in train}
    if missing:
        raise DataError(
            f"{root}/train/{classes[min(missing)]} holds no image; remove it, or fill it"
        )
    if not val:
        raise DataError(
            f"{root}/val holds no image in {classes[0]} and so on; nothing can be scored"
        )
    return ClassFolders(classes, train, val)


def _images(split: Path, classes: Sequence[str]) -> tuple[ClassifiedImage, ...]:
    return tuple(
        ClassifiedImage(path, label)
        for label, name in enumerate(classes)
        for path in image_files(split / name)
    )


class CroppedSamples:
    """Random parts of the images, asked for by (epoch, index): size x size pixels, flipped or not.

    A sample's random numbers come from (seed, epoch, index) alone.
    """

    def __init__(
        self, images: Sequence[ClassifiedImage], part: CropPart, size: int, seed: int
    ) -> None:
        self.images, self.part, self.size, self.seed = images, part, size, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        image = self.images[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        pixels = read_image(image.path)
        top, left, height, width = draw_part(rng, pixels.shape[:2], self.part)
        sample = resize_image(
            pixels[top : top + height, left : left + width], (self.size, self.size)
        )
        if rng.random() < self.part.flip:
            sample = sample[:, ::-1]
        return np.ascontiguousarray(sample), np.array(image.label), image.path.name


class MiddleSamples:
    """The images' middles: the shorter side is resized, then size x size pixels are cut out."""

    def __init__(
        self,
        images: Sequence[ClassifiedImage],
        shorter_side: int,
        size: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.images, self.shorter_side, self.size = images[rank::world], shorter_side, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = self.images[index]
        pixels = read_image(image.path)
        height, width = pixels.shape[:2]
        zoom = self.shorter_side / min(height, width)
        pixels = resize_image(pixels, (round(height * zoom), round(width * zoom)))
        top, left = ((side - self.size) // 2 for side in pixels.shape[:2])
        middle = pixels[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(middle), np.array(image.label), image.path.name


def draw_part(
    rng: np.random.Generator, size_hw: tuple[int, ...], part: CropPart
) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels of a random part of an image of size_hw.

    Its area and the logarithm of its ratio are drawn evenly, again where it does not fit; after ten
    tries it is the middle, as much as the ratio allows (Szegedy et al., "Going deeper with
    convolutions", 2015, as torchvision's RandomResizedCrop has it).
    """
    height, width = size_hw
    for _ in range(TRIES):
        area = height * width * rng.uniform(*part.area)
        ratio = math.exp(rng.uniform(*np.log(part.ratio)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    ratio = min(max(width / height, part.ratio[0]), part.ratio[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (height - h) // 2, (width - w) // 2, h, w
