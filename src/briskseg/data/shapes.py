"""Shapes to pixels: polygons, boxes, ellipses, strokes, bitmaps and run lengths.

Coordinates are (x, y) in pixels, and (0, 0) is the upper left corner of the first pixel, whose
center is (0.5, 0.5): a pixel is of a shape when its center is. A center that lies exactly on an
outline belongs to the shape on the right or below it, so shapes that share an outline neither
overlap nor leave a gap. Rings are filled even-odd: a ring within a ring is a hole.

Two tools' own rules differ and are followed where their files are read: COCO polygons are filled by
pycocotools (`coco_polygon`), and Supervisely's coordinates name pixels, outline included
(`pixel_polygon`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from briskseg.core.types import Floats, Labels

Size = tuple[int, int]  # (height, width) in pixels
Points = Floats  # (n, 2): x, y
Mask = npt.NDArray[np.bool_]

LINE_WIDTH = 10.0  # pixels, of lines that state no width: labelme's own when it makes masks
FARTHEST = float(1 << 20)  # pixels from the corner; no point of a picture that is read is so far

_MOST_CROSSINGS = 1 << 26  # of an outline with the rows of pixels
_MOST_DIGITS = 10  # of 5 bits, of a run length
_MOST_STROKED = 1 << 32  # pixels that are looked at for one line


class ShapeError(ValueError):
    """A shape cannot be drawn; says why, to be put behind the file and the key."""


class Patch(NamedTuple):
    """The pixels of a shape: mask_hw says which, from row `top` and column `left` on."""

    top: int
    left: int
    mask_hw: Mask

    @property
    def pixels(self) -> int:
        """How many pixels the shape has."""
        return int(np.count_nonzero(self.mask_hw))


NOTHING = Patch(0, 0, np.zeros((0, 0), np.bool_))


def paint(size_hw: Size, unlabeled: int, shapes: Iterable[tuple[int, Patch]]) -> Labels:
    """labels_hw, (H, W) uint8: each (value, patch) painted over those before it."""
    labels_hw = np.full(size_hw, unlabeled, np.uint8)
    for value, (top, left, mask_hw) in shapes:
        height, width = mask_hw.shape
        area_hw = labels_hw[top : top + height, left : left + width]
        np.copyto(area_hw, np.uint8(value), where=mask_hw)
    return labels_hw


def polygon(rings: Sequence[Points], size_hw: Size) -> Patch:
    """The pixels within an odd number of the rings."""
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return NOTHING
    height, width = size_hw
    x0, y0 = np.concatenate(rings).T
    x1, y1 = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]).T
    # An edge crosses the line through the centers of row r where its upper end <= r + 0.5 < lower.
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    counts = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64) - first
    total = int(counts.sum())
    if total > _MOST_CROSSINGS:
        raise ShapeError(f"an outline that crosses rows of pixels {total} times is none of a shape")
    if total == 0:
        return NOTHING
    edge = np.repeat(np.arange(len(x0)), counts)
    rows = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    crossings = x0[edge] + (rows + 0.5 - y0[edge]) * slope
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
    top, left = int(rows.min()), int(columns.min())
    patch_h, patch_w = int(rows.max()) + 1 - top, int(columns.max()) - left
    if patch_w == 0:
        return NOTHING
    places = (rows - top) * (patch_w + 1) + columns - left
    toggles = np.bincount(places, minlength=patch_h * (patch_w + 1)).astype(np.uint8) & 1
    inside = np.bitwise_xor.accumulate(toggles.reshape(patch_h, patch_w + 1), axis=1)
    return Patch(top, left, inside[:, :-1].astype(np.bool_))


def box(corner: Sequence[float], opposite: Sequence[float], size_hw: Size) -> Patch:
    """An upright rectangle, given any two opposite corners."""
    return polygon([box_ring(corner, opposite)], size_hw)


def box_ring(corner: Sequence[float], opposite: Sequence[float]) -> Points:
    """The four corners of an upright rectangle, in order."""
    (x0, y0), (x1, y1) = corner, opposite
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def rotated(points: Points, about: Sequence[float], degrees: float) -> Points:
    """Points turned clockwise, as a picture is seen, about a point."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = np.asarray(about, np.float64)
    return np.asarray((points - center) @ turn + center)


