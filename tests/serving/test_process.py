"""`briskseg serve` as it is run: its address, its signals, and requests that come in pieces."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from tests.serving.processes import MODEL, PATIENCE, Server, serving, waiting_server

from briskseg.cli.options import LOADING
from briskseg.core.errors import RequestError
from briskseg.core.images import png_bytes
from briskseg.serving.server import bind, serve
from briskseg.serving.settings import Settings

TEXT, BINARY, CLOSE = 1, 2, 8  # kinds of a stream's messages (RFC 6455, section 11.8)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--timeout", 1) as server:
        yield server


def asked(server: Server, method: str, path: str, body: bytes | None = None, **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


class Client(threading.Thread):
    """Asks over and over on one connection until it is told that the connection ends.

    statuses: of its answers. lost: whether the last request was sent and not answered.
    """

    def __init__(self, port: int, body: bytes) -> None:
        super().__init__()
        self._port, self._body = port, body
        self.statuses = Counter[int]()
        self.lost = False

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while True:
            try:
                connection.request("POST", "/segment", self._body)
                answer = connection.getresponse()
                answer.read()
            except OSError:
                self.lost = True
                return
            self.statuses[answer.status] += 1
            if answer.getheader("connection") == "close":
                connection.close()
                return


def test_sigterm_under_load_answers_what_was_accepted(street_png):
    with serving("--workers", 2, "--queue", 8) as server:
        clients = [Client(server.port, street_png) for _ in range(16)]
        for client in clients:
            client.start()
        while sum(client.statuses[200] for client in clients) < 20:
            assert server.process.poll() is None
            time.sleep(0.01)
        server.terminate()
        for client in clients:
            client.join(PATIENCE)
        status, out, err = server.ended()
    found = sum((client.statuses for client in clients), Counter())
    assert status == 0
    assert err.strip() in ("", LOADING)  # as a slow machine is told
    assert f"ended; {found.total()} requests answered" in out
    assert not any(client.lost for client in clients)
    assert set(found) == {200, 503}


@contextmanager
def streaming(server: Server, query: str = "") -> Iterator[Any]:
    websocket = pytest.importorskip("websocket")
    address = f"ws://127.0.0.1:{server.port}/segment/frames{query}"
    stream = websocket.create_connection(address, PATIENCE, suppress_origin=True)
    try:
        yield stream
    finally:
        stream.shutdown()


def test_sigterm_answers_a_stream_s_frame_and_closes_it(street_png):
    with serving() as server, streaming(server) as stream:
        stream.send_binary(street_png)
        assert json.loads(stream.recv())["frame"] == 0
        assert stream.recv().startswith(b"\x89PNG")
        stream.send_binary(street_png)
        server.terminate()
        messages = []
        while not messages or messages[-1][0] != CLOSE:
            messages.append(stream.recv_data())
        *answer, (_, ending) = messages
        assert [kind for kind, _ in answer] in ([], [TEXT, BINARY])
        assert int.from_bytes(ending[:2], "big") == 1012  # the service restarts
        assert server.ended()[0] == 0


def test_large_frames_end_a_stream(street_png):
    with serving("--max-body", 1) as server:
        with streaming(server) as stream, suppress(ConnectionError):  # it may end while one sends
            stream.send_binary(bytes(1 << 21))
            kind, content = stream.recv_data()
            assert kind == CLOSE
            assert int.from_bytes(content[:2], "big") == 1009  # the message is too big
        assert asked(server, "POST", "/segment", street_png)[0] == 200


def test_a_body_that_comes_too_slowly_is_given_up(server):
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as slow:
        slow.sendall(b"POST /segment HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert answer.status == 408
        assert "3 bytes of the body came in 1 s" in json.loads(answer.read())["error"]
        answer.close()


def test_who_goes_before_the_answer_takes_no_place(server, street_png):
    for _ in range(100):  # more than may wait
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as gone:
            length = f"Content-Length: {len(street_png)}\r\n\r\n".encode()
            gone.sendall(b"POST /segment HTTP/1.1\r\nHost: a\r\n" + length + street_png[:-1])
    end = time.monotonic() + PATIENCE
    while asked(server, "POST", "/segment", street_png)[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def noise_png() -> bytes:
    """An image whose overlay, a PNG of 6 MB, is larger than what a socket buffers."""
    return png_bytes(np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8))


@contextmanager
def sent(server: Server, body: bytes, path: str = "/segment") -> Iterator[socket.socket]:
    """A connection on which a request was sent whole; its kernel buffers little of the answer."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", server.port))
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        yield connection


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def until_metrics_have(server: Server, line: str) -> None:
    until(lambda: line in asked(server, "GET", "/metrics")[1].decode())


