"""A data set of any format written as shards (`shards.py`): images byte for byte, labels as PNG."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from briskseg.core.files.atomic import written_whole
from briskseg.core.images import png_bytes
from briskseg.core.parallel import thread_map
from briskseg.core.types import Progress
from briskseg.data.check.fixed_copy import stored_pair
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.shards import LABELS

SHARD_BYTES = 256 * 1024 * 1024  # of images and labels; then the next one begins


class _Sample(NamedTuple):
    split: str
    files: dict[str, bytes]  # by their names in the archive


def write_shards(
    dataset: Dataset,
    out: Path,
    jobs: list[tuple[str, str, Pair]],
    progress: Progress | None = None,
) -> None:
    """Write SPLIT-000000.tar ... and classes.txt into `out`.

    jobs: split, name without dots, and pair, split by split. The same data give the same bytes.

    Raises DataError for a damaged file; OSError as writing does.
    """

    def read(job: tuple[str, str, Pair]) -> _Sample:
        split, name, pair = job
        labels_hw, content, suffix = stored_pair(dataset, pair)
        png = png_bytes(labels_hw, str(pair.label))
        return _Sample(split, {f"{name}{suffix.lower()}": content, f"{name}.{LABELS}.png": png})

    _fill(thread_map(read, jobs, progress=progress), out)
    dataset.labels.write_classes_txt(out / "classes.txt")


def _fill(samples: Iterator[_Sample], out: Path) -> None:
    """Write the samples one after the other."""
    split, number, size = "", 0, 0
    with ExitStack() as stack:
        tar: tarfile.TarFile | None = None
        for sample in samples:
            own = sum(map(len, sample.files.values()))
            if tar is None or sample.split != split or size + own > SHARD_BYTES:
                number = number + 1 if sample.split == split else 0
                split, size = sample.split, 0
                stack.close()  # which names the one before
                part = stack.enter_context(written_whole(out / f"{split}-{number:06d}.tar"))
                tar = stack.enter_context(tarfile.open(part, "w", format=tarfile.PAX_FORMAT))
            for name, content in sample.files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            size += own
