"""Pairs in tar archives, as WebDataset writes them: for data that no disk likes as single files.

    train-000000.tar    a.jpg, a.labels.png, b.jpg, b.labels.png, ...
    val-000000.tar
    classes.txt

Members are read where they lie. Where each lies is found once, by one pass over the headers, and
remembered in the user's cache folder while the archives are the same; so any order of samples costs
the same as the archives' own, and it is a function of (seed, epoch, sample) as of any data.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from briskseg.core.errors import DataError
from briskseg.core.files import cache_folder
from briskseg.core.files.atomic import write_whole
from briskseg.core.files.limits import MAX_TAR_MEMBERS
from briskseg.core.files.safe_names import printable
from briskseg.core.files.tar_members import Member, TarMember, read_members
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.core.parallel import thread_map
from briskseg.data.dataset import Format, Found, MaskDataset, Pair, Unmatched, refuse_class_set
from briskseg.data.masks.class_files import no_classes, own_classes
from briskseg.data.masks.layout import CANONICAL, SPLITS, split_of
from briskseg.data.matching import composed, match, split_by_seed

LABELS = "labels"  # NAME.labels.png, as `data convert --to shards` names them
_LABEL_WORDS = {LABELS, "label", "mask", "masks", "seg", "segmentation", "gt", "target"}
_SHARD = re.compile(r".*\d{3,}\.tar", re.IGNORECASE)
_VERSION = 1  # of the remembered index
_INDEX = TypeAdapter(dict[str, tuple[int, int, list[Member]]])

Files = dict[str, list[Path]]
_TEXT = (
    "SPLIT-000000.tar, SPLIT-000001.tar ... (WebDataset) with NAME.jpg and NAME.labels.png (or NAME"
    ".jpg and NAME.png) in them, and classes.txt beside; SPLIT train, val, test"
)


def shards(root: Path) -> list[Path]:
    """The archives in a folder, and in its folders that are named as splits, sorted."""
    folders = [root, *(root / word for word in CANONICAL)]
    found = (path for folder in folders for path in folder.glob("*.tar"))
    return sorted(path for path in found if _SHARD.fullmatch(path.name))


def _find(root: Path, asked: str | None, seed: int) -> Found:
    refuse_class_set(root, asked, "the folder's classes.txt")
    classes = own_classes(root)
    archives = shards(root)
    images: dict[str | None, Files] = {}
    labels: dict[str | None, Files] = {}
    strays: list[Path] = []
    for archive, members in _index(root, archives).items():
        folder = archive.parent.name if archive.parent != root else ""
        split = split_of(archive.stem, folder)
        strays += [archive] * (split is None)
        for name, image, label in _sorted(archive, members):
            for part, path in ((images, image), (labels, label)):
                if path is not None:
                    part.setdefault(split, {}).setdefault(composed(name), []).append(path)
    found: dict[str | None, tuple[Pair, ...]] = {}
    unmatched: list[Unmatched] = []
    for each in {*images, *labels}:
        found[each], halves = match(each or "all", images.get(each, {}), labels.get(each, {}))
        unmatched += halves
    if None in found and len(found) > 1:
        raise DataError(
            f"{strays[0]}: its name says no split, and others' do; name it train, val or test too"
        )
    if classes is None:
        raise no_classes(root, _TEXT, [pair for some in found.values() for pair in some])
    lists, drawn_by = (*classes.files, *archives), None
    splits = {split: found[split] for split in SPLITS if split in found}
    if None in found:
        splits, drawn_by = split_by_seed(found[None], seed), seed
    about = MaskDataset("shards", root, classes.labels, splits, lists=lists, split_seed=drawn_by)
    return about, tuple(unmatched)


def _sorted(
    archive: Path, members: list[Member]
) -> list[tuple[str, TarMember | None, TarMember | None]]:
    """The samples of an archive: name, image, labels. WebDataset's rule: what stands before the
    first dot of a file's name is the sample's, what follows says which part of it this is."""
    samples: dict[str, dict[str, Member]] = {}
    for member in members:
        path = PurePosixPath(member.name)
        stem, _, ending = path.name.partition(".")
        name = stem if str(path.parent) == "." else f"{path.parent}/{stem}"
        parts = samples.setdefault(name, {})
        if ending.lower() in parts:
            raise DataError(f"{archive}: two files are named {printable(member.name)}; remove one")
        parts[ending.lower()] = member
    return [(name, *_roles(archive, name, parts)) for name, parts in samples.items()]


def _roles(
    archive: Path, name: str, parts: dict[str, Member]
) -> tuple[TarMember | None, TarMember | None]:
    """A sample's image and labels: the labels say so in their name, or are the one PNG beside an
    image of another type."""
    labels = [ending for ending in parts if _LABEL_WORDS & {*ending.split(".")[:-1]}]
    if not labels and len(parts) == 2:
        pngs = [ending for ending in parts if ending.endswith("png")]
        labels = pngs if len(pngs) == 1 else []
    images = [ending for ending in parts if ending not in labels]
    if len(images) > 1 or len(labels) > 1:
        listed = ", ".join(f".{printable(ending)}" for ending in parts)
        raise DataError(
            f"{archive}: which of {printable(name)}{{{listed}}} is the image and which the labels "
            f"is not said; name the labels NAME.{LABELS}.png, and leave one image a name"
        )
    image = TarMember.of(archive, parts[images[0]]) if images else None
    return image, TarMember.of(archive, parts[labels[0]]) if labels else None


def _index(root: Path, archives: list[Path]) -> dict[Path, list[Member]]:
    """The pictures in every archive, remembered or found now."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
    file = cache_folder() / "shards" / f"{name}-{_VERSION}.json"
    known: dict[str, tuple[int, int, list[Member]]] = {}
    with suppress(OSError, ValidationError):  # none, or damaged: they are read again
        known = _INDEX.validate_json(file.read_bytes())

    def read(archive: Path) -> tuple[str, tuple[int, int, list[Member]]]:
        key, status = os.path.relpath(archive, root), archive.stat()
        stamp = status.st_size, status.st_mtime_ns
        if key in known and known[key][:2] == stamp:
            return key, known[key]
        pictures = []
        for member in read_members(archive):
            if member.fault:
                raise DataError(f"{archive}: '{printable(member.name[:100])}' {member.fault}")
            name = PurePosixPath(member.name)
            if name.suffix.lower() in IMAGE_SUFFIXES and not name.name.startswith("."):
                pictures.append(member)
        return key, (*stamp, pictures)

    found = dict(thread_map(read, archives))
    total = sum(len(members) for *_, members in found.values())
    if total > MAX_TAR_MEMBERS:
        raise DataError(f"{root}: {total} pictures, expected at most {MAX_TAR_MEMBERS}")
    if found != known:
        with suppress(OSError):  # without it the headers are read again next time
            write_whole(file, json.dumps(found, separators=(",", ":")))
    return {archive: found[os.path.relpath(archive, root)][2] for archive in archives}


FORMAT = Format(lambda root: bool(shards(root)), _find, (_TEXT,))
