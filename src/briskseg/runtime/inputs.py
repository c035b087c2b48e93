"""What `predict` is to work on: images, videos, folders, glob patterns and cameras, each once."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES


@dataclass(frozen=True)
class Input:
    """A file or a camera (`camera:0`) to predict on; `name` is where its results go in the output
    folder, without ending."""

    path: Path
    name: str
    camera: int | None = None

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def is_stream(self) -> bool:
        """Whether it gives frame after frame."""
        return self.is_video or self.camera is not None


def find_inputs(texts: Sequence[str], out: Path) -> list[Input]:
    """The files and cameras that `texts` mean, in order; those of a folder or a pattern sorted.

    A folder gives every image and video in it and below, except what lies in `out`; its results
    keep the folders below it. Names that would meet in `out` get -2, -3 ... in this order.
    Raises RequestError for what is not there, holds nothing to predict on or is of another type,
    DataError for a name with characters that no terminal shows.
    """
    found: dict[Path, tuple[str, int | None]] = {}
    for text in texts:
        if match := _CAMERA.fullmatch(text):
            found.setdefault(Path(text), (f"camera-{match[1]}", int(match[1])))
            continue
        for path, name in _expand(text, out.resolve()):
            found.setdefault(path, (name, None))
    inputs: dict[str, Input] = {}
    for path, (name, camera) in found.items():
        free, number = name, 1
        while free.casefold() in inputs:  # case is no difference on some file systems
            number += 1
            free = f"{name}-{number}"
        inputs[free.casefold()] = Input(path, free, camera)
    return [*inputs.values()]


def _expand(text: str, out: Path) -> list[tuple[Path, str]]:
    """The files that a text means, and the name of each one's results."""
    path = Path(text)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_input(file, out)]
        found = [(file, file.relative_to(path).with_suffix("").as_posix()) for file in files]
        none = f"the folder {path} holds no image and no video"
    elif path.exists():
        known = path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        found = [(path, path.stem)] if known else []
        none = f"{path} is no image and no video by its name"
    elif glob.has_magic(text):
        matches = map(Path, sorted(glob.glob(text, recursive=True)))
        found = [(file, file.stem) for file in matches if _is_input(file, out)]
        none = f"no image and no video matches {text}"
    else:
        raise RequestError(
            f"{path} is not there, expected an image, a video, a folder, a pattern or camera:0"
        )
    if not found:
        raise RequestError(f"{none}, expected {_TYPES}")
    return found


def _is_input(file: Path, out: Path) -> bool:
    known = file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
    if not known or not file.is_file() or file.resolve().is_relative_to(out):
        return False
    check_file_name(file)
    return True


_CAMERA = re.compile(r"camera:(\d{1,3})")
_TYPES = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
