"""briskseg check: is this data fit to train on?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.console import (
    WIDTH,
    JsonOption,
    check_json,
    counter,
    is_stdout,
    plain_table,
    print_rows,
    write_json,
)
from briskseg.cli.options import ClassesOption, DataArgument, UnlabeledOption, read_unlabeled
from briskseg.core.plots import check_figure_file

if TYPE_CHECKING:
    from briskseg.data.check import CheckReport
    from briskseg.data.check.fixed_copy import FixedCopy
    from briskseg.data.check.scan import Scan

FILES = 3  # named of a finding

_Fix = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Write a repaired copy there; DATA stays as it is."),
]
_Picture = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw classes and sizes: .png, .svg or .pdf."),
]


@app.command()
def check(
    data: DataArgument,
    classes: ClassesOption = None,
    unlabeled: UnlabeledOption = None,
    seed: Annotated[int, typer.Option(help="Of the split, where the data has none.")] = 0,
    fix: _Fix = None,
    picture: _Picture = None,
    json_file: JsonOption = None,
) -> None:
    """Read every file of a data set and name all that is wrong, with the cure.

    Exit status 0 when the data (with --fix: the copy) is fit to train on, warnings or not; 1 when
    an error was found. Files that have not changed since the last check are not read again. Every
    kind of finding is in docs/check.md.

    Example: briskseg check data/mine --fix data/repaired
    """
    check_json(json_file)
    if picture is not None:
        check_figure_file(picture)
    from briskseg.data.check import report_on, scan_dataset

    if fix is not None:
        from briskseg.data.check.fixed_copy import refuse_out

        refuse_out(Path(data), fix)  # before every file is read
    with counter("reading", "pairs") as progress:
        scan = scan_dataset(data, classes, seed, progress, read_unlabeled(unlabeled))
    report = report_on(scan)
    result = report.to_json()
    is_quiet = is_stdout(json_file)
    if not is_quiet:
        _print(report)
    fit = report.fit
    if picture is not None:
        from briskseg.data.check.chart import save_picture

        save_picture(report, scan.dataset.labels, picture)
        if not is_quiet:
            print(f"picture: {picture}")
    if fix is not None:
        repair, after = _repair(scan, report, fix)
        fit = after is not None and after.fit
        result["fix"] = repair.to_json() | {"copy": after and after.to_json()}
        if not is_quiet:
            _print_repair(repair, after)
    elif not (is_quiet or fit):
        print("a copy without what is wrong, repaired where it can be: this command with --fix OUT")
    write_json(json_file, result)
    if not fit:
        raise typer.Exit(1)


def _repair(scan: Scan, report: CheckReport, out: Path) -> tuple[FixedCopy, CheckReport | None]:
    """The repaired copy, and what a check of it finds; None where no pair is left."""
    from briskseg.data.check import check_dataset
    from briskseg.data.check.fixed_copy import write_repaired

    with counter("writing", "pairs") as progress:
        repair = write_repaired(scan, report, out, progress)
    if repair.pairs == 0:
        return repair, None
    with counter("reading the copy", "pairs") as progress:
        return repair, check_dataset(repair.out, progress=progress)


def _print_repair(repair: FixedCopy, after: CheckReport | None) -> None:
    print(f"\n{repair.out}: {repair.pairs} pairs")
    for (done, why), paths in repair.summary().items():
        files = "file" if len(paths) == 1 else "files"
        print(_wrapped(f"{done}: {len(paths)} {files}, {why} ({_first(paths)})", "  "))
    if repair.changes:
        print(_wrapped(f"all of them: {repair.out / 'changes.txt'}", "  "))
    if after is None:
        print("no pair could be kept: the findings above say why")
        return
    left = ", ".join(f"{f.severity} {f.kind} ({f.count})" for f in after.findings)
    verdict = "fit to train on" if after.fit else "not fit to train on"
    print(_wrapped(f"the copy, checked: {left or 'no finding'}; {verdict}", "  "))


def _first(paths: Sequence[Path]) -> str:
    """The first few files, and whether there are more."""
    return ", ".join(p.as_posix() for p in paths[:FILES]) + (", ..." if len(paths) > FILES else "")


def _print(report: CheckReport) -> None:
    pairs = ", ".join(f"{split} {summary.pairs}" for split, summary in report.splits.items())
    head = f"{report.root}: kind {report.kind}, {len(report.classes)} classes, pairs: {pairs}"
    print(_wrapped(head))
    sizes = [f"{width}x{height} ({n})" for (height, width), n in report.sizes.items()]
    more = f" and {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""
    shown = ", ".join(sizes[:5]) or "none"
    print(_wrapped(f"image sizes, width x height (images): {shown}{more}") + "\n")
    _print_classes(report)
    for finding in report.findings:
        print()
        title = f"{finding.severity}: {finding.kind} ({finding.count})"
        print(_wrapped(f"{title}: {finding.message}"))
        if finding.files:
            print(_wrapped(f"files: {_first(finding.files)}", "  "))
        print(_wrapped(f"cure: {finding.fix_hint}", "  "))
    found = [finding.severity for finding in report.findings]
    numbers = []
    for severity in ("error", "warning", "note"):
        n = found.count(severity)
        numbers.append(f"{n} {severity}{'' if n == 1 else 's'}")
    verdict = "fit to train on" if report.fit else "not fit to train on"
    print(f"\n{', '.join(numbers)}: {verdict}")


def _wrapped(text: str, indent: str = "") -> str:
    """The text in lines of at most `WIDTH`; a path stays in one piece, so that it can be copied."""
    return fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_classes(report: CheckReport) -> None:
    """The share of each class among the labeled pixels of a split, and the images it occurs in."""
    headings = [heading for split in report.splits for heading in (f"{split} pixels", "images")]
    rows = []
    for index, name in enumerate(report.classes):
        cells = [name]
        for summary in report.splits.values():
            share = 100 * summary.pixels[index] / max(1, sum(summary.pixels))
            cells += [f"{share:.2f} %", str(summary.images[index])]
        rows.append(cells)
    ignored = ["(ignored, of all)"]
    for summary in report.splits.values():
        pixels = max(1, sum(summary.pixels) + summary.ignored)
        ignored += [f"{100 * summary.ignored / pixels:.2f} %", ""]
    print_rows(plain_table("class", *headings), [*rows, ignored], WIDTH)
