"""The predictor and the threads that call it: everything that takes long runs here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from briskseg.core.errors import BriskError, DataError, PixelsError
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.pictures import opened
from briskseg.core.images import DARK_HINT, decode_image, read_as_black
from briskseg.core.types import Image, Labels
from briskseg.runtime.predictor import Predictor
from briskseg.serving.metrics import Metrics
from briskseg.serving.refusals import RETRY_S, Refused
from briskseg.serving.settings import MAX_SIDE, Settings

Result = TypeVar("Result")

_WHOLE = "send a whole PNG, JPEG or WebP file"


class Stopwatch:
    """The milliseconds of each stage of one request, reported to the metrics too; and its
    `warning`, of images whose labels are worth little."""

    def __init__(self, metrics: Metrics) -> None:
        self.ms: dict[str, float] = {}
        self.warning = ""
        self._metrics = metrics
        self._last = time.perf_counter()

    def end_stage(self, stage: str) -> None:
        """The stage that began with the one before ends now."""
        now = time.perf_counter()
        self.ms[stage] = self.ms.get(stage, 0.0) + 1e3 * (now - self._last)
        self._metrics.stage(stage, now - self._last)
        self._last = now


Work = Callable[["Engine", Stopwatch], Result]


class Engine:
    """Runs work in `settings.workers` threads, which share one predictor.

    name: of the model. predictor: loaded for so many callers.
    """

    def __init__(self, predictor: Predictor, name: str, settings: Settings) -> None:
        self.predictor, self.name, self.settings = predictor, name, settings
        self.label_set = predictor.card.labels.to_label_set()
        self.waiting = 0  # works that no thread has begun with
        # Work waits here and not in the pool, whose queue keeps what was cancelled.
        self._free = asyncio.Semaphore(settings.workers)
        self._thread = threading.local()
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="predictor")
        predictor.on_stage_end = self._stage_ended

    def warm_up(self) -> None:
        """Run the network once, so that the first request need not wait for it."""
        self.predictor(np.zeros((*(self.predictor.card.input.size or (64, 64)), 3), np.uint8))

    def close(self) -> None:
        """Wait for what the threads have begun with; the rest is given up."""
        self._pool.shutdown(cancel_futures=True)

    async def run(self, work: Work[Result], watch: Stopwatch) -> Result:
        """What `work` gives, in one of the threads.

        Raises Refused for what is wrong with the request, and where no thread was free in time.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(self.settings.timeout):
                await self._free.acquire()
        except TimeoutError:
            raise Refused(
                503,
                f"no worker was free for {self.settings.timeout:g} s; ask again in {RETRY_S} s",
                "late",
            ) from None
        finally:
            self.waiting -= 1
        loop = asyncio.get_running_loop()

        def release(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(self._free.release)

        future = self._pool.submit(self._run, work, watch)
        future.add_done_callback(release)
        return await asyncio.wrap_future(future)

    def _run(self, work: Work[Result], watch: Stopwatch) -> Result:
        self._thread.watch = watch
        try:
            watch.end_stage("wait")
            return work(self, watch)
        except PixelsError as error:
            raise Refused(413, str(error), "pixels") from None
        except DataError as error:
            raise Refused(400, str(error), "image") from None
        except MemoryError:
            raise Refused(
                413, "the memory is not enough for this request; send smaller images", "memory"
            ) from None
        finally:
            self._thread.watch = None

    def read(self, content: bytes, watch: Stopwatch, name: str = "the image") -> Image:
        """A picture's pixels, (H, W, 3) uint8 RGB. Raises DataError, calling it `name`."""
        file = InMemory.of(Path(name), content)
        with opened(file, hint=_WHOLE, bound=self.settings.pixels) as picture:
            if max(picture.size) > MAX_SIDE:
                raise PixelsError(
                    f"{name}: {picture.width}x{picture.height}, expected sides of at most "
                    f"{MAX_SIDE} pixels; cut it into tiles"
                )
            image_hwc = decode_image(picture, file)
        if dark := read_as_black(image_hwc, file):
            watch.warning = f"{name}: {dark}; {DARK_HINT}"
        watch.end_stage("read")
        return image_hwc

    def labels(self, image_hwc: Image) -> Labels:
        """The labels of an image, at its size."""
        try:
            return self.predictor(image_hwc)
        except BriskError as error:  # which names files of this machine
            raise Failed(f"{image_hwc.shape[1]}x{image_hwc.shape[0]}") from error

    def _stage_ended(self, stage: str) -> None:
        if (watch := getattr(self._thread, "watch", None)) is not None:
            watch.end_stage(stage)


class Failed(Exception):
    """The network cannot be run on an image of this size: a fault of the server's."""
