"""How a shard's labels are written: a PNG an image, one tar, or one Parquet file of run lengths."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.images import pixel_runs, png_bytes
from briskseg.core.types import Labels
from briskseg.scale.parquet_files import LabelsWriter, Row
from briskseg.scale.storage import Storage


class Output(NamedTuple):
    """What takes a shard's labels.

    encode: (labels_hw, target, row) -> what `add` takes; says in the row where the labels will lie.
    target: their name without ending. Called by several threads at once.
    add: (row, encoded); writes what `encode` has made and not written. Called by one thread, in the
    images' order.
    """

    encode: Callable[[Labels, str, Row], Any]
    add: Callable[[Row, Any], None] = lambda row, encoded: None


# (storage, scratch folder, the shard's name, facts for the files) -> a context, at whose end what
# was made is put where it belongs, unless an exception ends it. Raises OSError where the scratch
# folder cannot be written, BriskError where the storage.
Opener = Callable[[Storage, Path, str, Mapping[str, Any]], AbstractContextManager[Output]]


@contextmanager
def png_output(
    storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
) -> Iterator[Output]:
    """TARGET.png: one channel of class indices."""
    numbers = itertools.count()

    def encode(labels_hw: Labels, target: str, row: Row) -> None:
        row.file = f"{target}.png"
        made = scratch / f"{next(numbers)}.png"
        made.write_bytes(png_bytes(labels_hw, row.file))
        storage.put(made, row.file)

    yield Output(encode)


@contextmanager
def tar_output(
    storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
) -> Iterator[Output]:
    """SHARD.tar of TARGET.png and TARGET.json (size, histogram, confidence), as WebDataset reads
    it; the same bytes whenever it is made."""
    name, made = f"{shard}.tar", scratch / "labels.tar"
    told = ("image", "width", "height", "histogram", "confidence")

    def encode(labels_hw: Labels, target: str, row: Row) -> tuple[str, bytes]:
        row.file, row.member = name, f"{target}.png"
        return target, png_bytes(labels_hw, row.member)

    def add(row: Row, encoded: tuple[str, bytes]) -> None:
        target, png = encoded
        said = json.dumps({key: getattr(row, key) for key in told}).encode()
        for member, data in ((f"{target}.png", png), (f"{target}.json", said)):
            info = tarfile.TarInfo(member)  # of no time and no owner
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    with tarfile.open(made, "w") as tar:
        yield Output(encode, add)
    storage.put(made, name)


@contextmanager
def parquet_output(
    storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
) -> Iterator[Output]:
    """labels/SHARD.parquet: run lengths, histogram and confidence, a row an image."""
    name, made = f"labels/{shard}.parquet", scratch / "labels.parquet"

    def encode(labels_hw: Labels, target: str, row: Row) -> Any:
        row.file = name
        values, lengths = pixel_runs(labels_hw)
        return values, lengths.astype(np.int32)

    with closing(LabelsWriter(made, facts)) as writer:
        yield Output(encode, writer.add)
    storage.put(made, name)


OUTPUTS: dict[str, Opener] = {"png": png_output, "tar": tar_output, "parquet": parquet_output}
