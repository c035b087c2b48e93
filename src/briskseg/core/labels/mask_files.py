"""What label files hold, as they hold it: masks of any kind, and the list of names classes.txt.

Pillow reads the masks, because OpenCV turns a palette's indices into colors before one sees them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_LIST_BYTES, check_size
from briskseg.core.files.pictures import opened, raw_mode
from briskseg.core.files.safe_names import fault_of_class_name

# A PNG of 2 or 4 bits a pixel: Pillow spreads the values over 0..255; these factors undo it.
_SPREAD = {"L;2": 85, "L;4": 17}
LABEL_MODES = ("1", "L", "LA", "P", "PA", "I;16", "I;16B", "I", "RGB", "RGBA")


class Mask(NamedTuple):
    """A label file's pixels, (H, W) values or (H, W, channels) colors, and its (256, 3) palette.

    form: the file's format, as Pillow names it, whatever its suffix. is_lossy: whether saving it
    changed values (JPEG, lossy WebP).
    """

    pixels: np.ndarray[Any, Any]
    palette: np.ndarray[Any, Any] | None
    form: str = "PNG"
    is_lossy: bool = False


def read_mask(path: Path) -> Mask:
    """Read a label file without interpreting it: indices stay indices, colors stay RGB.

    Raises DataError, naming the file, when it is missing, empty, damaged or no label image.
    """
    with opened(path, "a label image", "restore it, or remove its pair") as image:
        if image.mode not in LABEL_MODES:
            raise DataError(
                f"{path}: a label file of mode {image.mode}; expected one channel of class "
                "indices, a palette, or RGB; save it as an 8-bit PNG"
            )
        divisor = _SPREAD.get(raw_mode(image), 1)
        pixels = np.asarray(image.convert("RGBA") if image.mode == "PA" else image)
        colors = image.getpalette("RGB") if image.mode == "P" else None
        form, is_lossy = image.format or "", _is_lossy(image, path)
    if colors is None:
        return Mask(pixels // divisor if divisor > 1 else pixels, None, form, is_lossy)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors) // 3] = np.array(colors, np.uint8).reshape(-1, 3)
    return Mask(pixels, palette, form, is_lossy)


def _is_lossy(image: Image.Image, path: Path) -> bool:
    if image.format == "WEBP":
        with path.open("rb") as file:
            return file.read(16)[12:] == b"VP8 "  # lossless files have VP8L, or a header before it
    return image.format in {"JPEG", "MPO"}


class ClassList(NamedTuple):
    """classes.txt: names, each one's RGB color where given, and the ignored file value."""

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int] | None, ...]
    ignored: int


def read_classes_txt(path: Path) -> ClassList:
    """Read a class list: `name` or `name r g b` a line, `ignore N` once, blank lines, # comments.

    Raises DataError with file and line for anything else, a repeated name, color or `ignore`, more
    than 255 classes, or an ignored value that is a class's index.
    """
    try:
        check_size(path, MAX_LIST_BYTES)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; write one class name a line into it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    names: dict[str, int] = {}
    colors: dict[int, tuple[int, int, int] | None] = {}
    ignored: tuple[int, int] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        words = re.sub(r"(^|\s)#.*", "", raw).split()
        where = f"{path}, line {number}"
        if not words:
            continue
        if words[0].lower() == "ignore":
            if ignored is not None:
                raise DataError(f"{where}: a second `ignore`, after line {ignored[1]}; keep one")
            ignored = (_ignored_value(words, where), number)
            continue
        name, color = _class(words, where)
        if fault := fault_of_class_name(name):
            raise DataError(f"{where}: {fault}; give it a short plain name")
        if name in names:
            raise DataError(
                f"{where}: the class '{name}' again, after line {names[name]}; "
                "every class needs a name of its own"
            )
        if color is not None and color in colors.values():
            raise DataError(
                f"{where}: the color {color} of '{name}' is another class's; "
                "every class needs a color of its own"
            )
        names[name] = number
        colors[number] = color
    _check_class_list(path, names, ignored)
    return ClassList(tuple(names), tuple(colors.values()), 255 if ignored is None else ignored[0])


def _check_class_list(path: Path, names: dict[str, int], ignored: tuple[int, int] | None) -> None:
    if not names:
        raise DataError(f"{path}: no class in it; write one class name a line")
    if len(names) > 255:
        raise DataError(f"{path}: {len(names)} classes; at most 255 fit into an 8-bit label map")
    if ignored is not None and ignored[0] < len(names):
        value, line = ignored
        raise DataError(
            f"{path}, line {line}: `ignore {value}` is the index of the class "
            f"'{list(names)[value]}' (classes are numbered from 0 in the order of their lines); "
            f"the ignored value must be {len(names)} or more: renumber the masks"
        )


def _ignored_value(words: list[str], where: str) -> int:
    if len(words) != 2 or not re.fullmatch(r"\d{1,5}", words[1]) or int(words[1]) > 65535:
        raise DataError(f"{where}: '{' '.join(words)}'; expected `ignore N` with N from 0 to 65535")
    return int(words[1])


def _class(words: list[str], where: str) -> tuple[str, tuple[int, int, int] | None]:
    """A line's name and color; the numbers at its end are a color or a mistake."""
    numbers = 0
    while numbers < len(words) - 1 and re.fullmatch(r"[-+]?\d+(\.\d+)?", words[-1 - numbers]):
        numbers += 1
    if numbers == 0:
        return " ".join(words), None
    name, color = " ".join(words[:-numbers]), words[-numbers:]
    if numbers != 3 or not all(
        re.fullmatch(r"\d{1,3}", part) and int(part) <= 255 for part in color
    ):
        raise DataError(
            f"{where}: '{' '.join(color)}' after the name '{name}' is no color; expected `name` or "
            "`name r g b` with r, g, b whole numbers from 0 to 255"
        )
    red, green, blue = (int(part) for part in color)
    return name, (red, green, blue)
