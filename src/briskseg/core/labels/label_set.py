"""A label set: the classes' names and colors, and how a label file's values become class indices.

After decoding there is one form only: labels_hw, (H, W) uint8, class indices 0..n-1, and 255
(`IGNORED`) for pixels that count neither in the loss nor in a score. A value or color that the set
does not know is an error with its hint, never dropped.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.errors import DataError, RequestError, UnknownLabelError
from briskseg.core.files.safe_names import fault_of_class_name
from briskseg.core.labels.class_list import IGNORED, ClassList, read_class_list, written_class
from briskseg.core.labels.fix_hints import hint_for_colors, hint_for_values
from briskseg.core.labels.mask_files import (
    most_frequent,
    packed_colors,
    read_exact_mask,
    rgb,
    without_alpha,
)
from briskseg.core.types import RGB, Array


@dataclass(frozen=True)
class LabelSet:
    """What labels can hold, and what the files say for it.

    names: one per class, in the order of the class indices (1 to 255 of them).
    colors: RGB, 0..255, one per class; left out, distinct ones are made (always the same).
    ignored: the *file* values that mean ignored, decoded to `IGNORED`.
    merged_colors: further colors that mean a class or `IGNORED`, as (RGB, class) pairs.
    values: (file value, class or `IGNORED`) pairs, for files that do not hold class indices.

    Raises RequestError for no or too many classes, repeated names, or colors that do not match.
    """

    names: tuple[str, ...]
    colors: tuple[RGB, ...] = ()
    ignored: tuple[int, ...] = (IGNORED,)
    merged_colors: tuple[tuple[RGB, int], ...] = ()
    values: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= 255:
            raise RequestError(f"{len(self.names)} classes; a label set holds 1 to 255")
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise RequestError(f"the class name '{twice}' twice; every class needs its own")
        for fault in filter(None, map(fault_of_class_name, self.names)):
            raise RequestError(f"{fault}; give it a short plain name")
        if not self.colors:
            object.__setattr__(self, "colors", _complete((None,) * len(self.names)))
        if len(self.colors) != len(self.names):
            raise RequestError(
                f"{len(self.colors)} colors for {len(self.names)} classes; give each one, or none"
            )

    @classmethod
    def from_classes_txt(cls, path: Path) -> LabelSet:
        """The set that a list of classes describes (`read_class_list` says forms and errors)."""
        return cls.from_class_list(read_class_list(path))

    @classmethod
    def from_class_list(cls, listed: ClassList) -> LabelSet:
        """The set of a list that was read."""
        lines = listed.lines
        values = tuple((entry.value or 0, index) for index, entry in enumerate(lines))
        return cls(
            names=tuple(entry.name for entry in lines),
            colors=_complete(tuple(entry.color for entry in lines)),
            ignored=tuple(dict.fromkeys(listed.ignored)),
            merged_colors=tuple((color, IGNORED) for color in listed.ignored_colors),
            values=() if all(value == index for value, index in values) else values,
        )

    def write_classes_txt(self, path: Path) -> None:
        """Write classes.txt for labels as decoded."""
        path.write_text(self.classes_txt(), encoding="utf-8")

    def classes_txt(self) -> str:
        """A list of the classes for labels as decoded: a line each as `name r g b`, 255 ignored.

        A color that classes share is left out: there they are told apart by their index alone.
        Raises DataError for a name that no line can hold.
        """
        shared = {color for color, n in Counter(self.colors).items() if n > 1}
        colors = [None if color in shared else color for color in self.colors]
        lines = [*map(written_class, self.names, colors)]
        if str(IGNORED) not in self.names:  # else it would mean that class; 255 is ignored unsaid
            lines.append(f"ignore {IGNORED}")
        return "\n".join(lines) + "\n"

    def read(self, path: Path) -> Array:
        """Read a label file into labels_hw, (H, W) uint8: class indices, 255 ignored.

        8- and 16-bit index masks, palette and RGB PNG; opaque alpha is dropped. A palette file is
        read by its colors where those are the set's, else by its indices. Raises DataError naming
        a damaged file or a lossy one (JPEG), and what a file holds that the set does not know.
        """
        mask = read_exact_mask(path)
        pixels = mask.pixels
        if mask.palette is None:
            return self.decode(pixels, path)
        pixels, border = self.of_palette(pixels, mask.palette)
        labels_hw = self.decode(pixels, path)
        return labels_hw if border is None else np.where(border, np.uint8(IGNORED), labels_hw)

    def of_palette(self, indices_hw: Array, palette: Array) -> tuple[Array, Array | None]:
        """A palette file's pixels as they are to be decoded: colors (H, W, 3) uint8 or the indices
        (H, W); and where the border lies that is ignored whatever is decoded there, if it has one.
        """
        used = np.unique(indices_hw).tolist()
        colors = {i: (r, g, b) for i, (r, g, b) in zip(used, palette[used].tolist(), strict=True)}
        border = None
        if IGNORED in colors and self.is_border(colors[IGNORED]):
            border = indices_hw == IGNORED
            others = [index for index in colors if index != IGNORED]
            # any value that decodes: a class's own where nothing else is in the file
            stand_in = others[0] if others else next(iter(self.class_of_value))
            indices_hw = np.where(border, stand_in, indices_hw).astype(indices_hw.dtype)
        return palette[indices_hw] if self.reads_by_color(colors) else indices_hw, border

    def is_border(self, color: RGB) -> bool:
        """Whether the index 255 of a palette, shown in this color, is no class: the border that
        VOC's tools draw around objects, which is ignored without being asked."""
        values, colors = self.class_of_value, self.class_of_color
        return values.get(IGNORED, IGNORED) == colors.get(color, IGNORED) == IGNORED

    def decode(self, mask: Array, path: Path) -> Array:
        """Turn a file's pixels into labels_hw, (H, W) uint8: class indices, 255 ignored.

        mask: (H, W) integer file values or (H, W, 3) uint8 RGB, either with an opaque alpha
        channel. path is for the message only. Raises UnknownLabelError with every unknown value or
        color, its number of pixels and the likely hint; DataError for any other kind of array.
        """
        mask = without_alpha(mask, path)
        if mask.ndim == 3 and mask.shape[2] == 3 and mask.dtype == np.uint8:
            return self._decode_colors(mask, path)
        if mask.ndim == 2 and mask.dtype.kind in "buif":
            return self._decode_values(mask, path)
        raise DataError(
            f"{path}: labels of shape {mask.shape} and type {mask.dtype}; expected one channel of "
            "whole numbers, or three of 8-bit RGB"
        )

    def colorize(self, labels_hw: Array) -> Array:
        """Paint labels_hw (class indices, 255 ignored) as (H, W, 3) uint8 RGB; ignored is black."""
        painted: Array = cv2.LUT(cv2.merge([labels_hw] * 3), self.palette[None])
        return painted

    @cached_property
    def palette(self) -> Array:
        """(256, 3) uint8 RGB: the color of every class index; black from the last class on."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.colors)] = self.colors
        return palette

    @cached_property
    def class_of_value(self) -> dict[int, int]:
        """Every file value that the set knows, to its class index or `IGNORED`."""
        known = dict.fromkeys(self.ignored, IGNORED)
        return known | (dict(self.values) or {index: index for index in range(len(self.names))})

    @cached_property
    def class_of_color(self) -> dict[RGB, int]:
        """Every RGB color that the set knows, to its class index or `IGNORED`.

        Black is what `colorize` paints ignored pixels in, and reads back as ignored, unless it is a
        class's color or nothing is ignored.
        """
        black: dict[RGB, int] = {(0, 0, 0): IGNORED} if self.ignored else {}
        return black | dict(self.merged_colors) | {c: index for index, c in enumerate(self.colors)}

    # The tables hold class + 1, so that the 0 of untouched memory means unknown: of the 32 MB for
    # all colors, the system hands out only the pages in which a known color lies.
    @cached_property
    def _value_table(self) -> Array:
        table = np.zeros(1 << 16, np.uint16)
        for value, index in self.class_of_value.items():
            table[value] = index + 1
        return table

    @cached_property
    def _byte_tables(self) -> tuple[Array, Array]:
        table = self._value_table[:256]
        return (table == 0).astype(np.uint8), (table - (table > 0)).astype(np.uint8)

    @cached_property
    def _color_table(self) -> Array:
        table = np.zeros(1 << 24, np.uint16)
        for (red, green, blue), index in self.class_of_color.items():
            table[red << 16 | green << 8 | blue] = index + 1
        return table

    def reads_by_color(self, palette: Mapping[int, RGB]) -> bool:
        """Whether a palette file, given the color of each index it uses, is read by its colors.

        It is where the colors are the set's, or half of them are and say something else than their
        indices: then the odd one is reported, and makes no indices of the others. Black alone shows
        nothing: it is index 0 of a gray ramp as well as the customary Void; nor does the border.
        """
        if len({*self.colors}) < len(self.colors) and self._shows_indices(palette):
            return False  # some classes share a color, and only the indices tell them apart
        used = {i: c for i, c in palette.items() if i != IGNORED or not self.is_border(c)}
        known = {i: color for i, color in used.items() if color in self.class_of_color}
        if set(known.values()) <= {(0, 0, 0)}:
            return False
        if len(known) == len(used):
            return True
        agree = all(self.class_of_value.get(i) == self.class_of_color[c] for i, c in known.items())
        return not agree and 2 * len(known) >= len(used)

    def _shows_indices(self, palette: Mapping[int, RGB]) -> bool:
        """Whether each index of a palette that is a class has that class's color."""
        classes = {i: self.class_of_value.get(i) for i in palette}
        return all(
            c == IGNORED or (c is not None and self.colors[c] == palette[i])
            for i, c in classes.items()
        )

    def _decode_values(self, mask: Array, path: Path) -> Array:
        if mask.dtype == np.bool_:
            mask = (mask.view(np.uint8) > 0).astype(np.uint8)  # Pillow's true is the byte 255
        if mask.dtype == np.uint8:
            unknown, classes = self._byte_tables
            if cv2.countNonZero(cv2.LUT(mask, unknown)) == 0:
                labels: Array = cv2.LUT(mask, classes)
                return labels
        elif mask.dtype.kind in "ui" and mask.min() >= 0 and mask.max() < 1 << 16:
            found = self._value_table[mask]
            if found.all():
                return np.asarray(found - 1, np.uint8)
        values, counts, _ = most_frequent(mask)
        pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
        unknown_pixels = {v: n for v, n in pixels.items() if v not in self.class_of_value}
        hint = hint_for_values(pixels, unknown_pixels, self.names, self.ignored).text
        raise UnknownLabelError(path, unknown_pixels, self._expected_values(), hint)

    def _decode_colors(self, mask_hwc: Array, path: Path) -> Array:
        packed = packed_colors(mask_hwc)
        found = self._color_table[packed]
        if found.all():
            return np.asarray(found - 1, np.uint8)
        values, counts, distinct = most_frequent(packed)
        pixels = {rgb(v): n for v, n in zip(values.tolist(), counts.tolist(), strict=True)}
        unknown_pixels = {c: n for c, n in pixels.items() if c not in self.class_of_color}
        hint = hint_for_colors(pixels, unknown_pixels, set(self.class_of_color), distinct).text
        known = len(self.class_of_color)
        raise UnknownLabelError(path, unknown_pixels, f"the {known} colors of the classes", hint)

    def _expected_values(self) -> str:
        listed = " and ".join(str(value) for value in self.ignored)
        ignored = f"{listed} for ignored" if listed else "nothing ignored"
        if self.values:
            return f"one of {', '.join(str(value) for value in sorted(self.class_of_value))}"
        return f"0..{len(self.names) - 1} for the classes, {ignored}"


def _complete(colors: tuple[RGB | None, ...]) -> tuple[RGB, ...]:
    """Fill in the colors that are not given, each different from all others, always the same.

    Neighboring indices get hues far apart (steps of the golden ratio). None is a color of the
    customary palettes: a VOC palette must not be mistaken for these classes.
    """
    taken = {color for color in colors if color is not None}
    fresh = (color for color in map(_color, range(1024)) if color not in taken)
    return tuple(next(fresh) if color is None else color for color in colors)


def _color(number: int) -> RGB:
    hue = number * 0.618034 % 1.0
    saturation, value = ((0.65, 0.95), (0.85, 0.75), (0.45, 0.85))[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
