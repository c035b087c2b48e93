"""What to move where a folder is of no known layout: the folders that hold images and their masks.

Two folders (or two types of file in one) belong together where their files' names do; the masks are
those with few values.
"""

from __future__ import annotations

import itertools
import shlex
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.core.wording import counted
from briskseg.data.file_stats import LabelStats, mask_stats
from briskseg.data.masks.layout import folders, has_needs, split_of
from briskseg.data.masks.own_layouts import FOLDER, LAYOUTS
from briskseg.data.matching import match_stems, walk

_FILES = 20_000  # looked at, at most: this is only for a message
_MOST_VALUES = 64  # of a mask; a photo has hundreds


class _Group(NamedTuple):
    """Files of a folder that belong together: all of them, or those of one suffix."""

    folder: Path
    suffix: str
    files: list[Path]


def what_to_move(root: Path) -> str:
    """The nearest layout and the lines of shell that make it, or the half of one that is missing;
    "" where nothing is near."""
    groups = _groups(root)
    pairs = []
    for first, second in itertools.combinations(groups, 2):
        found = match_stems(first.files, second.files)
        if 2 * len(found) > min(len(first.files), len(second.files)):
            masks = [group for group in (first, second) if _are_masks(group)]
            if len(masks) == 1:
                images = second if masks[0] is first else first
                pairs.append((len(found), images, masks[0]))
    if not pairs:
        return _missing_half(root)
    pairs.sort(key=lambda pair: -pair[0])
    used: set[int] = set()
    said, moves = [], []
    for _, images, labels in pairs:
        if {id(images), id(labels)} & used:
            continue
        used |= {id(images), id(labels)}
        split = split_of(images.folder.relative_to(root).as_posix()) or ""
        said.append(
            f"{_name(root, images)} holds {counted(len(images.files), 'image')} and "
            f"{_name(root, labels)} their masks"
        )
        moves += [_move(root, "images", split, images), _move(root, "labels", split, labels)]
    return (
        f" {'; '.join(said[:3])}: the nearest layout is that of images and labels; move them so:\n"
        + "\n".join(f"  {line}" for line in moves)
        + "\n"
    )


def _missing_half(root: Path) -> str:
    """Which half of a layout is there and which is not, as of an export without its images."""
    for layout in (*LAYOUTS, FOLDER):
        if layout.images.startswith("{") or not has_needs(layout, root):
            continue  # any folder named as a split would do
        images = next(folders(root, layout.images), None)
        labels = next(folders(root, layout.labels), None)
        if (images is None) == (labels is None):
            continue
        there, half, other, template = (
            (labels, "labels", "images", layout.images)
            if images is None
            else (images, "images", "masks", layout.labels)
        )
        folder = template.partition("/")[0].strip("()").partition("|")[0]
        assert there is not None
        return (
            f" {there.relative_to(root)} may be the {half} of the layout '{layout.name}', but its "
            f"{other} are not there: put them into {root / folder}, under the same names (or "
            "export again with both)."
        )
    return ""


def _groups(root: Path) -> list[_Group]:
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in itertools.islice(walk(root), _FILES):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            by_folder[path.parent].append(path)
    groups = []
    for folder, files in by_folder.items():
        stems = {path.stem for path in files}
        by_suffix: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            by_suffix[path.suffix.lower()].append(path)
        if len(by_suffix) == 2 and 2 * len(stems) <= len(files) + 1:  # a.jpg beside a.png
            groups += [_Group(folder, suffix, some) for suffix, some in by_suffix.items()]
        else:
            groups.append(_Group(folder, "", files))
    return groups[:40]


def _are_masks(group: _Group) -> bool:
    samples = [mask_stats(path) for path in group.files[:3]]
    return all(
        isinstance(stats, LabelStats) and not stats.is_lossy and stats.distinct <= _MOST_VALUES
        for stats in samples
    )


def _name(root: Path, group: _Group) -> str:
    name = group.folder.relative_to(root).as_posix()
    return f"{name}/*{group.suffix}" if group.suffix else name


def _move(root: Path, part: str, split: str, group: _Group) -> str:
    source, target = shlex.quote(str(group.folder)), root / part / split
    quoted = shlex.quote(str(target))
    if not group.suffix and not target.exists() and (not split):
        return f"mv {source} {quoted}"
    files = f"{source}/*{group.suffix}"
    return f"mkdir -p {quoted} && mv {files} {quoted}/"
