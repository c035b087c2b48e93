"""Lists that say which files make a split: a name a line, `image label` a line, or a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_LIST_BYTES, check_size
from briskseg.core.files.safe_names import printable
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.data.dataset import Pair, Unmatched
from briskseg.data.masks.layout import CANONICAL, SPLITS
from briskseg.data.matching import composed

_IMAGE_COLUMNS = {"image", "images", "image_path", "img", "filename", "file"}
_LABEL_COLUMNS = {"label", "labels", "mask", "masks", "label_path", "mask_path", "annotation"}
_SPLIT_COLUMNS = {"split", "set", "subset", "partition"}


class Entry(NamedTuple):
    """A line of a list: its number and what it names, the image and the label where it has both."""

    line: int
    image: str
    label: str | None = None
    split: str | None = None


def list_files(root: Path, templates: tuple[str, ...]) -> dict[str, Path]:
    """The list of each split that has one, by the templates, in which `{split}` is any of the
    words for it."""
    found = {}
    for split, words in SPLITS.items():
        paths = [root / t.replace("{split}", word) for t in templates for word in words]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[split] = path
    return found


def read_lines(path: Path) -> list[Entry]:
    """The lines of a list. Raises DataError for one that is damaged or too long."""
    check_size(path, MAX_LIST_BYTES)
    return _entries(path.read_text(encoding="utf-8-sig", errors="replace"))


def _entries(text: str) -> list[Entry]:
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().replace("\\", "/").replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        paths = [word for word in words if Path(word).suffix.lower() in IMAGE_SUFFIXES]
        if len(paths) == 2:
            entries.append(Entry(number, *paths))
        else:
            whole = line.strip().replace("\\", "/")
            entries.append(Entry(number, whole if paths and len(words) > 1 else words[0]))
    return entries


def choose(
    root: Path, pairs: tuple[Pair, ...], half: tuple[Unmatched, ...], lists: Mapping[str, Path]
) -> dict[str, tuple[Pair, ...]]:
    """The pairs that each list names. Of train and val alone, the other is the rest.

    half: files whose other half is missing; they are reported, and no error here. Raises DataError
    with file and line for a name that is no image.
    """
    known: dict[str, Pair] = {}
    for pair in pairs:
        path = pair.image.relative_to(root).as_posix()
        for name in (Path(pair.name).name, pair.name, path, str(Path(path).with_suffix(""))):
            known[composed(name)] = pair
    missing = {file.path.stem for file in half}
    splits: dict[str, tuple[Pair, ...]] = {}
    for split, file in lists.items():
        chosen = {}
        for entry in read_lines(file):
            name = composed(entry.image.lstrip("./"))
            found = known.get(name) or known.get(str(Path(name).with_suffix("")))
            found = found or known.get(Path(name).stem)
            if found is not None:
                chosen[found.name] = found
            elif Path(name).stem not in missing:
                raise DataError(
                    f"{file}, line {entry.line}: '{printable(name[:100])}' is no image of the data "
                    "set; remove the line, or restore the image and its labels"
                )
        splits[split] = tuple(chosen[name] for name in sorted(chosen))
    listed = {pair.name for some in splits.values() for pair in some}
    rest = tuple(pair for pair in pairs if pair.name not in listed)
    for split, other in (("train", "val"), ("val", "train")):
        if split not in splits and other in splits:
            splits[split] = rest
    return {split: splits[split] for split in SPLITS if split in splits}


def pair_lists(root: Path) -> list[Path]:
    """The lists in a folder whose lines name an image and its label: SPLIT.txt or SPLIT.lst, or one
    CSV with a header that has columns for both; only their first lines are read."""
    named = list_files(root, ("{split}.txt", "{split}.lst", "{split}_list.txt"))
    firsts = {path: first_entry(path) for path in named.values()}
    found = [path for path, first in firsts.items() if first is not None and first.label]
    if found:
        return found
    tables = (path for path in sorted(root.glob("*.csv")) if None not in _columns(path)[:2])
    return [*tables][:1]


def read_pairs(path: Path) -> list[Entry]:
    """The entries of such a list. Raises DataError with file and line for one without a label."""
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    split = CANONICAL[path.stem.removesuffix("_list").lower()]
    entries = [entry._replace(split=split) for entry in read_lines(path)]
    for entry in entries:
        if entry.label is None:
            raise DataError(
                f"{path}, line {entry.line}: names no label beside the image, as the first line "
                "does; complete or remove the line"
            )
    return entries


def first_entry(path: Path) -> Entry | None:
    """What the first line of a list names."""
    return next(iter(_entries(_first_line(path))), None)


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(65536).decode("utf-8-sig", errors="replace")
    return next((line for line in head.splitlines() if line.strip()), "")


def _columns(path: Path) -> list[int | None]:
    """Where a CSV's header has the image, the label and the split."""
    header = [field.strip().lower() for field in next(csv.reader([_first_line(path)]), [])]
    return [
        next((i for i, field in enumerate(header) if field in names), None)
        for names in (_IMAGE_COLUMNS, _LABEL_COLUMNS, _SPLIT_COLUMNS)
    ]


def _read_csv(path: Path) -> list[Entry]:
    check_size(path, MAX_LIST_BYTES)
    image, label, split = _columns(path)
    assert image is not None
    assert label is not None
    try:
        return [*_rows(path, image, label, split)]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it again") from error


def _rows(path: Path, image: int, label: int, split: int | None) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        for number, row in enumerate(rows, start=2):
            if not any(row):
                continue
            if len(row) <= max(image, label, split or 0):
                raise DataError(f"{path}, line {number}: {len(row)} columns, fewer than the header")
            word = row[split].strip().lower() if split is not None else ""
            if split is not None and word not in CANONICAL:
                raise DataError(
                    f"{path}, line {number}: the split '{printable(word[:40])}', expected "
                    f"{', '.join(SPLITS)}"
                )
            image_path, label_path = (row[i].strip().replace("\\", "/") for i in (image, label))
            yield Entry(number, image_path, label_path, CANONICAL.get(word))


def listed_pairs(
    root: Path, lists: Sequence[Path]
) -> tuple[dict[str, list[Pair]], tuple[Unmatched, ...]]:
    """The pairs of such lists by split ("all" where none is said), and files that are not there.

    Raises DataError where a path leads out of the data's folder.
    """
    splits: dict[str, list[Pair]] = {}
    missing = []
    for path in lists:
        for entry in read_pairs(path):
            image, label = (_inside(root, path, entry, p) for p in (entry.image, entry.label or ""))
            name = image.relative_to(root).with_suffix("").as_posix()
            split = entry.split or "all"
            if image.is_file() and label.is_file():
                splits.setdefault(split, []).append(Pair(name, image, label))
            elif image.is_file():
                missing.append(Unmatched("image without label", split, image))
            elif label.is_file():
                missing.append(Unmatched("label without image", split, label))
            else:
                raise DataError(
                    f"{path}, line {entry.line}: neither '{printable(entry.image[:100])}' nor its "
                    "label is there; remove the line, or restore both"
                )
    return splits, tuple(missing)


def _inside(root: Path, path: Path, entry: Entry, named: str) -> Path:
    found = root / named.lstrip("/")
    if not found.resolve().is_relative_to(root.resolve()) and ".." in Path(named).parts:
        raise DataError(
            f"{path}, line {entry.line}: '{printable(named[:100])}' leads out of {root}; name "
            "files by their path below it"
        )
    return found
