"""Signals that ask a run to stop: it saves after the step that is running, and says how to go on.

No torch here: the command listens before it imports torch.

    SIGINT            Ctrl-C                                     exit status 130
    SIGTERM, SIGUSR1  a scheduler: preemption, or the time limit exit status 75 (EX_TEMPFAIL)
    SIGHUP            the terminal went away                     exit status 129
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NoReturn, Self

from briskseg.core.errors import Interrupted

# 75 says "saved, run me again" and nothing else, where 143 also comes of a process that was
# killed before it could save.
EXIT_STATUS = {"SIGINT": 130, "SIGTERM": 75, "SIGUSR1": 75, "SIGHUP": 129}


class Stop:
    """Use as a context, in which the signals above are heard (on the main thread).

    `asked` is the signal's name once one has come. While `waits` is set the run looks at it after
    each step; before and after that, in reading and in scoring, nothing can be lost and a signal
    interrupts at once, as a second Ctrl-C does anywhere.

    how_to_resume: for the message. hear: called, within the signal's handler, when a signal has
    come that the run will answer after its step. is_begun: whether there is a run to go on with.
    """

    def __init__(
        self,
        how_to_resume: str = "the same call with RunSession(resume=True)",
        hear: Callable[[], None] = lambda: None,
        is_begun: Callable[[], bool] = lambda: True,
    ) -> None:
        self.how_to_resume = how_to_resume
        self.hear, self.is_begun = hear, is_begun
        self.asked: str | None = None
        self.waits = False
        self._before: list[dict[int, Any]] = []  # the handlers before each `with`, one in another

    def __enter__(self) -> Self:
        handlers: dict[int, Any] = {}
        self._before.append(handlers)
        for name in EXIT_STATUS:
            number = getattr(signal, name, None)  # Windows has not all of them
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue  # nohup ignores SIGHUP on purpose
            try:
                handlers[number] = signal.signal(number, self._hear)
            except ValueError:  # not the main thread: whoever runs us there handles signals
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.pop().items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: Any) -> None:
        again = self.asked is not None and number == signal.SIGINT
        self.asked = self.asked or signal.Signals(number).name
        if again or not self.waits:
            self.now("", "what was saved before is kept")
        self.hear()

    def now(self, where: str, state: str) -> NoReturn:
        """Stop here: `where` the run is, and what is saved."""
        name = self.asked or "SIGTERM"  # of several processes, another one was asked
        how = "interrupted" if name == "SIGINT" else f"stopped by {name}"
        message = f"{how}{where}; {state}, go on with: {self.how_to_resume}"
        if not self.is_begun():
            message = f"{how} before the first step; give the same command again"
        raise Interrupted(message, EXIT_STATUS[name])
