"""How much a server has accepted, and whether it takes more. Used by the event loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from briskseg.serving.refusals import RETRY_S, Refused
from briskseg.serving.settings import Settings


class Gate:
    """Counts what is accepted and not answered; beyond the settings' bounds it refuses.

    accepted: requests and frames. draining: set once, when the server is to end: from then on
    nothing new is taken, and what was accepted is still answered.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = settings.workers + settings.queue
        self._bytes = 0
        self.accepted = 0
        self.streams = 0
        self.draining = asyncio.Event()

    @contextmanager
    def taken(self, length: int | None) -> Iterator[None]:
        """Within, a request counts as accepted, and so do the bytes of its body.

        length: of the body, None where the request does not say. Raises Refused (503) where there
        is no room.
        """
        if self.draining.is_set():
            raise shutting_down()
        if self.accepted >= self._slots:
            raise Refused(
                503,
                f"{self.accepted} requests are accepted already, expected fewer than {self._slots} "
                f"(--workers and --queue); ask again in {RETRY_S} s",
                "queue",
            )
        held = self._settings.body if length is None else length
        if self._bytes + held > self._settings.bodies:
            raise Refused(
                503,
                f"requests of {self._bytes} bytes are held already, and {self._settings.bodies} "
                f"are at once; ask again in {RETRY_S} s",
                "memory",
            )
        with self.frame():
            self._bytes += held
            try:
                yield
            finally:
                self._bytes -= held

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Within, a stream's frame counts as accepted; streams are bounded instead."""
        self.accepted += 1
        try:
            yield
        finally:
            self.accepted -= 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Within, a stream is open. Raises Refused (503) where as many are as may be."""
        if self.draining.is_set():
            raise shutting_down()
        if self.streams >= self._settings.streams:
            raise Refused(
                503,
                f"{self.streams} streams are open already, and no more are at once; ask again "
                "when one has ended",
                "streams",
            )
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1


def shutting_down() -> Refused:
    """The answer of a server that ends."""
    return Refused(
        503,
        f"this server is ending and takes nothing new; ask again in {RETRY_S} s, when another may "
        "be there",
        "ending",
    )
