"""A data set of any format written as shards (`shards.py`): images byte for byte, labels as PNG."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2

from briskseg.core.errors import BriskError, DataError
from briskseg.core.files.atomic import written_whole
from briskseg.core.parallel import thread_map
from briskseg.core.types import Progress
from briskseg.data.check.fixed_copy import stored_image
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
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, int]:
    """Write SPLIT-000000.tar ... and classes.txt into `out`; how many pairs each split has there.

    jobs: split, name and pair, split by split. The same data give the same bytes. Dots in names
    become underscores: what follows a dot is WebDataset's.

    Raises DataError for a damaged file, or where two names become one; OSError as writing does.
    """
    names: dict[tuple[str, str], Pair] = {}
    for split, stem, pair in jobs:
        key = split, stem.replace(".", "_")
        if key in names:
            raise DataError(
                f"{pair.image} and {names[key].image} would both be '{key[1]}'; rename one"
            )
        names[key] = pair

    def read(job: tuple[tuple[str, str], Pair]) -> _Sample:
        (split, name), pair = job
        labels_hw = dataset.read_labels(pair)
        if dataset.size(pair) != labels_hw.shape:
            dataset.read(pair)  # which says so
        is_whole, png = cv2.imencode(".png", labels_hw)
        if not is_whole:
            raise BriskError(f"{pair.label}: its labels cannot be encoded as PNG")
        content, suffix = stored_image(dataset, pair)
        files = {f"{name}{suffix.lower()}": content, f"{name}.{LABELS}.png": png.tobytes()}
        return _Sample(split, files)

    written = dict.fromkeys(dataset.splits, 0)
    samples = thread_map(read, [*names.items()], progress=progress)
    for shard in _filled(samples, out, shard_bytes):
        written[shard] += 1
    dataset.labels.write_classes_txt(out / "classes.txt")
    return written


def _filled(samples: Iterator[_Sample], out: Path, shard_bytes: int) -> Iterator[str]:
    """Write the samples one after the other; the split of each that is written."""
    split, number, size = "", 0, 0
    with ExitStack() as stack:
        tar: tarfile.TarFile | None = None
        for sample in samples:
            own = sum(map(len, sample.files.values()))
            if tar is None or sample.split != split or size + own > shard_bytes:
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
            yield sample.split
