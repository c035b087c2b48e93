"""briskseg compare: are two runs equal within the rule, and where do they part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console
from briskseg.cli.options import PlotOption
from briskseg.core.errors import RequestError, nearest
from briskseg.core.wording import counted

if TYPE_CHECKING:
    from briskseg.core.types import Floats
    from briskseg.runs.compare.curve import Axis
    from briskseg.runs.compare.miou_change import ScoreDifference
    from briskseg.runs.compare.two_runs import Comparison

_Keys = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="The loss's name in the logs; twice if B's differs."),
]
_Patterns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGEX",
        help="For text logs: a Python regular expression with groups named step and loss; give it "
        "twice if B's differs.",
    ),
]
_LOG = "a run folder, or a log: metrics.csv, TensorBoard, MMEngine's JSON or text."

_Smooth = Annotated[
    float | None, typer.Option(metavar="N", help="Average over the last N steps (or --by).")
]


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help=f"The reference: {_LOG}")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run to compare with it.")],
    by: Annotated[str, typer.Option(help="Align by step, samples or time.")] = "step",
    smooth: _Smooth = None,
    mre: Annotated[float, typer.Option(help="The largest mean relative error allowed.")] = 0.05,
    mae: Annotated[float, typer.Option(help="The largest mean absolute error allowed.")] = 0.0002,
    key: _Keys = None,
    pattern: _Patterns = None,
    plot: PlotOption = None,
    json_file: console.JsonOption = None,
) -> None:
    """Compare the loss curves and scores of two runs.

    Losses are equal if their mean relative error is within --mre, or their mean absolute error
    within --mae: the rule by which model zoos accept a recipe on another device. Otherwise the step
    where the curves part is named. Exit status: 0 equal, 1 not equal, 2 the request was wrong.

    Example: briskseg compare runs/gpu runs/npu --smooth 100 --plot losses.png
    """
    axis = _axis(by)
    if smooth is not None and not 0 < smooth < math.inf:
        raise RequestError(f"--smooth {smooth:g}: expected a number above 0")
    for name, bound in (("--mre", mre), ("--mae", mae)):
        if not 0 <= bound < math.inf:
            raise RequestError(f"{name} {bound:g}: expected a bound of 0 or above")
    keys, patterns = _for_each("--key", key), _for_each("--pattern", pattern)

    from briskseg.runs.compare.agreement import Rule
    from briskseg.runs.compare.curves_chart import save_picture
    from briskseg.runs.compare.logs import Log
    from briskseg.runs.compare.two_runs import compare_runs

    log_a, log_b = (
        Log(run, name or "loss", expression)
        for run, name, expression in zip((run_a, run_b), keys, patterns, strict=True)
    )
    found = compare_runs(log_a, log_b, axis, smooth, Rule(mre, mae))
    if plot is not None:
        save_picture(found, plot)
    if not console.is_stdout(json_file):
        _print_curves(found)
        if isinstance(found.scores, str):
            print(f"\n{found.scores}")
        elif found.scores is not None:
            _print_scores(found.scores)
        print(f"\n{found.verdict}")
    console.write_json(json_file, found.to_json())
    raise typer.Exit(0 if found.equal else 1)


def _axis(by: str) -> Axis:
    from briskseg.runs.compare.curve import AXES

    for axis in AXES:
        if by == axis:
            return axis
    raise RequestError(f"--by {by}: {nearest(by, AXES)}")


def _for_each(option: str, given: list[str] | None) -> tuple[str | None, str | None]:
    """One value for both runs, or one each."""
    values = given or []
    if len(values) > 2:
        raise RequestError(f"{option} is given {len(values)} times; give one for both runs, or two")
    return (values[0], values[-1]) if values else (None, None)


def _print_curves(found: Comparison) -> None:
    from briskseg.runs.compare.curve import UNITS

    def span(positions: Floats) -> str:
        return f"{found.position(positions[0])} to {found.position(positions[-1])}"

    agreement = found.agreement
    for which, curve in (("A", found.a), ("B", found.b)):
        positions, _ = curve.along(found.axis)
        points = f"{counted(len(positions), 'point')}, {span(positions)}"
        cut = "; its last line has no newline, and is left out" if curve.is_cut else ""
        print(f"{which}  {curve.log}: {curve.key} at {points}{cut}")
    places = agreement.positions
    compared = f"compared at {counted(len(places), 'point')}, {span(places)}"
    if agreement.interpolated:
        compared += f"; B interpolated at {agreement.interpolated}"
    if found.window is not None:
        compared += f"; smoothed over {found.window:g} {UNITS[found.axis]}"
    print(compared)
    rule, widest = agreement.rule, agreement.widest
    print()
    print(f"MeanRelativeError  {agreement.relative_error:<12.3g} bound {rule.relative:g}")
    print(f"MeanAbsoluteError  {agreement.absolute_error:<12.3g} bound {rule.absolute:g}")
    first = agreement.first_difference
    if first is None:
        print("first difference   none: the same numbers throughout")
    else:
        print(f"first difference   {found.position(first)}")
        print(
            f"largest            {found.position(agreement.positions[widest])}: "
            f"{agreement.a[widest]:.5g} and {agreement.b[widest]:.5g}, "
            f"relative {agreement.relative[widest]:.3g}"
        )
    parts = "never" if agreement.within else "not for good: at the end they are near"
    if (at := agreement.parts_at) is not None:
        parts = f"at {found.position(at)}"
    print(f"the runs part      {parts}")
    if found.same_weights is not None:
        same = "equal to the last bit" if found.same_weights else "not the same bits"
        print(f"model.safetensors  {same}")


def _print_scores(scores: ScoreDifference) -> None:
    print(f"\nscores on {counted(scores.images, 'image')} of '{scores.split}', in percent")
    rows = []
    for name, one in [("mean", scores.miou), *scores.classes.items()]:
        difference = "-" if one.difference is None else f"{100 * one.difference:+.2f}"
        interval = "-"
        if one.low is not None and one.high is not None:
            interval = f"{100 * one.low:+.2f} to {100 * one.high:+.2f}"
        both = console.percent(one.a), console.percent(one.b)
        rows.append((name, *both, difference, interval, "*" * one.is_clear))
    console.print_table(("IoU", "A", "B", "B - A", "95 % interval", ""), rows)
    if scores.warning:
        print(f"warning: {scores.warning}")
    print(scores.note or "* the interval leaves out 0; of 20 equal classes one does by chance")
