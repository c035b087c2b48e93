"""What sends frames: kinds of video files, and addresses on this very machine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.core.errors import DataError
from briskseg.runtime.inputs import Input
from briskseg.runtime.video import sources

SIZE_HW = (48, 64)


def pictures(number: int) -> Iterator[np.ndarray]:
    """Gray frames, each lighter than the one before."""
    for index in range(number):
        yield np.full((*SIZE_HW, 3), 20 + 10 * index, np.uint8)


def jpegs(number: int) -> list[bytes]:
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures(number)]


KINDS = {"ts": "mp2v", "flv": "FLV1", "wmv": "WMV2", "avi": "MJPG"}


@pytest.mark.parametrize("suffix", [*KINDS, "mjpeg"])
def test_each_kind_of_file_gives_all_its_frames(
    command: Callable, weights_file: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"clip.{suffix}"
    if suffix == "mjpeg":
        path.write_bytes(b"".join(jpegs(10)))
    else:
        code = cv2.VideoWriter.fourcc(*KINDS[suffix])
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25, SIZE_HW[::-1])
        assert writer.isOpened()
        for picture in pictures(10):
            writer.write(picture)
        writer.release()
    done = command("predict", weights_file, path, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert f"{path}: 10 frames in" in done.out
    assert (tmp_path / "out" / "clip_overlay.mp4").is_file()


@pytest.fixture
def camera() -> Iterator[Callable[[list[int]], str]]:
    """camera([6, 4]): the address of a server of MJPEG, which sends 6 frames, and to the next one
    who asks 4; then nobody gets any."""
    servers = []

    def serve(numbers: list[int]) -> str:
        left = itertools.chain(numbers, itertools.repeat(0))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = next(left)
                if not number:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                for jpeg in jpegs(number):
                    head = (
                        f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    )
                    self.wfile.write(head.encode() + jpeg + b"\r\n")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/live"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_stream_that_stops_is_reached_for_again(
    camera: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_WAITS_S", (0.0, 0.0, 0.0))
    # the first two look what it is and open it
    address, said = camera([6, 6, 4]), []
    stream = sources.open_source(Input(Path(address), "live", address=address), said.append)
    assert (stream.live, stream.total) == (True, 0)
    frames: list[sources.Frame] = []
    with pytest.raises(DataError, match=r"/live gave no more after 10 frames, and could not"):
        frames.extend(stream)
    stream.close()
    assert [frame.image_hwc.shape for frame in frames] == 10 * [(*SIZE_HW, 3)]
    shades = [int(frame.image_hwc.mean() / 10 + 0.5) for frame in frames]
    assert shades == [2, 3, 4, 5, 6, 7, 2, 3, 4, 5]
    seconds = [frame.seconds for frame in frames]
    assert seconds == sorted(seconds)
    assert said[:2] == [
        f"{address} gave no more after 6 frames; reaching for it again",
        f"{address} is back",
    ]


def test_a_stream_is_labeled_by_the_command(
    camera: Callable,
    command: Callable,
    weights_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "_WAITS_S", (0.0,))
    address = camera([8, 8])
    done = command("predict", weights_file, address, "--out", tmp_path)
    assert done.status == 1
    assert f"note: {address} gave no more after 8 frames; reaching for it again" in done.err
    assert f"{address} gave no more after 8 frames, and could not be reached again" in done.err
    assert len([*tmp_path.glob("http-127.0.0.1-*-live_overlay.mp4")]) == 1


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/s.mjpg?a=1"])
def test_an_address_where_nothing_answers_is_named_as_it_was_given(
    command: Callable, weights_file: Path, tmp_path: Path, address: str
) -> None:
    done = command("predict", weights_file, address, "--out", tmp_path)
    assert done.status == 1
    assert f"{address} cannot be opened: nothing answers there" in done.err
    assert done.err.count("\n") == 1
