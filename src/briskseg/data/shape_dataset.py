"""Data sets whose labels are shapes: their classes, their splits, and the contract's arrays.

What holds for every tool: a pixel in no shape is of class `background`, the first one, or ignored
where that was asked for; shapes of a class named ignore, void or unlabeled are ignored. Which of
two shapes lies on top is the tool's own rule, and so in the format's file.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.safe_names import printable
from briskseg.core.labels import IGNORED, RGB, LabelSet
from briskseg.core.labels.class_list import ClassList, read_class_list
from briskseg.core.types import Labels
from briskseg.data.annotations import ImageIndex
from briskseg.data.dataset import Dataset, Found, Pair, Unmatched
from briskseg.data.file_stats import FileProblem, LabelStats, decoded_stats
from briskseg.data.masks.finder import VAL_SHARE
from briskseg.data.masks.layout import CANONICAL
from briskseg.data.matching import split_by_seed
from briskseg.data.shapes import Patch, Size, paint

BACKGROUND = "background"
_IGNORED_NAMES = {"ignore", "ignored", "void", "unlabeled", "unlabelled"}


class Drawing(NamedTuple):
    """The shapes of an image, the lowest first: (class name, pixels); None in a name's place:
    ignored. left_out: how many shapes of each kind are no areas, by what they are."""

    size_hw: Size
    shapes: Sequence[tuple[str | None, Patch]]
    left_out: Mapping[str, int] = {}


@dataclass(frozen=True)
class ShapeClasses:
    """labels: the classes. index: of every name that a shape may have, its class or `IGNORED`.
    unlabeled: what a pixel in no shape is. files: the list that was read, where there is one."""

    labels: LabelSet
    index: Mapping[str, int]
    unlabeled: int = 0
    files: tuple[Path, ...] = ()

    def without_unlabeled(self) -> ShapeClasses:
        """The same classes, with pixels in no shape ignored; `background` goes unless shapes may
        have it."""
        if BACKGROUND not in self.labels.names or any(i == 0 for i in self.index.values()):
            return replace(self, unlabeled=IGNORED)
        if len(self.labels.names) == 1:
            raise RequestError("no class is left but the pixels in no shape; label something")
        labels = LabelSet(self.labels.names[1:], self.labels.colors[1:])
        index = {name: i if i == IGNORED else i - 1 for name, i in self.index.items()}
        return ShapeClasses(labels, index, IGNORED)


@dataclass(frozen=True)
class ShapeDataset(Dataset):
    """A data set of shapes. content: by image, what the format's `drawing` makes shapes of."""

    classes: ShapeClasses
    content: Mapping[Path, Any] = field(default_factory=dict, repr=False)

    # Whether an image without a label file, or with an empty one, is all background.
    absent_is_empty: ClassVar[bool] = False

    def drawing(self, pair: Pair) -> Drawing:
        """The shapes of a pair. Raises DataError naming the file and the key or line."""
        raise NotImplementedError

    def ignoring_unlabeled(self) -> ShapeDataset:
        """The same data, with the pixels in no shape ignored."""
        classes = self.classes.without_unlabeled()
        return replace(self, labels=classes.labels, classes=classes)

    def of_classes(self, names: tuple[str, ...]) -> Dataset:
        """Ignores unlabeled pixels where the model has all classes but `background`."""
        lacks_background = self.names[0] == BACKGROUND and self.names[1:] == names
        return self.ignoring_unlabeled() if lacks_background else self

    def scan_settings(self) -> dict[str, Any]:
        """The classes, and what each name and a pixel in no shape are of."""
        classes = self.classes
        return {"index": {**classes.index}, "unlabeled": classes.unlabeled}

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8, of the size that the annotations state."""
        return self._painted(pair, self.drawing(pair))

    def scan_labels(self, pair: Pair) -> LabelStats | FileProblem:
        """As the contract's, with the shapes that were left out."""
        left_out: dict[str, int] = {}

        def read() -> Labels:
            drawing = self.drawing(pair)
            left_out.update(drawing.left_out)
            return self._painted(pair, drawing)

        stats = decoded_stats(pair.label, read, self.absent_is_empty)
        if isinstance(stats, FileProblem):
            return replace(stats, path=pair.labels_at)
        return replace(stats, left_out=left_out)

    def _painted(self, pair: Pair, drawing: Drawing) -> Labels:
        index = self.classes.index
        for name, _ in drawing.shapes:
            if name is not None and name not in index:
                known = nearest(name, index)
                raise DataError(
                    f"{pair.label}: a shape of the class '{printable(name[:100])}', which is none; "
                    f"{known}; correct the shape, or add the class"
                )
        values = ((IGNORED if n is None else index[n], patch) for n, patch in drawing.shapes)
        return paint(drawing.size_hw, self.classes.unlabeled, values)


