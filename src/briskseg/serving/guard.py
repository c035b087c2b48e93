"""What stands before every handler: who may ask, what was answered, and that no defect gets out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from briskseg.serving.engine import Failed
from briskseg.serving.refusals import Refused
from briskseg.serving.site import Site

# Whoever watches over the server asks these without a token.
OPEN = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})

# Of an answer's body, sent at once: uvicorn takes whatever it is given into memory, and only before
# the next piece waits until the client has read.
_PIECE_BYTES = 1 << 16
_REST_S = 0.5  # in which the rest of a refused body is read, where the connection is to end

_LOG = logging.getLogger("briskseg.serving")


class Guard:
    """An ASGI application around another one, for requests and streams."""

    def __init__(self, app: ASGIApp, site: Site, paths: frozenset[str], model_path: str) -> None:
        """paths, model_path: those that are served; the metrics know others as "other"."""
        self._app, self._site = app, site
        self._paths, self._model_path = paths, model_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        answer = _Answer(
            send, self._site.engine.settings.timeout, is_last=self._site.gate.draining.is_set
        )
        began = time.perf_counter()
        try:
            with ExitStack() as held:  # what the request takes of the server until it is answered
                scope["held"] = held
                await self._ask(scope, receive, answer)
        finally:
            if scope["type"] == "http":
                seconds = time.perf_counter() - began
                self._site.metrics.answered(self._route(scope["path"]), answer.status, seconds)

    async def _ask(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Have the application answer, or answer what is wrong."""
        asked = _Asked(receive)
        try:
            self._check_token(scope)
            await self._app(scope, asked, answer)
        except Unread:
            self._site.metrics.refused("unread")
        except Refused as error:
            self._site.metrics.refused(error.reason)
            if scope["type"] == "http" and self._site.gate.draining.is_set():
                await asked.rest()  # closed before it is read, the connection would lose the answer
            await answer.instead(scope, receive, error)
        except Failed as error:
            _LOG.error("the network cannot be run on an image of %s: %s", error, error.__cause__)
            message = f"the network cannot be run on an image of {error}; send another size"
            await answer.instead(scope, receive, Refused(500, message))
        except Exception:
            _LOG.exception("a defect in briskseg")
            await answer.instead(scope, receive, Refused(500, "a defect of the server's"))

    def _check_token(self, scope: Scope) -> None:
        token = self._site.engine.settings.token
        if token is None or scope["path"] in OPEN:
            return
        if not token.is_known(_offered(Headers(scope=scope).get("authorization", ""))):
            raise Refused(
                401,
                "no token, or a wrong one, expected the header `Authorization: Bearer TOKEN`; ask "
                "whoever runs this server for it",
                "token",
            )

    def _route(self, path: str) -> str:
        if path in self._paths:
            return path
        return self._model_path if path.startswith(self._model_path) else "other"


def _offered(header: str) -> str:
    """The token in a header Authorization; a browser sends it as the password of Basic."""
    kind, _, rest = header.partition(" ")
    rest = rest.strip()
    if kind.lower() == "bearer":
        return rest
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""


class _Asked:
    """Receives a request, and knows whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._is_whole = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._is_whole = not message.get("more_body", False)
        return message

    async def rest(self) -> None:
        """Read on until it is whole, for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_S):
                while not self._is_whole:
                    await self()


class Unread(OSError):
    """The client does not read what it asked for. Starlette takes it for a stream's end."""


class _Answer:
    """Sends what the application answers, and knows whether it has begun. timeout: seconds in which
    the client must have read it. is_last: whether the connection is to end with it."""

    def __init__(self, send: Send, timeout: float, is_last: Callable[[], bool]) -> None:
        self._send, self._timeout, self._is_last = send, timeout, is_last
        self.status = 499  # where nothing was answered: who asked had gone
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self._has_begun = message["status"], True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["X-Content-Type-Options"] = "nosniff"
            if self._is_last():
                headers["Connection"] = "close"
        elif message["type"].startswith("websocket."):
            self._has_begun = True
        try:
            async with asyncio.timeout(self._timeout):
                await self._send_in_pieces(message)
        except TimeoutError:
            raise Unread from None

    async def _send_in_pieces(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            last = max(0, len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES
            for begin in range(0, last, _PIECE_BYTES):
                piece = body[begin : begin + _PIECE_BYTES]
                await self._send({**message, "body": piece, "more_body": True})
            message = {**message, "body": body[last:]}
        await self._send(message)

    async def instead(self, scope: Scope, receive: Receive, error: Refused) -> None:
        """Answer with an error, where nothing was answered yet."""
        if self._has_begun:
            return
        if scope["type"] == "http":
            await error.response()(scope, receive, self)
        else:
            await WebSocket(scope, receive, self).send_denial_response(error.response())
