"""What labeling tools write: files of strangers, read within bounds, and the images they name.

An `Entry` is a value with where it stands, so that every message names the file and the key. Images
are looked up among those that lie in the data's folder; no path of a file is ever opened.
"""

from __future__ import annotations

import base64
import math
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.errors import DataError
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.limits import check_size, max_pixels, parse_json, too_many_pixels
from briskseg.core.files.pictures import opened
from briskseg.core.files.safe_names import check_file_name, printable
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.core.types import Floats
from briskseg.data.masks.layout import split_of
from briskseg.data.matching import walk
from briskseg.data.shapes import FARTHEST, Mask, Points, Size

MAX_BYTES = 1 << 30  # of a file of annotations; COCO's largest has 470 MB
ASKED = 50  # files, to see whether they are a tool's
_PEEKED = 1 << 16


def peek(path: Path) -> str:
    """The first and the last 64 KB as text, "" for what is no regular file: enough to see of which
    tool a file is."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            head = file.read(_PEEKED)
            file.seek(max(len(head), file.seek(0, 2) - _PEEKED))
            return (head + b"\n" + file.read()).decode("utf-8", "replace")
    except OSError:
        return ""


def read_json(path: Path) -> Entry:
    """The content of a JSON file. Raises DataError naming one that is missing, too large or not
    JSON."""
    return Entry(parsed(path, parse_json), str(path))


def parsed(path: Path, parse: Callable[[bytes], Any]) -> Any:
    """What `parse` makes of a file, with a ValueError for what it cannot read. Raises DataError
    naming a file that is missing, too large, empty or damaged."""
    try:
        check_size(path, MAX_BYTES)
        data = path.read_bytes()
        if not data.strip():
            raise DataError(f"{path}: the file is empty; export it again")
        return parse(data.removeprefix(b"\xef\xbb\xbf"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; restore it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        why = printable(str(error))[:200]
        raise DataError(f"{path}: is cut off or damaged ({why}); export it again") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of an annotation file. where: the file, and the keys that lead to the value."""

    value: Any
    where: str

    def fault(self, expected: str) -> DataError:
        """The error for a value that is not what it must be."""
        shown = printable(repr(self.value))
        shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
        what = "is missing" if self.value is None else f"is {shown}"
        return DataError(f"{self.where} {what}, expected {expected}; export the file again")

    def __getitem__(self, key: str) -> Entry:
        """What stands under a key; None where nothing does."""
        if not isinstance(self.value, dict):
            raise self.fault("an object")
        joint = "." if self.where[-1:] in "]" or ": " in self.where else ": "
        return Entry(self.value.get(key), f"{self.where}{joint}{key}")

    def entries(self) -> list[Entry]:
        """The values of a list; none where there is nothing."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.fault("a list")
        joint = "" if ": " in self.where else ": "
        return [Entry(item, f"{self.where}{joint}[{i}]") for i, item in enumerate(self.value)]

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            raise self.fault("a text")
        return self.value

    def integer(self) -> int:
        """A whole number; written as 3.0 too."""
        value = self.value
        if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fault("a whole number")
        return value

    def number(self, absent: float | None = None) -> float:
        """A number that can be a coordinate; text that is one too, as XML has it. absent: what
        stands for one that is not there."""
        if self.value is None and absent is not None:
            return absent
        try:
            value = math.nan if isinstance(self.value, bool) else float(self.value)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not abs(value) <= FARTHEST:
            raise self.fault(f"a number from {-FARTHEST:.0f} to {FARTHEST:.0f}")
        return value

    def numbers(self, count: int | None = None) -> Floats:
        """A list of numbers that can be coordinates, of this length where one is given."""
        if not isinstance(self.value, list) or (count is not None and len(self.value) != count):
            raise self.fault("a list of numbers" if count is None else f"{count} numbers")
        try:
            found = np.asarray(self.value, np.float64)
        except (TypeError, ValueError, OverflowError):
            found = np.empty(0)
        if found.shape != (len(self.value),) or not (np.abs(found) <= FARTHEST).all():
            return np.array([entry.number() for entry in self.entries()])  # names what is none
        return found

    def counts(self) -> npt.NDArray[np.int64]:
        """A list of numbers of pixels, which may be more than a coordinate; texts too."""
        try:
            found = np.asarray(self.value, np.float64)
        except (TypeError, ValueError, OverflowError):
            found = np.empty((0, 0))
        if found.ndim != 1 or not ((found >= 0) & (found < 1 << 31) & (found % 1 == 0)).all():
            raise self.fault("a list of whole numbers of pixels")
        return found.astype(np.int64)

    def points(self) -> Points:
        """(n, 2) of [[x, y], ...], or of [x, y, x, y, ...]."""
        if isinstance(self.value, list) and self.value and isinstance(self.value[0], list):
            pairs = [entry.numbers(2) for entry in self.entries()]
            return np.array(pairs, np.float64).reshape(-1, 2)
        flat = self.numbers()
        if len(flat) % 2:
            raise self.fault("as many numbers for y as for x")
        return flat.reshape(-1, 2)

    def size(self, height: str = "height", width: str = "width") -> Size | None:
        """The (height, width) under these keys; None where they are missing or 0."""
        stated = self[height], self[width]
        if not all(entry.value for entry in stated):
            return None
        pixels_h, pixels_w = (entry.integer() for entry in stated)
        return checked_size(pixels_h, pixels_w, self)


def checked_size(height: int, width: int, entry: Entry) -> Size:
    """The size, if a picture that is read can have it."""
    if not (1 <= height <= FARTHEST and 1 <= width <= FARTHEST):
        raise entry.fault(f"a width and a height from 1 to {FARTHEST:.0f}")
    if height * width > max_pixels():
        raise too_many_pixels(Path(entry.where), width, height, max_pixels())
    return height, width


class ImageIndex:
    """The images in a folder and below it, looked up as annotation files name them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.by_path: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] = {}
        for path in files_below(root, IMAGE_SUFFIXES):
            self.by_path[path.relative_to(root).as_posix()] = path
            self._by_name.setdefault(path.name, []).append(path)

    def find(self, name: str, bases: Collection[str] = ("",)) -> Path | None:
        """The image of a name: below one of the bases (folders, relative to the root), else the
        only one of this file name, but of another split than the bases say. Only what lies in the
        root is found, whatever the name says."""
        name = re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")).lstrip("/")
        for base in bases:
            if found := self.by_path.get(posixpath.normpath(posixpath.join(base, name))):
                return found
        alike = self._by_name.get(posixpath.basename(name), [])
        if len(alike) != 1:
            return None
        expected = {split_of(base) for base in bases} - {None}
        folder = alike[0].parent.relative_to(self._root)
        is_of_another = expected and split_of(folder.as_posix()) not in {None, *expected}
        return None if is_of_another else alike[0]

    def first(self, names: Iterable[str], bases: Collection[str] = ("",)) -> Path | None:
        """The image of the first of these names that has one, as `find` has it."""
        return next((found for name in names if (found := self.find(name, bases))), None)


