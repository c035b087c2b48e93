"""Finding files and pairing them, as every format does: by name, and split by a seed."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from briskseg.core.files.safe_names import check_file_name
from briskseg.core.images import IMAGE_SUFFIXES
from briskseg.data.dataset import Pair, Unmatched

VAL_SHARE = 0.2  # of the pairs, where the data has no split
_ASKED = 50  # label files that vote on what is added to the names


def walk(root: Path, hidden: bool = False) -> Iterator[Path]:
    """Every file below a folder, sorted within each folder, links to folders followed once; those
    whose name, or a folder's, begins with a dot only where `hidden` asks for them."""
    seen = set()
    for top, inside, names in os.walk(root, followlinks=True):
        status = os.stat(top)
        if (status.st_dev, status.st_ino) in seen:
            inside.clear()  # a link that leads back
            continue
        seen.add((status.st_dev, status.st_ino))
        inside[:] = sorted(name for name in inside if hidden or name[0] != ".")
        folder = Path(top)
        yield from (folder / name for name in sorted(names) if hidden or name[0] != ".")


def image_files(folder: Path, ending: str = "") -> list[Path]:
    """The image files in a folder whose stem has this ending, sorted; none if it is not there.

    Raises DataError for a name with characters that no terminal shows.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    paths = [folder / name for name in sorted(names)]
    found = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and p.stem.endswith(ending)]
    return [check_file_name(path) for path in found]


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS and archives made there write e and an
    accent as two characters, which look like the one that other systems write."""
    return unicodedata.normalize("NFC", name)


def match(
    split: str, images: Mapping[str, list[Path]], labels: Mapping[str, list[Path]]
) -> tuple[tuple[Pair, ...], tuple[Unmatched, ...]]:
    """Pair the files of one split by name, and list those that are left over or named twice."""
    pairs, unmatched = [], []
    for name in sorted({*images, *labels}):
        image, label = images.get(name, []), labels.get(name, [])
        if image and label:
            pairs.append(Pair(name, image[0], label[0]))
            twice = [*image[1:], *label[1:]]
            unmatched += [Unmatched("name used twice", split, path) for path in twice]
        else:
            unmatched += [Unmatched("image without label", split, path) for path in image]
            unmatched += [Unmatched("label without image", split, path) for path in label]
    return tuple(pairs), tuple(unmatched)


def split_by_seed(
    pairs: tuple[Pair, ...], seed: int, val_share: float = VAL_SHARE, by_folder: bool = False
) -> dict[str, tuple[Pair, ...]]:
    """Split into train and val (a share of the pairs, at least one) by the seed and the names.

    Each name is hashed with the seed and the lowest hashes are val, so neither the order of the
    files nor the version of a library has a say, and a new file moves at most one other. by_folder:
    the top folders in the names are drawn, where there are several, and not the pairs.
    """

    def draw(unit: str) -> bytes:
        return hashlib.sha256(f"{seed}/{unit}".encode()).digest()

    units = {pair: pair.name.partition("/")[0] if by_folder else pair.name for pair in pairs}
    if len({*units.values()}) < 2:
        units = {pair: pair.name for pair in pairs}
    drawn = sorted({*units.values()}, key=draw)
    val = {*drawn[: max(1, round(len(drawn) * val_share))]}
    return {
        "train": tuple(pair for pair, unit in units.items() if unit not in val),
        "val": tuple(pair for pair, unit in units.items() if unit in val),
    }


def match_renamed(
    unmatched: tuple[Unmatched, ...], has_pairs: bool
) -> tuple[list[tuple[str, Pair]], tuple[Unmatched, ...]]:
    """Pairs, with their split, that affixes (or the case of letters) keep apart; and the rest.

    The affix is what most label files of a split have around an image's name; it is taken where it
    pairs more than half of the label files that are left over, each with one image. has_pairs:
    whether others have one name, so that what all images have in theirs tells them from others.
    """
    pairs: list[tuple[str, Pair]] = []
    rest = [u for u in unmatched if u.problem == "name used twice"]
    for split in dict.fromkeys(u.split for u in unmatched):
        ours = [u for u in unmatched if u.split == split]
        images = [u.path for u in ours if u.problem == "image without label"]
        labels = [u.path for u in ours if u.problem == "label without image"]
        found = match_stems(images, labels, not has_pairs)
        pairs += [(split, Pair(image.stem, image, label)) for image, label in found]
        used = {path for both in found for path in both}
        rest += [u for u in ours if u.problem != "name used twice" and u.path not in used]
    return pairs, tuple(rest)


def match_stems(
    images: list[Path], labels: list[Path], both: bool = True
) -> list[tuple[Path, Path]]:
    """Pairs of files that have one name, but for the case of letters and one affix around most
    labels' names; with `both` else around all images' too."""
    stems = [composed(path.stem).lower() for path in images]
    found = _match(dict(zip(stems, images, strict=True)), images, labels)
    if found or not both:
        return found
    return _match(dict(zip(_cores(stems), images, strict=True)), images, labels)


def _match(
    by_stem: dict[str, Path], images: list[Path], labels: list[Path]
) -> list[tuple[Path, Path]]:
    """Pairs of the images, by what tells them apart, and the label files with one affix around."""
    if len(by_stem) < len(images) or "" in by_stem:
        return []  # in subfolders one name stands for several images
    votes: Counter[tuple[str, str]] = Counter()
    for label in labels[:_ASKED]:
        stem = composed(label.stem).lower()
        longest = max((name for name in by_stem if name in stem), key=len, default=None)
        if longest is not None:
            before, _, after = stem.partition(longest)
            votes[before, after] += 1
    if not votes:
        return []
    before, after = votes.most_common(1)[0][0]
    found: dict[Path, Path] = {}
    for label in labels:
        stem = composed(label.stem).lower()
        if stem.startswith(before) and stem.endswith(after):
            image = by_stem.get(stem.removeprefix(before).removesuffix(after))
            if image is not None:
                found.setdefault(image, label)
    return [*found.items()] if 2 * len(found) > len(labels) else []


def _cores(stems: list[str]) -> list[str]:
    """What tells the names apart: each without the words that all begin or end with. Numbers are
    kept, as those of img1_02 are not those of img2_02."""
    words = [re.findall(r"\d+|[^\W\d_]+|[\W_]+", stem) for stem in stems]
    head, tail = _common(words), _common([each[::-1] for each in words])
    return ["".join(each[head : len(each) - tail]) for each in words]


def _common(words: list[list[str]]) -> int:
    """How many words, none of them a number, all of these begin with."""
    columns = zip(*words, strict=False)
    return len([*takewhile(lambda some: len({*some}) == 1 and not some[0].isdecimal(), columns)])
