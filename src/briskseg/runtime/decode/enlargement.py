"""Logits at the size at which a network computes them, and what follows from them at full size."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from briskseg.core.types import Labels, Logits
from briskseg.runtime.decode import decode_labels
from briskseg.runtime.decode.axes import neighbors


class Enlargement(NamedTuple):
    """How the logits (C, h, w) that a network computes last become those of its image.

    factor: they are enlarged this many times and cropped to the image at the right and at the
    bottom; None: they are stretched to the image's size. Both bilinearly, by `align_corners`.
    """

    factor: int | None = 1
    align_corners: bool = False

    def labels(
        self, logits_chw: Logits, network_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> Labels:
        """Labels of `size_hw` for logits of an image that the network saw at `network_hw`.

        Where both are the same size these are the argmax of `full`; else the logits go to
        `size_hw` in one step where nothing is cropped.
        """
        enlarged = self._enlarged(logits_chw)
        if enlarged is not None and network_hw == size_hw:
            labels_hw = decode_labels(logits_chw, enlarged, self.align_corners)
            return np.ascontiguousarray(labels_hw[: size_hw[0], : size_hw[1]])
        return decode_labels(self.uncropped(logits_chw, network_hw), size_hw, self.align_corners)

    def uncropped(self, logits_chw: Logits, network_hw: tuple[int, int]) -> Logits:
        """Logits that reach any size in one step: as they are, or full where some are cropped."""
        whole = self._enlarged(logits_chw) in (None, network_hw)
        return logits_chw if whole else self.full(logits_chw, network_hw)

    def full(self, logits_chw: Logits, network_hw: tuple[int, int]) -> Logits:
        """Logits (C, H, W) of the size at which the network saw the image."""
        enlarged = self._enlarged(logits_chw) or network_hw
        if enlarged != logits_chw.shape[1:]:
            logits_chw = enlarge(logits_chw, enlarged, self.align_corners)
        if enlarged != network_hw:
            logits_chw = logits_chw[:, : network_hw[0], : network_hw[1]]
        return np.ascontiguousarray(logits_chw)

    def _enlarged(self, logits_chw: Logits) -> tuple[int, int] | None:
        if self.factor is None:
            return None
        return logits_chw.shape[1] * self.factor, logits_chw.shape[2] * self.factor


def enlarge(logits_chw: Logits, size_hw: tuple[int, int], align_corners: bool) -> Logits:
    """Bilinear, to any size, as torch's `interpolate`; always a copy. A class at a time, as OpenCV
    takes few channels."""
    full_chw = np.empty((logits_chw.shape[0], *size_hw), np.float32)
    if align_corners:
        (top, bottom, down), (left, right, across) = (
            neighbors(cells, pixels, True)
            for cells, pixels in zip(logits_chw.shape[1:], size_hw, strict=True)
        )
        for plane, target in zip(logits_chw, full_chw, strict=True):
            wide = plane[:, left] * (1 - across) + plane[:, right] * across
            target[...] = wide[top] * (1 - down[:, None]) + wide[bottom] * down[:, None]
        return full_chw
    for plane, target in zip(logits_chw, full_chw, strict=True):
        cv2.resize(plane, size_hw[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return full_chw