def with_suffixes(stem: str) -> list[str]:
    """The names that an image of this stem may have."""
    return [f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]


def files_below(root: Path, suffixes: Set[str]) -> Iterator[Path]:
    """The files with these suffixes in a folder and below it, sorted, hidden ones left out."""
    for path in walk(root):
        if path.suffix.lower() in suffixes:
            yield check_file_name(path)


def of_tool(paths: Sequence[Path], is_tools: Callable[[str], bool]) -> list[Path]:
    """The files that are a tool's by their first and last bytes, and the empty ones beside them:
    whatever these held, it is missing. None where none of the first is the tool's."""
    seen = {path: peek(path) for path in paths[:ASKED]}
    if not any(map(is_tools, seen.values())):
        return []
    seen |= {path: peek(path) for path in paths[ASKED:]}
    return [path for path, text in seen.items() if is_tools(text) or not text.strip()]


def has_masks(root: Path) -> bool:
    """Whether the folder has pictures in `labels`: it is a set of masks, whatever lies beside."""
    return next(files_below(root / "labels", IMAGE_SUFFIXES), None) is not None


def base64_bytes(entry: Entry) -> bytes:
    """The bytes that a text holds in base64."""
    try:
        return base64.b64decode(entry.text(), validate=True)
    except ValueError:
        raise DataError(f"{entry.where} is no base64 text; export the file again") from None


def png_mask(data: bytes, entry: Entry) -> Mask:
    """(H, W) bool: the pixels of a PNG that are opaque and not 0."""
    file = InMemory.of(Path(entry.where), data)
    with opened(file, "a PNG", "export the file again") as picture:
        if picture.format != "PNG":  # a lossy one would have noise for an object
            raise DataError(f"{entry.where} is a {picture.format}, expected a PNG; export it again")
        checked_size(picture.height, picture.width, entry)
        pixels = np.asarray(picture.convert("LA") if picture.mode == "P" else picture)
    if pixels.ndim == 3:
        return np.asarray(pixels[..., -1] > 0 if pixels.shape[2] in (2, 4) else pixels.any(axis=2))
    return np.asarray(pixels > 0)
