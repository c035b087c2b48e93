"""The websocket /segment/frames: the newest frame wins, and what gave way is told."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest
from tests.serving.conftest import client_of

from briskseg.core.images import png_bytes
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.predictor import Predictor


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


def test_each_frame_is_answered(client, predictor):
    frames = [draw_scene(seed, (60, 80 + seed))[0] for seed in range(3)]
    with client.websocket_connect("/segment/frames") as stream:
        for number, frame in enumerate(frames):
            stream.send_bytes(png_bytes(frame))
            said = stream.receive_json()
            assert said["frame"] == number
            assert said["dropped"] == 0
            assert (said["height"], said["width"]) == frame.shape[:2]
            assert {"wait", "read", "inference", "write"} <= set(said["ms"])
            assert np.array_equal(decoded(stream.receive_bytes()), predictor(frame))
    with client.websocket_connect("/segment/frames?as=runs") as stream:
        stream.send_bytes(png_bytes(frames[0]))
        said = stream.receive_json()
        flat = np.repeat(np.array(said["labels"]), said["lengths"])
        assert np.array_equal(flat, predictor(frames[0]).ravel())


def test_the_newest_frame_wins(waiting, small_card):
    frames = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(10)]
    with client_of(Predictor(waiting, small_card)) as client:
        with client.websocket_connect("/segment/frames") as stream:
            stream.send_bytes(png_bytes(frames[0]))
            assert waiting.begun.acquire(timeout=60)
            for frame in frames[1:]:
                stream.send_bytes(png_bytes(frame))
            while "briskseg_frames_dropped_total 8.0" not in client.get("/metrics").text:
                time.sleep(0.01)
            waiting.go.set()
            answered, dropped = [], 0
            while not answered or answered[-1] != 9:
                said = stream.receive_json()
                stream.receive_bytes()
                answered.append(said["frame"])
                dropped = said["dropped"]
        assert answered[0] == 0
        assert answered == sorted(answered)
        assert dropped == 10 - len(answered) == 8


def test_a_frame_with_a_fault_does_not_end_the_stream(client, street_png):
    with client.websocket_connect("/segment/frames") as stream:
        stream.send_bytes(b"nothing")
        said = stream.receive_json()
        assert said["frame"] == said["dropped"] == 0
        assert "the frame: cannot be read as an image" in said["error"]
        stream.send_bytes(street_png)
        assert stream.receive_json()["frame"] == 1
        stream.receive_bytes()


def test_text_ends_the_stream(client):
    from starlette.websockets import WebSocketDisconnect

    with client.websocket_connect("/segment/frames") as stream:
        stream.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as ended:
            stream.receive_json()
    assert "one binary message" in ended.value.reason


@pytest.mark.parametrize(
    ("path", "headers", "status", "part"),
    [
        ("?as=video", {}, 400, "as=video"),
        ("", {"Origin": "https://elsewhere.example"}, 403, "another server"),
        ("", {"Origin": "null"}, 403, "another server"),
        ("", {"Origin": "http://["}, 403, "another server"),
    ],
)
def test_a_stream_is_refused_by_an_answer(client, path, headers, status, part):
    from starlette.testclient import WebSocketDenialResponse

    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(f"/segment/frames{path}", headers=headers),
    ):
        pass
    assert refused.value.status_code == status
    assert part in json.loads(refused.value.content)["error"]


def test_streams_are_bounded(predictor):
    from starlette.testclient import WebSocketDenialResponse

    with client_of(predictor, streams=1) as client:
        with client.websocket_connect("/segment/frames", headers={"Origin": "http://testserver"}):
            assert "briskseg_streams 1.0" in client.get("/metrics").text
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect("/segment/frames"),
            ):
                pass
            assert refused.value.status_code == 503
        with client.websocket_connect("/segment/frames"):
            pass
