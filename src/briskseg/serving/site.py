"""What the handlers of one server share, and how each takes its request."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import HTTPConnection, Request

from briskseg.serving.bodies import read_body, stated_length
from briskseg.serving.engine import Engine, Stopwatch, Work
from briskseg.serving.gate import Gate
from briskseg.serving.metrics import Metrics
from briskseg.serving.refusals import Refused

Result = TypeVar("Result")


@dataclass(frozen=True)
class Site:
    """One server's parts."""

    engine: Engine
    gate: Gate
    metrics: Metrics

    @classmethod
    def of(cls, connection: HTTPConnection) -> Site:
        """The site that a request or a stream came to."""
        site: Site = connection.app.state.site
        return site


async def accept(request: Request) -> tuple[bytes, Stopwatch]:
    """The body of the request, which counts as accepted until the guard has sent its answer.

    Raises Refused."""
    site = Site.of(request)
    settings = site.engine.settings
    held: ExitStack = request.scope["held"]
    held.enter_context(site.gate.taken(stated_length(request, settings)))
    watch = Stopwatch(site.metrics)
    body = await read_body(request, settings)
    watch.end_stage("receive")
    return body, watch


async def run(request: Request, work: Work[Result], watch: Stopwatch) -> Result:
    """What `work` gives; it is not begun where who asked has gone meanwhile. Raises Refused."""
    done = asyncio.ensure_future(Site.of(request).engine.run(work, watch))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise Refused(400, "the connection ended before the answer; ask again", "gone")
        return done.result()
    finally:
        for task in (done, gone):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await gone


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
