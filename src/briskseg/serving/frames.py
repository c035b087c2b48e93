"""The websocket /segment/frames: labels of a camera's frames, of the newest one when there is time.

In: binary messages, each an encoded image. Out, for each frame that is labeled: a text message,
JSON with `frame` (its number, from 0), `dropped` (how many gave way so far), `height`, `width` and
`ms` of each stage, and then a binary message, the PNG; with `?as=runs` the labels are in the JSON,
and no PNG follows. A frame that is no image gets a text with `frame`, `dropped` and `error`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from briskseg.serving.engine import Engine, Failed, Stopwatch
from briskseg.serving.gate import Gate
from briskseg.serving.refusals import Refused
from briskseg.serving.site import Site
from briskseg.serving.views import VIEWS, chosen_view, json_bytes, picture, runs

Ending = tuple[int, str]  # of a stream: its code (RFC 6455, section 7.4) and reason
_UNSUPPORTED = (1003, "send each frame as one binary message")
_SHUTTING_DOWN = (1012, "the server is ending; come again")


class Newest:
    """The last frame that came and was not taken yet; one that it replaces is counted.

    on_drop: called for each of these.
    """

    def __init__(self, on_drop: Callable[[], None]) -> None:
        self.dropped = 0
        self._on_drop = on_drop
        self._numbers = itertools.count()
        self._waiting = asyncio.Queue[tuple[int, bytes]](1)

    def put(self, frame: bytes) -> None:
        """Let this be the newest."""
        if self._waiting.full():
            self._waiting.get_nowait()
            self.dropped += 1
            self._on_drop()
        self._waiting.put_nowait((next(self._numbers), frame))

    async def take(self) -> tuple[int, bytes]:
        """Its number and content, once there is one."""
        return await self._waiting.get()


async def segment_frames(websocket: WebSocket) -> None:
    """Label a stream's frames until it or the server ends."""
    site = Site.of(websocket)
    _check_origin(websocket)
    view = chosen_view(websocket.query_params, "", VIEWS)
    with site.gate.stream():
        await websocket.accept()
        await _label(websocket, site, view)


def _check_origin(websocket: WebSocket) -> None:
    """Browsers let any page open a stream to any server, and send what they know of passwords."""
    origin = websocket.headers.get("origin")
    host = websocket.headers.get("host")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refused(403, "the page that asks is from another server; open this server's own")


async def _label(websocket: WebSocket, site: Site, view: str) -> None:
    newest = Newest(site.metrics.dropped)
    endings: list[Ending] = []
    async with anyio.create_task_group() as group:

        async def run(job: Coroutine[None, None, Ending]) -> None:
            with suppress(WebSocketDisconnect):
                endings.append(await job)
            group.cancel_scope.cancel()  # with one of them the others end

        for job in (
            _receive(websocket, newest),
            _answer(websocket, site, newest, view),
            _wait_for_end(site.gate),
        ):
            group.start_soon(run, job)
    if endings and websocket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect):
            await websocket.close(*endings[0])


async def _receive(websocket: WebSocket, newest: Newest) -> Ending:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        frame = message.get("bytes")
        if frame is None:
            return _UNSUPPORTED
        newest.put(frame)


async def _answer(websocket: WebSocket, site: Site, newest: Newest, view: str) -> Ending:
    while True:
        number, frame = await newest.take()
        if site.gate.draining.is_set():
            return _SHUTTING_DOWN
        with site.gate.frame():
            said, content = await _labeled(site, frame, view)
            said = {"frame": number, "dropped": newest.dropped, **said}
            await websocket.send_text(json_bytes(said).decode())
            if content is not None:
                await websocket.send_bytes(content)
        del frame


async def _labeled(site: Site, frame: bytes, view: str) -> tuple[dict[str, Any], bytes | None]:
    """What is said of a frame, and its PNG where it has one."""
    watch = Stopwatch(site.metrics)

    def work(engine: Engine, watch: Stopwatch) -> tuple[dict[str, Any], bytes | None]:
        image_hwc = engine.read(frame, watch, "the frame")
        if view == "runs":
            return runs(engine, watch, image_hwc), None
        height, width = image_hwc.shape[:2]
        return {"height": height, "width": width}, picture(engine, watch, image_hwc, view)

    try:
        said, content = await site.engine.run(work, watch)
    except Refused as error:
        site.metrics.refused(error.reason)
        return {"error": error.message}, None
    except Failed as error:
        return {"error": f"the network cannot be run on a frame of {error}"}, None
    said |= {"warning": watch.warning} if watch.warning else {}
    return {**said, "ms": {stage: round(ms, 3) for stage, ms in watch.ms.items()}}, content


async def _wait_for_end(gate: Gate) -> Ending:
    """Return once the server is to end and the frame in work is answered."""
    await gate.draining.wait()
    while gate.accepted:
        await asyncio.sleep(0.02)
    return _SHUTTING_DOWN
