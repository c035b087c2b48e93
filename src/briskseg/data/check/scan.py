"""Every file of a data set read once, side by side, and kept in the user's cache by size and time.

What a file showed is used again while its size and time of change are the same. Files that could
not be read are not kept: the reason may pass.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.cache import cache_folder
from briskseg.core.files.atomic import write_whole
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.opencv import silenced
from briskseg.core.types import Progress
from briskseg.data.check.file_stats import (
    ImageFacts,
    LabelFacts,
    Trouble,
    read_image_facts,
    read_label_facts,
)
from briskseg.data.check.name_findings import rematch
from briskseg.data.dataset import Dataset, Found, Pair, Unmatched, split_by_seed
from briskseg.data.folder import VAL_SHARE

VERSION = 2  # of the facts: with another one nothing is taken from the cache


@dataclass
class PairFacts:
    """What one pair showed; what could not be read stays None and is in `troubles`.

    counts: the pixels of each class index, 255 ignored, where training reads the label file.
    unknown: the pixels of each value or RGB color that is no class.
    """

    split: str
    pair: Pair
    image: ImageFacts | None = None
    label: LabelFacts | None = None
    troubles: list[Trouble] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    unknown: dict[Any, int] = field(default_factory=dict)
    by_color: bool = False


@dataclass(frozen=True)
class Scan:
    """A whole data set's facts, which the checks judge. renamed: those of the facts whose label
    file has the image's name and something more."""

    dataset: Dataset
    unmatched: tuple[Unmatched, ...]
    renamed: tuple[PairFacts, ...]
    facts: tuple[PairFacts, ...]

    def counts(self, split: str | None = None) -> npt.NDArray[np.int64]:
        """(256,) int64: the pixels of each class index, 255 ignored, in a split or in all."""
        total = np.zeros(IGNORED + 1, np.int64)
        for fact in self.facts:
            if split in (None, fact.split):
                for index, pixels in fact.counts.items():
                    total[index] += pixels
        return total

    def images_with(self, split: str) -> npt.NDArray[np.int64]:
        """(256,) int64: the label files of a split in which each class index occurs."""
        images = np.zeros(IGNORED + 1, np.int64)
        for fact in self.facts:
            if fact.split == split:
                for index in fact.counts:
                    images[index] += 1
        return images

    def named(self, path: Path) -> Path:
        """A file as findings name it: relative to the data's folder."""
        return path.relative_to(self.dataset.root)


def scan_files(found: Found, seed: int = 0, progress: Progress | None = None) -> Scan:
    """Read every pair that is not in the cache; what cannot be read becomes a fact, no error.

    seed: of the split, where the data has none.
    """
    dataset, unmatched = found
    renamed, unmatched = rematch(unmatched)
    facts = [PairFacts(s, pair) for s, pairs in dataset.splits.items() for pair in pairs]
    late = {pair.label for _, pair in renamed}
    facts += [PairFacts(split, pair) for split, pair in renamed]
    if any(fact.split not in dataset.splits for fact in facts):  # renamed ones of a flat folder
        pairs = tuple(fact.pair for fact in facts)
        splits = split_by_seed(pairs, max(1, round(len(pairs) * VAL_SHARE)), seed)
        facts = [PairFacts(s, pair) for s, some in splits.items() for pair in some]
    cache = FactsCache(dataset.root)
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    with silenced():  # damage becomes a finding
        try:
            for done, fact in enumerate(pool.map(lambda fact: _read(fact, cache), facts), start=1):
                _decode(fact, dataset.labels)
                if progress is not None:
                    progress(done, len(facts))
            cache.forget_the_rest()
        finally:  # what an interrupted check has read is kept
            pool.shutdown(cancel_futures=True)
            cache.save()
    by_name = tuple(fact for fact in facts if fact.pair.label in late)
    return Scan(dataset, unmatched, by_name, tuple(facts))


