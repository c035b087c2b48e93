"""Data sets whose labels are shapes: their classes, their splits, and the contract's arrays.

What holds for every tool: a pixel in no shape is of class `background`, the first one, or ignored
where that was asked for; shapes of a class named ignore, void or unlabeled are ignored. Which of
two shapes lies on top is the tool's own rule, and so in the format's file.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.files.safe_names import printable
from briskseg.core.labels import IGNORED, RGB, LabelSet
from briskseg.core.labels.class_list import read_class_list
from briskseg.core.types import Labels
from briskseg.core.wording import counted
from briskseg.data.annotations import ImageIndex
from briskseg.data.dataset import Dataset, Found, Pair, Unmatched
from briskseg.data.file_stats import FileProblem, LabelStats, decoded_stats
from briskseg.data.masks.layout import SPLITS, split_of
from briskseg.data.matching import split_by_seed
from briskseg.data.shapes import Patch, ShapeError, Size, paint

BACKGROUND = "background"
# Black is left to ignored pixels.
_BACKGROUND_COLORS = ((224, 224, 224), (32, 32, 32), (96, 96, 96))
_IGNORED_NAMES = {"ignore", "ignored", "void", "unlabeled", "unlabelled"}


@dataclass
class Drawing:
    """The shapes of an image, the lowest first: (class name, pixels); None in a name's place:
    ignored. left_out: how many shapes of each kind are no areas. crowds: how many of each class are
    ignored because they are marked as crowds."""

    size_hw: Size
    shapes: list[tuple[str | None, Patch]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    crowds: Counter[str] = field(default_factory=Counter)

    def add(
        self, name: str, shape: Any, draw: Callable[[Any, Size], Patch], is_crowd: bool = False
    ) -> None:
        """Draw a shape over the others. Raises DataError at `shape.where` where it cannot be."""
        self.crowds.update([name] * is_crowd)
        try:
            self.shapes.append((None if is_crowd else name, draw(shape, self.size_hw)))
        except ShapeError as error:
            raise DataError(f"{shape.where}: {error}; draw it again") from None

    def smaller_on_top(self) -> Drawing:
        """The same shapes, the largest lowest, of two as large the earlier one."""
        self.shapes.sort(key=lambda shape: -shape[1].pixels)
        return self


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
        return replace(self, labels=labels, index=index, unlabeled=IGNORED)


@dataclass(frozen=True)
class ShapeDataset(Dataset):
    """A data set of shapes. draw: the format's own, which draws the shapes of a pair from what
    `content` has for its image, or raises DataError naming the file and the key or line.
    absent_is_empty: whether an image without a label file, or with an empty one, is all background.
    """

    classes: ShapeClasses
    draw: Callable[[Pair, Any], Drawing]
    content: Mapping[Path, Any] = field(default_factory=dict, repr=False)
    absent_is_empty: bool = False

    def ignoring_unlabeled(self) -> ShapeDataset:
        """The same data, with the pixels in no shape ignored."""
        classes = self.classes.without_unlabeled()
        return replace(self, labels=classes.labels, classes=classes)

    def of_classes(self, names: tuple[str, ...]) -> Dataset:
        """Ignores unlabeled pixels where the model has all classes but `background`."""
        lacking = {*self.names} - {*names}
        return self.ignoring_unlabeled() if lacking == {BACKGROUND} else self

    def scan_settings(self) -> dict[str, Any]:
        """The classes, and what each name and a pixel in no shape are of."""
        return {"index": {**self.classes.index}, "unlabeled": self.classes.unlabeled}

    def label_files(self, pair: Pair) -> tuple[Path, ...]:
        """The annotations, and the image, whose size the labels have where these state none."""
        return pair.label, pair.image

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8, of the size that the annotations state."""
        return self._painted(pair, self.draw(pair, self.content.get(pair.image)))

    def scan_labels(self, pair: Pair) -> LabelStats | FileProblem:
        """As the contract's, with the shapes that were left out or ignored."""
        drawn = Drawing((0, 0))

        def read() -> Labels:
            nonlocal drawn
            drawn = self.draw(pair, self.content.get(pair.image))
            return self._painted(pair, drawn)

        stats = decoded_stats(pair.label, read, self.absent_is_empty)
        if isinstance(stats, FileProblem):
            kind = "wrong-annotation" if stats.kind == "damaged-file" else stats.kind
            is_listed = {n: n in self.classes.index for n, _ in drawn.shapes if n is not None}
            if self.classes.files and not all(is_listed.values()):
                kind = "class-not-listed"
            return replace(stats, kind=kind, path=pair.labels_at, is_listed=is_listed)
        return replace(stats, left_out=dict(drawn.left_out), crowds=dict(drawn.crowds))

    def _painted(self, pair: Pair, drawing: Drawing) -> Labels:
        index = self.classes.index
        for name, _ in drawing.shapes:
            if name is not None and name not in index:
                where = f"not in {self.classes.files[0]}" if self.classes.files else "none"
                raise DataError(
                    f"{pair.label}: a shape of the class '{printable(name[:100])}', which is "
                    f"{where}; {nearest(name, index)}; correct the shape, or add the class"
                )
        values = ((IGNORED if n is None else index[n], patch) for n, patch in drawing.shapes)
        return paint(drawing.size_hw, self.classes.unlabeled, values)


def plain_name(name: str) -> str:
    """A class's name without what tools add: `_background_` and `Background ` are `background`."""
    return name.strip().strip("_").casefold()


