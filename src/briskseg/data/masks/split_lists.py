"""Lists that say which files make a split: a name a line, `image label` a line, or a CSV.

Those that name both are a layout of their own, "lists": PaddleSeg's, or a CSV of one's own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.files.limits import MAX_LIST_BYTES, read_text
from briskseg.core.files.safe_names import printable
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.data.dataset import Format, Found, MaskDataset, Pair, Unmatched, refuse_class_set
from briskseg.data.masks.class_files import no_classes, own_classes
from briskseg.data.masks.layout import CANONICAL, SPLITS
from briskseg.data.matching import composed, split_by_seed

_TEXT = "train.txt and val.txt with `IMAGE LABEL` lines (PaddleSeg), or a CSV of image,label,split"
_IMAGE_COLUMNS = {"image", "images", "image_path", "img", "filename", "file"}
_LABEL_COLUMNS = {"label", "labels", "mask", "masks", "label_path", "mask_path", "annotation"}
_SPLIT_COLUMNS = {"split", "set", "subset", "partition"}
_SUFFIX = "(?:" + "|".join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES)) + ")"
# Two files in a line, with spaces in their names or not, and what PaddleSeg may have between them.
_PAIR = re.compile(rf"(.+?{_SUFFIX})[\s,;|]+(\S.*?{_SUFFIX})(?=[\s,;|]|$)", re.IGNORECASE)


class Line(NamedTuple):
    """A line of a list: its number and what it names, the image and the label where it has both."""

    number: int
    image: str
    label: str = ""
    split: str = "all"


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


def _read_lines(path: Path) -> list[Line]:
    """The lines of a list. Raises DataError for one that is damaged or too long."""
    return _lines(read_text(path, MAX_LIST_BYTES, errors="replace"))


def _lines(text: str) -> list[Line]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        whole = line.strip().replace("\\", "/")
        words = re.split(r"[\s,;|]+", whole.strip(",;|"))
        if not words[0] or words[0].startswith("#"):
            continue
        paths = [word for word in words if Path(word).suffix.lower() in IMAGE_SUFFIXES]
        if len(paths) == 2 and (pair := _PAIR.match(whole)):
            lines.append(Line(number, *pair.groups()))
        else:
            lines.append(Line(number, whole if paths and len(words) > 1 else words[0]))
    return lines


def choose(
    root: Path, pairs: tuple[Pair, ...], half: tuple[Unmatched, ...], lists: Mapping[str, Path]
) -> tuple[dict[str, tuple[Pair, ...]], tuple[Unmatched, ...]]:
    """The pairs that each list names, and what a list names that is none. Of train and val alone,
    the other is the rest.

    half: files whose other half is missing. Raises DataError with file and line for a name that is
    several images in subfolders.
    """
    by_path: dict[str, Pair] = {}
    by_file: dict[str, list[Pair]] = {}
    for pair in pairs:
        for name in (pair.name, pair.image.relative_to(root).with_suffix("").as_posix()):
            by_path[composed(name)] = pair
        by_file.setdefault(composed(Path(pair.name).name), []).append(pair)
    halves: dict[str, list[Unmatched]] = {}
    for file in half:
        halves.setdefault(composed(file.path.stem), []).append(file)
    missed: dict[Path, Unmatched] = {}
    splits: dict[str, tuple[Pair, ...]] = {}
    for split, path in lists.items():
        chosen = {}
        for line in _read_lines(path):
            name = composed(line.image.lstrip("./"))
            suffix, *_ = Path(name).suffix.lower().split(" ")  # words may follow a file's name
            stem = str(Path(name).with_suffix("")) if suffix in IMAGE_SUFFIXES else name
            said = f"{path.relative_to(root)}, line {line.number}: '{printable(line.image[:100])}'"
            half_named = halves.get(Path(stem).name, [])
            alike = by_file.get(stem, [])
            found = _by_its_path(stem, by_path) or (alike[0] if len(alike) == 1 else None)
            if found is not None:
                chosen[found.name] = found
                beside = found.image.parent, found.label.parent
                half_named = [file for file in half_named if file.path.parent in beside]
            elif alike:
                raise DataError(
                    f"{root}: {said} is {len(alike)} images in subfolders, as {alike[0].name} and "
                    f"{alike[1].name}; write the folder too"
                )
            elif not half_named:
                absent = root / printable(name[:100])
                listed = f"{said} is no image of the data set"
                missed.setdefault(absent, Unmatched("missing file", split, absent, listed))
            for file in half_named:
                listed = f"{said}: {file.problem} ({file.path.relative_to(root)})"
                missed.setdefault(file.path, replace(file, listed=listed))
        splits[split] = tuple(chosen[name] for name in sorted(chosen))
    taken = {pair.name for some in splits.values() for pair in some}
    rest = tuple(pair for pair in pairs if pair.name not in taken)
    for split, other in (("train", "val"), ("val", "train")):
        if split not in splits and other in splits:
            splits[split] = rest
    return {split: splits[split] for split in SPLITS if split in splits}, tuple(missed.values())


def _by_its_path(stem: str, by_path: Mapping[str, Pair]) -> Pair | None:
    """The pair of a path, of which the first folders may be those of another machine."""
    parts = stem.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((by_path[tail] for tail in tails if tail in by_path), None)


def pair_lists(root: Path) -> list[Path]:
    """The lists in a folder whose lines name an image and its label: SPLIT.txt or SPLIT.lst, or one
    CSV with a header that has columns for both; only their first lines are read."""
    named = list_files(root, ("{split}.txt", "{split}.lst", "{split}_list.txt"))
    firsts = {path: _lines(_first_line(path)) for path in named.values()}
    found = [path for path, first in firsts.items() if first and first[0].label]
    if found:
        there = (root / firsts[path][0].image.lstrip("/") for path in found)
        return found if any(image.is_file() for image in there) else []
    tables = (p for p in sorted(root.glob("*.csv")) if p.is_file() and None not in _columns(p)[:2])
    return [*tables][:1]


def find(root: Path, classes: str | None, seed: int) -> Found:
    """The pairs that the lists name; where they name no split, it is drawn by the seed.

    Raises DataError where a path leads out of the data's folder.
    """
    refuse_class_set(root, classes, "the folder's classes.txt")
    lists = pair_lists(root)
    pairs: dict[str, dict[str, Pair]] = {}
    missing = []
    for path in lists:
        for line in _read_csv(path) if path.suffix.lower() == ".csv" else _read_pairs(path):
            image, label = (_inside(root, path, line, p) for p in (line.image, line.label))
            name = image.relative_to(root).with_suffix("").as_posix()
            some = pairs.setdefault(line.split, {})
            if name not in some and image.is_file() and label.is_file():
                some[name] = Pair(name, image, label)
            else:
                missing.append(_no_pair(root, path, line, image, label))
    splits = {split: tuple(some[name] for name in sorted(some)) for split, some in pairs.items()}
    is_drawn = "all" in splits
    if is_drawn:
        splits = split_by_seed(splits["all"], seed)
    found = own_classes(root)
    if found is None:
        raise no_classes(root, _TEXT, [pair for some in splits.values() for pair in some])
    about: dict[str, Any] = {"split_seed": seed if is_drawn else None}
    about["lists"] = (*found.files, *lists)
    return MaskDataset("lists", root, found.labels, splits, **about), tuple(missing)


def _no_pair(root: Path, path: Path, line: Line, image: Path, label: Path) -> Unmatched:
    """What is wrong with a line that makes no pair."""
    named, its_label = (f"'{printable(text[:100])}'" for text in (line.image, line.label))
    if not image.is_file() and not label.is_file():
        problem, said = "missing file", f"neither {named} nor its label is there"
    elif not label.is_file():
        problem, said = "image without label", f"{its_label}, the label of {named}, is not there"
    elif not image.is_file():
        problem, said = "label without image", f"{named}, the image of {its_label}, is not there"
    else:
        problem, said = "name used twice", f"{named} stands in a line before it too"
    file = label if problem == "label without image" else image
    listed = f"{path.relative_to(root)}, line {line.number}: {said}"
    return Unmatched(problem, line.split, file, listed)


def _read_pairs(path: Path) -> list[Line]:
    """The lines of a list of pairs. Raises DataError with file and line for one without a label."""
    split = CANONICAL[path.stem.removesuffix("_list").lower()]
    lines = [line._replace(split=split) for line in _read_lines(path)]
    for line in lines:
        if not line.label:
            raise DataError(
                f"{path}, line {line.number}: names no label beside the image, as the first line "
                "does; complete or remove the line"
            )
    return lines


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


def _read_csv(path: Path) -> list[Line]:
    image, label, split = _columns(path)
    assert image is not None
    assert label is not None
    try:
        text = read_text(path, MAX_LIST_BYTES, errors="replace")
        rows = [*csv.reader(io.StringIO(text))]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it again") from error
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if len(row) <= max(image, label, split or 0):
            raise DataError(f"{path}, line {number}: {len(row)} columns, fewer than the header")
        word = row[split].strip().lower() if split is not None else "all"
        if word not in CANONICAL and split is not None:
            raise DataError(
                f"{path}, line {number}: the split '{printable(word[:40])}', expected "
                f"{', '.join(SPLITS)}"
            )
        first, second = (row[i].strip().replace("\\", "/") for i in (image, label))
        lines.append(Line(number, first, second, CANONICAL.get(word, "all")))
    return lines


def _inside(root: Path, path: Path, line: Line, named: str) -> Path:
    found = root / named.lstrip("/")
    if not found.resolve().is_relative_to(root.resolve()) and ".." in Path(named).parts:
        raise DataError(
            f"{path}, line {line.number}: '{printable(named[:100])}' leads out of {root}; name "
            "files by their path below it"
        )
    return found


FORMAT = Format(lambda root: bool(pair_lists(root)), find, (_TEXT,))
