"""Labels that stay calm from frame to frame."""

from __future__ import annotations

import numpy as np

from briskseg.core.types import Labels


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
