"""What `label` is to work on, found once and divided into shards by a rule that never varies.

Images are sorted by name and divided into runs of equal length; of tars each is a shard.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from briskseg.core.errors import RequestError
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.files.safe_names import distinct
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.runtime.inputs import files_below
from briskseg.runtime.result_mark import is_marked
from briskseg.scale.storage import is_url, local_path, open_url

_LISTS = (".txt", ".lst", ".list")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_FILES = 1 << 20  # that {000..063} may stand for
# Of a folder of images: about a thousand shards, neither tiny nor long to do again.
_SHARDS, _LEAST, _MOST = 1024, 32, 1024


@dataclass(frozen=True)
class Image:
    """location: a path or an address. name: below what was named, with its ending. target: the
    same of its labels, without ending, of no other image."""

    location: str
    name: str
    target: str


@dataclass(frozen=True)
class Shard:
    """What is labeled in one go. number: from 0 on. name: of its files in the output, without
    ending. Either a tar's location, or images."""

    number: int
    name: str
    tar: str = ""
    images: tuple[Image, ...] = ()


def find_shards(source: str, out: str, shard_size: int | None, dots: bool = True) -> list[Shard]:
    """The shards of a folder, a pattern, a list file or tars, local or at an address.

    source: see `briskseg label --help`. out: whatever lies in there is left out, and so are local
    pictures that `predict` wrote. shard_size: images a shard, None: by their number. dots: whether
    names may keep dots but the last.
    Raises RequestError for what is not there, holds neither images nor tars, or holds both.
    """
    found = sorted(_files(source, out), key=lambda pair: pair[::-1])
    tars = [pair for pair in found if is_tar_name(pair[1])]
    images = [
        pair for pair in found if _suffix(pair[1]) in IMAGE_SUFFIXES and not _is_result(pair[0])
    ]
    if tars and images:
        raise RequestError(
            f"{source} holds {len(images)} images and {len(tars)} tars, expected one of both; "
            "name a pattern, as in 'DIR/*.tar'"
        )
    if tars:
        names = distinct_targets((name for _, name in tars), dots=True)
        return [
            Shard(number, name, tar=tar)
            for number, ((tar, _), name) in enumerate(zip(tars, names, strict=True))
        ]
    if not images:
        raise RequestError(
            f"{source} holds no image and no .tar, expected {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    targets = distinct_targets((name for _, name in images), dots)
    all_images = [Image(*pair, target) for pair, target in zip(images, targets, strict=True)]
    size = shard_size or min(_MOST, max(_LEAST, -(-len(all_images) // _SHARDS)))
    return [
        Shard(number, f"{number:05d}", images=tuple(all_images[start : start + size]))
        for number, start in enumerate(range(0, len(all_images), size))
    ]


def _is_result(location: str) -> bool:
    """Whether it is a picture that `predict` wrote, where that costs no fetching."""
    is_named_so = PurePosixPath(location).stem.endswith(("_labels", "_color", "_overlay"))
    return is_named_so and not is_url(location) and is_marked(local_path(location))


def is_tar_name(name: str) -> bool:
    return _suffix(name) == ".tar"


def digest(shards: Sequence[Shard]) -> str:
    """A number for exactly these images in these shards."""
    found = hashlib.sha256()
    for shard in shards:
        names = (shard.name, shard.tar, *(f"{i.location}\t{i.target}" for i in shard.images))
        found.update("\n".join(names).encode(errors="backslashreplace") + b"\n\n")
    return found.hexdigest()[:32]


def distinct_targets(names: Iterable[str], dots: bool) -> list[str]:
    """Each name without its ending, of no other file: equal ones get -2, -3 ... in their order.

    No name leads out of its folder. dots: whether names may keep dots but the last.
    """
    targets = []
    for name in names:
        path = PurePosixPath(name)
        stem = path.stem if dots else path.stem.replace(".", "_")
        parts = [part for part in path.parts[:-1] if part not in ("/", "..")]
        targets.append("/".join([*parts, "_" if stem in (".", "..") else stem]))
    return distinct(targets)


def _files(source: str, out: str) -> Iterator[tuple[str, str]]:
    """(location, name) of each file that the source means, whatever its kind, each once."""
    if _RANGE.search(source):
        yield from _named(_expanded(source))
    elif _suffix(source) in _LISTS and (is_url(source) or local_path(source).is_file()):
        yield from _named(_listed(source))
    elif is_url(source):
        yield from _remote(source, out)
    else:
        yield from _local(local_path(source), local_path(out) if not is_url(out) else None)


def _named(locations: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Files named one by one: their names begin below the folder that holds them all."""
    split = {each: each.rpartition("://")[2].split("/") for each in locations}
    folders = zip(*(parts[:-1] for parts in split.values()), strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda level: len(set(level)) == 1, folders))
    for location, parts in split.items():
        yield location, "/".join(part for part in parts[common:] if part not in ("", ".."))


def _expanded(source: str) -> list[str]:
    """`{000..063}` written out, with as many digits; several ranges give each with each."""
    pieces = _RANGE.split(source)
    texts, ranges, count = pieces[::3], [], 1
    for first, last in zip(pieces[1::3], pieces[2::3], strict=True):
        if int(last) < int(first):
            raise RequestError(f"{source}: {first} to {last} is no range, expected low to high")
        count *= int(last) - int(first) + 1
        if count > _MOST_FILES:
            raise RequestError(f"{source} stands for more than {_MOST_FILES} files; name fewer")
        ranges.append([f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)])
    found = []
    for numbers in itertools.product(*ranges):
        location = "".join(a + b for a, b in zip(texts, (*numbers, ""), strict=True))
        found.append(location if is_url(location) else str(local_path(location).resolve()))
    first_one = found[0]
    if is_url(first_one):
        file_system, path = open_url(first_one)
        with _listing(source):
            there = file_system.exists(path)
    else:
        there = Path(first_one).exists()
    if not there:
        raise RequestError(f"{first_one} is not there, the first that {source} stands for")
    return found


def _listed(source: str) -> list[str]:
    """The lines of a list file: addresses, and paths from the list's own folder on."""
    if is_url(source):
        file_system, path = open_url(source)
        with _listing(source):
            if (file_system.size(path) or 0) > MAX_TEXT_BYTES:
                raise RequestError(f"{source} has more than {MAX_TEXT_BYTES} bytes; divide it")
            data = file_system.cat_file(path)
        folder = source.rpartition("/")[0]
    else:
        check_size(local_path(source), MAX_TEXT_BYTES, RequestError)
        data = local_path(source).read_bytes()
        folder = str(local_path(source).resolve().parent)
    found = []
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise RequestError(f"{source} is no text in UTF-8, expected a path a line") from None
    for number, line in enumerate(lines, start=1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        if _suffix(text) not in IMAGE_SUFFIXES and not is_tar_name(text):
            raise RequestError(f"{source}: line {number}: '{text}' is no image and no .tar by name")
        absolute = is_url(text) or text.startswith(("/", "file://"))
        found.append(text.removeprefix("file://") if absolute else f"{folder}/{text}")
    return found


@contextmanager
def _listing(source: str) -> Iterator[None]:
    """Let what a kind of storage raises name the source."""
    try:
        yield
    except RequestError:
        raise
    except FileNotFoundError:
        raise RequestError(f"{source} is not there, or holds no file") from None
    except Exception as error:  # each kind of storage has errors of its own
        raise RequestError(f"{source} cannot be listed: {error}") from None


def _remote(source: str, out: str) -> Iterator[tuple[str, str]]:
    """The files of a folder, a pattern, or one file at an address."""
    file_system, path = open_url(source)
    with _listing(source):
        if glob.has_magic(path):
            paths, root = file_system.glob(path), _root(path)
        else:
            paths, root = file_system.find(path), path.rstrip("/")
            if paths == [path]:
                root = path.rpartition("/")[0]
    if not paths:
        raise RequestError(f"{source} is not there, or holds no file")
    inside = None
    if is_url(out):
        others, folder = open_url(out)
        inside = f"{others.unstrip_protocol(folder).rstrip('/')}/"
    for found in paths:
        location = str(file_system.unstrip_protocol(found))
        is_hidden = PurePosixPath(str(found)).name.startswith(".")
        if not is_hidden and (inside is None or not location.startswith(inside)):
            yield location, str(found)[len(root) :].lstrip("/")


def _local(path: Path, out: Path | None) -> Iterator[tuple[str, str]]:
    """The files of a folder, no folder behind a link entered; of a pattern; or one file."""
    excluded = None if out is None else out.resolve()
    if path.is_dir():
        root = path.resolve()
        for at, names in files_below(root, leaving=excluded):
            below = "" if at == root else f"{at.relative_to(root).as_posix()}/"
            yield from ((os.path.join(at, name), below + name) for name in names)
    elif path.exists():
        yield str(path.resolve()), path.name
    elif glob.has_magic(str(path)):
        root = Path(_root(path.absolute().as_posix()))
        for found in glob.iglob(str(path), recursive=True):
            file = Path(found).absolute()
            inside = excluded is not None and file.resolve().is_relative_to(excluded)
            if not inside and file.is_file():
                yield str(file), file.relative_to(root).as_posix()
    else:
        raise RequestError(
            f"{path} is not there, expected a folder, a pattern, a list file (.txt) or tars; in "
            "braces stand numbers alone, as in 'DIR/{000..063}.tar'"
        )


def _root(pattern: str) -> str:
    """The folder that a pattern begins in."""
    parts = pattern.split("/")
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), parts[:-1])
    return "/".join(fixed) or "/"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
