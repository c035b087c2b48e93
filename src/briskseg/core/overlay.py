"""Labels laid over their image, a legend of the classes' colors, and text on pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.types import Image, Labels

PAPER = (250, 250, 250)  # RGB, behind text
_INK, _EDGE = (25, 25, 25), (120, 120, 120)


def overlay(image_hwc: Image, labels_hw: Labels, label_set: LabelSet) -> Image:
    """The image (H, W, 3) uint8 RGB, half of it, and half its labels (H, W) in the set's colors.

    Ignored pixels keep the image. Raises ValueError where the sizes differ.
    """
    if image_hwc.shape[:2] != labels_hw.shape:
        raise ValueError(f"the image is {image_hwc.shape}, its labels are {labels_hw.shape}")
    colors_hwc = label_set.colorize(labels_hw)
    picture = cv2.addWeighted(image_hwc, 0.5, colors_hwc, 0.5, 0)
    if labels_hw.max(initial=0) == IGNORED:  # a mask costs as much as all else here
        ignored = labels_hw == IGNORED
        picture[ignored] = image_hwc[ignored]
    return np.asarray(picture, dtype=np.uint8)


def with_legend(
    image_hwc: Image, label_set: LabelSet, present: Iterable[Any], text_px: int | None = None
) -> Image:
    """The picture (H, W, 3) uint8 RGB with a legend below it: a color chip and a name per class.

    present: the class indices to list (`np.unique(labels_hw)`); 255 is left out. The picture keeps
    its pixels at the top left; one narrower than the longest name is widened with paper.
    text_px: the letters' height in pixels; by the picture's size if not given.
    """
    listed = sorted({int(index) for index in present} - {IGNORED})
    if not listed:
        return image_hwc
    height, width = image_hwc.shape[:2]
    text_px = text_px or int(np.clip(min(height, width) / 34, 10, 34))
    names = [label_set.names[index] for index in listed]
    longest = max(cv2.getTextSize((0, 0), name, (0, 0), *_font(text_px))[2] for name in names)
    line, chip = text_px * 2, round(text_px * 1.5)
    cell = chip + text_px * 2 + longest
    columns = min(len(names), max(1, (width - text_px) // cell))
    rows = -(-len(names) // columns)
    paper = np.empty((height + rows * line + text_px, max(width, cell + text_px), 3), np.uint8)
    paper[:height, :width] = image_hwc
    paper[height:] = paper[:height, width:] = PAPER
    for number, (index, name) in enumerate(zip(listed, names, strict=True)):
        column, row = divmod(number, rows)  # down each column, as one reads a list
        x, y = text_px + column * cell, height + text_px // 2 + row * line
        top = y + (line - chip) // 2
        cv2.rectangle(paper, (x, top), (x + chip, top + chip), label_set.colors[index], -1)
        cv2.rectangle(paper, (x, top), (x + chip, top + chip), _EDGE, 1)
        draw_text(paper, name, x + chip + text_px // 2, y + (line + text_px) // 2, text_px)
    return paper


def draw_text(picture: Image, text: str, left: int, baseline: int, text_px: int) -> None:
    """Write into the picture (H, W, 3) uint8 RGB, at pixels from its top left. What OpenCV's fonts
    lack, emoji say, shows as `?`."""
    cv2.putText(picture, text, (left, baseline), _INK, *_font(text_px))


def _font(text_px: int) -> tuple[Any, int]:
    """OpenCV's font and its size, for capitals of this height. Made each time, in microseconds: of
    one that threads share they draw wrong letters."""
    return cv2.FontFace("sans"), round(text_px * 4 / 3)