def test_who_goes_while_workers_are_busy_leaves_nothing(noise_png):
    with waiting_server(workers=1) as server, sent(server, noise_png):
        until_metrics_have(server, 'briskseg_stage_seconds_count{stage="wait"} 1.0')
        before = server.memory_mb()
        for _ in range(20):  # of 6 MB each
            with sent(server, noise_png):
                until_metrics_have(server, "briskseg_queue_depth 1.0")
            until_metrics_have(server, "briskseg_queue_depth 0.0")
        assert server.memory_mb() < before + 40
        server.go()


def test_an_answer_that_is_not_read_keeps_its_place_and_is_given_up(noise_png, street_png):
    with waiting_server(workers=1, queue=0, timeout=1) as server:
        server.go()
        with sent(server, noise_png, "/segment?as=overlay") as unread:
            until_metrics_have(server, 'briskseg_stage_seconds_count{stage="write"} 1.0')
            assert asked(server, "POST", "/segment", street_png)[0] == 503
            until_metrics_have(server, 'briskseg_refusals_total{reason="unread"} 1.0')
            assert asked(server, "POST", "/segment", street_png)[0] == 200
            head = unread.recv(4096).decode("latin-1").lower()
            length = int(head.partition("content-length: ")[2].partition("\r")[0])
            received = len(head)
            with suppress(ConnectionError):
                while piece := unread.recv(1 << 16):
                    received += len(piece)
            assert received < length


def test_a_stream_that_is_not_read_does_not_keep_the_server_from_its_end(noise_png):
    with waiting_server(workers=1, timeout=1) as server:
        server.go()
        open_before = server.open_files()
        with streaming(server, "?as=overlay") as stream:
            for _ in range(3):
                stream.send_binary(noise_png)
            until_metrics_have(server, "briskseg_streams 0.0")
            until(lambda: server.open_files() <= open_before)  # and what it had not sent is freed
        with streaming(server, "?as=overlay") as stream:
            for _ in range(3):
                stream.send_binary(noise_png)
            until_metrics_have(server, 'briskseg_stage_seconds_count{stage="write"} 4.0')
            server.terminate()
            assert server.ended()[0] == 0


def test_a_second_interrupt_ends_it_at_once(street_png):
    with waiting_server(workers=1) as server, sent(server, street_png):
        until_metrics_have(server, 'briskseg_stage_seconds_count{stage="wait"} 1.0')
        server.process.send_signal(signal.SIGINT)
        until(lambda: asked(server, "GET", "/readyz")[0] == 503)
        server.process.send_signal(signal.SIGINT)
        assert server.ended()[0] == 130


def test_a_refusal_reaches_who_is_still_sending(server):
    """Beyond any buffer: the answer comes while most of the body has not been sent."""
    status, content = asked(server, "POST", "/segment", bytes(64 << 20))
    assert status == 413
    assert "33554432 bytes" in json.loads(content)["error"]


CHUNKED = "POST /segment HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"


@pytest.mark.parametrize(
    "begin", ["GET /", "GET / HTTP/1.1\r\nCookie: ", "GET / HTTP/1.1\r\n", CHUNKED]
)
def test_headers_and_trailers_without_an_end_are_refused(server, begin):
    piece = b"a: b\r\n" * 1000 if begin.endswith("\n") else b"a" * 6000
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as endless:
        endless.sendall(begin.encode())
        with suppress(ConnectionError):
            for _ in range(1000):
                endless.sendall(piece)
            pytest.fail("6 MB of headers were taken")
    assert asked(server, "GET", "/healthz")[0] == 200


