"""Streams: a source's frames through reading, inference, drawing and writing at the same time.

Each stage has its thread; the last one, writing and showing, is the caller's, which Ctrl-C reaches
and which a window needs. Between them wait one or two frames. Throughput is set by the slowest
stage and latency by all of them, so both are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from briskseg.core.errors import BriskError, DataError
from briskseg.core.labels import LabelSet
from briskseg.core.overlay import overlay, with_legend
from briskseg.core.types import Image, Labels, Progress
from briskseg.core.wording import counted
from briskseg.runtime.video.flicker import FlickerMeter
from briskseg.runtime.video.pipeline import Ahead, StageTimes
from briskseg.runtime.video.recording import Recording
from briskseg.runtime.video.sources import Frame, FrameSource

Show = Callable[[Image, str], bool]  # (picture, caption) -> whether to go on

End = Literal["source", "interrupted", "closed"]

STAGES = ("read", "infer", "smooth", "flicker", "draw", "write", "show")


@dataclass(frozen=True)
class StreamReport:
    """What became of a stream.

    frames: how many were labeled, of a total that the source states, 0 where it knows none;
    dropped: how many of a live source came while others were still in work. seconds: from the first
    frame read to the last one written. stages, latency: median and 95th percentile in ms, a stage
    of the time it works on a frame (reading a live source waits for it), latency from a frame's
    arrival to its being written and shown. flicker: share of pixels from 0 to 1, None where it was
    not measured. ended: by the source, the user or the window.
    """

    name: str
    live: bool
    frames: int
    dropped: int
    seconds: float
    stages: dict[str, tuple[float, float]]
    latency: tuple[float, float] | None
    flicker: float | None
    paths: list[Path] = field(default_factory=list)
    ended: End = "source"
    total: int = 0

    @property
    def rate(self) -> float:
        """Frames/s, from the first to the last."""
        return self.frames / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it, times in ms."""
        keys = ("p50", "p95")
        stages = {name: dict(zip(keys, times, strict=True)) for name, times in self.stages.items()}
        latency = None if self.latency is None else dict(zip(keys, self.latency, strict=True))
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "seconds": self.seconds,
            "frames_per_second": self.rate,
            "stages_ms": stages,
            "latency_ms": latency,
            "flicker": self.flicker,
            "ended": self.ended,
        }


@dataclass
class _Labeled:
    """A frame on its way."""

    frame: Frame
    arrived: float
    labels_hw: Labels | None = None
    pictures: dict[str, Image] = field(default_factory=dict)


