"""The formats of data sets, recognized by what lies in a folder, and `open_dataset`.

A format is one file beside this one and one line in `FORMATS`.
"""

from __future__ import annotations

import os
import shutil
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import get_args

from briskseg.core.errors import BriskError, DataError, RequestError, nearest
from briskseg.core.files import as_path, cache_folder
from briskseg.core.types import Progress
from briskseg.core.wording import first_of
from briskseg.data import (
    camvid,
    cityscapes,
    coco,
    cvat,
    datumaro,
    idd,
    label_studio,
    labelme,
    shards,
    supervisely,
    yolo,
)
from briskseg.data.dataset import Dataset, Format, Found, Pair, Unlabeled, Unmatched
from briskseg.data.masks import split_lists
from briskseg.data.masks.finder import format_of
from briskseg.data.masks.layout import CANONICAL
from briskseg.data.masks.nearest import what_to_move
from briskseg.data.masks.own_layouts import FOLDER, LAYOUTS, STREETS
from briskseg.data.masks.published_sets import PUBLISHED

# In the order of asking: the particular before the general.
FORMATS: dict[str, Format] = {
    "streets": format_of(STREETS),
    **{layout.name: format_of(layout) for layout in PUBLISHED},
    "idd-polygons": idd.FORMAT,
    "cityscapes": cityscapes.FORMAT,
    "camvid": camvid.FORMAT,
    "supervisely": supervisely.FORMAT,
    "datumaro": datumaro.FORMAT,
    "coco": coco.FORMAT,
    "cvat": cvat.FORMAT,
    "label-studio": label_studio.FORMAT,
    "yolo": yolo.FORMAT,
    "labelme": labelme.FORMAT,
    "lists": split_lists.FORMAT,
    **{layout.name: format_of(layout) for layout in LAYOUTS},
    "folder": format_of(FOLDER),
    "shards": shards.FORMAT,
}


_ANNOTATED = {"supervisely", "datumaro", "coco", "cvat", "label-studio", "yolo", "labelme"}


def open_dataset(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    unlabeled: Unlabeled = "background",
) -> Dataset:
    """Open the data set in a folder, whatever its kind, with every image paired with its labels.

    root: a folder, or "streets" where there is no such folder: the drawn streets, which are drawn
    once into the user's cache (which `progress` follows). classes: the class set, where a kind
    has several (CamVid: "camvid11" or "camvid32"). seed: of the split, where the data has none.
    unlabeled: what a pixel in no shape is, where labels are shapes: of the class `background`, or
    ignored.

    Raises RequestError when the folder is missing, of no known layout, or has not the class set, or
    for another `unlabeled`; DataError when an image or a label file has no counterpart, or there is
    no pair at all.
    """
    dataset, unmatched = find_dataset(root, classes, seed, progress, unlabeled)
    if unmatched:
        raise DataError(_unmatched_message(dataset.root, unmatched))
    if not any(dataset.splits.values()):
        raise DataError(
            f"{dataset.root}: a {dataset.kind} data set without a single image; put the files in "
            "place, or name another folder"
        )
    return dataset


# What mostly lies in a data set's folder: a file of it tells which folder that is.
_USUAL = {"classes.txt", "data.yaml", "images", "labels", "annotations", *CANONICAL}
_FOLDERS = 100  # looked into, at most: this is only for a message


def find_dataset(
    root: str | Path,
    classes: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    unlabeled: Unlabeled = "background",
) -> Found:
    """As `open_dataset`, but files without counterpart are returned and not an error."""
    if unlabeled not in (known := get_args(Unlabeled)):
        raise RequestError(f"unlabeled is {unlabeled!r}; {nearest(unlabeled, known)}")
    path = as_path(root)
    if path == Path(STREETS.name) and not path.exists():
        path = _drawn_streets(progress)
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        near = [f for f in [*path.parents][:3] if path.is_file() and _is_part(path, f)]
        meant = f"; did you mean {near[-1]}?" if near else ""
        raise RequestError(
            f"{path}: the data folder {what}; name a folder, or '{STREETS.name}'{meant}"
        )
    kind = recognize(path)
    if kind is None:
        raise RequestError(_unrecognized_message(path))
    try:
        dataset, unmatched = FORMATS[kind].find(path, classes, seed)
    except RequestError as error:
        around = _data_sets_around(path)  # whose splits may look as sets of their own
        if not around:
            raise
        raise RequestError(f"{path}: did you mean {around[0]}? By itself, {error}") from None
    return dataset if unlabeled == "background" else dataset.ignoring_unlabeled(), unmatched