def ellipse(
    center: Sequence[float], radii: Sequence[float], size_hw: Size, degrees: float = 0.0
) -> Patch:
    """An ellipse with its radii along x and y, turned clockwise by `degrees`."""
    (x, y), (radius_x, radius_y) = center, radii
    if radius_x <= 0 or radius_y <= 0:
        return NOTHING
    reach = max(radius_x, radius_y)
    top, left, across, down = _centers((x - reach, y - reach), (x + reach, y + reach), size_hw)
    across, down = across - x, down - y
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    along_x, along_y = across * cos + down * sin, down * cos - across * sin
    return Patch(top, left, (along_x / radius_x) ** 2 + (along_y / radius_y) ** 2 <= 1)


def stroke(points: Points, width: float, size_hw: Size) -> Patch:
    """A line through the points, `width` pixels wide: flat at its two ends, as labelme draws
    it, and round where it bends."""
    reach = width / 2
    patches = [ellipse(point, (reach, reach), size_hw) for point in points[1:-1]]
    looked_at = 0
    for start, end in itertools.pairwise(points):
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        top, left, across, down = _centers(low, high, size_hw)
        looked_at += across.size * down.size
        if looked_at > _MOST_STROKED:
            raise ShapeError(f"a line of {len(points)} points is too long to be one of a picture")
        direction = end - start
        length = float(np.hypot(*direction))
        if length == 0:
            continue
        direction /= length
        across, down = across - start[0], down - start[1]
        along = across * direction[0] + down * direction[1]
        away = across * direction[1] - down * direction[0]
        is_on_it = (along >= 0) & (along <= length) & (np.abs(away) <= reach)
        patches.append(Patch(top, left, is_on_it))
    return _union(patches)


