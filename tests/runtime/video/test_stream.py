"""Streams: what overlaps, what is dropped, which times are kept, and how they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.cli.predict import label_stream
from briskseg.core.card import Card, LabelsCard, NetworkCard
from briskseg.core.errors import DataError, WeightsError
from briskseg.core.labels import LabelSet
from briskseg.runtime.inputs import Input
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.video.sources import Frame
from briskseg.runtime.video.stream import Stream

LABELS = LabelSet(("sky", "road"), ((70, 130, 180), (128, 64, 128)))
PATIENCE_S = 20  # until a test fails that waits for another thread


def picture(number: int) -> np.ndarray:
    return np.full((32, 48, 3), number % 256, np.uint8)


def number_of(image: np.ndarray) -> int:
    return int(image[0, 0, 0])


def predict(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 5).astype(np.uint8)


class Source:
    """Frames 0, 1, 2 ... at `times`; `between` is called before each of them, and at the end."""

    name, rate = "a source", 10.0

    def __init__(
        self,
        times: list[float],
        live: bool = False,
        between: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.times, self.live, self.between = times, live, between
        self.total = 0 if live else len(times)
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number, seconds in enumerate(self.times):
            self.between(number)
            yield Frame(picture(number), seconds)
        self.between(len(self.times))

    def close(self) -> None:
        self.closed = True


def read_times(path: Path) -> list[float]:
    """As FFmpeg, in OpenCV, reads them: seconds."""
    capture, times = cv2.VideoCapture(str(path)), []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
    return times


def test_reading_inference_and_showing_overlap() -> None:
    reads, predicts, shows = ([threading.Event() for _ in range(6)] for _ in range(3))

    def between(number: int) -> None:
        reads[number].set()

    def work(image: np.ndarray) -> np.ndarray:
        predicts[number_of(image)].set()
        if number_of(image) < 3:  # goes on once the frame after the next is being read
            assert reads[number_of(image) + 2].wait(PATIENCE_S)
        return predict(image)

    def show(image: np.ndarray, caption: str) -> bool:
        shows[0].set()
        return predicts[1].wait(PATIENCE_S)  # while the first is shown, the second is in work

    source = Source([0.1 * n for n in range(5)], between=between)
    report = Stream(work, LABELS, source, show=show).run()
    assert (report.frames, report.ended, source.closed) == (5, "source", True)
    assert set(report.stages) == {"read", "infer", "draw", "show"}
    assert report.latency is not None


def test_a_live_source_is_seen_at_its_newest_and_the_rest_is_counted() -> None:
    begun, given = threading.Event(), threading.Event()

    def between(number: int) -> None:
        if number == 1:
            assert begun.wait(PATIENCE_S)  # the first is in work
        if number == 10:
            given.set()

    seen = []

    def work(image: np.ndarray) -> np.ndarray:
        seen.append(number_of(image))
        begun.set()
        assert given.wait(PATIENCE_S)  # nine more have come meanwhile
        return predict(image)

    report = Stream(work, LABELS, Source([0.1] * 10, live=True, between=between)).run()
    assert seen == [0, 9]
    assert (report.frames, report.dropped, report.live) == (2, 8, True)


def test_of_a_file_nothing_is_dropped() -> None:
    done: list[tuple[int, int]] = []

    def slow(image: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        return predict(image)

    source = Source([n / 30 for n in range(30)])
    report = Stream(slow, LABELS, source).run(lambda *counts: done.append(counts))
    assert (report.frames, report.dropped) == (30, 0)
    assert done == [(n, 30) for n in range(1, 31)]


def shown_at(path: Path, seconds: float) -> int:
    """The brightness of what a player shows at that time."""
    capture, value = cv2.VideoCapture(str(path)), -1
    while True:
        there, frame = capture.read()
        if not there or capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3 > seconds + 1e-6:
            return value
        value = int(np.median(frame))


def test_frames_are_shown_at_their_times_at_a_constant_rate(tmp_path: Path) -> None:
    """Of the frames at 0.3 and 0.33 s, which fall into one tenth, the later is seen."""

    class Gray(Source):
        def __iter__(self) -> Iterator[Frame]:
            for number, seconds in enumerate(self.times):
                yield Frame(np.full((32, 48, 3), 30 * number, np.uint8), seconds)

    times = [5.0, 5.1, 5.3, 5.33, 6.1, 6.2]

    def all_of_it(image: np.ndarray) -> np.ndarray:
        return np.full(image.shape[:2], int(image[0, 0, 0]) // 30, np.uint8)

    grays = LabelSet(tuple("abcdef"), tuple((40 * n,) * 3 for n in range(6)))
    report = Stream(all_of_it, grays, Gray(times), tmp_path / "a").run()
    assert report.paths == [tmp_path / "a_color.mp4", tmp_path / "a_overlay.mp4"]
    assert report.frames == 6
    for path in report.paths:
        np.testing.assert_allclose(read_times(path), np.arange(13) / 10, atol=1e-3)
    expected = [0, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5]
    found = [shown_at(report.paths[0], slot / 10) / 40 for slot in range(13)]
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_a_time_that_cannot_be_makes_no_endless_video(tmp_path: Path) -> None:
    Stream(predict, LABELS, Source([0, 1e12, 1e12 + 0.1]), tmp_path / "a").run()
    assert len(read_times(tmp_path / "a_color.mp4")) == 102  # ten seconds of the first


def test_what_came_before_a_source_broke_off_is_kept(tmp_path: Path) -> None:
    def between(number: int) -> None:
        if number == 4:
            raise DataError("camera:0 gave no more after 4 frames")

    source = Source([n / 10 for n in range(9)], between=between)
    with pytest.raises(DataError, match=r"after 4 frames; 4 labeled frames are in .*a_color.mp4"):
        Stream(predict, LABELS, source, tmp_path / "a").run()
    assert read_times(tmp_path / "a_overlay.mp4") == pytest.approx([0, 0.1, 0.2, 0.3])
    assert source.closed


def test_a_camera_that_is_unplugged(
    command, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in place of the device: OpenCV reads both the same way, and a file ends."""
    Stream(predict, LABELS, Source([n / 10 for n in range(6)]), tmp_path / "device").run()
    opened = cv2.VideoCapture
    device = opened(str(tmp_path / "device_color.mp4"))
    monkeypatch.setattr("cv2.VideoCapture", lambda what: opened(what) if what else device)
    done = command("predict", weights_file, "camera:0", "--out", tmp_path)
    assert done.status == 1
    found = re.search(r"camera:0 gave no more after 6 frames.*; (\d) labeled frame", done.err)
    assert found
    monkeypatch.undo()
    # read from a file they come faster than the rate at which they are written
    assert 1 <= len(read_times(tmp_path / "camera-0_color.mp4")) <= int(found[1]) <= 6


