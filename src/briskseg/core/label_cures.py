"""What probably went wrong with a mask whose values or colors are no class, and the way out."""

from __future__ import annotations

from collections.abc import Container, Mapping

RGB = tuple[int, int, int]

# From this many unknown values or colors on, a mask was interpolated or compressed: people
# forget a few classes, not dozens.
_MANY = 8
_CITYSCAPES_LABEL_IDS = 33


def cure_for_values(pixels: Mapping[int, int], unknown: Mapping[int, int], classes: int) -> str:
    """The likely cure for file values that are no class index.

    pixels and unknown: the number of pixels of each value in the file, and of each unknown one.
    """
    values = set(unknown)
    if any(isinstance(value, float) for value in pixels):
        return "the pixels are floating-point numbers: save the mask as an 8-bit PNG of indices"
    if values == {255} and set(pixels) <= {0, 255}:
        return "this looks like a 0/255 mask: write 1 instead of 255 (mask // 255)"
    if len(values) >= _MANY and sum(unknown.values()) < sum(pixels.values()) / 2:
        return _INTERPOLATED
    if min(values) < 0:
        return "negative values: save the mask with 255 for ignored pixels and indices otherwise"
    if classes == 19 and max(values) <= _CITYSCAPES_LABEL_IDS:
        return (
            "this looks like Cityscapes label ids where train ids (0..18, 255 ignored) are "
            "expected: convert the files to train ids, or keep Cityscapes' own layout"
        )
    if values == {classes} and 0 not in pixels:
        return "this looks like classes numbered from 1: subtract 1 from every value"
    if len(values) == 1:
        value = next(iter(values))
        return (
            f"if {value} means ignored, say so (`ignore {value}` in classes.txt); "
            "else add the missing class or repaint the pixels"
        )
    return "add the missing classes to the class list, or renumber the masks"


def cure_for_colors(
    pixels: Mapping[RGB, int], unknown: Mapping[RGB, int], known: Container[RGB]
) -> str:
    """The likely cure for colors that are no class's; the arguments are as `cure_for_values`'."""
    if all(red == green == blue for red, green, blue in pixels):
        return "three equal channels: an index mask saved as RGB; save it with one channel"
    if all((blue, green, red) in known for red, green, blue in unknown):
        return "the channels are in the order blue, green, red: swap the first and the last"
    if len(unknown) >= _MANY:
        return _INTERPOLATED
    return "add the missing colors to the class list (`name r g b`), or repaint the pixels"


_INTERPOLATED = (
    "so many of them are blends of classes: the mask was resized with interpolation, drawn with "
    "anti-aliased borders or saved as JPEG; make it again with nearest-neighbor resizing, as PNG"
)
