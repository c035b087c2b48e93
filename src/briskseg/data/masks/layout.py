"""What a layout is: two templates of paths, and where its splits and classes come from.

A template is a path without its suffix, as in "images/[{split}/]{name}": `{split}` is a folder
named as a split, `{name}` the rest with its subfolders, `{other}` one part of a path, `(a|b)` a
choice and `[...]` may be left out. Upper case counts as lower in splits and choices. All but the
split make the pair's name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.core.labels import LabelSet
from briskseg.data.dataset import Dataset, MaskDataset
from briskseg.data.matching import VAL_SHARE

# What folders and lists of the three splits are called.
SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training", "train2017", "train2014"),
    "val": ("val", "valid", "validation", "val2017", "val2014"),
    "test": ("test", "testing", "test2017", "test2014"),
}
CANONICAL = {word: split for split, words in SPLITS.items() for word in words}

_TOKEN = re.compile(r"\{(\w+)\}|\(([^)]*)\)|\[|\]|[^{(\[\]]+")


def split_of(*texts: str) -> str | None:
    """The split that the first of these says that says one, of the names of a folder, a file or a
    subset: `valid` is val, `train2017` train."""
    for text in texts:
        words = {CANONICAL[w] for w in re.findall(r"[a-z]+", text.casefold()) if w in CANONICAL}
        if len(words) == 1:
            return words.pop()
    return None


class Classes(NamedTuple):
    """A layout's classes, and the files that name them.

    form: the data set of these classes, by how label files are read. flaws: what is known to be
    wrong with the published set that the classes are of.
    """

    labels: LabelSet
    files: tuple[Path, ...] = ()
    form: Callable[..., Dataset] = MaskDataset
    flaws: tuple[str, ...] = ()


class Layout(NamedTuple):
    """How the files of a data set lie.

    images, labels: templates. text: for messages. classes: the label set in a folder; None where
    nothing names the classes. classes_of: for messages, whose they are. class_set: their name, by
    which they may be asked for, where they have one. versions: the same set with other labels.
    needs: files or folders (globs, `|` between choices) that are there as well. lists: templates of
    split lists, which go before a draw by the seed. beside: templates of files that belong to the
    set and are not needed. unlabeled_images: whether a split may have images only. splits: the
    split of a name, where the publication says it. by_drive: whether a name begins with the drive,
    whose frames are drawn into one split, as neighboring ones in two would make scores too high.
    val_share: of the pairs, where the seed draws.
    """

    name: str
    images: str
    labels: str
    text: str
    classes: Callable[[Path], Classes | None]
    classes_of: str = "the folder's classes.txt"
    class_set: str | None = None
    versions: tuple[Layout, ...] = ()
    needs: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    unlabeled_images: bool = False
    splits: Callable[[str], str] | None = None
    by_drive: bool = False
    val_share: float = VAL_SHARE
    label_suffixes: frozenset[str] = IMAGE_SUFFIXES


@cache
def pattern(template: str) -> re.Pattern[str]:
    """The regular expression of a template, for paths with slashes and without suffix."""
    parts = []
    for token in _TOKEN.finditer(template):
        text, variable, choice = token.group(0), token.group(1), token.group(2)
        if variable == "split":
            parts.append(f"(?P<split>(?i:{'|'.join(CANONICAL)}))")
        elif variable:
            parts.append(f"(?P<{variable}>{'.+?' if variable == 'name' else '[^/]+?'})")
        elif choice is not None:
            parts.append(f"(?i:{'|'.join(map(re.escape, choice.split('|')))})")
        else:
            parts.append({"[": "(?:", "]": ")?"}.get(text, re.escape(text)))
    # Names with line breaks are matched too, so that they are refused and not left out.
    return re.compile("".join(parts), re.DOTALL)


def split_and_name(template: str, stem: str) -> tuple[str | None, str] | None:
    """The split (None where the path names none) and the name that a path has by a template."""
    found = pattern(template).fullmatch(stem)
    if found is None:
        return None
    groups = found.groupdict()
    split = groups.pop("split", None)
    return split and CANONICAL[split.lower()], "/".join(groups.values())


def has_needs(layout: Layout, root: Path) -> bool:
    """Whether what a layout needs beside its images and labels is there."""
    choices = (needed.split("|") for needed in layout.needs)
    return all(any(next(root.glob(g), None) for g in globs) for globs in choices)


def folders(root: Path, template: str) -> Iterator[Path]:
    """The folders that are there of those in which a template's files lie."""
    for variant in _variants(template):
        head = variant[: variant.find("{name}")].rpartition("/")[0]
        choices = []
        for token in _TOKEN.finditer(head):
            text, variable, choice = token.group(0), token.group(1), token.group(2)
            if variable not in (None, "split"):
                choices.append(["*"])
            elif variable or choice is not None:
                words = [*CANONICAL] if variable else choice.split("|")
                choices.append([w for word in words for w in (word, word.capitalize())])
            else:
                choices.append([text])
        for path in map("".join, itertools.product(*choices)):
            if "*" in path:
                yield from (found for found in sorted(root.glob(path)) if found.is_dir())
            elif (root / path).is_dir():
                yield root / path


def _variants(template: str) -> list[str]:
    """A template with and without each of its optional parts."""
    optional = re.search(r"\[([^\]]*)\]", template)
    if optional is None:
        return [template]
    before, after = template[: optional.start()], template[optional.end() :]
    return [*_variants(before + optional.group(1) + after), *_variants(before + after)]
