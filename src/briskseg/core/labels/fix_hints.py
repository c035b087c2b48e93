"""What probably went wrong with a mask whose values or colors are no class, and the way out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.types import RGB

# From this many unknown values on, a mask was interpolated: people forget a few classes, not
# dozens.
_MANY, _SEVERAL = 8, 4
_APART = 10  # values at least so far apart were spread out for the eye
_BYTE = 255  # the highest value that indices are spread out to, in a file of no higher one
NEAR = 12.0  # an RGB distance that colors of the customary palettes do not have
_COLORS = 128  # of the most frequent ones, that are looked at


class FixHint(NamedTuple):
    """What went wrong, as one of the kinds that docs/check.md lists, and a sentence on the way out.

    remap: each file value's class index or 255, where renumbering alone is the hint and the values
    leave no other reading: empty where they only suggest it.
    """

    kind: str
    text: str
    remap: Mapping[int, int] = {}


def hint_for_values(
    pixels: Mapping[int, int],
    unknown: Mapping[int, int],
    names: Sequence[str],
    ignored: Collection[int] = (255,),
) -> FixHint:
    """The likely hint for file values that are no class index.

    pixels and unknown: the number of pixels of each value in the file, and of each unknown one.
    names: the classes'. ignored: the file values that mean ignored.
    """
    values, held, classes = set(unknown), set(pixels), len(names)
    at_end = max(held & {*ignored}, default=0)  # the customary mark, which stays as it is
    kept = f" but {at_end}" if at_end else ""
    if any(isinstance(value, float) for value in pixels):
        text = "the pixels are floating-point numbers: save the mask as an 8-bit PNG of indices"
        return FixHint("unknown-values", text)
    if classes == 2 and values == {255} and held <= {0, 255}:
        return binary_hint(names, ignored)
    if max(values) < 1000 and _are_blends(values, classes) and _few(unknown, pixels):
        return FixHint("blended-values", _INTERPOLATED)
    if min(values) < 0:
        text = "negative values: save the mask with 255 for ignored pixels and indices otherwise"
        return FixHint("unknown-values", text)
    if values == {classes} and 0 not in pixels:
        text = f"this looks like classes numbered from 1: subtract 1 from every value{kept}"
        is_whole = held - {*ignored} == set(range(1, classes + 1))
        remap = {v: 255 if v in ignored else v - 1 for v in held} if is_whole else {}
        return FixHint("numbered-from-one", text, remap)
    if remap := _train_ids(held, values, names):
        return _hint_for_ids(held, remap)
    if step := _step_between(held, classes, ignored):
        line = f"mask // {step}"
        line = f"np.where(mask == {at_end}, mask, {line})" if kept else line
        text = (
            f"this looks like indices multiplied by {step}, to be seen by eye: divide every value"
            f"{kept} by {step} (`{line}`)"
        )
        remap = _divided(held, step, classes)
        is_whole = set(remap.values()) - {255} == set(range(classes))
        return FixHint("stretched-values", text, remap if is_whole else {})
    if min(values) >= _APART and held.isdisjoint(range(1, classes)):
        return _hint_for_grays(held, names, ignored)
    return FixHint("unknown-values", _advice(values, held, classes, ignored))


def _hint_for_grays(
    held: Collection[int], names: Sequence[str], ignored: Collection[int]
) -> FixHint:
    """The hint for values none of which but 0 is an index: the class list can hold them as well."""
    plain = [value for value in sorted(held) if value not in ignored]
    own = sorted(held) if len(held) == len(names) else plain
    is_told = len(own) == len(names)
    lines = _listed(own, names, ignored) if is_told else "a line `N name` each"
    text = (
        f"give the class list the values in the files, in order: {lines}; where a value N is no "
        "class, write `ignore N`"
    )
    return FixHint("unlisted-values" if is_told else "unknown-values", text)


def _listed(values: Collection[int], names: Sequence[str], ignored: Collection[int]) -> str:
    """The lines of a class list by which these values are the classes, in this order."""
    lines = [f"{value} {name}" for value, name in zip(values, names, strict=True)]
    lines += [f"ignore {value}" for value in sorted({*ignored} - {*values})]
    return ", ".join(f"`{line}`" for line in lines)


def _advice(values: set[int], held: set[int], classes: int, ignored: Collection[int]) -> str:
    """What to do about values that nothing explains."""
    if values == {classes} and 0 in held:
        # `ignore N` would make the set fit, and where 0 is a background shift every class by one
        return (
            f"values 0 to {classes} are {classes + 1} classes, and the list has {classes}: add the "
            f"missing one in its place (a background, 0, is the first line), or where {classes} is "
            f"not a class renumber its pixels to 255{_BORDERS}"
        )
    if len(values) == 1:
        value = next(iter(values))
        and_others = " ".join(map(str, [value, *sorted(held & {*ignored})]))
        return (
            f"if {value} means ignored, say so (`ignore {and_others}` in classes.txt); "
            "else add the missing class or repaint the pixels"
        )
    return f"add the missing classes to the class list, or renumber the masks{_BORDERS}"


def hint_for_colors(
    pixels: Mapping[RGB, int],
    unknown: Mapping[RGB, int],
    known: Collection[RGB],
    distinct: int | None = None,
) -> FixHint:
    """The likely hint for colors that are no class's; the arguments are as `hint_for_values`'.

    known: the colors that are. distinct: how many colors the file has, where pixels is a part.
    """
    if all(red == green == blue for red, green, blue in pixels):
        text = "three equal channels: an index mask saved as RGB; save it with one channel"
        return FixHint("index-as-rgb", text)
    if all((blue, green, red) in known for red, green, blue in unknown):
        text = "the channels are in the order blue, green, red: swap the first and the last"
        return FixHint("channels-swapped", text)
    near, blended = _explained(pixels, unknown, known)
    if near >= 0.9:
        text = (
            "they are nearly a class's color: give the class list the files' exact colors, or "
            "repaint each pixel with the nearest"
        )
        return FixHint("inexact-colors", text)
    if blended >= 0.8 and len(unknown) >= 3 and _few(unknown, pixels):
        return FixHint("blended-colors", _INTERPOLATED)
    if (distinct or len(pixels)) > 0.2 * sum(pixels.values()):
        text = "this looks like a photo and not like labels: put the label file in its place"
        return FixHint("photo-as-labels", text)
    text = "add the missing colors to the class list (`name r g b`), or repaint the pixels"
    if len(unknown) == 1:  # as lines around objects
        (color,) = unknown
        text += f"; if it means ignored, say so (`ignore #{bytes(color).hex()}` in the list)"
    return FixHint("unknown-colors", text)


def _hint_for_ids(held: Collection[int], remap: Mapping[int, int]) -> FixHint:
    if max(held) >= 1000:
        text = (
            "this looks like Cityscapes instance ids (1000 * label id + number): divide by "
            "1000 and convert to train ids, or use the `_labelIds` files"
        )
        return FixHint("instance-ids", text, remap)
    text = (
        "this looks like Cityscapes label ids where train ids (0..18, 255 ignored) are "
        "expected: convert the files to train ids, or keep Cityscapes' own layout"
    )
    return FixHint("label-ids", text, remap)


def binary_hint(names: Sequence[str], ignored: Collection[int]) -> FixHint:
    """The hint for masks of these two classes that hold 0 and 255."""
    text = f"this looks like a 0/255 mask: {binary_cure(names, ignored)}"
    return FixHint("binary-masks", text, {**dict.fromkeys(ignored, _BYTE), 0: 0, 255: 1})


def binary_cure(names: Sequence[str], ignored: Collection[int]) -> str:
    """What to do with masks of these two classes that hold 0 and 255."""
    return (
        "write 1 instead of 255 (`np.where(mask == 255, 1, mask)`), or give the class list the "
        f"files' values: {_listed((0, _BYTE), names, ignored)}"
    )


_BORDERS = "; where they lie along borders only, the mask was resized with interpolation"
_INTERPOLATED = (
    "so many of them are blends of classes: the mask was resized with interpolation, drawn with "
    "anti-aliased borders or saved as JPEG; make it again with nearest-neighbor resizing, as PNG"
)


def reach_of(known: Collection[RGB]) -> float:
    """The RGB distance up to which a color can only be the class's that it is nearest to."""
    palette = np.array([*known], np.float64)
    distances = np.linalg.norm(palette[:, None] - palette, axis=2)
    apart = distances[distances > 0].min(initial=np.inf)
    return float(min(NEAR, (apart - 1) / 2))


