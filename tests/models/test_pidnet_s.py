"""What the two published codes of PIDNet-S show to the heads that only training uses."""

from __future__ import annotations

import pytest
import torch

from briskseg import create_model


@pytest.mark.parametrize(("variant", "after_relu"), [("official", True), ("mmsegmentation", False)])
def test_training_heads_see_the_branches_after_relu_in_the_official_code_alone(variant, after_relu):
    torch.manual_seed(0)
    net, seen = create_model("pidnet_s", 3, variant=variant), []
    for head in (net.p_head, net.d_head):
        head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    net.forward_train(torch.randn(2, 3, 64, 64))
    assert [bool((features >= 0).all()) for features in seen] == [after_relu, after_relu]