def recognize(root: Path) -> str | None:
    """The kind of data in a folder, or None. Masks with their class list are a data set whatever
    annotation files lie among them, which may be an old export."""
    kind = next((name for name, format in FORMATS.items() if format.recognizes(root)), None)
    if (
        kind in _ANNOTATED
        and (root / "classes.txt").is_file()
        and FORMATS["folder"].recognizes(root)
    ):
        return "folder"
    return kind


def _drawn_streets(progress: Progress | None) -> Path:
    from briskseg.data.synthetic import VERSION, draw_dataset

    streets = cache_folder() / f"{STREETS.name}-{VERSION}"
    if recognize(streets):
        return streets
    # Drawn under another name and renamed when complete: an interrupted drawing leaves nothing
    # that looks finished, and of two processes that draw at once the second's is thrown away.
    unfinished = streets.with_name(f"{streets.name}.unfinished-{os.getpid()}")
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        draw_dataset(unfinished, progress=progress)
        if not recognize(streets):
            unfinished.rename(streets)
    except OSError as error:
        raise RequestError(
            f"{streets}: the streets cannot be drawn there ({error.strerror or error}); set "
            "BRISKSEG_CACHE to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return streets


def _unmatched_message(root: Path, unmatched: tuple[Unmatched, ...]) -> str:
    parts = []
    for problem in dict.fromkeys(file.problem for file in unmatched):
        some = (file for file in unmatched if file.problem == problem)
        files = [
            file.listed or file.damage.removeprefix(f"{root}/") or str(file.path.relative_to(root))
            for file in some
        ]
        parts.append(f"{len(files)} x {problem} ({first_of(files, 3)})")
    return (
        f"{root}: {'; '.join(parts)}; `briskseg check {quote(str(root))}` lists all, and "
        "says where names alone differ, which --fix repairs; restore or remove the others"
    )


def _unrecognized_message(root: Path) -> str:
    entries = sorted(p.name + "/" * p.is_dir() for p in root.iterdir() if p.name[0] != ".")
    shown = first_of(entries, 8)
    meant = _data_sets_in(root) or _data_sets_around(root)
    hint = "" if meant else what_to_move(root)
    # Last, as annotation files are looked for in all that lies in the folder above.
    meant = meant if meant or hint else _data_sets_around(root, annotated=True)
    if len(meant) > 1:
        hint = f" Name one of the data sets in it: {', '.join(map(str, meant[:8]))}."
    elif meant:
        hint = f" Did you mean {meant[0]}?"
    found = f"{root}: no data set of a known layout; found {shown or 'an empty folder'}.{hint}"
    if meant:
        return found
    layouts = [
        f"  {name}: {layout}" for name, format in FORMATS.items() for layout in format.layouts
    ]
    return f"{found}\nRecognized are:\n" + "\n".join(layouts)


def _data_sets_in(root: Path) -> list[Path]:
    """The data sets in a folder, or else in its folders: those that open, where some do."""
    for depth in ("*", "*/*"):
        folders = islice((path for path in root.glob(depth) if path.is_dir()), _FOLDERS)
        found = {path: kind for path in sorted(folders) if (kind := recognize(path))}
        if found:
            return [path for path, kind in found.items() if _pairs(path, kind)] or [*found]
    return []


def _data_sets_around(root: Path, annotated: bool = False) -> list[Path]:
    """The nearest data set of masks, or of annotations, that a folder is a part of, if there is
    one."""
    root = root.resolve()
    kinds = [kind for kind in FORMATS if (kind in _ANNOTATED) == annotated]
    for above in [*root.parents][:3]:
        if annotated and above != root.parent and not _is_part(root, above):
            continue
        kind = next((kind for kind in kinds if FORMATS[kind].recognizes(above)), None)
        for pair in _pairs(above, kind) if kind else ():
            if root in (*pair.image.parents, *pair.label.parents):
                return [above]
    return []


def _pairs(root: Path, kind: str) -> list[Pair]:
    """The pairs of the data set in a folder; none where it does not open."""
    try:
        splits = FORMATS[kind].find(root, None, 0)[0].splits
    except BriskError:
        return []
    return [pair for some in splits.values() for pair in some]


def _is_part(path: Path, root: Path) -> bool:
    """Whether a file or folder lies in what a data set in root mostly has."""
    return path.relative_to(root).parts[0] in _USUAL
