"""A repaired copy of a data set, in the folder layout; the original is only read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from briskseg.core.errors import DataError, RequestError
from briskseg.core.files.atomic import refuse_taken, writing
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.pictures import opened
from briskseg.core.images import SUFFIXES, read_image, stretched_image, write_png
from briskseg.core.labels import IGNORED
from briskseg.core.parallel import thread_map
from briskseg.core.types import Labels, Progress
from briskseg.data.check.check_report import CheckReport
from briskseg.data.check.class_findings import transparent_class
from briskseg.data.check.duplicates import surplus_copies
from briskseg.data.check.image_findings import is_dark
from briskseg.data.check.kinds import KINDS
from briskseg.data.check.label_findings import diagnose
from briskseg.data.check.repair import Plan, fit_to_image, repair_mask
from briskseg.data.check.scan import PairStats, Scan
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.masks.layout import SPLITS

# Images of these kinds are written anew; all others are copied byte for byte.
_REWRITTEN = {
    "exif-rotated",
    "sixteen-bit-images",
    "dark-images",
    "alpha-images",
    "palette-images",
    "cmyk-images",
}
CHANGES = "changes.txt"

# (split, file) -> why a pair's file is left out of that split; split "": of all.
Dropped = dict[tuple[str, Path], str]


@dataclass(frozen=True)
class Change:
    """What was done with one file of the original: "repaired" or "left out", and why."""

    done: str
    path: Path
    why: str


@dataclass(frozen=True)
class FixedCopy:
    """The copy: its folder, how many pairs are in it, and what is not as it was."""

    out: Path
    pairs: int
    changes: tuple[Change, ...]

    def summary(self) -> dict[tuple[str, str], list[Path]]:
        """The files by what was done with them and why."""
        by_reason: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for change in self.changes:
            by_reason[change.done, change.why].append(change.path)
        return dict(by_reason)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        changes = [{"done": c.done, "why": c.why, "file": c.path.as_posix()} for c in self.changes]
        return {"out": str(self.out), "pairs": self.pairs, "changes": changes}


def refuse_out(root: Path, out: Path, said: str = "--fix") -> None:
    """Raise a RequestError where the copy would touch the original, or anything else. said: what
    the user named `out` by."""
    refuse_taken(out, said)
    inside, outside = out.resolve(), root.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise RequestError(
            f"{said} {out} and the data set {root} lie in one another; name a folder elsewhere, so "
            "that the original stays as it is"
        )


def write_repaired(
    scan: Scan, report: CheckReport, out: Path, progress: Progress | None = None
) -> FixedCopy:
    """Write what can be repaired, and what needs no repair, to the folder `out`.

    Labels are written as class indices with 255 for ignored; images are copied as they are unless
    they must be written anew (as PNG). `changes.txt` names every file that is not as it was.
    Nothing is written where no pair can be kept.

    Raises RequestError where `out` is taken or lies in the data set, BriskError where it cannot be
    written.
    """
    refuse_out(scan.dataset.root, out)
    classes = scan.dataset.labels.classes_txt()
    if any(finding.kind == "mostly-ignored" for finding in report.findings):
        # what is found is to be found in the copy too: 255 is ignored unsaid, as it was
        classes = classes.removesuffix(f"ignore {IGNORED}\n")
    plans, dropped = _plans(scan, report)
    dark = [f.image for f in scan.pairs if f.image is not None and is_dark(f.image)]
    highest = max((image.highest for image in dark), default=0)
    left_out = sorted({(path, why) for (_, path), why in dropped.items()})
    changes = [Change("left out", scan.named(path), why) for path, why in left_out]

    def write(item: PairStats) -> list[Change]:
        return _write_pair(scan, item, plans[item.pair.labels_at], out, highest)

    kept = _kept(scan, dropped)
    with writing(out):
        for changed in thread_map(write, kept, progress=progress):
            changes += changed
        failed = sum(change.done == "left out" for change in changes) - len(left_out)
        if pairs := len(kept) - failed:
            (out / "classes.txt").write_text(classes, encoding="utf-8")
            lines = [f"{c.done}\t{c.path.as_posix()}\t{c.why}\n" for c in changes]
            (out / CHANGES).write_text("".join(lines), encoding="utf-8")
    return FixedCopy(out, pairs, tuple(changes))


def would_keep(scan: Scan, report: CheckReport) -> int:
    """The pairs that a copy would hold, but for those that turn out beyond repair."""
    return len(_kept(scan, _plans(scan, report)[1]))


def _kept(scan: Scan, dropped: Dropped) -> list[PairStats]:
    def is_kept(item: PairStats) -> bool:
        files = (item.pair.image, item.pair.labels_at)
        return not any((split, file) in dropped for split in (item.split, "") for file in files)

    return [item for item in scan.pairs if is_kept(item)]


def _plans(scan: Scan, report: CheckReport) -> tuple[dict[Path, Plan], Dropped]:
    """What is repaired, by label file; and which files are left out."""
    has_white = len(scan.dataset.labels.names) == 2 and not scan.counts()[1]
    clear = transparent_class(scan)
    files = [item.pair.labels_at for item in scan.pairs]
    plans = {path: Plan(white_is_class=has_white, transparent=clear) for path in files}
    dropped: Dropped = {}
    labels = {item.pair.image: item.pair.labels_at for item in scan.pairs}
    for finding in report.findings:
        paths = [scan.dataset.root / path for path in finding.files]
        if finding.kind in ("duplicates", "val-in-train"):
            surplus = {key for key in surplus_copies(scan) if key[1] in paths}
            dropped |= dict.fromkeys(surplus, finding.kind)
        elif KINDS[finding.kind].fix == "left out":
            dropped |= dict.fromkeys((("", path) for path in paths), finding.kind)
        elif KINDS[finding.kind].fix == "repaired":
            for path in paths:
                plans[labels.get(path, path)].kinds.add(finding.kind)
    for diagnosis in diagnose(scan):
        for item in diagnosis.items:
            if diagnosis.hint.remap:
                plans[item.pair.labels_at].remap = diagnosis.hint.remap
    for item in scan.pairs:
        if item.split not in SPLITS:
            dropped["", item.pair.image] = f"a folder has no split '{item.split}'"
    for file in scan.unmatched:  # of a name that is used twice, no one knows which file is right
        if file.problem == "name used twice":
            for item in scan.pairs:
                # a set that comes without splits has its names once in all of them
                is_same_split = file.split in (item.split, "all")
                if is_same_split and file.path.stem in (item.pair.image.stem, item.pair.label.stem):
                    dropped["", item.pair.image] = "name-used-twice"
    return plans, dropped


def _labels(scan: Scan, item: PairStats, plan: Plan) -> Labels:
    """The repaired labels, of the image's size."""
    assert item.image is not None
    if item.label is not None and item.label.is_decoded:  # no picture: there is nothing to repair
        labels_hw = scan.dataset.read_labels(item.pair)
    else:
        labels_hw = repair_mask(item.pair.label, scan.dataset.labels, plan)
    return fit_to_image(labels_hw, plan, item.image)