def bitmap(mask_hw: Mask, origin: Sequence[int], size_hw: Size) -> Patch:
    """A mask whose upper left pixel lies at `origin` (x, y); what lies outside is cut off."""
    (left, top), (height, width) = origin, size_hw
    cut = mask_hw[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    return Patch(max(0, top), max(0, left), cut) if cut.size else NOTHING


def runs(counts: Sequence[int] | npt.NDArray[np.int64], size_hw: Size, by_column: bool) -> Mask:
    """(H, W) bool from the lengths of runs, the first of them outside; COCO's go down the columns.

    Raises ShapeError where they are not as many as the pixels.
    """
    height, width = size_hw
    lengths = np.asarray(counts, np.float64)
    if lengths.size and (lengths.min() < 0 or lengths.sum() != height * width):
        raise ShapeError(
            f"run lengths that add up to {lengths.sum():.0f}, expected none below 0 and the "
            f"{height * width} pixels of {width}x{height}"
        )
    inside = np.arange(len(lengths)) % 2 == 1
    flat = np.repeat(inside, lengths.astype(np.int64))
    if flat.size != height * width:
        raise ShapeError(f"no run lengths, expected the {height * width} pixels they cover")
    if by_column:  # turned at once: rows are what is painted
        return cv2.transpose(flat.reshape(width, height).view(np.uint8)).view(np.bool_)
    return flat.reshape(height, width)


def coco_counts(text: bytes) -> npt.NDArray[np.int64]:
    """The run lengths in COCO's compressed text: 5 bits a character, the lowest first, a sixth
    where the number goes on; from the third run on the difference to the run before the last.

    Raises ShapeError for other text.
    """
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return codes
    (last,) = (codes & 32 == 0).nonzero()
    if codes.min() < 0 or codes.max() > 63 or last.size == 0 or last[-1] != codes.size - 1:
        raise ShapeError("compressed run lengths that are cut off, or with other characters")
    first = np.empty_like(last)
    first[0], first[1:] = 0, last[:-1] + 1
    digits = last - first + 1
    if digits.max() > _MOST_DIGITS:
        raise ShapeError("compressed run lengths with a number that no picture has")
    places = 5 * (np.arange(codes.size) - first.repeat(digits))
    numbers = np.add.reduceat((codes & 31) << places, first)
    numbers -= (codes[last] & 16 > 0) * (np.int64(1) << (5 * digits))
    for kind in (numbers[1::2], numbers[2::2]):
        kind.cumsum(out=kind)
    return np.asarray(numbers)


def coco_polygon(parts: Sequence[Points], size_hw: Size) -> Patch:
    """The union of the parts, each filled as pycocotools fills a polygon."""
    return _union([_coco_part(part, size_hw) for part in parts if len(part) >= 3])


def _coco_part(part: Points, size_hw: Size) -> Patch:
    from pycocotools import mask as coco_mask

    height, width = size_hw
    xs, ys = part.T.tolist()  # of so few numbers Python finds the extremes sooner
    left, top = math.floor(min(xs)) - 1, math.floor(min(ys)) - 1
    right, bottom = math.ceil(max(xs)) + 2, math.ceil(max(ys)) + 2
    if min(left, top) < -width - height or max(right, bottom) > 2 * (width + height):
        return polygon([part], size_hw)  # it would follow the outline however far it leads
    left, top, right, bottom = max(0, left), max(0, top), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        return NOTHING
    # It fills the picture up to the outline's last row and column. Moved to the outline's first
    # ones too, coordinates would be rounded otherwise; so what is before them is cut off here.
    outline = [part.ravel().tolist()]  # an array would be taken for boxes
    packed = coco_mask.frPyObjects(outline, bottom, right)[0]["counts"]
    counts = coco_counts(packed)  # pycocotools' own decode warns with numpy 2, in every call
    counts[0] -= left * bottom
    return Patch(top, left, runs(counts, (bottom, right - left), by_column=True)[top:])


def pixel_polygon(exterior: Points, interiors: Sequence[Points], size_hw: Size) -> Patch:
    """A polygon whose coordinates name pixels, those on the outline included; what holes name is
    outside, their outlines too. As OpenCV's fillPoly draws both."""
    if len(exterior) == 0:
        return NOTHING
    height, width = size_hw
    corners = np.floor(exterior).astype(np.int32)
    low = np.clip(corners.min(axis=0), 0, (width, height))
    high = np.clip(corners.max(axis=0) + 1, 0, (width, height))
    if (high <= low).any():
        return NOTHING
    drawn = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(drawn, [corners - low], 1)
    for hole in interiors:
        if len(hole):
            cv2.fillPoly(drawn, [np.floor(hole).astype(np.int32) - low], 0)
    return Patch(int(low[1]), int(low[0]), drawn.astype(np.bool_))


def _centers(low: Any, high: Any, size_hw: Size) -> tuple[int, int, Points, Points]:
    """The pixels with their centers between two corners: the first row and column, and the x (a
    row) and y (a column) of the centers."""
    height, width = size_hw
    left, right = np.clip(np.ceil([low[0] - 0.5, high[0] + 0.5]), 0, width).astype(int)
    top, bottom = np.clip(np.ceil([low[1] - 0.5, high[1] + 0.5]), 0, height).astype(int)
    across = np.arange(left, max(left, right), dtype=np.float64)[None] + 0.5
    down = np.arange(top, max(top, bottom), dtype=np.float64)[:, None] + 0.5
    return int(top), int(left), across, down


def _union(patches: Sequence[Patch]) -> Patch:
    patches = [patch for patch in patches if patch.mask_hw.size]
    if len(patches) < 2:
        return patches[0] if patches else NOTHING
    top, left = min(p.top for p in patches), min(p.left for p in patches)
    bottom = max(p.top + p.mask_hw.shape[0] for p in patches)
    right = max(p.left + p.mask_hw.shape[1] for p in patches)
    moved = ((1, Patch(p.top - top, p.left - left, p.mask_hw)) for p in patches)
    return Patch(top, left, paint((bottom - top, right - left), 0, moved).view(np.bool_))
