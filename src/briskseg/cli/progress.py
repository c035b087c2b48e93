"""How a training run shows itself: a bar with rate and time left, or lines where nobody watches.

Written to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PHASES = {
    "read": "reading images",
    "train": "training",
    "validate": "validating",
    "score": "scoring the best weights",
}
LINE_EVERY_S = 30.0  # where there is no terminal


class TrainingProgress:
    """Use as a context; `tell` is the listener that `fit` and `pretrain` want."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._first = (0.0, 0.0)  # share done and time at which this sitting's training began
        self._rate_from = (0, 0.0)
        self._rate = 0.0
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=self.console,
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        if event["phase"] == "notice":
            self.console.print(event["text"], highlight=False, markup=False, soft_wrap=True)
            return
        phase, step, steps = event["phase"], event["step"], event["steps"]
        now = time.monotonic()
        if phase == "validated":
            name, score = event["score"]
            self.console.print(f"epoch {event['epoch'] + 1}: {name} {score:.4f}", highlight=False)
            self._rate_from = (step, now)
            return
        if phase == "train" and self._phase in {"", "read"}:
            self._rate_from = (step - 1, now)
            self._first = (event["done"], now)
        if phase == "train":
            since = now - self._rate_from[1]
            if since > 2:
                self._rate = (step - self._rate_from[0]) * event["images"] / since
                self._rate_from = (step, now)
        changed, self._phase = phase != self._phase, phase
        rate = f"{self._rate:.1f} images/s" if phase == "train" and self._rate else ""
        left = self._left(event["done"], now) if phase == "train" else ""
        if self._bar is not None:
            self._show(phase, step, steps, rate, left)
        elif (changed and phase != "validate") or now - self._last_line > LINE_EVERY_S:
            self._last_line = now
            parts = [f"{PHASES[phase]} {step}/{steps}", rate, left]
            self.console.print(", ".join(p for p in parts if p), highlight=False)

    def _left(self, done: float, now: float) -> str:
        """Time left, from this sitting's pace in pixels, validations included."""
        share = done - self._first[0]
        if now - self._first[1] < 2 or share <= 0:
            return ""
        seconds = (now - self._first[1]) / share * (1 - done)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d} left"

    def _show(self, phase: str, step: int, steps: int, rate: str, left: str) -> None:
        assert self._bar is not None
        if self._task is None:
            self._task = self._bar.add_task("", total=steps, rate="", left="")
        self._bar.update(
            self._task,
            description=PHASES[phase],
            completed=step,
            total=steps,
            rate=rate,
            left=left,
        )