def test_a_full_disk_is_said_and_leaves_no_video_that_cannot_be_played(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    script = (
        "import resource, signal, sys, pathlib, numpy as np\n"
        "from briskseg.runtime.video.recording import Recording\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"  # a write beyond the limit then fails
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "recording = Recording([pathlib.Path(sys.argv[1])], 10)\n"
        "rng = np.random.default_rng(0)\n"
        "for n in range(20):\n"
        "    recording.write([rng.integers(0, 256, (96, 128, 3), np.uint8)], n / 10)\n"
        "recording.close()\n"
    )
    assert resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "drive.mp4"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "drive.mp4 cannot be played as it was written, and is removed" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_with_a_colon_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Stream(predict, LABELS, Source([0, 0.1]), Path("2024:01") / "a").run()
    assert len(read_times(tmp_path / "2024:01" / "a_color.mp4")) == 2


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    class Changing(Source):
        def __iter__(self) -> Iterator[Frame]:
            for number, frame in enumerate(super().__iter__()):
                yield frame if number < 2 else Frame(frame.image_hwc[:30], frame.seconds)

    with pytest.raises(
        DataError, match=r"frame 3 is 48x30, expected 48x32 .*; 2 labeled frames are"
    ):
        Stream(predict, LABELS, Changing([0, 0.1, 0.2, 0.3]), tmp_path / "a").run()
    assert len(read_times(tmp_path / "a_color.mp4")) == 2
    camera = Changing([0, 0.1, 0.2, 0.3], live=True)
    with pytest.raises(DataError, match=r"expected 48x32 as those before; start again"):
        Stream(predict, LABELS, camera).run()


def test_an_error_of_the_network_ends_the_stream_and_its_threads(tmp_path: Path) -> None:
    def broken(image: np.ndarray) -> np.ndarray:
        if number_of(image) == 3:
            raise WeightsError("the network's output holds NaN")
        return predict(image)

    before = threading.active_count()
    source = Source([n / 10 for n in range(200)])
    with pytest.raises(WeightsError, match="holds NaN"):
        Stream(broken, LABELS, source, tmp_path / "a").run()
    assert len(read_times(tmp_path / "a_color.mp4")) == 3
    assert (source.closed, threading.active_count()) == (True, before)


def endless(shown: list[int]) -> Source:
    """A live source, at whose fifth frame the user presses Ctrl-C."""

    def between(number: int) -> None:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        while number < 4 and len(shown) < number:
            time.sleep(0.001)
        if number > 4:
            time.sleep(0.001)

    return Source([n / 8 for n in range(10**6)], live=True, between=between)


def test_ctrl_c_leaves_files_that_play(tmp_path: Path) -> None:
    shown: list[int] = []
    source = endless(shown)
    report = Stream(predict, LABELS, source, tmp_path / "a").run(lambda *c: shown.append(c[0]))
    assert (report.ended, source.closed) == ("interrupted", True)
    assert report.frames >= 3
    assert len(read_times(tmp_path / "a_overlay.mp4")) >= 3


def test_ctrl_c_is_how_a_camera_ends_on_the_command_line(
    command, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = [9] * 9
    monkeypatch.setattr("briskseg.runtime.video.sources.Camera", lambda index: endless(shown))
    done = command("predict", weights_file, "camera:0", "--out", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert "a source (interrupted): " in done.out
    assert " dropped, latency " in done.out or done.out.startswith("a source (interrupted): 0")


def test_ctrl_c_breaks_a_video_off_and_says_what_there_is(
    command, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, finish = threading.Semaphore(0), Stream._finish

    def counted(self: Stream, *given: object) -> bool:
        go_on = finish(self, *given)
        written.release()
        return go_on

    def between(number: int) -> None:
        if number == 6:  # Ctrl-C once the six before it are written
            assert all(written.acquire(timeout=PATIENCE_S) for _ in range(6))
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # in which nothing comes that the signal could meet half written

    monkeypatch.setattr(Stream, "_finish", counted)
    source = Source([n / 10 for n in range(200)], between=between)
    monkeypatch.setattr("briskseg.runtime.video.sources.VideoFile", lambda path: source)
    (tmp_path / "drive.mp4").write_bytes(b"read as the source above")
    done = command("predict", weights_file, tmp_path / "drive.mp4", "--out", tmp_path)
    assert done.status == 130
    told = re.search(
        r"^briskseg: interrupted: (\d+) of 200 frames of a source were labeled and written to "
        r"(\S+) and (\S+), which end there$",
        done.err,
        re.M,
    )
    assert told, done.err
    assert [*told.groups()[1:]] == [str(tmp_path / f"drive_{k}.mp4") for k in ("color", "overlay")]
    for path in told.groups()[1:]:
        assert 6 <= len(read_times(Path(path))) == int(told[1]) < 200
    assert source.closed


def test_a_source_that_hangs_is_closed_by_the_thread_that_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenCV ends the process where one thread closes what another one reads."""
    goes_on, closed_by = threading.Event(), list[threading.Thread]()

    class Hanging(Source):
        def close(self) -> None:
            closed_by.append(threading.current_thread())

    def between(number: int) -> None:
        assert number == 0 or goes_on.wait(PATIENCE_S)

    class Interrupted(Predictor):
        def __call__(self, image_hwc: np.ndarray) -> np.ndarray:
            raise KeyboardInterrupt

    source = Hanging([0.1] * 9, live=True, between=between)
    monkeypatch.setattr("briskseg.runtime.video.pipeline._PATIENCE_S", 0.05)
    monkeypatch.setattr("briskseg.runtime.video.sources.Camera", lambda index: source)
    card = Card(
        network=NetworkCard(name="any", classes=2), labels=LabelsCard.from_label_set(LABELS)
    )
    camera = Input(Path("camera:0"), "camera-0", 0)
    assert label_stream(Interrupted(None, card), camera, None).ended == "interrupted"
    assert closed_by == []
    (reader,) = (t for t in threading.enumerate() if t.daemon and t.name.endswith("(_run)"))
    goes_on.set()
    reader.join(PATIENCE_S)
    assert closed_by == [reader]


def test_closing_the_window_ends_the_stream(tmp_path: Path) -> None:
    shown: list[np.ndarray] = []

    def show(image: np.ndarray, caption: str) -> bool:
        shown.append(image)
        assert caption.endswith("frames/s")
        return len(shown) < 7

    source = Source([n / 10 for n in range(50)])
    report = Stream(predict, LABELS, source, show=show).run()
    assert (report.frames, report.ended, report.paths) == (7, "closed", [])
    assert source.closed
    # The image with its labels' color half over it: what lies above the legend.
    for number, image in enumerate(shown):
        expected = (picture(number) + np.array(LABELS.colors[number > 5])) / 2
        np.testing.assert_allclose(image[:32, :48], expected, atol=1)


def test_smoothing_acts_on_what_is_shown_and_flicker_measures_that() -> None:
    texture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 2)

    class Still(Source):
        def __iter__(self) -> Iterator[Frame]:
            return (Frame(texture, seconds) for seconds in self.times)

    reports = []
    for smooth in (1, 3):
        turn = iter(range(100))

        def flashing(image: np.ndarray, turn: Iterator[int] = turn) -> np.ndarray:
            labels = np.zeros(image.shape[:2], np.uint8)
            labels[:32, :48] = next(turn) % 2  # a quarter of the picture
            return labels

        source = Still([n / 10 for n in range(8)])
        reports.append(Stream(flashing, LABELS, source, smooth=smooth, flicker=True).run())
    assert reports[0].flicker == pytest.approx(0.25, abs=0.05)
    assert reports[1].flicker == 0
    assert {"smooth", "flicker"} <= set(reports[1].stages)
