"""Finds the pairs of a data set by its layout: one walk over the folder, two templates."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from briskseg.core.errors import RequestError, nearest
from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from briskseg.core.wording import counted
from briskseg.data.dataset import Format, Found, Pair, Unmatched, refuse_class_set
from briskseg.data.masks.class_files import no_classes
from briskseg.data.masks.layout import (
    CANONICAL,
    SPLITS,
    Layout,
    folders,
    has_needs,
    split_and_name,
)
from briskseg.data.masks.split_lists import choose, list_files
from briskseg.data.matching import composed, match, split_by_seed, walk

Files = dict[str, list[Path]]


@dataclass
class _Tree:
    """The files of a layout by split (None where the path names none) and name."""

    images: dict[str | None, Files] = field(default_factory=dict)
    labels: dict[str | None, Files] = field(default_factory=dict)
    beside: list[Path] = field(default_factory=list)


def format_of(layout: Layout) -> Format:
    """The layout as `FORMATS` holds it."""
    return Format(partial(recognizes, layout), partial(find, layout), (layout.text,))


def recognizes(layout: Layout, root: Path) -> bool:
    """Whether a folder has the layout: its folders, and what it needs beside them."""
    if not has_needs(layout, root):
        return False
    return any(folders(root, layout.images)) and any(
        map(_may_hold_masks, folders(root, layout.labels))
    )


def _may_hold_masks(folder: Path) -> bool:
    """Whether a folder of labels is empty, or holds a picture; labels that are all text, JSON or
    XML are another format's."""
    is_empty = True
    for path in walk(folder):
        is_empty = False
        if path.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES:
            return True
    return is_empty


def find(layout: Layout, root: Path, asked: str | None, seed: int) -> Found:
    """Find the pairs of a data set of this layout.

    asked: the class set, or one of the layout's versions. seed: of the split, where neither folders
    nor lists make one. Raises RequestError for folders that are no split, another class set, or
    where nothing names the classes, DataError for a damaged list.
    """
    versions = (v for v in layout.versions if v.name == asked and recognizes(v, root))
    layout = next(versions, layout)
    refuse_class_set(root, asked, layout.classes_of, layout.class_set)
    tree = _sort(layout, root)
    _refuse_stray(layout, root, tree)
    lists = list_files(root, layout.lists) if set(tree.images) <= {None} else {}
    splits, unmatched = _split(layout, root, tree, lists, seed)
    classes = layout.classes(root)
    if classes is None:
        raise no_classes(root, layout.text, [pair for some in splits.values() for pair in some])
    parts = layout.name, root, classes.labels, splits
    read, beside = (*classes.files, *lists.values()), tuple(tree.beside)
    about: dict[str, Any] = {"lists": read, "flaws": classes.flaws, "beside": beside}
    if not (lists or layout.splits or {*tree.images, *tree.labels} - {None}):
        about["split_seed"] = seed
    return classes.form(*parts, **about), unmatched


def _sort(layout: Layout, root: Path) -> _Tree:
    tree = _Tree()
    parts: list[tuple[str, dict[str | None, Files] | None]] = [(layout.labels, tree.labels)]
    parts += [(template, None) for template in layout.beside]
    parts.append((layout.images, tree.images))
    for path in walk(root):
        name, suffix = os.path.splitext(path.name)
        folder = _relative(root, path.parent)
        for template, part in parts:
            known = layout.label_suffixes if part is tree.labels else IMAGE_SUFFIXES
            found = split_and_name(template, f"{folder}/{name}" if folder else name)
            if found is None or suffix.lower() not in known:
                continue
            if part is None:
                tree.beside.append(path)
            else:
                named = part.setdefault(found[0], {})
                named.setdefault(composed(found[1]), []).append(check_file_name(path))
            break
    return tree


@lru_cache(maxsize=8)  # files come folder by folder
def _relative(root: Path, folder: Path) -> str:
    relative = folder.relative_to(root).as_posix()
    return "" if relative == "." else relative


def _refuse_stray(layout: Layout, root: Path, tree: _Tree) -> None:
    """Refuse a folder that is named nearly as a split, and files beside the split folders."""
    if "[{split}/]" not in layout.images:
        return
    flat = {**tree.images.get(None, {}), **tree.labels.get(None, {})}
    tops = sorted({name.partition("/")[0] for name in flat if "/" in name})
    has_splits = bool({*tree.images, *tree.labels} - {None})
    wrong = [top for top in tops if has_splits or _is_nearly_a_split(top.lower())]
    if wrong:
        raise RequestError(
            f"{root}: '{wrong[0]}' is no split; {nearest(wrong[0], SPLITS)}; rename the folder "
            "in both images and labels, or move it away"
        )
    if has_splits and flat:
        first = min(path.name for paths in flat.values() for path in paths)
        raise RequestError(
            f"{root}: {counted(len(flat), 'file lies', 'files lie')} beside the split folders "
            f"({first} first); move them into a split, or all files out of the split folders"
        )


def _is_nearly_a_split(folder: str) -> bool:
    close = difflib.get_close_matches(folder, CANONICAL, 1, 0.75)
    return bool(close) or re.match(r"(train|val|test)([^a-z]|$)", folder) is not None


def _split(
    layout: Layout, root: Path, tree: _Tree, lists: Mapping[str, Path], seed: int
) -> tuple[dict[str, tuple[Pair, ...]], tuple[Unmatched, ...]]:
    """The pairs by split, and the files that are half of none."""
    found: dict[str | None, tuple[Pair, ...]] = {}
    left_over: list[Unmatched] = []
    named = {*tree.images, *tree.labels} - {None}
    in_order: list[str | None] = [split for split in SPLITS if split in named]
    for split in in_order or [None]:
        images, labels = tree.images.get(split, {}), tree.labels.get(split, {})
        if layout.unlabeled_images and not labels:
            tree.beside += [path for paths in images.values() for path in paths]
            continue
        found[split], unmatched = match(split or "all", images, labels)
        left_over += unmatched
    if None not in found:
        return {split: pairs for split, pairs in found.items() if split}, tuple(left_over)
    pairs = found[None]
    if lists:
        # What no list names is not missed: most of VOC's images have no labels at all.
        splits, missed = choose(root, pairs, tuple(left_over), lists)
        paths = {file.path for file in missed}
        tree.beside += [file.path for file in left_over if file.path not in paths]
        return splits, missed
    if layout.splits is not None:
        splits = {
            split: tuple(p for p in pairs if layout.splits(p.name) == split) for split in SPLITS
        }
        return {split: some for split, some in splits.items() if some}, tuple(left_over)
    splits = split_by_seed(pairs, seed, layout.val_share, layout.by_drive)
    return splits, tuple(left_over)
