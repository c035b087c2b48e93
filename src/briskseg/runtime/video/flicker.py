"""How restless the labels of a video are, without any true labels."""

from __future__ import annotations

import cv2
import numpy as np

from briskseg.core.types import Image, Labels

_WIDTH = 320  # px; motion is measured at this width, which costs about 10 ms a frame
_SMALLEST = 16  # px a side; below it there is no motion to measure
_ERROR = 1.0  # px at that width; how far a pixel may be off after going back and forth


class FlickerMeter:
    """The share of pixels that change their label from a frame to the next, motion compensated.

    Each pixel of a frame is followed back into the frame before by optical flow (Kroeger et al.,
    "Fast Optical Flow using Dense Inverse Search", ECCV 2016). It counts where flow back and forth
    ends within a pixel of where it began, so that what was hidden, left the picture or has no
    texture to follow does not; and it has changed where none of the four pixels around the point it
    came from had its label. Frames come in order, all of one size.
    """

    def __init__(self) -> None:
        self.changed = self.compared = 0
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._before: tuple[Image, Labels] | None = None

    @property
    def score(self) -> float | None:
        """Changed pixels of all compared, 0 to 1; None where nothing could be compared."""
        return self.changed / self.compared if self.compared else None

    def add(self, image_hwc: Image, labels_hw: Labels) -> None:
        """The next frame (H, W, 3) uint8 RGB and the labels (H, W) uint8 that were shown of it."""
        height, width = labels_hw.shape
        size = (min(width, _WIDTH), max(1, round(height * min(1, _WIDTH / width))))
        small = cv2.resize(image_hwc, size, interpolation=cv2.INTER_AREA)
        gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        labels = np.asarray(cv2.resize(labels_hw, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        if self._before is not None and min(size) >= _SMALLEST:
            self._compare(*self._before, gray, labels)
        self._before = gray, labels

    def _compare(self, gray_0: Image, labels_0: Labels, gray_1: Image, labels_1: Labels) -> None:
        height, width = labels_1.shape
        still = np.zeros((height, width, 2), dtype=np.float32)  # where the search begins
        back = self._flow.calc(gray_1, gray_0, still.copy())
        forth = self._flow.calc(gray_0, gray_1, still)
        y, x = np.indices((height, width), dtype=np.float32)
        from_x, from_y = x + back[..., 0], y + back[..., 1]
        there = cv2.remap(forth, from_x, from_y, cv2.INTER_LINEAR)
        error = back + there
        counts = error[..., 0] ** 2 + error[..., 1] ** 2 < _ERROR**2
        counts &= (from_x >= 0) & (from_y >= 0) & (from_x <= width - 1) & (from_y <= height - 1)
        left = np.clip(np.floor(from_x).astype(np.intp), 0, width - 1)
        top = np.clip(np.floor(from_y).astype(np.intp), 0, height - 1)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        changed = counts
        self.compared += int(np.count_nonzero(counts))
        for rows, columns in ((top, left), (top, right), (bottom, left), (bottom, right)):
            changed = changed & (labels_0[rows, columns] != labels_1)
        self.changed += int(np.count_nonzero(changed))
