"""The samples of `augment.py`, made for a whole batch at once on the device that holds the images.

The same drawn `AugmentParams` are carried out in the same order, and every step rounds to whole
gray levels where OpenCV's does, so samples are equal but for rounding: a gray level here and
there, a label at a border. No step waits for the device.

    images   (N,3,H,W) float32 holding whole numbers, 0 .. 255
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from briskseg.core.labels import IGNORED
from briskseg.recipe import AugmentPart
from briskseg.training.samples.augment import LEAST_BLUR, AugmentParams, halvings
from briskseg.training.samples.photometric import LUMA, color_matrix, noise_levels, noise_table


class GpuAugmenter:
    """Applies what a recipe's `augment` part describes, a batch at a time, on the device where
    images and labels lie; `fill` as `augment.Augmenter`'s."""

    def __init__(self, part: AugmentPart, fill: tuple[int, int, int], device: torch.device) -> None:
        self.part, self.device = part, device
        self.fill = self._put(np.array(fill))[:, None, None]

    def _put(self, values: object) -> Tensor:
        numbers = torch.from_numpy(np.asarray(values, np.float32))
        if self.device.type == "cuda":  # copied while the device goes on computing
            numbers = numbers.pin_memory()
        return numbers.to(self.device, non_blocking=True)

    def __call__(
        self, images: Tensor, labels: Tensor, params: Sequence[AugmentParams]
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (N,H,W,3) uint8 RGB.
            labels: (N,h,w) uint8; may be larger or smaller than the images (same views).
            params: N, of one size.

        Returns:
            (N,3,H',W') uint8 in channels-last memory and (N,H',W') uint8, at the parameters' size.
        """
        matrices = self._put(np.stack([v.matrices for v in params]))  # (N,crops,2,3)
        size_hw = params[0].size_hw
        image_hw = (images.shape[1], images.shape[2])
        matrix, labels = self._choose_crops(labels, image_hw, matrices, size_hw)
        levels = [halvings(v.matrices[0]) for v in params]
        augmented = self._warp(images, matrix, levels, size_hw)
        augmented = self._change_look(augmented, params)
        return augmented.to(torch.uint8, memory_format=torch.channels_last), labels

    def _choose_crops(
        self,
        labels: Tensor,
        image_hw: tuple[int, int],
        matrices: Tensor,
        size_hw: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Each sample's first crop in which no class exceeds `cat_max_ratio`, else the last."""
        scale = self._put([labels.shape[2] / image_hw[1], labels.shape[1] / image_hw[0]])[:, None]
        *others, chosen = matrices.unbind(1)
        found = warp_labels(labels, chosen * scale, size_hw)
        for matrix in reversed(others):
            candidate = warp_labels(labels, matrix * scale, size_hw)
            fits = (_largest_shares(candidate) < self.part.cat_max_ratio)[:, None, None]
            found, chosen = candidate.where(fits, found), matrix.where(fits, chosen)
        return chosen, found

    def _warp(
        self, images: Tensor, matrix: Tensor, levels: Sequence[int], size_hw: tuple[int, int]
    ) -> Tensor:
        """Resample once; images that shrink by more than two are halved by area before."""
        pixels = images.permute(0, 3, 1, 2)
        if not any(levels):
            return self._sample(pixels.float(), matrix, size_hw)
        sampled = self.fill.new_empty((len(images), 3, *size_hw))
        for level in sorted(set(levels)):
            rows = [row for row, each in enumerate(levels) if each == level]
            some, lead = pixels[rows].float(), matrix[rows]
            for _ in range(level):
                before = some.shape[-2:]
                some = _halve(some)
                factor = [some.shape[-1] / before[1], some.shape[-2] / before[0]]
                lead = lead * self._put(factor)[:, None]
            sampled[rows] = self._sample(some, lead, size_hw)
        return sampled

    def _sample(self, images: Tensor, matrix: Tensor, size_hw: tuple[int, int]) -> Tensor:
        height, width = images.shape[-2:]
        x, y = sample_points(matrix, size_hw)
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
        # Beyond an image there is zero, so the fill is taken off before and put back.
        augmented = F.grid_sample(
            images - self.fill, grid, "bilinear", "zeros", align_corners=False
        )
        return (augmented + self.fill).round()

    def _change_look(self, images: Tensor, params: Sequence[AugmentParams]) -> Tensor:
        """Blur, light and color, shadow and noise, each if the recipe has it."""
        part = self.part
        if part.blur > LEAST_BLUR:
            images = self._blur(images, [v.blur for v in params])
        images = self._recolor(images, params)
        if part.photometric:
            images = self._distort(images, params)
        if part.shadow:
            full = np.full((64, 64), 255, np.uint8)
            maps = np.stack([full if v.shadow is None else v.shadow for v in params])
            light = F.interpolate(self._put(maps)[:, None], images.shape[-2:], mode="bilinear")
            images = (images * light.round() / 255).round()
        if part.noise:
            images = self._add_noise(images, params)
        return images

    def _blur(self, images: Tensor, deviations: Sequence[float]) -> Tensor:
        """Along one axis after the other, each image with its own kernel, mirrored at the edges."""
        reach = round(max(deviations) * 6 + 1) // 2
        kernels = np.zeros((len(deviations), 2 * reach + 1))
        for kernel, deviation in zip(kernels, deviations, strict=True):
            # OpenCV's size: three deviations to either side
            own = round(deviation * 6 + 1) // 2 if deviation > LEAST_BLUR else 0
            kernel[reach - own : reach + own + 1] = cv2.getGaussianKernel(
                2 * own + 1, max(deviation, LEAST_BLUR)
            )[:, 0]
        weights = self._put(kernels.repeat(3, axis=0))[:, None, None]  # (3N,1,1,2 reach + 1)
        for _ in range(2):  # along the width, and once turned along the height
            wide = images[..., _mirrored(images.shape[-1], reach, self.device)]
            flat = wide.reshape(1, -1, *wide.shape[-2:])
            blurred = F.conv2d(flat, weights, groups=len(weights))
            images = blurred.view(*wide.shape[:-1], -1).transpose(2, 3)
        return images.round()

    def _recolor(self, images: Tensor, params: Sequence[AugmentParams]) -> Tensor:
        colors = [v.color for v in params]
        if all(color == (1, 1, 1, 0) for color in colors):
            return images
        matrices = self._put(np.stack([color_matrix(color) for color in colors]))
        brightness, contrast = self._put(np.array(colors)[:, :2]).unbind(1)
        gray = brightness * (images.mean((2, 3)) * self._put(LUMA)).sum(1)
        offset = (1 - contrast) * gray.clamp_max(255)
        return _levels(_mixed(images, matrices) + offset[:, None, None, None])

    def _distort(self, images: Tensor, params: Sequence[AugmentParams]) -> Tensor:
        """Photometric distortion as `photometric.distort`, on OpenCV's whole-number HSV."""
        columns = np.array([v.distortion for v in params], np.float32)
        drawn = self._put(columns)[:, :, None, None].unbind(1)  # (N,1,1) each
        brightness, contrast, last, saturation, hue = drawn
        one = torch.ones_like(contrast)
        images = _levels(images + brightness[:, None])
        images = _levels(images * one.where(last > 0, contrast)[:, None])
        h, s, v = _to_hsv(images)
        colored = _from_hsv((h + hue) % 180, _levels(s * saturation), v)
        changes = (saturation != 1) | (hue != 0)
        images = colored.where(changes[:, None], images)
        return _levels(images * contrast.where(last > 0, one)[:, None])

    def _add_noise(self, images: Tensor, params: Sequence[AugmentParams]) -> Tensor:
        shape_hwc = (*images.shape[-2:], 3)
        levels = np.stack([noise_levels(v.noise_seed, shape_hwc) for v in params])
        tables = self._put(np.stack([noise_table(v.noise) for v in params]))
        drawn = torch.from_numpy(levels).to(self.device, non_blocking=True)
        noise = tables.gather(1, drawn.flatten(1).long()).view(drawn.shape)
        return _levels(images + noise.permute(0, 3, 1, 2))


def sample_points(matrix: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """x and y, (N,h,w) each: which pixel of its image, a center being a whole number, each pixel of
    a sample shows. matrix (N,2,3) leads from corner to corner."""
    height, width = size_hw
    x = torch.arange(width, device=matrix.device) + 0.5
    y = torch.arange(height, device=matrix.device)[:, None] + 0.5
    (a, b, c), (d, e, f) = (row.unbind(1) for row in matrix[..., None, None].unbind(1))
    return a * x + b * y + (c - 0.5), d * x + e * y + (f - 0.5)


def warp_labels(labels: Tensor, matrix: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The nearest label of each pixel of a sample, 255 beyond the labels."""
    count, height, width = labels.shape
    x, y = (each.round().long() for each in sample_points(matrix, size_hw))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    sample = torch.arange(count, device=labels.device)[:, None, None]
    index = (sample * height + y.clamp(0, height - 1)) * width + x.clamp(0, width - 1)
    return labels.flatten()[index].where(inside, IGNORED)


def _largest_shares(labels: Tensor) -> Tensor:
    """(N,) the most frequent class's share of the labeled pixels; 1 where nothing is labeled."""
    flat = labels.flatten(1).long()
    counts = torch.zeros((len(labels), 256), dtype=torch.int64, device=labels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    labeled = counts[:, :IGNORED]
    total = labeled.sum(1)
    share: Tensor = labeled.max(1).values / total.clamp_min(1)
    return share.where(total > 0, 1.0)


def _levels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255)


def _mixed(images: Tensor, matrices: Tensor) -> Tensor:
    """Each image's colors times its matrix, (N,3,3); written out, so that no unit of the device
    rounds the factors."""
    return torch.stack(
        [(images * row[..., None, None]).sum(1) for row in matrices.unbind(1)], dim=1
    )


def _halve(images: Tensor) -> Tensor:
    """Half the height and width, a pixel the mean of the area that it covers (INTER_AREA)."""
    rows, columns = (_area_weights(side, images) for side in images.shape[-2:])
    return (rows @ images @ columns.t()).add(0.5).floor()


def _area_weights(side: int, like: Tensor) -> Tensor:
    """(side // 2, side): how much of each pixel lies in each of half as many."""
    half = max(1, side // 2)
    start = torch.arange(half, device=like.device)[:, None] * (side / half)
    pixel = torch.arange(side, device=like.device)
    end = (start + side / half).minimum(pixel + 1.0)
    return (end - start.maximum(pixel)).clamp_min(0) * (half / side)


def _mirrored(side: int, reach: int, device: torch.device) -> Tensor:
    """Indices that go `reach` beyond both ends and come back, without repeating the end."""
    index = torch.arange(-reach, side + reach, device=device)
    turn = max(1, 2 * side - 2)
    index = index.remainder(turn)
    return index.minimum(turn - index).clamp(0, side - 1)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whole numbers as OpenCV's for bytes: hue 0 .. 179, saturation and value 0 .. 255."""
    r, g, b = images.unbind(1)
    v = images.amax(1)
    spread = v - images.amin(1)
    s = (spread * 255 / v.clamp_min(1) + 0.5).floor()
    h = (r - g + 4 * spread).where(v != g, b - r + 2 * spread).where(v != r, g - b)
    h = (h * 30 / spread.clamp_min(1) + 0.5).floor()
    return h.where(h >= 0, h + 180), s, v


def _from_hsv(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """The way back, (N,H,W) each -> (N,3,H,W)."""
    sixth = h / 30
    # A channel loses the saturation's share of the value, but for a third of the circle of hues.
    channels = []
    for turn in (5.0, 3.0, 1.0):
        place = (turn + sixth) % 6
        off = place.minimum(4 - place).clamp(0, 1)
        channels.append(_levels(v - v * s / 255 * off))
    return torch.stack(channels, dim=1)