def _few(unknown: Mapping[Any, int], pixels: Mapping[Any, int]) -> bool:
    return sum(unknown.values()) < sum(pixels.values()) / 2


def _are_blends(values: Collection[int], classes: int) -> bool:
    """Whether there are too many to be forgotten classes, or several that lie here and there:
    forgotten ones follow the others."""
    is_scattered = len(values) >= _SEVERAL and max(values) > 2 * (classes + len(values))
    return len(values) >= _MANY or is_scattered


def _train_ids(
    held: Collection[int], unknown: Collection[int], names: Sequence[str]
) -> dict[int, int]:
    """Class indices of Cityscapes' label or instance ids; nothing where the classes are not
    Cityscapes' by name, or a value is no id."""
    from briskseg.core.labels.cityscapes_table import (  # which imports the label sets
        LABELS,
        SCORED_IDS,
    )

    index_of = {name.lower().replace("_", " "): index for index, name in enumerate(names)}
    scored = {LABELS[label_id].name for label_id in SCORED_IDS}
    # 19 alone beside train ids is what many tools write for ignored
    if index_of.keys() != scored or set(unknown) == {len(names)}:
        return {}
    ids = {value: value // 1000 if value >= 1000 else value for value in held}
    if any(label_id >= len(LABELS) and label_id != 255 for label_id in ids.values()):
        return {}
    classes = {i: index_of[LABELS[i].name] for i in SCORED_IDS}
    return {value: classes.get(label_id, 255) for value, label_id in ids.items()}


def _step_between(held: set[int], classes: int, ignored: Collection[int]) -> int:
    """What all values that mean a class are multiples of, if that makes them class indices and
    leaves room for the last class; else 0. So too where what means ignored may be the last value
    that was spread out, as 255 beside 0 and 128."""
    values = [value for value in held if value not in ignored]
    step, last = math.gcd(*values), max(held & {*ignored}, default=0)
    has_room = step * (classes - 1) <= max(_BYTE, *held)
    if step < _APART or not has_room or len(values) == 1 or max(values) // step >= classes:
        return 0
    place = round(last / step)
    may_be_class = len(held) == classes or (place <= classes and abs(last - step * place) < place)
    return 0 if last and may_be_class else step


def _divided(held: Collection[int], step: int, classes: int) -> dict[int, int]:
    whole = {value: value // step for value in held if value % step == 0}
    return {v: index if (index := whole.get(v, 255)) < classes else 255 for v in held}


def _explained(
    pixels: Mapping[RGB, int], unknown: Mapping[RGB, int], known: Collection[RGB]
) -> tuple[float, float]:
    """The share of the unknown pixels whose color is nearly a known one, and of those that are so
    or a blend of two known colors of the file (on the line between them)."""
    most = sorted(unknown, key=lambda color: -unknown[color])[:_COLORS]
    weights = np.array([unknown[color] for color in most], np.float64)
    colors = np.array(most, np.float64)
    palette = np.array([*known], np.float64)
    near = np.linalg.norm(colors[:, None] - palette, axis=2).min(1) <= reach_of(known)
    held = sorted((c for c in pixels if c in known), key=lambda color: -pixels[color])[:24]
    ends = np.array(held, np.float64).reshape(-1, 3)
    first, second = np.triu_indices(len(ends), 1)
    between = np.zeros(len(most), bool)
    if len(first):
        start, line = ends[first], ends[second] - ends[first]
        along = ((colors[:, None] - start) * line).sum(2) / (line**2).sum(1)
        foot = start + np.clip(along, 0, 1)[..., None] * line
        between = np.linalg.norm(colors[:, None] - foot, axis=2).min(1) <= NEAR
    total = weights.sum()
    return float(weights[near].sum() / total), float(weights[near | between].sum() / total)
