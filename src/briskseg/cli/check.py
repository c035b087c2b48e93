"""briskseg check: is this data fit to train on?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import (
    ClassesOption,
    DataArgument,
    PlotOption,
    UnlabeledOption,
    read_unlabeled,
)
from briskseg.core.wording import counted, first_of

if TYPE_CHECKING:
    from briskseg.data.check import CheckReport
    from briskseg.data.check.fixed_copy import FixedCopy

FILES = 3  # named of a finding

_Fix = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Write a repaired copy to this folder; DATA is not changed."),
]


@app.command()
def check(
    data: DataArgument,
    classes: ClassesOption = None,
    unlabeled: UnlabeledOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, if the data has none.")] = 0,
    fix: _Fix = None,
    picture: PlotOption = None,
    json_file: console.JsonOption = None,
) -> None:
    """Read every file of a data set, and say what is wrong and how to repair it.

    The exit status is 0 if the data (with --fix: the repaired copy) is fit to train on, even with
    warnings, and 1 if there are errors. Files that have not changed since the last check are not
    read again. docs/check.md explains every kind of finding.

    Example: briskseg check data/mine --fix data/repaired
    """
    from briskseg.data.check import check_dataset, report_on
    from briskseg.data.check.fixed_copy import refuse_out, would_keep, write_repaired
    from briskseg.data.check.scan import scan_files
    from briskseg.data.formats import find_dataset

    if fix is not None:
        refuse_out(Path(data), fix)  # before every file is read
    with console.counter("reading", "pairs") as progress:
        found = find_dataset(data, classes, seed, progress, read_unlabeled(unlabeled))
        scan = scan_files(found, progress, seed)
    report = report_on(scan)
    result = report.to_json()
    is_quiet = console.is_stdout(json_file)
    if not is_quiet:
        _print(report)
    fit = report.fit
    if picture is not None:
        from briskseg.data.check.chart import save_picture

        save_picture(report, scan.dataset.labels, picture)
        if not is_quiet:
            print(f"picture: {picture}")
    if fix is not None:
        with console.counter("writing", "pairs") as progress:
            repair = write_repaired(scan, report, fix, progress)
        after = None
        if repair.pairs:
            with console.counter("reading the copy", "pairs") as progress:
                after = check_dataset(repair.out, progress=progress)
        fit = after is not None and after.fit
        result["fix"] = repair.to_json() | {"copy": after and after.to_json()}
        if not is_quiet:
            _print_repair(repair, after)
    elif not (is_quiet or fit) and would_keep(scan, report):
        stays = [f.kind for f in report.findings if f.severity == "error" and f.fix == "unchanged"]
        but = f" but for {', '.join(stays)}" if stays else ""
        what = f"a copy without what is wrong{but}, repaired where it can be"
        print(f"{what}: this command with --fix OUT")
    console.write_json(json_file, result)
    if not fit:
        raise typer.Exit(1)


def _print_repair(repair: FixedCopy, after: CheckReport | None) -> None:
    pairs = counted(repair.pairs, "pair") if after else "no pair could be kept, nothing was written"
    print(f"\n{repair.out}: {pairs}")
    for (done, why), paths in repair.summary().items():
        print(_wrapped(f"{done}: {counted(len(paths), 'file')}, {why} ({_first(paths)})", "  "))
    if after is None:
        return
    if repair.changes:
        print(_wrapped(f"all of them: {repair.out / 'changes.txt'}", "  "))
    left = ", ".join(f"{f.severity} {f.kind} ({f.count})" for f in after.findings)
    verdict = "fit to train on" if after.fit else "not fit to train on"
    print(_wrapped(f"the copy, checked: {left or 'no finding'}; {verdict}", "  "))


def _first(paths: Sequence[Path]) -> str:
    """The first few files, and whether there are more."""
    return ", ".join(p.as_posix() for p in paths[:FILES]) + (", ..." if len(paths) > FILES else "")


def _print(report: CheckReport) -> None:
    pairs = ", ".join(f"{split} {summary.pairs}" for split, summary in report.splits.items())
    classes = counted(len(report.classes), "class")
    head = f"{report.root}: kind {report.kind}, {classes}, pairs: {pairs}"
    print(_wrapped(head))
    if report.split_seed is not None:
        why = "no list and no folder says which images are val"
        print(_wrapped(f"split: drawn by seed {report.split_seed} (--seed): {why}"))
    print(_wrapped(str(report.files)))
    sizes = [f"{width}x{height} ({n})" for (height, width), n in report.sizes.items()]
    shown = first_of(sizes, 5) or "none"
    print(_wrapped(f"image sizes, width x height (images): {shown}") + "\n")
    _print_classes(report)
    for finding in report.findings:
        print()
        title = f"{finding.severity}: {finding.kind} ({finding.count})"
        print(_wrapped(f"{title}: {finding.message}"))
        if finding.files:
            print(_wrapped(f"files: {_first(finding.files)}", "  "))
        print(_wrapped(f"cure: {finding.fix_hint}", "  "))
    found = [finding.severity for finding in report.findings]
    counts = {severity: found.count(severity) for severity in ("error", "warning", "note")}
    numbers = [counted(n, severity) for severity, n in counts.items()]
    verdict = "fit to train on" if report.fit else "not fit to train on"
    print(f"\n{', '.join(numbers)}: {verdict}")


def _wrapped(text: str, indent: str = "") -> str:
    """The text in lines; a path stays in one piece, so that it can be copied."""
    return fill(
        text,
        console.WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_classes(report: CheckReport) -> None:
    """What means each class in the label files; its share among the labeled pixels of a split, and
    the images it occurs in."""
    from briskseg.core.labels import IGNORED

    headings = [heading for split in report.splits for heading in (f"{split} pixels", "images")]
    rows = []
    for index, name in enumerate(report.classes):
        cells = [name, " = ".join(filter(None, (str(index), report.held.get(index, ""))))]
        for summary in report.splits.values():
            share = 100 * summary.pixels[index] / max(1, sum(summary.pixels))
            cells += [f"{share:.2f} %", str(summary.images[index])]
        rows.append(cells)
    ignored = ["(ignored, of all)", report.held.get(IGNORED, "")]
    for summary in report.splits.values():
        pixels = max(1, sum(summary.pixels) + summary.ignored)
        ignored += [f"{100 * summary.ignored / pixels:.2f} %", ""]
    headings = ["class", "index = in the files", *headings]
    console.print_table(headings, [*rows, ignored], width=console.WIDTH)