def _read(fact: PairFacts, cache: FactsCache) -> PairFacts:
    image = cache.get("image", fact.pair.image, read_image_facts)
    label = cache.get("label", fact.pair.label, read_label_facts)
    fact.troubles = [found for found in (image, label) if isinstance(found, Trouble)]
    fact.image = image if isinstance(image, ImageFacts) else None
    fact.label = label if isinstance(label, LabelFacts) else None
    return fact


def _decode(fact: PairFacts, labels: LabelSet) -> None:
    """What the label set makes of the label file, as `LabelSet.read` would."""
    if fact.label is None:
        return
    held: dict[Any, int] = dict(fact.label.histogram)
    if fact.label.palette is not None:
        palette = {index: rgb(packed) for index, packed in fact.label.palette.items()}
        if labels.knows_palette(palette.values()):
            fact.by_color, held = True, _summed({i: palette[i] for i in palette}, held)
    elif fact.label.is_color:
        fact.by_color, held = True, {rgb(packed): n for packed, n in held.items()}
    known: dict[Any, int] = dict(labels.class_of_color if fact.by_color else labels.class_of_value)
    fact.unknown = {value: n for value, n in held.items() if value not in known}
    if not (fact.unknown or fact.label.clear or fact.label.is_lossy):
        fact.counts = _summed(known, held)


def _summed(key: dict[Any, Any], pixels: dict[Any, int]) -> dict[Any, int]:
    sums: dict[Any, int] = {}
    for value, n in pixels.items():
        sums[key[value]] = sums.get(key[value], 0) + n
    return sums


def rgb(packed: int) -> tuple[int, int, int]:
    """The color 0xRRGGBB as (red, green, blue)."""
    return packed >> 16, packed >> 8 & 255, packed & 255


class FactsCache:
    """The facts of one data set's files, in one JSON file of the user's cache."""

    def __init__(self, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
        self.path = cache_folder() / "check" / f"{name}.json"
        self.root = root
        self._kept = self._load()
        self._used: dict[str, Any] = {}
        self._is_new = False

    def get(self, what: str, path: Path, read: Callable[[Path], Any]) -> Any:
        """The facts of a file, kept or read by `read`; its Trouble is never kept."""
        try:
            status = path.stat()
        except OSError:
            return read(path)
        key, stamp = f"{what}:{path.relative_to(self.root)}", [status.st_size, status.st_mtime_ns]
        kept = self._kept.get(key)
        if kept is not None and kept[:2] == stamp:
            self._used[key] = kept
            facts = _from_json(what, kept[2])
            if facts is not None:
                return facts
        facts = read(path)
        if not isinstance(facts, Trouble):
            self._used[key] = [*stamp, _to_json(facts)]
            self._is_new = True
        return facts

    def forget_the_rest(self) -> None:
        """Every file was asked for: what is kept of others is of files that are gone."""
        self._is_new = self._is_new or len(self._used) < len(self._kept)
        self._kept = {}

    def save(self) -> None:
        """Write it; a cache that cannot be written costs only the next check's time."""
        if not self._is_new:
            return
        form = {
            "version": VERSION,
            "root": str(self.root.resolve()),
            "files": self._kept | self._used,
        }
        with suppress(OSError):
            write_whole(self.path, json.dumps(form, separators=(",", ":")))

    def _load(self) -> dict[str, Any]:
        try:
            form = json.loads(self.path.read_text(encoding="utf-8"))
            files = form["files"] if form["version"] == VERSION else {}
            return files if isinstance(files, dict) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # nothing kept, or damaged: everything is read again


def _to_json(facts: ImageFacts | LabelFacts) -> dict[str, Any]:
    form = asdict(facts)
    for name in ("histogram", "palette"):
        if form.get(name) is not None:
            form[name] = [*form[name], *form[name].values()]
    return form


def _from_json(what: str, form: Any) -> ImageFacts | LabelFacts | None:
    try:
        if what == "image":
            return ImageFacts(**form)
        tables = {}
        for name in ("histogram", "palette"):
            flat = form[name]
            half = len(flat or ()) // 2
            tables[name] = (
                None if flat is None else dict(zip(flat[:half], flat[half:], strict=True))
            )
        return LabelFacts(**(form | tables))
    except (KeyError, TypeError, ValueError):
        return None
