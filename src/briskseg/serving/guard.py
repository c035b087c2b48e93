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

_PIECE = 1 << 16  # bytes
_MOMENT_S = 0.5
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
        patience = self._site.engine.settings.timeout
        answer = _Answer(send, patience, is_last=self._site.gate.draining.is_set)
        asked = _Asked(receive)
        began = time.perf_counter()
        try:
            self._check_token(scope)
            with ExitStack() as held:  # until the answer is sent
                scope["held"] = held
                await self._app(scope, asked, answer)
        except TimeoutError:
            _LOG.info("an answer was not read in %g s", patience)
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
        finally:
            if scope["type"] == "http":
                seconds = time.perf_counter() - began
                self._site.metrics.answered(self._route(scope["path"]), answer.status, seconds)

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
            async with asyncio.timeout(_MOMENT_S):
                while not self._is_whole:
                    await self()


class _Answer:
    """Sends what the application answers, and knows whether it has begun. patience: seconds in
    which each piece of it must be read. is_last: whether the connection is to end with it."""

    def __init__(self, send: Send, patience: float, is_last: Callable[[], bool]) -> None:
        self._send, self._patience, self._is_last = send, patience, is_last
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
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        # In pieces, for each of which there must be room: whoever reads nothing would else have
        # whole answers kept.
        body, more = message.get("body", b""), message.get("more_body", False)
        for start in range(0, max(1, len(body)), _PIECE):
            is_more = more or start + _PIECE < len(body)
            async with asyncio.timeout(self._patience):
                await self._send(
                    {**message, "body": body[start : start + _PIECE], "more_body": is_more}
                )

    async def instead(self, scope: Scope, receive: Receive, error: Refused) -> None:
        """Answer with an error, where nothing was answered yet."""
        if self._has_begun:
            return
        if scope["type"] == "http":
            await error.response()(scope, receive, self)
        else:
            await WebSocket(scope, receive, self).send_denial_response(error.response())
