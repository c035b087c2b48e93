"""A repaired copy of a data set, in the folder layout; the original is only read."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from briskseg.core.errors import BriskError, DataError, RequestError
from briskseg.core.images import write_png
from briskseg.core.types import Progress
from briskseg.data.check.check_report import CheckReport
from briskseg.data.check.duplicates import surplus_copies
from briskseg.data.check.finding_kinds import KINDS
from briskseg.data.check.image_findings import is_dark
from briskseg.data.check.label_findings import diagnose
from briskseg.data.check.pairing import SUFFIXES
from briskseg.data.check.repair import Plan, mend_image, mend_labels
from briskseg.data.check.scan import PairFacts, Scan
from briskseg.data.folder import SPLITS

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


@dataclass(frozen=True)
class Change:
    """What was done with one file of the original: "mended" or "left out", and why."""

    done: str
    path: Path
    why: str


@dataclass(frozen=True)
class Repair:
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


def refuse_out(root: Path, out: Path) -> None:
    """Raise a RequestError where the copy would touch the original, or anything else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise RequestError(f"--fix {out} {what}; name a new folder, nothing is overwritten")
    inside, outside = out.resolve(), root.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise RequestError(
            f"--fix {out} and the data set {root} lie in one another; name a folder elsewhere, so "
            "that the original stays as it is"
        )


def copy_mended(
    scan: Scan, report: CheckReport, out: Path, progress: Progress | None = None
) -> Repair:
    """Write what can be mended, and what needs no mending, to the folder `out`.

    Labels are written as class indices with 255 for ignored; images are copied as they are unless
    they must be written anew (as PNG). `changes.txt` names every file that is not as it was.

    Raises RequestError where `out` is taken or lies in the data set, BriskError where it cannot be
    written.
    """
    refuse_out(scan.dataset.root, out)
    plans, dropped = _plans(scan, report)
    dark = [f.image for f in scan.facts if f.image is not None and is_dark(f.image)]
    shift = max((image.highest.bit_length() - 8 for image in dark), default=0)
    changes = [Change("left out", *reason) for reason in sorted(dropped.items())]

    def write(fact: PairFacts) -> list[Change]:
        return _write_pair(scan, fact, plans[fact.pair.label], out, max(0, shift))

    kept = [f for f in scan.facts if not {f.pair.image, f.pair.label} & _whole(scan, dropped)]
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for split in {fact.split for fact in kept}:
            for part in ("images", "labels"):
                (out / part / split).mkdir(parents=True, exist_ok=True)
        for done, changed in enumerate(pool.map(write, kept), 1):
            changes += changed
            if progress is not None:
                progress(done, len(kept))
        scan.dataset.labels.write_classes_txt(out / "classes.txt")
        lines = [f"{c.done}\t{c.path.as_posix()}\t{c.why}\n" for c in changes]
        (out / CHANGES).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        where = error.filename or out
        raise BriskError(f"{where} cannot be written: {error.strerror or error}") from None
    finally:
        pool.shutdown(cancel_futures=True)
    failed = sum(change.done == "left out" for change in changes) - len(dropped)
    return Repair(out, len(kept) - failed, tuple(changes))


def _plans(scan: Scan, report: CheckReport) -> tuple[dict[Path, Plan], dict[Path, str]]:
    """What is mended, by label file; and which files are left out, with the kind of the finding."""
    has_white = len(scan.dataset.labels.names) == 2 and not scan.counts()[1]
    plans = {fact.pair.label: Plan(white_is_class=has_white) for fact in scan.facts}
    dropped: dict[Path, str] = {}
    labels = {fact.pair.image: fact.pair.label for fact in scan.facts}
    for finding in report.findings:
        paths = [scan.dataset.root / path for path in finding.files]
        if finding.kind == "duplicates":
            surplus = surplus_copies(scan)
            dropped |= {scan.named(path): finding.kind for path in paths if path in surplus}
        elif KINDS[finding.kind].fix == "left out":
            dropped |= {scan.named(path): finding.kind for path in paths}
        elif KINDS[finding.kind].fix == "mended":
            for path in paths:
                plans[labels.get(path, path)].kinds.add(finding.kind)
    for diagnosis in diagnose(scan):
        for fact in diagnosis.facts:
            if diagnosis.cure.remap:
                plans[fact.pair.label].remap = diagnosis.cure.remap
    for fact in scan.facts:
        if fact.split not in SPLITS:
            dropped[scan.named(fact.pair.image)] = f"a folder has no split '{fact.split}'"
    for file in scan.unmatched:  # of a name that is used twice, no one knows which file is right
        if file.problem == "name used twice":
            for fact in scan.facts:
                # a set that comes without splits has its names once in all of them
                is_same_split = file.split in (fact.split, "all")
                if is_same_split and file.path.stem in (fact.pair.image.stem, fact.pair.label.stem):
                    dropped[scan.named(fact.pair.image)] = "name-used-twice"
    return plans, dropped


def _whole(scan: Scan, named: Iterable[Path]) -> set[Path]:
    return {scan.dataset.root / path for path in named}


def _write_pair(scan: Scan, fact: PairFacts, plan: Plan, out: Path, shift: int) -> list[Change]:
    image, pair = fact.image, fact.pair
    assert image is not None  # what cannot be read is left out
    try:
        labels_hw = mend_labels(pair.label, scan.dataset.labels, plan, image)
        is_other = image.orientation != 1 or image.form not in SUFFIXES
        rewrites = plan.kinds & _REWRITTEN or is_other
        image_hwc = mend_image(pair.image, plan, shift, image.orientation) if rewrites else None
    except DataError as error:
        return [Change("left out", scan.named(pair.label), str(error))]
    stem = out / "images" / fact.split / pair.name
    if image_hwc is not None:
        write_png(stem.with_name(f"{pair.name}.png"), image_hwc)
    else:
        suffix = SUFFIXES[image.form][0]
        shutil.copyfile(pair.image, stem.with_name(f"{pair.name}{suffix}"))
    write_png(out / "labels" / fact.split / f"{pair.name}.png", labels_hw)
    return [Change("mended", scan.named(pair.label), kind) for kind in sorted(plan.kinds)]
