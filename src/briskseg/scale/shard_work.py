"""A shard in, a shard out: its labels, then its manifest, which says that it is done.

What is not in a manifest is done again and gives the same bytes, so a job that was killed goes on
with the same command, and it makes no difference who labels a shard.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from briskseg.core.errors import BriskError, DataError
from briskseg.core.files.limits import max_pixels
from briskseg.core.files.pictures import most_bytes
from briskseg.core.files.safe_names import check_file_name, printable
from briskseg.core.images import read_image
from briskseg.core.parallel import pipelined
from briskseg.core.types import Image, Labels
from briskseg.runtime.load import open_file
from briskseg.runtime.predictor import Predictor
from briskseg.scale import sources
from briskseg.scale.outputs import OUTPUTS
from briskseg.scale.parquet_files import Row, write_manifest
from briskseg.scale.sources import Shard, distinct_targets
from briskseg.scale.storage import fetch, is_url, open_storage
from briskseg.scale.tar_files import Member, TarFile, opened_tar

MANIFEST = "manifest"
# Of a tar that is fetched; more than any sane shard has.
_MOST_TAR_BYTES = 64 * 1024**3

# Called with how many images a shard holds when that is known, and 0 done; then 0 and 1 for each.
Note = Callable[[int, int], None]


@dataclass(frozen=True)
class Work:
    """What holds for every shard. file, backend, threads: as `open_file` takes them. out: the
    folder to write to. to: a name in OUTPUTS."""

    file: str
    backend: str
    threads: int
    out: str
    to: str


@dataclass(frozen=True)
class Done:
    """What became of a shard: its images, (image, reason) of those that failed, and how many of
    the others have no confidence."""

    images: int
    failed: list[tuple[str, str]] = field(default_factory=list)
    unsure: int = 0


class _Item(NamedTuple):
    """An image of a shard. read: gives it, (H, W, 3), or raises DataError."""

    name: str
    source: str
    target: str
    read: Callable[[], Image]


def manifest_name(shard: Shard) -> str:
    """A shard's file in the folder MANIFEST."""
    return f"part-{shard.number:05d}.parquet"


def label_shard(work: Work, shard: Shard, note: Note = lambda images, done: None) -> Done:
    """Label a shard and write its labels, then its manifest.

    An image that cannot be read is a row of the manifest with the reason. Raises BriskError where
    something cannot be written or reached; nothing is lost then.
    """
    predictor = _predictor(work.file, work.backend, work.threads)
    try:
        rows = _written(work, shard, predictor, note)
    except OSError as error:
        raise BriskError(
            f"{error.filename or work.out} cannot be written: {error.strerror or error}; make "
            "room, and give the same command again to go on"
        ) from error
    failed = [(row.image, row.error) for row in rows if row.error is not None]
    unsure = sum(row.error is None and row.confidence is None for row in rows)
    return Done(len(rows), failed, unsure)


def _written(work: Work, shard: Shard, predictor: Predictor, note: Note) -> list[Row]:
    """Write the shard's labels and manifest; its rows."""
    storage, classes = open_storage(work.out), predictor.card.labels.names
    facts = predictor.ran._asdict() | {"classes": classes, "file": Path(work.file).name}
    rows: list[Row] = []
    with storage.scratch(shard.number) as scratch, _items(shard, scratch, work.to) as items:
        opened = OUTPUTS[work.to](storage, scratch, shard.name, facts)
        note(len(items), 0)

        def infer(found: tuple[_Item, Image | DataError]) -> _Labeled:
            item, image = found
            if isinstance(image, DataError):
                return _Labeled(item, None, None, printable(str(image)))
            return _Labeled(item, *predictor.with_confidence(image))

        def encode(labeled: _Labeled) -> tuple[Row, object]:
            row = _row(labeled, len(classes))
            if labeled.labels_hw is None:
                return row, None
            return row, output.encode(labeled.labels_hw, labeled.item.target, row)

        with opened as output, closing(pipelined(items, _image_of, infer, encode)) as done:
            for row, encoded in done:
                if row.error is None:
                    output.add(row, encoded)
                rows.append(row)
                note(0, 1)
        made = scratch / "manifest.parquet"
        write_manifest(made, rows, facts)
        storage.put(made, f"{MANIFEST}/{manifest_name(shard)}")
    return rows


