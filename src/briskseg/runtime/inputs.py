"""What `predict` is to work on: images, videos, folders, patterns, cameras, streams, each once."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.files import as_path
from briskseg.core.files.safe_names import distinct, file_stem
from briskseg.core.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from briskseg.core.wording import counted
from briskseg.runtime.result_mark import is_marked


@dataclass(frozen=True)
class Input:
    """A file, a camera (`camera:0`, `0`, `/dev/video0`) or a stream's address (`rtsp://...`) to
    predict on; `name` is where its results go in the output folder, without ending."""

    path: Path
    name: str
    camera: int | None = None
    address: str | None = None

    @property
    def shown(self) -> str:
        """As it was given."""
        return str(self.path) if self.address is None else self.address

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def is_stream(self) -> bool:
        """Whether it gives frame after frame."""
        return self.is_video or self.camera is not None or self.address is not None


def find_inputs(
    texts: Sequence[str], out: Path, notify: Callable[[str], None] = lambda note: None
) -> list[Input]:
    """The files and cameras that `texts` mean, in order; those of a folder or a pattern sorted.

    A folder gives every image and video in it and below, except what lies in `out` and what macOS
    leaves beside files (`._NAME`); its results keep the folders below it. `name_%04d.png` gives the
    images that are numbered so. What an earlier `predict` wrote is passed over where there is
    anything else, and `notify` is told. Names that would meet in `out` get -2, -3 ... in order.

    Raises RequestError for what is not there, holds nothing to predict on or is of another type.
    """
    found: dict[object, Input] = {}
    for text in texts:
        path = as_path(text)  # of a camera that is a device, neither file nor folder
        if (camera := _CAMERA.fullmatch(text)) and not (path.is_file() or path.is_dir()):
            number = int(camera[1])
            found.setdefault(number, Input(path, f"camera-{number}", number))
        elif _ADDRESS.match(text):
            found.setdefault(text, Input(path, _address_name(text), address=text))
        else:
            for file, name in _expand(text, out.resolve()):
                found.setdefault(file, Input(file, name))
    inputs = [*found.values()]
    others = [one for one in inputs if one.address is not None or not is_marked(one.path)]
    if others and len(others) < len(inputs):
        results = counted(len(inputs) - len(others), "result")
        notify(f"{results} of an earlier predict passed over; named alone they are labeled")
        inputs = others
    names = distinct(one.name for one in inputs)
    return [replace(one, name=name) for one, name in zip(inputs, names, strict=True)]


def _address_name(address: str) -> str:
    """Its host and path as a file's name, without what may be secret: user, password, query."""
    kind, _, rest = address.partition("://")
    place = re.split(r"[?#]", rest)[0].rpartition("@")[2]
    if Path(place).suffix.lower() in IMAGE_SUFFIXES:
        raise RequestError(f"{address} is an image elsewhere; download it, and name the file")
    return file_stem("-".join(re.findall(r"[\w.]+", f"{kind}-{place}")))


def _expand(text: str, out: Path) -> list[tuple[Path, str]]:
    """The files that a text means, and the name of each one's results."""
    path = Path(text)
    if path.is_dir():
        files, named = sorted(at / name for at, some in files_below(path) for name in some), path
        none = f"the folder {path} holds no image and no video"
    elif path.exists():
        known = path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        if not known:
            raise RequestError(f"{path} is no image and no video by its name, expected {_TYPES}")
        return [(path, path.stem)]
    elif numbers := _NUMBERED.search(path.name):
        files, named = _numbered(path, numbers), path.parent
        none = f"no image is numbered as {text} says"
    elif glob.has_magic(text):
        files, named = [*map(Path, sorted(glob.glob(text, recursive=True)))], None
        none = f"no image and no video matches {text}"
    else:
        raise RequestError(
            f"{path} is not there, expected an image, a video, a folder, a pattern, camera:0 or "
            "the address of a stream (rtsp://...)"
        )
    there = [file for file in files if _is_input(file)]
    found = [file for file in there if not _is_result(file, out, named or file.parent)]
    if not found:
        if there:
            none += " but what lies in --out, where results are; name another --out"
        raise RequestError(f"{none}, expected {_TYPES}")
    if not path.is_dir():
        return [(file, file.stem) for file in found]
    return [(file, file.relative_to(path).with_suffix("").as_posix()) for file in found]


def files_below(folder: Path, leaving: Path | None = None) -> Iterator[tuple[Path, list[str]]]:
    """A folder and each below it, but for the folder `leaving`, and the names of the files there,
    but hidden ones, which programs leave beside others (as ._photo.jpg). No folder behind a link is
    entered.

    Raises RequestError where one of the folders may not be read.
    """
    for at, folders, names in os.walk(folder, onerror=_raise_unlisted):
        folders[:] = [each for each in folders if Path(at, each) != leaving]
        yield Path(at), [name for name in names if not name.startswith(".")]


def _raise_unlisted(error: OSError) -> None:
    raise RequestError(f"{error.filename} cannot be listed: {error.strerror}; look at its rights")


def _numbered(path: Path, numbers: re.Match[str]) -> list[Path]:
    """The files that `name_%04d.png` means, in the order of their numbers."""
    before, after = map(re.escape, (path.name[: numbers.start()], path.name[numbers.end() :]))
    known = re.compile(f"{before}(\\d{{{int(numbers[1] or 1)},}}){after}")
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    found = [(int(match[1]), file) for file in there if (match := known.fullmatch(file.name))]
    return [file for _, file in sorted(found)]


def _is_input(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and file.is_file()


def _is_result(file: Path, out: Path, named: Path) -> bool:
    """Whether it lies in `out`, which holds results alone unless the folder that was named lies in
    it."""
    return file.resolve().is_relative_to(out) and out not in named.resolve().parents


_CAMERA = re.compile(r"(?:camera:|/dev/video)?(\d{1,3})")
_ADDRESS = re.compile(r"(?i)(rtsps?|rtmps?|https?|rtp|udp|tcp|srt)://")
_NUMBERED = re.compile(r"%0?(\d?)d")
_TYPES = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
