"""ERFNet's rule for sizes that are not multiples of 8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from briskseg import create_model
from briskseg.core.errors import RequestError


@pytest.mark.parametrize("name", ["erfnet", "erfnet_fcn"])
@pytest.mark.parametrize("size", [(1, 1), (13, 24), (32, 37)])
def test_an_image_is_extended_to_a_multiple_of_8_by_its_last_row_and_column(name, size):
    net = create_model(name, 4).eval()
    image = np.random.default_rng(0).random((1, 3, *size), np.float32)
    h, w = size
    extended = np.pad(image, ((0, 0), (0, 0), (0, -h % 8), (0, -w % 8)), mode="edge")
    with torch.no_grad():
        logits = net(torch.from_numpy(image))
        of_extended = net(torch.from_numpy(extended))
    torch.testing.assert_close(logits, of_extended[..., :h, :w], rtol=1e-5, atol=1e-6)


def test_the_first_stage_is_read_at_an_eighth_of_the_size():
    net = create_model("erfnet", 4).eval()
    with torch.no_grad():
        assert net.forward_train(torch.zeros(1, 3, 33, 50))["encoder"].shape == (1, 4, 5, 7)


def test_without_its_head_there_is_no_first_stage():
    net = create_model("erfnet", 4, auxiliary=False)
    with pytest.raises(RequestError, match="ERFNet has no head on its encoder to train first"):
        net.forward_encoder(torch.zeros(1, 3, 16, 16))


def test_dropout_is_where_the_paper_has_it():
    net = create_model("erfnet", 4, dropout_64=0.25, dropout_128=0.5)
    found = [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout2d)]
    assert found == [0.25] * 5 + [0.5] * 8 + [0] * 4
