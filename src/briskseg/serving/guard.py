"""What stands before every handler: who may ask, what was answered, and that no defect gets out."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from briskseg.serving.engine import Failed
from briskseg.serving.refusals import Refused
from briskseg.serving.site import Site

# Whoever watches over the server asks these without a token.
OPEN = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})

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
        answer = _Answer(send, is_last=self._site.gate.draining.is_set)
        began = time.perf_counter()
        try:
            self._check_token(scope)
            await self._app(scope, receive, answer)
        except Refused as error:
            self._site.metrics.refused(error.reason)
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


class _Answer:
    """Sends what the application answers, and knows whether it has begun. is_last: whether the
    connection is to end with it."""

    def __init__(self, send: Send, is_last: Callable[[], bool]) -> None:
        self._send, self._is_last = send, is_last
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
        await self._send(message)

    async def instead(self, scope: Scope, receive: Receive, error: Refused) -> None:
        """Answer with an error, where nothing was answered yet."""
        if self._has_begun:
            return
        if scope["type"] == "http":
            await error.response()(scope, receive, self)
        else:
            await WebSocket(scope, receive, self).send_denial_response(error.response())