def classes_of(
    root: Path,
    names: Iterable[str],
    colors: Mapping[str, RGB] | None = None,
    to_ignore: Collection[str] = (),
) -> ShapeClasses:
    """The classes of shapes that may have these names, `background` first, the others in this
    order. A name that comes twice is one class. to_ignore: those of the names that are ignored,
    beside the customary ones. Raises DataError naming the root where none is a
    class."""
    order = [*dict.fromkeys(names)]
    plain = {name: name.strip().strip("_").casefold() for name in order}
    ignored = [name for name in order if plain[name] in _IGNORED_NAMES or name in to_ignore]
    background = [n for n in order if plain[n] == BACKGROUND and n not in ignored]
    others = [name for name in order if name not in {*ignored, *background}]
    if not others and not background:
        raise DataError(
            f"{root}: no shape has a class; label something, or look at what was exported"
        )
    index = {name: i for i, name in enumerate(others, start=1)}
    index |= dict.fromkeys(background, 0) | dict.fromkeys(ignored, IGNORED)
    listed = (BACKGROUND, *others)
    if colors is None or not {*others} <= {*colors} or len({*colors.values()}) < len(colors):
        return ShapeClasses(LabelSet(listed), index)
    first = next(c for c in _BACKGROUND_COLORS if c not in colors.values())
    given = (first, *(colors[name] for name in others))
    return ShapeClasses(LabelSet(listed, given), index)


# Black is left to ignored pixels.
_BACKGROUND_COLORS = ((224, 224, 224), (32, 32, 32), (96, 96, 96))


def listed_classes(root: Path) -> ShapeClasses | None:
    """The classes of a classes.txt in the data's folder, or of labelme's labels.txt; None where
    there is neither."""
    for name in ("classes.txt", "labels.txt"):
        if (root / name).is_file():
            return classes_of_list(root, read_class_list(root / name), root / name)
    return None


def classes_of_list(root: Path, listed: ClassList, file: Path) -> ShapeClasses:
    """The classes of a list, with those that its `ignore` lines name ignored."""
    ignored = [entry.name for entry in listed.ignored_lines]
    colors = {entry.name: entry.color for entry in listed.lines if entry.color}
    names = (*(entry.name for entry in listed.lines), *ignored)
    return replace(classes_of(root, names, colors, ignored), files=(file,))


def refuse_class_set(root: Path, classes: str | None, where: str) -> None:
    """Raise a RequestError where a class set was asked for of data that have their own."""
    if classes is not None:
        raise RequestError(
            f"{root}: the class set '{classes}' was asked for, but the classes are those of "
            f"{where}; leave the class set out"
        )


def split_of(text: str) -> str | None:
    """The split that a folder's, a file's or a subset's name says: `valid` is val, `train2017`
    train; None where it says none."""
    words = [CANONICAL[w] for w in re.findall(r"[a-z]+", text.casefold()) if w in CANONICAL]
    return words[0] if len({*words}) == 1 else None


@dataclass
class PairList:
    """Collects the pairs of a data set whose files name images: each with its split and content,
    and what has no image."""

    root: Path
    seed: int
    content: dict[Path, Any] = field(default_factory=dict)
    unmatched: list[Unmatched] = field(default_factory=list)
    _found: dict[str, list[Pair]] = field(default_factory=dict)

    def add(
        self, split: str | None, image: Path, label: Path, content: Any = None, shared: bool = False
    ) -> None:
        """A pair. split: None where the data say none. shared: whether other images have their
        labels in the same file."""
        where = "all" if split is None else split
        if image in self.content:
            self.unmatched.append(Unmatched("name used twice", where, image if shared else label))
            return
        self.content[image] = content
        name = image.relative_to(self.root).with_suffix("").as_posix()
        self._found.setdefault(where, []).append(Pair(name, image, label, shared))

    def missing(self, split: str | None, label: Path) -> None:
        """Labels whose image is not there."""
        self.unmatched.append(Unmatched("label without image", split or "all", label))

    def missing_image(self, split: str | None, name: str, label: Path) -> None:
        """An image that a file of many names, and that is not there."""
        shown = printable(name.replace("\\", "/").rsplit("/", 1)[-1])[:100] or "?"
        self.missing(split, label.parent / shown)

    def unmatched_image(self, split: str | None, image: Path) -> None:
        """An image that has no labels."""
        self.unmatched.append(Unmatched("image without label", split or "all", image))

    def found(self, dataset: ShapeDataset, images: ImageIndex) -> Found:
        """The data set with what is beside it: images that no annotation file names."""
        rest = tuple(path for path in images.by_path.values() if path not in self.content)
        return replace(dataset, unlisted=rest), tuple(self.unmatched)

    def rest_is_unlabeled(self, images: ImageIndex) -> None:
        """Every image that is in no pair yet has no labels."""
        for place, image in images.by_path.items():
            if image not in self.content:
                self.unmatched_image(split_of(posixpath.dirname(place)), image)

    def splits(self) -> dict[str, tuple[Pair, ...]]:
        """The pairs by split, named by their images, shortly where that is unique. Where the data
        say no split, or have `train` alone, 80 to 20 by the seed.

        Raises RequestError where some are in a split and others are not.
        """
        found = {split: _shortly_named(pairs) for split, pairs in self._found.items()}
        if len(found) > 1 and "all" in found:
            raise RequestError(
                f"{self.root}: {len(found['all'])} images are in no split "
                f"({found['all'][0].image.name} first) and others are in "
                f"{', '.join(split for split in found if split != 'all')}; name folders, files or "
                "subsets train, val or test, or none of them"
            )
        if {*found} <= {"all"} or {*found} == {"train"}:
            return split_by_seed(next(iter(found.values()), ()), VAL_SHARE, self.seed)
        return {split: found[split] for split in ("train", "val", "test") if split in found}


def _shortly_named(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    times = Counter(pair.image.stem for pair in pairs)
    named = (
        replace(pair, name=pair.image.stem) if times[pair.image.stem] == 1 else pair
        for pair in pairs
    )
    return tuple(sorted(named, key=lambda pair: pair.name))
