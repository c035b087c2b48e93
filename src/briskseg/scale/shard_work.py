"""A shard in, a shard out: its labels, then its manifest, which says that it is done.

What is not in a manifest is done again and gives the same bytes, so a job that was killed goes on
with the same command, and it makes no difference who labels a shard.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from briskseg.core.errors import BriskError, DataError, WeightsError
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.limits import MAX_SHARD_MEMBERS, max_pixels
from briskseg.core.files.pictures import most_bytes
from briskseg.core.files.safe_names import check_file_name, printable
from briskseg.core.files.tar_members import Member, TarMember, read_members
from briskseg.core.images import IMAGE_SUFFIXES, read_as_black, read_image
from briskseg.core.parallel import pipelined
from briskseg.core.process_settings import opencv_silenced
from briskseg.core.types import Image, Labels
from briskseg.core.wording import counted
from briskseg.runtime.backends.exported_backend import ExportedBackend
from briskseg.runtime.load import open_file
from briskseg.runtime.predictor import Predictor
from briskseg.scale.outputs import OUTPUTS
from briskseg.scale.parquet_files import Outcome, Row, write_manifest
from briskseg.scale.sources import Shard, distinct_targets, is_tar_name
from briskseg.scale.storage import fetch, fetched, is_url, local_path, open_storage

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
    """What became of a shard: its images, (image, reason) of those that failed, (tar, reason) of
    one that does not give all of its own, how many images are labeled without a confidence, and
    (image, warning) of those whose labels are worth little."""

    images: int
    failed: list[tuple[str, str]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    unsure: int = 0
    warned: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[Outcome | Row]) -> Done:
        """From the rows of a manifest."""
        images, unsure = 0, 0
        failed: list[tuple[str, str]] = []
        broken: list[tuple[str, str]] = []
        warned: list[tuple[str, str]] = []
        for row in rows:
            is_tar = is_tar_name(row.image)  # no image's name ends so
            images += not is_tar
            unsure += row.error is None and row.confidence is None
            if row.error is not None:
                (broken if is_tar else failed).append((row.image, row.error))
            if row.warning is not None:
                warned.append((row.image, row.warning))
        return cls(images, failed, broken, unsure, warned)


_Read = tuple[Image, str]


class _Item(NamedTuple):
    """An image of a shard. read: gives it, (H, W, 3), and a warning or "", or raises DataError."""

    name: str
    source: str
    target: str
    read: Callable[[], _Read]


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
        with opencv_silenced():  # what is damaged is told in the manifest
            rows = _written(work, shard, predictor, note)
    except OSError as error:
        raise BriskError(
            f"{error.filename or work.out} cannot be written: {error.strerror or error}; make "
            "room, and give the same command again to go on"
        ) from error
    return Done.of(rows)


def _written(work: Work, shard: Shard, predictor: Predictor, note: Note) -> list[Row]:
    """Write the shard's labels and manifest; its rows."""
    storage, classes = open_storage(work.out), predictor.card.labels.names
    facts = predictor.ran._asdict() | {"classes": classes, "file": Path(work.file).name}
    rows: list[Row] = []
    with storage.scratch(shard.number) as scratch, _items(shard, scratch, work.to) as items:
        note(len(items), 0)
        opened = OUTPUTS[work.to](storage, scratch, shard.name, facts)

        def infer(found: tuple[_Item, _Read | DataError]) -> tuple[_Item, Row, Labels | None]:
            item, read = found
            row = Row(printable(item.name), printable(item.source))
            if isinstance(read, DataError):
                row.error = printable(str(read))
                return item, row, None
            image, warning = read
            row.warning = warning or None
            try:
                labels_hw, row.confidence = predictor.with_confidence(image)
            except WeightsError as error:
                raise WeightsError(f"{row.image}: {error}") from None
            return item, row, labels_hw

        def encode(labeled: tuple[_Item, Row, Labels | None]) -> tuple[Row, object]:
            item, row, labels_hw = labeled
            if labels_hw is None:
                return row, None
            row.height, row.width = labels_hw.shape
            row.histogram = np.bincount(labels_hw.reshape(-1), minlength=len(classes)).tolist()
            return row, output.encode(labels_hw, item.target, row)

        with opened as output, closing(pipelined(items, _image_of, infer, encode)) as done:
            for row, encoded in done:
                if row.error is None:
                    output.add(row, encoded)
                rows.append(row)
                note(0, 1)
        made = scratch / "manifest.parquet"
        write_manifest(made, rows, facts)
        storage.settle()  # the manifest must not be there without what it tells of
        storage.put(made, f"{MANIFEST}/{manifest_name(shard)}")
        storage.settle()
    return rows


