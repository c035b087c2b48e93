"""Fast-SCNN's pyramid pooling as matrix products equals adaptive average pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from briskseg.models.fast_scnn import POOLED, cell_weights


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 6), (7, 11), (16, 32), (23, 45)])
@pytest.mark.parametrize("cells", POOLED)
def test_cell_averages_are_those_of_adaptive_average_pooling(size, cells):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    averages = torch.matmul(cell_weights(x, cells), x.flatten(2).transpose(1, 2)).transpose(1, 2)
    expected = F.adaptive_avg_pool2d(x, cells)
    torch.testing.assert_close(averages.reshape(expected.shape), expected, rtol=1e-6, atol=1e-7)