def classes_of(
    root: Path,
    names: Iterable[str],
    colors: Mapping[str, RGB | None] | None = None,
    to_ignore: Collection[str] = (),
) -> ShapeClasses:
    """The classes of shapes that may have these names, `background` first, the others in this
    order. A name that comes twice is one class. colors: taken where all have one of their own.
    to_ignore: those of the names that are ignored, beside the customary ones. Raises DataError
    naming the root where none is a class."""
    order = [*dict.fromkeys(names)]
    plain = {name: plain_name(name) for name in order}
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
    given = [color for name in others if (color := (colors or {}).get(name))]
    if len({*given}) < len(others):
        return ShapeClasses(LabelSet(listed), index)
    first = next(color for color in _BACKGROUND_COLORS if color not in given)
    return ShapeClasses(LabelSet(listed, (first, *given)), index)


def listed_classes(root: Path) -> ShapeClasses | None:
    """The classes of a classes.txt in the data's folder, or of labelme's labels.txt, with those
    that its `ignore` lines name ignored; None where there is neither."""
    for file in (root / "classes.txt", root / "labels.txt"):
        if file.is_file():
            listed = read_class_list(file)
            ignored = [entry.name for entry in listed.ignored_lines]
            colors = {entry.name: entry.color for entry in (*listed.lines, *listed.ignored_lines)}
            return replace(classes_of(root, colors, colors, ignored), files=(file,))
    return None


class PairList:
    """Collects the pairs of a data set whose files name images, each with its split and content,
    and what has no image. is_shared: whether one file holds the labels of many images."""

    def __init__(self, root: Path, seed: int, is_shared: bool = False) -> None:
        self.root, self.seed, self.is_shared = root, seed, is_shared
        self.images = ImageIndex(root)
        self.content: dict[Path, Any] = {}
        self.unmatched: list[Unmatched] = []
        self._found: dict[str, list[Pair]] = {}

    def folder_of(self, path: Path) -> str:
        """A file's folder, relative to the root."""
        return path.parent.relative_to(self.root).as_posix()

    def add(
        self,
        split: str | None,
        image: Path | None,
        label: Path,
        content: Any = None,
        name: str = "",
        damage: str = "",
    ) -> None:
        """A pair, or labels whose image is not there. split: None where the data say none. name:
        the image's, as a file of many states it. damage: of the label file."""
        where = split or "all"
        if image is None:
            shown = printable(name.replace("\\", "/").rsplit("/", 1)[-1])[:100] or "?"
            missing = label.parent / shown if self.is_shared else label
            self.unmatched.append(Unmatched("label without image", where, missing, "", damage))
        elif image in self.content:
            twice = image if self.is_shared else label
            self.unmatched.append(Unmatched("name used twice", where, twice))
        else:
            self.content[image] = content
            name = image.relative_to(self.root).with_suffix("").as_posix()
            self._found.setdefault(where, []).append(Pair(name, image, label, self.is_shared))

    def without_labels(self, split: str | None, image: Path) -> None:
        """An image that has no labels."""
        self.unmatched.append(Unmatched("image without label", split or "all", image))

    def dataset(
        self,
        kind: str,
        classes: ShapeClasses,
        draw: Callable[[Pair, Any], Drawing],
        lists: Sequence[Path] = (),
        absent_is_empty: bool = False,
        form: type[ShapeDataset] = ShapeDataset,
    ) -> Found:
        """What was collected, as a data set; the arguments are `ShapeDataset`'s, form its class."""
        rest = [path for path in self.images.by_path.values() if path not in self.content]
        return form(
            kind,
            self.root,
            classes.labels,
            self.splits(),
            classes,
            draw,
            self.content,
            absent_is_empty,
            lists=(*classes.files, *lists),
            unlisted=tuple(rest) if self.is_shared else (),
            split_seed=self.split_seed,
        ), tuple(self.unmatched)

    def rest_is_unlabeled(self) -> None:
        """Every image that is in no pair yet has no labels."""
        for place, image in self.images.by_path.items():
            if image not in self.content:
                self.without_labels(split_of(posixpath.dirname(place)), image)

    @property
    def split_seed(self) -> int | None:
        """As `Dataset`'s: the seed where the data say no split, or have `train` alone."""
        return self.seed if {*self._found} in (set(), {"all"}, {"train"}) else None

    def splits(self) -> dict[str, tuple[Pair, ...]]:
        """The pairs by split, named by their images, shortly where that is unique, with the suffix
        where only that tells them apart. Where the data say no split, or have `train` alone, 80 to
        20 by the seed.

        Raises RequestError where some are in a split and others are not.
        """
        found = {split: _shortly_named(pairs) for split, pairs in self._found.items()}
        if len(found) > 1 and "all" in found:
            raise RequestError(
                f"{self.root}: {counted(len(found['all']), 'image is', 'images are')} in no split "
                f"({found['all'][0].image.name} first) and others are in "
                f"{', '.join(split for split in found if split != 'all')}; name folders, files or "
                "subsets train, val or test, or none of them"
            )
        if self.split_seed is not None:
            return split_by_seed(next(iter(found.values()), ()), self.seed)
        return {split: found[split] for split in SPLITS if split in found}


def _shortly_named(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    stems = Counter(pair.image.stem for pair in pairs)
    names = Counter(pair.name for pair in pairs)

    def name(pair: Pair) -> str:
        if stems[pair.image.stem] == 1:
            return pair.image.stem
        return pair.name if names[pair.name] == 1 else pair.name + pair.image.suffix

    return tuple(sorted((replace(p, name=name(p)) for p in pairs), key=lambda pair: pair.name))