def test_a_body_after_an_offered_upgrade_is_no_request(server):
    inner = b"GET /card HTTP/1.1\r\nHost: a\r\n\r\n"
    head = "POST /segment HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n"
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {len(inner)}\r\n\r\n".encode())
        time.sleep(0.1)  # in a piece of its own
        connection.sendall(inner)
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"HTTP/1.1 400 " in answers


def test_what_is_no_request_is_refused_in_json_and_one_that_is_no_websocket_s_is_answered(
    server, street_png
):
    head = "POST /segment HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n"
    head += f"Upgrade: websocket\r\nContent-Length: {len(street_png)}\r\n\r\n"
    for sent, status, kind in (
        (b"hello\r\n\r\n", 400, "application/json"),
        (b"GET /card HTTP/1.1\r\n\r\n", 400, "application/json"),  # no Host
        (b"GET /card HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 66_000, 400, "application/json"),
        (head.encode() + street_png, 200, "image/png"),
    ):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
            connection.sendall(sent)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.headers["content-type"]) == (status, kind)
            if status == 400:
                assert "no HTTP/1.1 request" in json.loads(answer.read())["error"]


def test_of_two_that_are_begun_at_once_the_second_says_that_the_address_is_taken(predictor):
    """Both have bound it; one listens first."""
    first = bind("127.0.0.1", 0)
    second = bind("127.0.0.1", first.getsockname()[1])
    first.listen()
    with first, second, pytest.raises(RequestError, match=r"cannot listen at .*another --port"):
        serve(predictor, "model", Settings(), second, str, lambda: None)


def test_the_token_is_read_from_its_file(tmp_path, street_png):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    with serving("--token-file", file, model=MODEL) as server:
        assert asked(server, "POST", "/segment", street_png)[0] == 401
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        assert asked(server, "POST", "/segment", street_png, **headers)[0] == 200


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"two\nlines", b"\xff", b"a\x00b"])
def test_a_file_without_a_token_is_refused(command, tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    done = command("serve", MODEL, "--token-file", file)
    assert done.status == 2
    assert "expected one line of letters" in done.err
    done = command("serve", MODEL, "--token-file", tmp_path / "nothing")
    assert done.status == 2
    assert "cannot be read" in done.err


def test_an_address_that_is_taken_is_said(command, server):
    done = command("serve", MODEL, "--port", server.port)
    assert done.status == 2
    assert f"cannot listen at 127.0.0.1 port {server.port}" in done.err
    assert "name another --port" in done.err
    done = command("serve", MODEL, "--host", "no.such.host.invalid")
    assert done.status == 2
    assert "cannot listen at no.such.host.invalid" in done.err


def test_a_start_that_takes_long_is_said(command, monkeypatch):
    def load(*_: object) -> None:
        while not said:
            time.sleep(0.01)
        raise RequestError("it was only to take long")

    said = []
    monkeypatch.setattr("briskseg.cli.serve._SILENCE_S", 0)
    monkeypatch.setattr("builtins.print", lambda text, **_: said.append(text))
    monkeypatch.setattr("briskseg.cli.options.load_model", load)
    assert command("serve", MODEL, "--port", 0).status == 2
    assert said[0] == LOADING


def test_the_model_is_loaded_for_as_many_callers_as_workers(command, monkeypatch):
    def load(*given: object) -> None:
        loaded.append(given)
        raise RequestError("that is all")

    loaded = []
    monkeypatch.setattr("briskseg.runtime.load.load", load)
    assert command("serve", MODEL, "--port", 0, "--workers", 3, "--threads", 6).status == 2
    assert [given[2:] for given in loaded] == [(6, 3)]


def test_a_model_that_is_not_there_is_said(command, tmp_path):
    done = command("serve", tmp_path / "nothing.onnx", "--port", 0)
    assert done.status == 2
    assert "is not there" in done.err


def test_the_parts_of_a_small_answer_are_sent_at_once():
    """asyncio sets TCP_NODELAY for sockets that are named as TCP alone."""

    async def accepted() -> int:
        found = asyncio.get_running_loop().create_future()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as bound:
            async with await asyncio.start_server(answer, sock=bound):
                _, writer = await asyncio.open_connection(*bound.getsockname())
                is_set = await found
                writer.close()
        return is_set

    assert asyncio.run(accepted())
