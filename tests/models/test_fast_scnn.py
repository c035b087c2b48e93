"""Fast-SCNN's pyramid pooling as matrix products equals adaptive average pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from briskseg.models.fast_scnn import POOLED, VARIANTS, PyramidPooling


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 6), (7, 11), (16, 32), (23, 45)])
def test_cell_averages_are_those_of_adaptive_average_pooling(size):
    pooling = PyramidPooling(8, VARIANTS["mmsegmentation"])
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    averages = pooling.weights(size[0]) @ x @ pooling.weights(size[1]).T
    start = 0
    for cells in POOLED:
        block = averages[..., start : start + cells, start : start + cells]
        torch.testing.assert_close(block, F.adaptive_avg_pool2d(x, cells), rtol=1e-6, atol=1e-6)
        start += cells
