"""A run that pretrains a network's encoder as a classifier of whole images."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from briskseg.recipe.parts import (
    Count,
    LengthPart,
    NetworkPart,
    Part,
    PositiveTriple,
    Range,
    RunName,
    Share,
    ShareRange,
    Triple,
)


class ImagesPart(Part):
    """Images that lie in a folder a class, `train/CLASS/*` and `val/CLASS/*`, as ImageNet's do."""

    root: str | None = None  # a folder; `train --data` names it from outside
    size: Count = 224  # side of a sample in pixels
    shorter_side: Count = 256  # of a val image once resized; its middle, of `size`, is scored
    mean: Triple = (0.485, 0.456, 0.406)  # RGB, in units of [0, 1]; the default is ImageNet's
    std: PositiveTriple = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _the_middle_fits(self) -> ImagesPart:
        if self.shorter_side < self.size:
            raise ValueError(
                f"shorter_side: {self.shorter_side} is below the size {self.size} that is cut out"
            )
        return self


class CropPart(Part):
    """Training samples are a random part of an image, resized to a square, and flipped or not."""

    area: ShareRange = (0.08, 1.0)  # of the part, as a share of the image's
    ratio: Range = (3 / 4, 4 / 3)  # the part's width to its height
    flip: Share = 0.5  # probability of a left-right flip


class PretrainingLength(LengthPart):
    """How long and in what steps, with the published recipe's own turn."""

    weight_decay_epochs: Count | None = None  # after so many the weights decay no more


class PretrainingRecipe(Part):
    """One complete run that trains an encoder, under one linear layer, to classify images."""

    name: RunName = "run"
    note: str = ""  # where the recipe comes from and what it scored
    task: Literal["pretraining"]
    model: NetworkPart  # the segmentation network whose encoder is trained
    data: ImagesPart = ImagesPart()
    augment: CropPart = CropPart()
    training: PretrainingLength
