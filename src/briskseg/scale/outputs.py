"""How a shard's labels are written: a PNG an image, one tar, or one Parquet file of run lengths.

`encode` is called by several threads at once, `add` with its results by one, in the images' order.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from briskseg.core.images import pixel_runs, png_bytes
from briskseg.core.types import Labels
from briskseg.scale.parquet_files import LabelsWriter, Row
from briskseg.scale.storage import Storage


class Output(ABC):
    """A context: at its end what was made is put where it belongs, unless an exception ends it.

    Made with storage, scratch folder, the shard's name, and facts for the files. Raises OSError
    where the scratch folder cannot be written, BriskError where the storage.
    """

    @abstractmethod
    def __init__(
        self, storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
    ) -> None: ...

    @abstractmethod
    def encode(self, labels_hw: Labels, target: str, row: Row) -> Any:
        """What `add` takes; says in the row where the labels will lie. target: their name without
        ending."""

    def add(self, row: Row, encoded: Any) -> None:  # noqa: B027 (`encode` may have written it)
        """Write what `encode` has made."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        return None


class PngOutput(Output):
    """TARGET.png: one channel of class indices."""

    def __init__(
        self, storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
    ) -> None:
        self._storage, self._scratch = storage, scratch
        self._numbers = itertools.count()

    def encode(self, labels_hw: Labels, target: str, row: Row) -> None:
        row.file = f"{target}.png"
        made = self._scratch / f"{next(self._numbers)}.png"
        made.write_bytes(png_bytes(labels_hw, row.file))
        self._storage.put(made, row.file)


class TarOutput(Output):
    """SHARD.tar of TARGET.png and TARGET.json (size, histogram, confidence), as WebDataset reads
    it; the same bytes whenever it is made."""

    def __init__(
        self, storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
    ) -> None:
        self._storage, self._name, self._made = storage, f"{shard}.tar", scratch / "labels.tar"
        self._tar = tarfile.open(self._made, "w")  # noqa: SIM115 (`__exit__` closes it)

    def encode(self, labels_hw: Labels, target: str, row: Row) -> bytes:
        row.file, row.member = self._name, f"{target}.png"
        return png_bytes(labels_hw, row.member)

    def add(self, row: Row, encoded: bytes) -> None:
        assert row.member is not None
        facts = {
            "image": row.image,
            "width": row.width,
            "height": row.height,
            "histogram": row.histogram,
            "confidence": row.confidence,
        }
        self._append(row.member, encoded)
        self._append(f"{row.member.removesuffix('.png')}.json", json.dumps(facts).encode())

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._tar.close()
        if kind is None:
            self._storage.put(self._made, self._name)

    def _append(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # of no time and no owner
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))


class ParquetOutput(Output):
    """labels/SHARD.parquet: run lengths, histogram and confidence, a row an image."""

    def __init__(
        self, storage: Storage, scratch: Path, shard: str, facts: Mapping[str, Any]
    ) -> None:
        self._storage, self._name = storage, f"labels/{shard}.parquet"
        self._made = scratch / "labels.parquet"
        self._writer = LabelsWriter(self._made, facts)

    def encode(self, labels_hw: Labels, target: str, row: Row) -> Any:
        row.file = self._name
        values, lengths = pixel_runs(labels_hw)
        return values, lengths.astype(np.int32)

    def add(self, row: Row, encoded: Any) -> None:
        self._writer.add(row, encoded)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._writer.close()
        if kind is None:
            self._storage.put(self._made, self._name)


OUTPUTS: dict[str, type[Output]] = {"png": PngOutput, "tar": TarOutput, "parquet": ParquetOutput}