def _image_of(item: _Item) -> tuple[_Item, _Read | DataError]:
    try:
        for part in PurePosixPath(item.name).parts:
            check_file_name(Path(part))
        return item, item.read()
    except DataError as error:
        return item, error


@functools.lru_cache(maxsize=1)  # one a process, for all its shards
def _predictor(file: str, backend: str, threads: int) -> Predictor:
    predictor = open_file(Path(file), backend, threads)
    if isinstance(predictor.backend, ExportedBackend) and predictor.card.input.size is None:
        predictor.backend.sizes = 0  # else labels would depend on the sizes that came before
    return predictor


@contextmanager
def _items(shard: Shard, scratch: Path, to: str) -> Iterator[list[_Item]]:
    """The images of a shard; what is wrong with a tar as a whole is one more that fails."""
    if not shard.tar:
        read = [functools.partial(_read, image.location) for image in shard.images]
        pairs = zip(shard.images, read, strict=True)
        yield [_Item(i.name, i.location, i.target, read_it) for i, read_it in pairs]
        return
    archive = local_path(shard.tar)
    try:
        if is_url(shard.tar):
            archive = scratch / "source.tar"
            fetch(shard.tar, archive, _MOST_TAR_BYTES)
    except DataError as error:
        yield [_broken(shard, str(error))]
        return
    members, fault = _images_in(archive)
    targets = distinct_targets((member.name for member in members), dots=to != "tar")
    below = f"{shard.name}/" if to == "png" else ""
    items = [
        _Item(
            member.name,
            shard.tar,
            f"{below}{target}",
            functools.partial(_read_member, archive, member, shard.tar),
        )
        for member, target in zip(members, targets, strict=True)
    ]
    if fault:
        items.append(_broken(shard, fault.replace(str(archive), shard.tar)))
    yield items


def _images_in(archive: Path) -> tuple[list[Member], str]:
    """The images of a tar in its order: members `KEY.jpg` (or another image's ending), KEY without
    a dot in its last part, as WebDataset has it; `KEY.seg.png` is no image. And why there are no
    more, or ""."""
    images: list[Member] = []
    try:
        for member in read_members(archive, MAX_SHARD_MEMBERS):
            key, _, ending = PurePosixPath(member.name).name.partition(".")
            if key and f".{ending.lower()}" in IMAGE_SUFFIXES:
                images.append(member)
    except DataError as error:
        return images, f"{error}; {counted(len(images), 'image')} before that were found"
    if images:
        return images, ""
    return [], (
        f"{archive}: holds no image, expected members KEY.jpg, KEY.png ... without a second dot in "
        "their name"
    )


def _broken(shard: Shard, reason: str) -> _Item:
    """What stands in the manifest for the images that a damaged tar does not give."""

    def read() -> _Read:
        raise DataError(reason)

    return _Item(Path(shard.tar).name, shard.tar, "", read)


def _read(location: str) -> _Read:
    try:
        file = Path(location)
        if is_url(location):
            file = InMemory.of(file, fetched(location, most_bytes(max_pixels())))
        return _read_file(file)
    except DataError as error:  # a path has no "//"
        raise DataError(str(error).replace(str(Path(location)), location)) from None


def _read_member(archive: Path, member: Member, shown: str) -> _Read:
    try:
        if member.fault:
            raise DataError(f"{archive}: {printable(member.name)} {member.fault}")
        return _read_file(TarMember.of(archive, member))
    except DataError as error:
        raise DataError(str(error).replace(str(archive), shown)) from None


def _read_file(path: Path) -> _Read:
    image = read_image(path)
    return image, read_as_black(image, path)