def _image_of(item: _Item) -> tuple[_Item, Image | DataError]:
    try:
        for part in PurePosixPath(item.name).parts:
            check_file_name(Path(part))
        return item, item.read()
    except DataError as error:
        return item, error


class _Labeled(NamedTuple):
    item: _Item
    labels_hw: Labels | None
    confidence: float | None
    error: str | None = None


def _row(labeled: _Labeled, classes: int) -> Row:
    item, labels_hw = labeled.item, labeled.labels_hw
    row = Row(printable(item.name), printable(item.source), error=labeled.error)
    if labels_hw is not None:
        row.height, row.width = labels_hw.shape
        counts = np.bincount(labels_hw.reshape(-1), minlength=classes)
        row.histogram, row.confidence = counts.tolist(), labeled.confidence
    return row


@functools.lru_cache(maxsize=1)  # one a process, for all its shards
def _predictor(file: str, backend: str, threads: int) -> Predictor:
    return open_file(Path(file), backend, threads)


@contextmanager
def _items(shard: Shard, scratch: Path, to: str) -> Iterator[list[_Item]]:
    """The images of a shard; what is wrong with a tar as a whole is an image that fails."""
    numbers = itertools.count()
    if not shard.tar:
        yield [
            _Item(i.name, i.location, i.target, functools.partial(_read, i, scratch, numbers))
            for i in shard.images
        ]
        return
    path = Path(shard.tar)
    with ExitStack() as stack:
        try:
            if is_url(shard.tar):
                path = scratch / "source.tar"
                fetch(shard.tar, path, _MOST_TAR_BYTES)
            tar = stack.enter_context(opened_tar(path))
        except DataError as error:
            yield [_broken(shard, str(error))]
            return
        targets = distinct_targets((member.name for member in tar.images), dots=to != "tar")
        below = f"{shard.name}/" if to == "png" else ""
        items = [
            _Item(
                member.name,
                shard.tar,
                f"{below}{target}",
                functools.partial(_read_member, tar, member, shard.tar, scratch, numbers),
            )
            for member, target in zip(tar.images, targets, strict=True)
        ]
        if tar.fault:
            items.append(_broken(shard, tar.fault.replace(str(path), shard.tar)))
        yield items


def _broken(shard: Shard, reason: str) -> _Item:
    """What stands in the manifest for the images that a damaged tar does not give."""

    def read() -> Image:
        raise DataError(reason)

    return _Item(Path(shard.tar).name, shard.tar, "", read)


def _read(image: sources.Image, scratch: Path, numbers: Iterator[int]) -> Image:
    if not is_url(image.location):
        return read_image(Path(image.location))
    # Files that are fetched are named by number: a name from elsewhere is none here.
    path = scratch / f"{next(numbers)}-source{Path(image.name).suffix.lower()}"
    fetch(image.location, path, most_bytes(max_pixels()))
    return _read_copy(path, image.location)


def _read_member(
    tar: TarFile, member: Member, shown: str, scratch: Path, numbers: Iterator[int]
) -> Image:
    try:
        data = tar.read(member, most_bytes(max_pixels()))
    except DataError as error:
        raise DataError(str(error).replace(str(tar.path), shown)) from None
    path = scratch / f"{next(numbers)}-source{Path(member.name).suffix.lower()}"
    path.write_bytes(data)
    return _read_copy(path, f"{shown}: {printable(member.name)}")


def _read_copy(path: Path, shown: str) -> Image:
    """The image of a copy, which goes again; errors name what it is a copy of."""
    try:
        return read_image(path)
    except DataError as error:
        raise DataError(str(error).replace(str(path), shown)) from None
    finally:
        path.unlink()
