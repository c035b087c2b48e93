"""The process that serves: its socket, its signals, and an end that loses nothing accepted."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

from briskseg.core.errors import RequestError, needs
from briskseg.runtime.predictor import Predictor
from briskseg.serving.settings import Settings

with needs("serving", "serve"):
    import h11
    import uvicorn
    import websockets  # noqa: F401  which uvicorn imports with the first request
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from briskseg.serving.app import create_app
    from briskseg.serving.engine import Engine
    from briskseg.serving.gate import Gate
    from briskseg.serving.refusals import Refused

_GRACE_S = 1.0  # for clients that keep connections open to hear that this one ends


def bind(host: str, port: int) -> socket.socket:
    """A socket with this address; it does not listen yet. Raises RequestError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP: of such alone asyncio sends a small answer's parts at once (TCP_NODELAY), where
    # the second would wait 40 ms for the client to acknowledge the first
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, UnicodeError) as error:
        bound.close()
        raise _taken(host, port, error) from None
    return bound


def _taken(host: str, port: int, error: Exception) -> RequestError:
    reason = getattr(error, "strerror", None) or error
    return RequestError(
        f"cannot listen at {host} port {port}: {reason}; name another --port or --host"
    )


def serve(
    predictor: Predictor,
    name: str,
    settings: Settings,
    bound: socket.socket,
    page: Callable[[], str],
    begun: Callable[[], None],
) -> int:
    """Serve until a signal (SIGTERM, Ctrl-C) ends it; how many requests were answered.

    name: of the model. page: gives the HTML page at /. begun: called once requests are taken. What
    was accepted before the signal is still answered, for up to twice the timeout; a second SIGTERM
    cuts that short, and a second Ctrl-C ends the process at once.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # frees what is buffered for clients that do not read
        bound.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(1000 * settings.timeout)
        )
    engine = Engine(predictor, name, settings)
    engine.warm_up()
    app = create_app(engine, page)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # what concerns the operator, the guard logs
        access_log=False,
        server_header=False,
        lifespan="off",
        # not httptools, though it is faster: it bounds neither headers nor trailers, and takes what
        # follows `Upgrade: h2c` for a request of its own
        http=_Protocol,
        ws="websockets-sansio",
        ws_max_size=settings.frame,
        ws_per_message_deflate=False,  # images are packed already
        timeout_graceful_shutdown=math.ceil(settings.timeout),
    )
    server = _Server(config, app.state.site.gate, settings.timeout, begun)
    server.run(sockets=[bound])
    if server.force_exit:  # Python itself would wait for threads that label
        os._exit(128 + signal.SIGINT)
    engine.close()
    return server.server_state.total_requests


class _Protocol(H11Protocol):
    """uvicorn's, which answers in JSON what is no request, and a request that only looks like a
    websocket's, which uvicorn would wait for without end."""

    def send_400_response(self, msg: str) -> None:
        answer = Refused(
            400,
            "what was sent is no HTTP/1.1 request, or its headers are longer than 64 KiB; see "
            "/openapi.json",
        ).response()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        begin = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (begin, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _should_upgrade(self) -> bool:
        is_handshake = b"sec-websocket-key" in dict(self.headers)
        return is_handshake and self.scope["method"] == "GET" and super()._should_upgrade()


class _Server(uvicorn.Server):
    """uvicorn's, which on a signal first answers what was accepted, and refuses what comes then
    with a sentence instead of a closed door."""

    def __init__(
        self, config: uvicorn.Config, gate: Gate, timeout: float, begun: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._gate, self._timeout, self._begun = gate, timeout, begun
        self._is_asked_to_end = False
        self._earliest_end = self._latest_end = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        (bound,) = sockets
        try:  # of two servers that were begun at once both have the address, and one may listen
            bound.listen(self.config.backlog)
        except OSError as error:
            host, port = bound.getsockname()[:2]
            raise _taken(host, port, error) from None
        await super().startup(sockets)
        self._begun()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._is_asked_to_end:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
        self._is_asked_to_end = True

    async def on_tick(self, counter: int) -> bool:
        if self._is_asked_to_end:
            if not self._gate.draining.is_set():
                self._gate.draining.set()
                self._earliest_end = time.monotonic() + _GRACE_S
                self._latest_end = self._earliest_end + 2 * self._timeout
            is_idle = not self._gate.accepted and time.monotonic() >= self._earliest_end
            if is_idle or time.monotonic() >= self._latest_end:
                self.should_exit = True
        return await super().on_tick(counter)
