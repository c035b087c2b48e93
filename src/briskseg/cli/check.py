"""briskseg check: is this data fit to train on?"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.core.errors import BriskError, RequestError

if TYPE_CHECKING:
    from briskseg.data.check import CheckReport

WIDTH = 100


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="The data set's folder, or `streets`.")],
    classes: Annotated[
        str | None, typer.Option(help="The class set, where the data has several: camvid32 ...")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, where the data has none.")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the report as JSON; - for stdout."),
    ] = None,
) -> None:
    """Read every file of a data set and name all that is wrong, with the cure.

    Exit status 0 when the data is fit to train on (there may be warnings), 1 when an error was
    found.

    Example: briskseg check data/mine --json report.json
    """
    if json_file is not None and str(json_file) != "-" and not json_file.parent.is_dir():
        raise RequestError(
            f"--json {json_file}: the folder {json_file.parent} is not there; make it"
        )
    from briskseg.cli.counter import counter
    from briskseg.data.check import check_dataset

    with counter("reading", "pairs") as progress:
        report = check_dataset(data, classes, seed, progress)
    text = json.dumps(report.to_json(), indent=1)
    if str(json_file) == "-":
        print(text)
    else:
        _print(report)
    if json_file is not None and str(json_file) != "-":
        try:
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise BriskError(f"--json {json_file} cannot be written: {error.strerror}") from None
    if not report.fit:
        raise typer.Exit(1)


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
            files = ", ".join(path.as_posix() for path in finding.files)
            more = ", ..." if finding.count > len(finding.files) else ""
            print(_wrapped(f"files: {files}{more}", "  "))
        print(_wrapped(f"cure: {finding.cure}", "  "))
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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for split in report.splits:
        table.add_column(f"{split} pixels", justify="right")
        table.add_column("images", justify="right")
    for index, name in enumerate(report.classes):
        cells = []
        for summary in report.splits.values():
            labeled = max(1, sum(summary.pixels))
            share = 100 * summary.pixels[index] / labeled
            cells += [f"{share:.2f} %", str(summary.images[index])]
        table.add_row(Text(name), *cells)
    ignored = []
    for summary in report.splits.values():
        pixels = max(1, sum(summary.pixels) + summary.ignored)
        ignored += [f"{100 * summary.ignored / pixels:.2f} %", ""]
    table.add_row("(ignored, of all)", *ignored)
    Console(width=WIDTH, highlight=False, markup=False).print(table)
