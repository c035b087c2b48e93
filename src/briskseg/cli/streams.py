"""Videos and cameras on the command line: progress while they run, and what came of them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from briskseg.core.errors import Interrupted

if TYPE_CHECKING:
    from briskseg.runtime.inputs import Input
    from briskseg.runtime.predictor import Predictor
    from briskseg.runtime.video.stream import StreamReport


def label_stream(
    predictor: Predictor,
    source: Input,
    out: Path | None,
    show: bool = False,
    smooth: int = 1,
    flicker: bool = False,
) -> StreamReport:
    """Label one video or camera; what became of it.

    Ctrl-C ends a camera as it is meant to; a video it breaks off, as Interrupted says.
    """
    from briskseg.cli.counter import counter
    from briskseg.runtime.predictions import stream_predictions

    with ExitStack() as stack:
        shown = None
        if show:
            from briskseg.runtime.video.window import Window

            window = Window(source.path.name)
            stack.callback(window.close)
            shown = window.show
        progress = stack.enter_context(counter(f"labeling {source.path.name}", "frames"))
        report = stream_predictions(predictor, source, out, shown, smooth, flicker, progress)
    if report.ended == "interrupted" and not report.live:
        raise Interrupted("\n".join([_broken_off(report), report_text(report)]))
    return report


def _broken_off(report: StreamReport) -> str:
    """What there is of a video that was interrupted."""
    if not report.frames:
        return f"interrupted before the first frame of {report.name} was labeled"
    of = f" of {report.total}" if report.total >= report.frames else ""
    told = f"interrupted: {report.frames}{of} frames of {report.name} were labeled"
    if not report.paths:
        return told
    return f"{told} and written to {' and '.join(map(str, report.paths))}, which end there"


def report_text(report: StreamReport) -> str:
    """What became of a stream, and each stage's time, for people."""
    facts = [f"{report.frames} frames in {report.seconds:.1f} s, {report.rate:.1f} frames/s"]
    if report.live:
        facts.append(f"{report.dropped} dropped")
    if report.latency is not None:
        facts.append("latency {:.0f} ms, 95 % under {:.0f} ms".format(*report.latency))
    if report.flicker is not None:
        facts.append(f"flicker {report.flicker:.2%}")
    ended = {"source": "", "interrupted": " (interrupted)", "closed": " (window closed)"}
    lines = [f"{report.name}{ended[report.ended]}: {', '.join(facts)}"]
    if report.stages:
        lines.append("  ms a frame " + "".join(f"{name:>9}" for name in report.stages))
        for index, what in enumerate(("median", "95 % under")):
            figures = "".join(f"{each[index]:9.1f}" for each in report.stages.values())
            lines.append(f"  {what:11}{figures}")
    return "\n".join(lines)
