"""What `train` prints: a bar with rate and time left, or lines where nobody watches, to standard
error; and of several seeds the scores and how far they lie apart, to standard output."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from briskseg.cli.console import percent, print_table
from briskseg.core import run_names

if TYPE_CHECKING:
    from briskseg.training.repeat import Spread

PHASES = {
    "read": "reading images",
    "train": "training",
    "validate": "validating",
    "predict": "predicting on train",
    "adjust": "adjusting the logits",
    "score": "scoring the best weights",
}
LINE_EVERY_S = 30.0  # where there is no terminal
WINDOW_S = 30.0  # the steps by which rate and time left are judged


class TrainingProgress:
    """Use as a context; `show` is the listener that `fit` wants."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._phase = ""
        self._pace = deque[tuple[float, int, float]]()  # time, step, share done: the last steps
        self._rate = self._left = ""
        self._last_line = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        if event["phase"] == "notice":
            self.console.print(event["text"], highlight=False, markup=False, soft_wrap=True)
            return
        phase, step, steps = event["phase"], event["step"], event["steps"]
        now = time.monotonic()
        if phase == "validated":
            name, score = event["score"]
            self.console.print(f"epoch {event['epoch']}: {name} {score:.4f}", highlight=False)
            return
        if phase == "train":
            if self._phase != "train":
                self._pace.clear()  # so that reading and validating are not taken for training
            self._pace.append((now, step, event["done"]))
            self._foresee(event["images"])
        changed, self._phase = phase != self._phase, phase
        rate, left = (self._rate, self._left) if phase == "train" else ("", "")
        if not self._bar.disable:
            if self._task is None:
                self._task = self._bar.add_task("", total=steps, rate="", left="")
            shown = {"description": PHASES[phase], "completed": step, "total": steps}
            self._bar.update(self._task, **shown, rate=rate, left=left)
        elif (changed and phase != "validate") or now - self._last_line > LINE_EVERY_S:
            self._last_line = now
            parts = [f"{PHASES[phase]} {step}/{steps}", rate, left]
            self.console.print(", ".join(p for p in parts if p), highlight=False)

    def _foresee(self, images: int) -> None:
        """The rate over the last steps, and the time left at that pace, validations not counted."""
        while self._pace[-1][0] - self._pace[0][0] > WINDOW_S and len(self._pace) > 2:
            self._pace.popleft()
        (began, first, done_then), (now, step, done) = self._pace[0], self._pace[-1]
        if now - began < 2:  # too short to tell; what was shown before still holds
            return
        self._rate = f"{(step - first) * images / (now - began):.1f} images/s"
        minutes, seconds = divmod(round((now - began) / (done - done_then) * (1 - done)), 60)
        hours, minutes = divmod(minutes, 60)
        self._left = f"{hours}:{minutes:02d}:{seconds:02d} left"


def print_spread(spread: Spread, folder: Path) -> None:
    """Two tables on standard output: a row a seed, and a row a class."""
    titles = {"miou": "mIoU", "val_top1": "top-1", "val_top5": "top-5"}
    shown = [name for name in spread.each if not name.startswith("iou/")]
    rows = [
        (str(seed), *(percent(spread.each[name][index]) for name in shown))
        for index, seed in enumerate(spread.seeds)
    ]
    for what, of in (("mean", spread.mean), ("standard deviation", spread.sd)):
        rows.append((what, *(percent(of(name)) for name in shown)))
    headings = [f"{titles.get(name, name.replace('_', ' '))}, %" for name in shown]
    print_table(("seed", *headings), rows)
    classes = [name for name in spread.each if name.startswith("iou/")]
    if classes:
        print()
        rows = []
        for name in classes:
            known = spread.known(name)
            least, most = min(known, default=None), max(known, default=None)
            values = spread.mean(name), spread.sd(name), least, most
            rows.append((name.removeprefix("iou/"), *map(percent, values)))
        print_table(("class", "IoU, mean, %", "standard deviation", "least", "most"), rows)
    print(f"\n{folder / 'repeat.json'}: the same as JSON, in [0, 1]")
    print(f"{folder / f'{run_names.SEED}{spread.seeds[0]}' / 'report.html'}: a page for each run")
