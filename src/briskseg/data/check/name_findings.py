"""Label files whose names are their images' and something more, as `a_mask.png` for `a.jpg`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from briskseg.data.dataset import Pair, Unmatched

_ASKED = 50  # label files that vote on what is added to the names


def rematch(
    unmatched: tuple[Unmatched, ...],
) -> tuple[list[tuple[str, Pair]], tuple[Unmatched, ...]]:
    """Pairs, with their split, that one affix (or the case of letters) keeps apart; and the rest.

    The affix is what most label files of a split have around an image's name; it is taken where it
    pairs more than half of the label files that are left over, each with one image.
    """
    pairs: list[tuple[str, Pair]] = []
    rest = [u for u in unmatched if u.problem == "name used twice"]
    for split in dict.fromkeys(u.split for u in unmatched):
        ours = [u for u in unmatched if u.split == split]
        images = [u.path for u in ours if u.problem == "image without label"]
        labels = [u.path for u in ours if u.problem == "label without image"]
        found = _paired(images, labels)
        pairs += [(split, Pair(image.stem, image, label)) for image, label in found]
        used = {path for both in found for path in both}
        rest += [u for u in ours if u.problem != "name used twice" and u.path not in used]
    return pairs, tuple(rest)


def affix(pairs: Iterable[Pair]) -> str:
    """What the label files' names have more than their images', to be shown: "*_mask"."""
    both = Counter(_around(pair.image.stem, pair.label.stem) for pair in pairs)
    (before, after), _ = both.most_common(1)[0]
    return f"{before}*{after}" if before or after else "other letters"


def _paired(images: list[Path], labels: list[Path]) -> list[tuple[Path, Path]]:
    by_stem = {path.stem.lower(): path for path in images}
    votes: Counter[tuple[str, str]] = Counter()
    for label in labels[:_ASKED]:
        stem = label.stem.lower()
        longest = max((name for name in by_stem if name in stem), key=len, default=None)
        if longest is not None:
            votes[_around(longest, stem)] += 1
    if not votes:
        return []
    before, after = votes.most_common(1)[0][0]
    found: dict[Path, Path] = {}
    for label in labels:
        stem = label.stem.lower()
        if stem.startswith(before) and stem.endswith(after):
            image = by_stem.get(stem.removeprefix(before).removesuffix(after))
            if image is not None:
                found.setdefault(image, label)
    return [*found.items()] if 2 * len(found) > len(labels) else []


def _around(name: str, longer: str) -> tuple[str, str]:
    before, _, after = longer.lower().partition(name.lower())
    return before, after
