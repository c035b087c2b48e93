"""What a server that is busy, or is to end, takes and refuses; and who may ask."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.serving.conftest import assert_says_why, client_of

from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor
from briskseg.serving.settings import Token

SECRET = "a-token-of-no-use"


def until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_beyond_the_queue_it_is_a_503(waiting, small_card, street_png):
    predictor = Predictor(waiting, small_card)
    with (
        client_of(predictor, workers=1, queue=2) as client,
        ThreadPoolExecutor(3) as pool,
    ):

        def ask(_: int) -> int:
            return client.post("/segment", content=street_png).status_code

        answers = [pool.submit(ask, n) for n in range(3)]
        until(lambda: client.app.state.site.gate.accepted == 3)
        answer = client.post("/segment", content=street_png)
        assert_says_why(answer, 503, "3 requests are accepted already", "ask again in 1 s")
        assert answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        until(lambda: "briskseg_queue_depth 2.0" in client.get("/metrics").text)
        waiting.go.set()
        assert [answer.result() for answer in answers] == [200] * 3
        assert 'briskseg_refusals_total{reason="queue"} 1.0' in client.get("/metrics").text
        assert ask(0) == 200


def test_the_bytes_of_all_bodies_are_bounded(waiting, small_card, street_png):
    predictor = Predictor(waiting, small_card)
    body = len(street_png)
    with client_of(predictor, workers=1, queue=50, body=body) as client, ThreadPoolExecutor(8) as p:
        answers = [p.submit(client.post, "/segment", content=street_png) for _ in range(8)]
        until(lambda: client.app.state.site.gate.accepted == 8)
        answer = client.post("/segment", content=street_png)
        assert_says_why(answer, 503, f"requests of {8 * body} bytes are held")
        waiting.go.set()
        assert {answer.result().status_code for answer in answers} == {200}


def test_who_waits_too_long_for_a_worker_is_told(waiting, small_card, street_png):
    predictor = Predictor(waiting, small_card)
    with (
        client_of(predictor, workers=1, timeout=0.2) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(client.post, "/segment", content=street_png)
        assert waiting.begun.acquire(timeout=60)
        second = pool.submit(client.post, "/segment", content=street_png)
        assert_says_why(second.result(60), 503, "no worker was free for 0.2 s")
        assert not first.done()
        waiting.go.set()
        assert first.result().status_code == 200


def test_a_server_that_is_to_end_takes_nothing_new(predictor, street_png):
    with client_of(predictor) as client:
        assert client.get("/readyz").json() == {"ready": True}
        client.app.state.site.gate.draining.set()
        for answer in (client.get("/readyz"), client.post("/segment", content=street_png)):
            assert_says_why(answer, 503, "this server is ending")
            assert answer.headers["connection"] == "close"
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "offered",
    [
        "",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        f"Bearer x {SECRET}",
        SECRET,
        "Bearer",
        "Basic ???",
        f"Basic {base64.b64encode(SECRET.encode()).decode()}",
        b"Bearer \xff\xfe",
    ],
)
def test_without_the_token_nothing_is_told(predictor, street_png, offered):
    with client_of(predictor, token=Token(SECRET)) as client:
        headers = {"Authorization": offered} if offered else {}
        for path in ("/", "/card", "/metrics", "/openapi.json", "/v2", "/nothing"):
            assert_says_why(client.get(path, headers=headers), 401, "Authorization: Bearer TOKEN")
        answer = client.post("/segment", content=street_png, headers=headers)
        assert_says_why(answer, 401, "Authorization")
        assert 'Basic realm="briskseg"' in answer.headers["www-authenticate"]
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert answer.json() in ({"live": True}, {"ready": True})


def test_with_the_token_all_is_as_without(predictor, street_png):
    basic = base64.b64encode(f"anyone:{SECRET}".encode()).decode()
    with client_of(predictor, token=Token(SECRET)) as client:
        for offered in (f"Bearer {SECRET}", f"bearer  {SECRET}", f"Basic {basic}"):
            headers = {"Authorization": offered}
            assert client.post("/segment", content=street_png, headers=headers).status_code == 200
            assert client.get("/", headers=headers).status_code == 200


def test_a_network_that_fails_tells_nothing_of_this_machine(small_card, street_png, caplog):
    from briskseg.core.errors import WeightsError

    class Broken(Backend):
        def infer(self, image_hwc):
            raise WeightsError("/home/someone/model.onnx cannot be run: no memory")

    class Defective(Backend):
        def infer(self, image_hwc):
            raise ZeroDivisionError("/home/someone")

    for backend, part in ((Broken(), "an image of 320x240"), (Defective(), "defect")):
        with client_of(Predictor(backend, small_card)) as client:
            answer = client.post("/segment", content=street_png)
            assert_says_why(answer, 500, part)
            assert "someone" not in answer.text
    assert "/home/someone/model.onnx" in caplog.text  # which the operator is told


def test_where_images_keep_their_size_fewer_pixels_are_taken(small_card, predictor, monkeypatch):
    from briskseg.serving.settings import default_pixels

    assert default_pixels(small_card, has_windows=False) == 3840 * 2160
    assert default_pixels(small_card, has_windows=True) == 1 << 25
    assert default_pixels(predictor.card, has_windows=False) == 1 << 25
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "1000")
    assert default_pixels(predictor.card, has_windows=False) == 1000
