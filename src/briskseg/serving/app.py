"""The application: every path of a server, and what answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from briskseg.serving import kserve
from briskseg.serving.engine import Engine
from briskseg.serving.frames import segment_frames
from briskseg.serving.gate import Gate
from briskseg.serving.guard import Guard
from briskseg.serving.metrics import TYPE, Metrics
from briskseg.serving.openapi import document
from briskseg.serving.refusals import answer_unknown
from briskseg.serving.segment import segment, segment_batch
from briskseg.serving.site import Site

_MODEL = "/v2/models"


def create_app(engine: Engine, page: Callable[[], str]) -> Starlette:
    """The ASGI application that serves this engine.

    page: gives the HTML page at /, and is called once, when it is first asked for.
    """
    gate = Gate(engine.settings)
    metrics = Metrics(waiting=lambda: engine.waiting, streams=lambda: gate.streams)
    site = Site(engine, gate, metrics)
    routes: list[Route | WebSocketRoute] = [
        Route("/", _page_of(page)),
        Route("/segment", segment, methods=["POST"]),
        Route("/segment/batch", segment_batch, methods=["POST"]),
        WebSocketRoute("/segment/frames", segment_frames),
        Route("/card", _card),
        Route("/healthz", kserve.live),
        Route("/readyz", kserve.ready),
        Route("/metrics", _metrics),
        Route("/openapi.json", _openapi),
        Route("/v2", kserve.server),
        Route("/v2/health/live", kserve.live),
        Route("/v2/health/ready", kserve.ready),
        *(
            Route(f"{_MODEL}/{{name}}{version}{path}", handler, methods=[method])
            for version in ("", "/versions/{version}")
            for path, handler, method in (
                ("", kserve.model, "GET"),
                ("/ready", kserve.model_ready, "GET"),
                ("/infer", kserve.infer, "POST"),
            )
        ),
    ]
    paths = frozenset(route.path for route in routes if "{" not in route.path)
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: answer_unknown},
        middleware=[Middleware(Guard, site=site, paths=paths, model_path=_MODEL)],
    )
    app.router.redirect_slashes = False  # a path that is not served says so
    app.state.site = site
    return app


async def _card(request: Request) -> Response:
    """The card, as the file has it."""
    card = Site.of(request).engine.predictor.card
    return Response(card.to_json(), media_type="application/json")


async def _metrics(request: Request) -> Response:
    return Response(Site.of(request).metrics.text(), media_type=TYPE)


async def _openapi(request: Request) -> Response:
    engine = Site.of(request).engine
    return JSONResponse(document(engine.name, engine.settings))


def _page_of(make: Callable[[], str]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the page, which is made once; with the headers that allow it threads."""
    headers = {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cache-Control": "no-cache",
    }
    lock, made = asyncio.Lock(), list[bytes]()

    async def page(request: Request) -> Response:
        async with lock:
            if not made:
                made.append((await asyncio.to_thread(make)).encode())
        return HTMLResponse(made[0], headers=headers)

    return page
