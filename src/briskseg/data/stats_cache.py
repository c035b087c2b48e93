"""What files of a data set hold, remembered in the user's cache folder by their size and time.

    $BRISKSEG_CACHE/check/HASH.json   one file a data set

Files that could not be read are not remembered: the reason may pass.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from briskseg.core.files import cache_folder
from briskseg.core.files.atomic import write_whole
from briskseg.core.labels import IGNORED
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.file_stats import FileProblem, ImageStats, LabelStats

VERSION = 12  # of the numbers: those of another one are not used

_IMAGE, _LABELS = TypeAdapter(ImageStats), TypeAdapter(LabelStats)

What = Literal["image", "labels"]
Stats = TypeVar("Stats", bound=ImageStats | LabelStats | FileProblem)


class StatsCache:
    """The numbers of one data set's files; `save` writes what is new."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        name = hashlib.sha256(os.fsencode(dataset.root.resolve())).hexdigest()[:24]
        self.path = cache_folder() / "check" / f"{name}.json"
        self._known = self._load()
        self._used: dict[str, Any] = {}
        self._is_new = False
        self._classes = ""
        if settings := dataset.scan_settings():
            self._classes = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]

    def image(self, pair: Pair) -> ImageStats | FileProblem:
        """The numbers of a pair's image, remembered or read now."""
        return self._get("image", pair, self.dataset.scan_image)

    def labels(self, pair: Pair) -> LabelStats | FileProblem:
        """The numbers of a pair's labels, remembered or read now."""
        return self._get("labels", pair, self.dataset.scan_labels)

    def remembered_labels(self, pair: Pair) -> LabelStats | None:
        """Those of a pair's labels if they are remembered; no label file is read."""
        stats: LabelStats | None = self._remembered("labels", *self._key("labels", pair))
        return stats

    def forget_the_rest(self) -> None:
        """Every file was asked for: what is remembered of others is of files that are gone."""
        self._is_new = self._is_new or len(self._used) < len(self._known)
        self._known = {}

    def save(self) -> None:
        """Write it; a cache that cannot be written costs only the next check's time."""
        if not self._is_new:
            return
        content = {
            "version": VERSION,
            "root": str(self.dataset.root.resolve()),
            "files": self._known | self._used,
        }
        with suppress(OSError):
            write_whole(self.path, json.dumps(content, separators=(",", ":")))

    def _key(self, what: What, pair: Pair) -> tuple[str, list[int] | None]:
        """Under what a file's numbers are remembered, and its size and time of change; None where
        there is no such file."""
        path = pair.image if what == "image" else pair.label
        key = f"{what}:{os.path.relpath(path, self.dataset.root)}"
        if what == "labels" and self._classes:
            key = f"{key}:{os.path.relpath(pair.image, self.dataset.root)}:{self._classes}"
        files = (path,) if what == "image" else self.dataset.label_files(pair)
        try:
            status = [file.stat() for file in files]
        except OSError:
            return key, None
        return key, [sum(s.st_size for s in status), max(s.st_mtime_ns for s in status)]

    def _get(self, what: What, pair: Pair, scan: Callable[[Pair], Stats]) -> Stats:
        key, stamp = self._key(what, pair)  # before the file is read: it may change meanwhile
        remembered: Stats | None = self._remembered(what, key, stamp)
        if remembered is not None:
            return remembered
        stats = scan(pair)
        if stamp is not None and not isinstance(stats, FileProblem):
            self._used[key] = [*stamp, vars(stats)]
            self._is_new = True
        return stats

    def _remembered(self, what: What, key: str, stamp: list[int] | None) -> Any:
        entry = self._known.get(key)
        if stamp is None or not isinstance(entry, list) or len(entry) != 3 or entry[:2] != stamp:
            return None
        stats = _from_json(what, entry[2])
        if stats is not None:
            self._used[key] = entry
        return stats

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            files = content["files"] if content["version"] == VERSION else {}
            return files if isinstance(files, dict) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # nothing there, or damaged: everything is read again


def _from_json(what: What, content: Any) -> ImageStats | LabelStats | None:
    try:
        if what == "image":
            return _IMAGE.validate_python(content)
        stats = _LABELS.validate_python(content)
    except ValidationError:
        return None  # damaged: the file is read again
    fits = not stats.is_decoded or all(0 <= index <= IGNORED for index in stats.histogram)
    return stats if fits and all(0 <= n < 1 << 53 for n in stats.histogram.values()) else None
