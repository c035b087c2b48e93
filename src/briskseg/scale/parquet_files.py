"""The Parquet files that `label` writes: manifests, a row an image, and labels as run lengths."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from briskseg.core.errors import BriskError, needs

with needs("briskseg label", "label"):
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass
class Row:
    """An image in the manifest.

    image, source: its name below what was named, or in its tar; the file or tar that it lies in.
    width, height in pixels. histogram: pixels of each class. confidence: the mean of the winning
    class's probability, None where the model gives labels alone. file: where its labels lie, from
    the output folder on, and `member`, their name in a tar. error: why there are none, else None.
    warning: why they are worth little though there are some, else None.
    """

    image: str
    source: str
    width: int | None = None
    height: int | None = None
    histogram: list[int] | None = None
    confidence: float | None = None
    file: str | None = None
    member: str | None = None
    error: str | None = None
    warning: str | None = None


_MANIFEST = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("histogram", pa.list_(pa.int64())),
        ("confidence", pa.float32()),
        ("file", pa.string()),
        ("member", pa.string()),
        ("error", pa.string()),
        ("warning", pa.string()),
    ]
)
_LABELS = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        ("values", pa.list_(pa.uint8())),
        ("lengths", pa.list_(pa.int32())),
        ("histogram", pa.list_(pa.int64())),
        ("confidence", pa.float32()),
    ]
)


def write_manifest(path: Path, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
    """Write a shard's rows. facts: the classes and what labeled, as JSON in the file's metadata."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=_MANIFEST)
    pq.write_table(table.replace_schema_metadata(_metadata(facts)), path, compression="zstd")


class Outcome(NamedTuple):
    """Of a `Row`, what a report counts, and where its labels must lie."""

    image: str
    file: str | None
    error: str | None
    confidence: float | None
    warning: str | None


def read_outcomes(data: bytes, name: str) -> list[Outcome]:
    """The rows of a manifest; those of before had no warning. Raises BriskError for a file that is
    no manifest."""
    try:
        source = pq.ParquetFile(io.BytesIO(data))
        columns = [column for column in Outcome._fields if column in source.schema_arrow.names]
        rows = source.read(columns).to_pylist()
        return [Outcome(**{"warning": None, **row}) for row in rows]
    except Exception as error:  # pyarrow has several
        raise BriskError(
            f"{name} cannot be read as a manifest ({error}); remove it, and give the same command "
            "again: its images are labeled again"
        ) from error


class LabelsWriter:
    """A Parquet shard of labels; `add` its images in order, then `close`."""

    # Of a row group, which is held in memory: images, and bytes of their runs.
    _GROUP, _GROUP_BYTES = 64, 64 * 1024**2

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        schema = _LABELS.with_metadata(_metadata(facts))
        self._schema, self._rows = schema, list[dict[str, Any]]()
        self._bytes = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def add(self, row: Row, runs: tuple[Any, Any]) -> None:
        shared = ("image", "width", "height", "histogram", "confidence")
        values, lengths = runs
        own = {"values": values, "lengths": lengths}
        self._rows.append({name: getattr(row, name) for name in shared} | own)
        self._bytes += values.nbytes + lengths.nbytes
        if len(self._rows) == self._GROUP or self._bytes >= self._GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


def _metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    return {"briskseg": json.dumps(facts, sort_keys=True)}
