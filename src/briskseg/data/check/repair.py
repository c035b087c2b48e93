"""How a label file that training would refuse, or misread, becomes labels that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError, UnknownLabelError
from briskseg.core.images import resize_labels, upright
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.fix_hints import reach_of
from briskseg.core.labels.mask_files import Mask, packed_colors, read_mask, split_alpha
from briskseg.core.types import Array, Labels
from briskseg.data.file_stats import ImageStats

_BY_COLOR = {"blended-colors", "inexact-colors"}
_CLOSE = 60.0  # an RGB distance at which lossy compression still leaves no doubt about the color
_REACH = 2  # pixels around a blended one, in which its class is looked for


@dataclass
class Plan:
    """What to do with a pair: the kinds of its findings that are repaired, the class index of each
    file value where the values are renumbered, whether white may be the second of two classes,
    which no file of the set holds otherwise, and what transparent pixels are."""

    kinds: set[str] = field(default_factory=set)
    remap: Mapping[int, int] = field(default_factory=dict)
    white_is_class: bool = False
    transparent: int = IGNORED


def repair_mask(path: Path, labels: LabelSet, plan: Plan) -> Labels:
    """labels_hw, (H, W) uint8, class indices and 255, as the file lies.

    Raises DataError where the file cannot be repaired, with the reason.
    """
    mask = read_mask(path)
    if mask.palette is None:
        pixels, clear = split_alpha(mask.pixels)
    else:
        pixels, clear = labels.of_palette(mask.pixels, mask.palette)
    if plan.kinds & {"index-as-rgb"}:
        pixels = pixels[..., 0]
    if plan.kinds & {"channels-swapped"}:
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    labels_hw = _decoded(pixels, labels, plan, mask, path, clear)
    if clear is not None:
        labels_hw[clear] = IGNORED
        if mask.palette is None:
            labels_hw[mask.pixels[..., -1] == 0] = plan.transparent
    return labels_hw


def fit_to_image(labels_hw: Labels, plan: Plan, image: ImageStats) -> Labels:
    """Labels turned upright as their image is, and of its size, where the plan says so."""
    if "labels-unrotated" in plan.kinds:
        labels_hw = np.ascontiguousarray(upright(labels_hw, image.orientation))
    if "labels-scaled" in plan.kinds:
        labels_hw = resize_labels(labels_hw, (image.height, image.width)).astype(np.uint8)
    return labels_hw


def _decoded(
    pixels: Array,
    labels: LabelSet,
    plan: Plan,
    mask: Mask,
    path: Path,
    clear: npt.NDArray[np.bool_] | None,
) -> Labels:
    if clear is not None:  # what lies there has no meaning, so any class will do
        known = labels.class_of_value if pixels.ndim == 2 else labels.class_of_color
        pixels = pixels.astype(np.int64 if pixels.ndim == 2 else np.uint8)  # a copy
        pixels[clear] = next(iter(known))
    if pixels.ndim == 3 and (mask.is_lossy or plan.kinds & _BY_COLOR):
        return snap(pixels, labels)
    if mask.is_lossy and pixels.ndim == 2:
        if plan.white_is_class and _is_black_and_white(pixels):
            return (pixels >= 128).astype(np.uint8)
        raise DataError("lossy compression has changed the indices, and nothing tells by how much")
    if plan.remap:
        values, where = np.unique(pixels, return_inverse=True)
        classes = np.array([plan.remap.get(int(value), IGNORED) for value in values], np.uint8)
        return np.asarray(classes[where.reshape(pixels.shape)])
    try:
        return np.array(labels.decode(pixels, path), np.uint8)
    except UnknownLabelError as error:
        raise DataError(error.fix_hint) from None


def snap(pixels_hwc: Array, labels: LabelSet) -> Labels:
    """(H, W) uint8: every color's class; of a color that is none's, the nearest among the classes
    within two pixels, so that a blend of two classes never becomes a third that lies between.

    Raises DataError where a tenth of the pixels is far from every class's color, and where one
    color that is none's fills an area, as a class does that was left out of the list.
    """
    palette = np.array([*labels.class_of_color], np.float32)
    classes = np.array([*labels.class_of_color.values()], np.uint8)
    packed, where = np.unique(packed_colors(pixels_hwc), return_inverse=True)
    colors = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], 1).astype(np.float32)
    squares = (colors**2).sum(1)[:, None] - 2 * colors @ palette.T + (palette**2).sum(1)
    distances = np.sqrt(np.maximum(squares, 0))
    nearest, far = distances.argmin(1), distances.min(1)
    where = where.reshape(pixels_hwc.shape[:2])
    if (far[where] > _CLOSE).mean() > 0.1:
        raise DataError("too many pixels are far from every class's color")
    labels_hw: Labels = classes[nearest][where]
    is_sure = (far <= reach_of(labels.class_of_color.keys()))[where]
    if is_sure.all():
        return labels_hw
    around, colors_hw = np.ones((3, 3), np.uint8), where.astype(np.float32)
    fills = cv2.erode(colors_hw, around) == cv2.dilate(colors_hw, around)
    if (fills & ~is_sure).any():
        raise DataError("areas of a color that is no class's")
    indices = nearest[where]
    rows, columns = np.nonzero(~is_sure)
    unsure = pixels_hwc[rows, columns].astype(np.float32)
    best = np.full(len(rows), np.inf, np.float32)
    height, width = is_sure.shape
    for down in range(-_REACH, _REACH + 1):
        for across in range(-_REACH, _REACH + 1):
            y, x = np.clip(rows + down, 0, height - 1), np.clip(columns + across, 0, width - 1)
            distance = np.linalg.norm(unsure - palette[indices[y, x]], axis=1)
            closer = is_sure[y, x] & (distance < best)
            best[closer] = distance[closer]
            labels_hw[rows[closer], columns[closer]] = classes[indices[y, x][closer]]
    return labels_hw


def _is_black_and_white(pixels: Array) -> bool:
    """Whether most values lie near 0 or 255, as a compressed 0/255 mask's do, and some near 255."""
    extreme = (pixels < 40) | (pixels > 215)
    return bool(extreme.mean() > 0.8 and (pixels > 215).any())