def _write_pair(scan: Scan, item: PairStats, plan: Plan, out: Path, highest: int) -> list[Change]:
    image, pair = item.image, item.pair
    assert image is not None  # what cannot be read is left out
    try:
        labels_hw = _labels(scan, item, plan)
        file, image_hwc = scan.dataset.image_file(pair), None
        if "dark-images" in plan.kinds:
            image_hwc = stretched_image(file, highest, image.orientation)
        elif plan.kinds & _REWRITTEN or image.orientation != 1 or image.form not in SUFFIXES:
            image_hwc = read_image(file)
    except DataError as error:
        return [Change("left out", scan.named(pair.labels_at), str(error))]
    stem = out / "images" / item.split / pair.name
    if image_hwc is not None:
        write_png(_beside(stem, ".png"), image_hwc)
    else:
        _beside(stem, SUFFIXES[image.form][0]).write_bytes(file.read_bytes())
    write_png(_beside(out / "labels" / item.split / pair.name, ".png"), labels_hw)
    of_image, of_labels = scan.named(pair.image), scan.named(pair.labels_at)
    return [
        Change("repaired", of_image if kind in _REWRITTEN else of_labels, kind)
        for kind in sorted(plan.kinds)
    ]


def stored_pair(dataset: Dataset, pair: Pair) -> tuple[Labels, bytes, str]:
    """A pair's labels, and its image as it is stored with the suffix of its type. Raises DataError
    for a damaged file and for labels of another size than the image."""
    labels_hw, file = dataset.read_labels(pair), dataset.image_file(pair)
    if dataset.size(pair) != labels_hw.shape:
        dataset.read(pair)  # which says so
    suffix = pair.image.suffix
    if isinstance(file, InMemory):
        with opened(file) as picture:
            suffix = SUFFIXES.get(picture.format or "", (".png",))[0]
    return labels_hw, file.read_bytes(), suffix


def _beside(stem: Path, suffix: str) -> Path:
    """The file of a pair's name, whose folders are made: a name may have some in it."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    return stem.with_name(f"{stem.name}{suffix}")