class Stream:
    """A source's frames, labeled, drawn, written and shown. Call `run` once.

    predict: image (H, W, 3) uint8 RGB -> labels (H, W) uint8, as a predictor does. base: write
    BASE_color.mp4 and BASE_overlay.mp4, or None; their compression blurs colors, so for exact
    labels predict on frames saved as images. show: called with each overlay and a caption.
    smooth: frames that a new label must last (`LabelSmoother`). flicker: whether to measure it.
    """

    def __init__(
        self,
        predict: Callable[[Image], Labels],
        label_set: LabelSet,
        source: FrameSource,
        base: Path | None = None,
        show: Show | None = None,
        smooth: int = 1,
        flicker: bool = False,
    ) -> None:
        self._predict, self._label_set, self._source = predict, label_set, source
        self._show = show
        self._smoother = LabelSmoother(smooth) if smooth > 1 else None
        self._flicker = FlickerMeter() if flicker else None
        kinds = ("color", "overlay") if base is not None else ()
        paths = [base.with_name(f"{base.name}_{kind}.mp4") for kind in kinds if base is not None]
        self._recording = Recording(paths, source.rate)
        self._times = StageTimes()
        self._legend: Image | None = None
        self._frames, self._begun, self._finished = 0, 0.0, 0.0

    def run(self, progress: Progress | None = None) -> StreamReport:
        """Go on until the source ends, Ctrl-C or `show` says so; then close files and source.

        Of a source that is not live every frame is labeled, in order. A source that hangs is left
        to the thread that reads it, which closes it once it goes on.
        Raises DataError where the source ended too early and BriskError where writing failed; what
        was done until then is in files that play.
        """
        # Of a live source the newest frame waits; any other is read up to two ahead.
        live = self._source.live
        read = Ahead(self._read(), 1 if live else 2, drops=live)
        inferred = Ahead(map(self._infer, read))
        drawn = Ahead(map(self._draw, inferred))
        ended: End = "source"
        try:
            for frame in drawn:
                if not self._finish(frame, read.dropped, progress):
                    ended = "closed"
                    break
        except KeyboardInterrupt:
            ended = "interrupted"
        except DataError as error:
            files = " and ".join(map(str, self._recording.written))
            many = counted(self._frames, "labeled frame is", "labeled frames are")
            done = f"; {many} in {files}" if files else ""
            raise DataError(f"{error}{done}") from error
        except OSError as error:
            raise BriskError(f"{self._source.name}: {error}") from error
        finally:
            for stage in (read, inferred, drawn):
                stage.cancel()
            for stage in (read, inferred, drawn):
                stage.join()
            if not read.is_working():
                self._source.close()
            self._recording.close()
        times = {stage: self._times.percentiles(stage) for stage in STAGES}
        return StreamReport(
            name=self._source.name,
            live=live,
            frames=self._frames,
            dropped=read.dropped,
            seconds=max(0.0, self._finished - self._begun),
            stages={stage: each for stage, each in times.items() if each is not None},
            latency=self._times.percentiles("latency"),
            flicker=None if self._flicker is None else self._flicker.score,
            paths=self._recording.written,
            ended=ended,
            total=self._source.total,
        )

    def _read(self) -> Iterator[_Labeled]:
        """The frames as they come; the thread that reads them also closes the source."""
        with closing(self._source):
            start = self._begun = time.perf_counter()
            first_hwc = None
            for number, frame in enumerate(self._source, start=1):
                now = time.perf_counter()
                first_hwc = first_hwc or frame.image_hwc.shape
                if frame.image_hwc.shape != first_hwc:
                    cure = "start again" if self._source.live else "cut the video there"
                    raise DataError(
                        f"{self._source.name}: frame {number} is {_size(frame.image_hwc.shape)}, "
                        f"expected {_size(first_hwc)} as those before; {cure}"
                    )
                self._times.add("read", now - start)
                yield _Labeled(frame, now)
                start = time.perf_counter()

    def _infer(self, shot: _Labeled) -> _Labeled:
        with self._times.time("infer"):
            shot.labels_hw = self._predict(shot.frame.image_hwc)
        return shot

    def _draw(self, shot: _Labeled) -> _Labeled:
        image_hwc, labels_hw = shot.frame.image_hwc, shot.labels_hw
        assert labels_hw is not None
        if self._smoother is not None:
            with self._times.time("smooth"):
                labels_hw = self._smoother(labels_hw)
        if self._flicker is not None:
            with self._times.time("flicker"):
                self._flicker.add(image_hwc, labels_hw)
        with self._times.time("draw"):
            if self._recording.paths:
                shot.pictures["color"] = self._label_set.colorize(labels_hw)
            if self._recording.paths or self._show is not None:
                picture = overlay(image_hwc, labels_hw, self._label_set)
                shot.pictures["overlay"] = self._with_legend(picture)
        return shot

    def _with_legend(self, picture_hwc: Image) -> Image:
        """All classes in the legend, so that its size never changes; drawn once."""
        height, width = picture_hwc.shape[:2]
        if self._legend is None:
            everything = range(len(self._label_set.names))
            self._legend = with_legend(picture_hwc, self._label_set, everything)
        paper = self._legend.copy()
        paper[:height, :width] = picture_hwc
        return paper

    def _finish(self, shot: _Labeled, dropped: int, progress: Progress | None) -> bool:
        """Write and show a frame; whether to go on."""
        if self._recording.paths:
            with self._times.time("write"):
                self._recording.write([*shot.pictures.values()], shot.frame.seconds)
        self._frames += 1
        go_on = True
        if self._show is not None:
            rate = self._frames / (time.perf_counter() - self._begun)
            caption = f"{rate:.1f} frames/s" + (f", {dropped} dropped" if dropped else "")
            with self._times.time("show"):
                go_on = self._show(shot.pictures["overlay"], caption)
        self._finished = time.perf_counter()
        self._times.add("latency", self._finished - shot.arrived)
        if progress is not None:
            progress(self._frames, max(self._frames, self._source.total))
        return go_on


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


class LabelSmoother:
    """A pixel changes its label only once the network has given it the new one `frames` times in a
    row; until then it keeps the old one. So a label that flashes up for fewer frames is never seen,
    and every change comes `frames - 1` frames late. 1 changes nothing.

    It holds the last frame's labels: one smoother a stream, called with its frames in order, all of
    one size.
    """

    def __init__(self, frames: int) -> None:
        if not 1 <= frames <= 255:
            raise ValueError(f"{frames} frames, expected 1 to 255")
        self.frames = frames
        self._shown: Labels | None = None

    def __call__(self, labels_hw: Labels) -> Labels:
        """Labels (H, W) uint8 of the next frame -> the labels to show, an array of their own."""
        if self._shown is None:
            self._shown, self._latest = labels_hw.copy(), labels_hw
            # How often in a row the latest label has come, before this frame; `frames` is enough.
            self._times = np.full(labels_hw.shape, self.frames, dtype=np.uint8)
            return self._shown.copy()
        again = labels_hw == self._latest
        np.minimum(self._times, self.frames - 1, out=self._times)
        self._times *= again.view(np.uint8)
        self._times += 1
        np.copyto(self._shown, labels_hw, where=self._times >= self.frames)
        self._latest = labels_hw
        return self._shown.copy()
