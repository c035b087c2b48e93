"""briskseg compare: are two runs equal within the rule, and where do they part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app
from briskseg.cli.console import (
    JsonOption,
    check_json,
    is_stdout,
    percent,
    plain_table,
    print_rows,
    write_json,
)
from briskseg.core.errors import RequestError, nearest
from briskseg.core.plots import check_figure_file

if TYPE_CHECKING:
    from briskseg.core.types import Floats
    from briskseg.runs.compare.curve import Axis, Curve
    from briskseg.runs.compare.miou_change import Difference, ScoreDifference
    from briskseg.runs.compare.two_runs import Comparison

_Keys = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Another name than loss in the logs; twice: A's, then B's."),
]
_Patterns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGEX",
        help="For text logs: a Python expression with groups named step and loss; twice: A's, "
        "then B's.",
    ),
]
_LOG = "A run folder, or a log: metrics.csv, TensorBoard, MMEngine's JSON, text."


_Smooth = Annotated[
    float | None, typer.Option(metavar="N", help="Average over the last N steps (or --by).")
]
_Plot = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw both curves: .png, .svg or .pdf.")
]


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help=f"The reference. {_LOG}")],
    run_b: Annotated[Path, typer.Argument(help="The run that is held against it; likewise.")],
    by: Annotated[str, typer.Option(help="Align by step, samples or time.")] = "step",
    smooth: _Smooth = None,
    mre: Annotated[float, typer.Option(help="Bound of the mean relative error.")] = 0.05,
    mae: Annotated[float, typer.Option(help="Bound of the mean absolute error.")] = 0.0002,
    key: _Keys = None,
    pattern: _Patterns = None,
    plot: _Plot = None,
    json_file: JsonOption = None,
) -> None:
    """Compare two runs: losses by a rule, the step where they part, and scores with intervals.

    Equal is a mean relative error within --mre or a mean absolute error within --mae, the model-zoo
    rule for a recipe on another device. Exit status: 0 equal, 1 not, 2 the request was wrong.

    Example: briskseg compare runs/gpu runs/npu --smooth 100 --plot losses.png
    """
    axis = _axis(by)
    _check_numbers(smooth, mre, mae)
    check_json(json_file)
    keys, patterns = _for_each("--key", key), _for_each("--pattern", pattern)

    from briskseg.runs.compare.agreement import Rule
    from briskseg.runs.compare.curves_chart import save_picture
    from briskseg.runs.compare.logs import Log
    from briskseg.runs.compare.two_runs import compare_runs

    if plot is not None:
        check_figure_file(plot)
    logs = [
        Log(run, name or "loss", expression)
        for run, name, expression in zip((run_a, run_b), keys, patterns, strict=True)
    ]
    found = compare_runs(logs[0], logs[1], axis, smooth, Rule(mre, mae))
    if plot is not None:
        save_picture(found, plot)
    if not is_stdout(json_file):
        _print(found)
    write_json(json_file, found.to_json())
    raise typer.Exit(0 if found.agreement.within else 1)


def _axis(by: str) -> Axis:
    from briskseg.runs.compare.curve import AXES

    for axis in AXES:
        if by == axis:
            return axis
    raise RequestError(f"--by {by}: {nearest(by, AXES)}")


def _check_numbers(smooth: float | None, mre: float, mae: float) -> None:
    if smooth is not None and not smooth > 0:
        raise RequestError(f"--smooth {smooth:g}: expected a number above 0")
    for name, bound in (("--mre", mre), ("--mae", mae)):
        if not bound >= 0:
            raise RequestError(f"{name} {bound:g}: expected a bound of 0 or above")


def _for_each(option: str, given: list[str] | None) -> tuple[str | None, str | None]:
    """One value for both runs, or one each."""
    values = given or []
    if len(values) > 2:
        raise RequestError(f"{option} is given {len(values)} times; give one for both runs, or two")
    return (values[0], values[-1]) if values else (None, None)


def _print(found: Comparison) -> None:
    _print_curves(found)
    _print_scores(found)
    print(f"\n{found.verdict}")


def _print_curves(found: Comparison) -> None:
    agreement = curves = found.agreement
    for which, curve in (("A", found.a), ("B", found.b)):
        print(f"{which}  {_described(found, curve)}")
    compared = f"compared at {len(curves.positions)} points, {_span(found, curves.positions)}"
    if curves.interpolated:
        compared += f"; B interpolated at {curves.interpolated}"
    if found.window is not None:
        compared += f"; smoothed over {found.window:g} {_unit(found)}"
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
            f"largest            {found.position(curves.positions[widest])}: "
            f"{curves.a[widest]:.5g} and {curves.b[widest]:.5g}, "
            f"relative {agreement.relative[widest]:.3g}"
        )
    parts = agreement.parts_at
    print(f"the runs part      {'never' if parts is None else f'at {found.position(parts)}'}")
    if found.same_weights is not None:
        same = "equal to the last bit" if found.same_weights else "not the same bits"
        print(f"model.safetensors  {same}")


def _described(found: Comparison, curve: Curve) -> str:
    positions, _ = curve.along(found.axis)
    return f"{curve.log}: {curve.key} at {len(positions)} points, {_span(found, positions)}"


def _span(found: Comparison, positions: Floats) -> str:
    return f"{found.position(positions[0])} to {found.position(positions[-1])}"


def _unit(found: Comparison) -> str:
    from briskseg.runs.compare.curve import UNITS

    return UNITS[found.axis]


def _print_scores(found: Comparison) -> None:
    if found.scores is None:
        return
    if isinstance(found.scores, str):
        print(f"\n{found.scores}")
        return
    _print_score_table(found.scores)


def _print_score_table(scores: ScoreDifference) -> None:
    print(f"\nscores on {scores.images} images of '{scores.split}', in percent")
    print_rows(
        plain_table("IoU", "A", "B", "B - A", "95 % interval", ""),
        (
            (name, percent(one.a), percent(one.b), _signed(one), _interval(one), "*" * one.is_clear)
            for name, one in [("mean", scores.miou), *scores.classes.items()]
        ),
    )
    if scores.note:
        print(scores.note)
    else:
        print("* the interval leaves out 0; of 20 equal classes one does by chance")


def _signed(one: Difference) -> str:
    return "-" if one.difference is None else f"{100 * one.difference:+.2f}"


def _interval(one: Difference) -> str:
    if one.low is None or one.high is None:
        return "-"
    return f"{100 * one.low:+.2f} to {100 * one.high:+.2f}"
