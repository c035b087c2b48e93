"""`briskseg serve` as it is run: its address, its signals, and requests that come in pieces."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import numpy as np
import pytest
from tests.serving.processes import MODEL, PATIENCE, Server, serving

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
    assert err == ""
    assert f"ended; {found.total()} requests answered" in out
    assert not any(client.lost for client in clients)
    assert set(found) == {200, 503}


@contextmanager
def streaming(server: Server) -> Iterator[Any]:
    websocket = pytest.importorskip("websocket")
    address = f"ws://127.0.0.1:{server.port}/segment/frames"
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


def test_a_refusal_reaches_who_is_still_sending(server):
    """Beyond any buffer: the answer comes while most of the body has not been sent."""
    status, content = asked(server, "POST", "/segment", bytes(64 << 20))
    assert status == 413
    assert "33554432 bytes" in json.loads(content)["error"]


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
    assert "holds no token, expected one line" in done.err
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


def test_a_model_that_is_not_there_is_said(command, tmp_path):
    done = command("serve", tmp_path / "nothing.onnx", "--port", 0)
    assert done.status == 2
    assert "is not there" in done.err


@contextmanager
def deaf(server: Server) -> Iterator[socket.socket]:
    """A connection to it that has room for little that is not read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        yield connection


def test_an_answer_that_nobody_reads_is_given_up():
    """Its request counts as accepted until then, so that unread answers do not pile up."""
    noise = np.random.default_rng(0).integers(0, 256, (1440, 1920, 3), np.uint8)
    body = cv2.imencode(".jpg", noise)[1].tobytes()
    head = "POST /segment?as=overlay HTTP/1.1\r\nHost: a\r\n"
    with serving("--timeout", 1) as server, deaf(server) as unread:
        unread.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered = 'briskseg_requests_total{route="/segment",status="200"} 1.0'
        end = time.monotonic() + PATIENCE
        while answered not in asked(server, "GET", "/metrics")[1].decode():
            assert time.monotonic() < end
            time.sleep(0.05)
        server.terminate()
        assert server.ended()[0] == 0


def test_a_stream_that_is_not_read_does_not_keep_the_server_from_ending(street_png):
    frame = b"\x82\xff" + len(street_png).to_bytes(8, "big") + bytes(4) + street_png
    with serving("--timeout", 1) as server, deaf(server) as stream:
        stream.sendall(
            b"GET /segment/frames?as=overlay HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert stream.recv(12).endswith(b"101")
        stream.settimeout(0.5)
        with suppress(TimeoutError):
            for _ in range(200):
                stream.sendall(frame)
        server.terminate()
        assert server.ended()[0] == 0
