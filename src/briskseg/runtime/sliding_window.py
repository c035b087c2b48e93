"""Large images through windows: pieces that overlap, each seen by the network on its own.

Where windows overlap their probabilities are averaged. They are worked through from top to bottom,
and rows that no further window reaches are finished and let go, so that never more than one
window's height of the image's probabilities is held, however high the image is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from briskseg.core.errors import RequestError
from briskseg.core.images import resize_image, whole_size
from briskseg.core.types import Floats32, Image, Labels
from briskseg.core.wording import hxw
from briskseg.runtime.decode import decode_labels
from briskseg.runtime.decode.axes import neighbors
from briskseg.runtime.decode.enlargement import enlarge
from briskseg.runtime.predictor import Predictor, checked_size

Band = tuple[int, Floats32]  # the row at which it begins, and probabilities (C, rows, W) from there

# Rows interpolated at once when probabilities are resized.
_ROWS = 64


class WindowPredictor(Predictor):
    """A predictor that sees an image through windows; otherwise used as any other.

    window_hw, stride_hw: size and distance of the windows in pixels of the image as the network
    takes it (resized to the card's `input.size`, where it names one); the last ones are moved back
    so that they end with the image, and an image smaller than a window is one window. Without
    `stride_hw` it is two thirds of the window (MMSegmentation's usual 513 of 769). "inference" and
    "decode" end once for each row of windows.
    Raises RequestError for an impossible size, or a stride beyond the window, which leaves gaps.
    """

    def __init__(
        self,
        predictor: Predictor,
        window_hw: tuple[int, int],
        stride_hw: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(predictor.backend, predictor.card, predictor.ran)
        if min(window_hw) < 1:
            raise RequestError(f"the window is {hxw(window_hw)}, expected at least 1x1")
        self.window_hw = window_hw
        height, width = (max(1, side * 2 // 3) for side in window_hw)
        self.stride_hw = stride_hw or (height, width)
        if any(not 1 <= s <= w for s, w in zip(self.stride_hw, window_hw, strict=True)):
            raise RequestError(
                f"the stride is {hxw(self.stride_hw)}, expected 1x1 to the window's "
                f"{hxw(window_hw)}, so that the windows leave no gaps"
            )

    def labels_at(self, image_hwc: Image, size_hw: tuple[int, int]) -> Labels:
        """As a predictor's: labels of `size_hw`, decoded from the averaged probabilities."""
        own_hw, size_hw = checked_size(image_hwc), whole_size(size_hw)
        network_hw = self.card.input.size or own_hw
        labels_hw = np.empty(size_hw, dtype=np.uint8)
        for top, band_chw in self.bands(image_hwc, network_hw, size_hw):
            rows = band_chw.shape[1]
            labels_hw[top : top + rows] = decode_labels(band_chw, (rows, size_hw[1]))
            self.on_stage_end("decode")
        return labels_hw

    def with_confidence(self, image_hwc: Image) -> tuple[Labels, float | None]:
        """As a predictor's; no confidence, as no single logits stand behind a pixel."""
        return self(image_hwc), None

    def bands(
        self, image_hwc: Image, network_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> Iterator[Band]:
        """The probabilities (C, H, W) of `size_hw`, in bands of rows from top to bottom.

        The image is resized to `network_hw` first; the averaged probabilities are resized to
        `size_hw` bilinearly, as `decode_labels` does.
        """
        resized_hwc = resize_image(image_hwc, network_hw)
        self.on_stage_end("resize")
        bands = self._averaged(resized_hwc)
        return bands if network_hw == size_hw else _resized(bands, network_hw, size_hw)

    def _averaged(self, image_hwc: Image) -> Iterator[Band]:
        """The bands of the image at the network's size: a row of windows after the other."""
        height, width = image_hwc.shape[:2]
        tops, window_h = _starts(height, self.window_hw[0], self.stride_hw[0])
        lefts, window_w = _starts(width, self.window_hw[1], self.stride_hw[1])
        columns = _cover(lefts, window_w, width)
        rows = _cover(tops, window_h, height)[:, None]
        held = np.zeros((self.card.network.classes, window_h, width), dtype=np.float32)
        for top, following in pairwise([*tops, height]):
            for left in lefts:
                window = image_hwc[top : top + window_h, left : left + window_w]
                logits = self.backend.infer(np.ascontiguousarray(window))
                held[:, :, left : left + window_w] += softmax(logits, (window_h, window_w))
            self.on_stage_end("inference")
            done = following - top
            yield top, held[:, :done] / (rows[top:following] * columns)
            for plane in held:  # a class at a time, as numpy copies what overlaps
                plane[: window_h - done] = plane[done:]
                plane[window_h - done :] = 0


def softmax(logits_chw: Floats32, size_hw: tuple[int, int]) -> Floats32:
    """Probabilities (C, H, W) of the logits, resized bilinearly to `size_hw` before."""
    values_chw = enlarge(logits_chw, size_hw, False)  # a copy at the same size too
    values_chw -= values_chw.max(axis=0)
    np.exp(values_chw, out=values_chw)
    values_chw /= values_chw.sum(axis=0)
    return values_chw


def _starts(length: int, window: int, stride: int) -> tuple[list[int], int]:
    """Where the windows along an axis begin, and how long they are."""
    window = min(window, length)
    steps = -(-(length - window) // stride)
    return [min(step * stride, length - window) for step in range(steps + 1)], window


def _cover(starts: list[int], window: int, length: int) -> Floats32:
    """How many windows cover each row or column along an axis."""
    cover = np.zeros(length, dtype=np.float32)
    for start in starts:
        cover[start : start + window] += 1
    return cover


def _resized(
    bands: Iterator[Band], from_hw: tuple[int, int], size_hw: tuple[int, int]
) -> Iterator[Band]:
    """Bands of probabilities of `from_hw`, resized bilinearly to `size_hw`."""
    before, after, weight = neighbors(from_hw[0], size_hw[0])
    done, first, held = 0, 0, None
    for top, band in bands:
        held = band if held is None else np.concatenate([held[:, before[done] - first :], band], 1)
        first = top + band.shape[1] - held.shape[1]
        # The rows between which all is there now.
        ready = int(np.searchsorted(after, top + band.shape[1]))
        for start in range(done, ready, _ROWS):
            part = slice(start, min(start + _ROWS, ready))
            upper, lower = held[:, before[part] - first], held[:, after[part] - first]
            upper += (lower - upper) * weight[part, None]
            yield start, enlarge(upper, (upper.shape[1], size_hw[1]), False)
        done = ready
        if done == size_hw[0]:
            return
