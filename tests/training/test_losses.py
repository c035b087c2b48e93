"""The loss against torch's own, and where there is nothing to learn from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from briskseg.models.network import TrainingOutput
from briskseg.recipe import LossPart, OhemPart
from briskseg.training import losses
from briskseg.training.losses import SegmentationLoss
from briskseg.training.losses.cross_entropy import cross_entropy, sigmoid_cross_entropy
from briskseg.training.losses.dice import dice
from briskseg.training.losses.lovasz import lovasz_softmax
from briskseg.training.losses.ohem import ohem_by_loss, ohem_by_probability

OUTPUTS = (TrainingOutput("logits"), TrainingOutput("aux_0", loss="auxiliary"))
WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 8, 9, generator=generator).requires_grad_()
    labels = torch.randint(0, 4, (2, 8, 9), generator=generator)
    return logits, torch.where(labels == 3, 255, labels)


def test_equals_torch_weighted_mean_over_labeled_pixels() -> None:
    logits, labels = drawn()
    expected = F.cross_entropy(logits, labels, WEIGHTS, ignore_index=255)
    assert torch.allclose(cross_entropy(logits, labels, WEIGHTS), expected)


def test_divided_by_all_pixels_is_mmsegmentations_mean() -> None:
    logits, labels = drawn()
    each = F.cross_entropy(logits, labels, WEIGHTS, ignore_index=255, reduction="none")
    assert (labels == 255).any()
    assert torch.allclose(cross_entropy(logits, labels, WEIGHTS, "pixels"), each.mean())


@pytest.mark.parametrize("mean", ["weights", "pixels"])
def test_sigmoid_equals_torch_binary_cross_entropy_on_one_hot_labels(mean: str) -> None:
    logits, labels = drawn(2)
    truth = F.one_hot(labels.where(labels != 255, 0), 3).permute(0, 3, 1, 2).float()
    each = F.binary_cross_entropy_with_logits(
        logits, truth, pos_weight=WEIGHTS.view(3, 1, 1), reduction="none"
    )
    each = each * (labels != 255)[:, None]
    pixels = (labels != 255).sum() if mean == "weights" else labels.numel()
    found = sigmoid_cross_entropy(logits, labels, WEIGHTS, mean)
    assert found.item() == pytest.approx((each.sum() / (pixels * 3)).item(), rel=1e-5)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"ohem": {}},
        {"mean": "pixels"},
        {"kind": "sigmoid"},
        {"kind": "sigmoid", "mean": "pixels"},
    ],
)
def test_nothing_labeled_gives_zero_and_no_gradient(part: dict) -> None:
    logits, labels = drawn()
    whole = SegmentationLoss(LossPart(**part), WEIGHTS)
    loss = whole({"logits": logits}, torch.full_like(labels, 255).to(torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(("size", "corners"), [("own", False), ("full", False), ("full", True)])
def test_auxiliary_outputs_meet_the_labels_at_either_size(size: str, corners: bool) -> None:
    logits, labels = drawn()
    small = torch.randn(2, 3, 4, 3)
    whole = SegmentationLoss(LossPart(size=size), WEIGHTS, "logits", OUTPUTS, corners)
    total = whole({"logits": logits, "aux_0": small}, labels.to(torch.uint8))
    near, met = labels[:, 1::2, 1::3], small  # the middle of each 2x3 cell
    if size == "full":
        near = labels
        met = F.interpolate(small, (8, 9), mode="bilinear", align_corners=corners)
    expected = F.cross_entropy(logits, labels, WEIGHTS, ignore_index=255)
    expected = expected + 0.4 * F.cross_entropy(met, near, WEIGHTS, ignore_index=255)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_declared_loss_reads_any_outputs_and_has_its_weight(monkeypatch) -> None:
    def product(outputs, name, target, part, class_weights):
        assert target.dtype == torch.uint8
        return (outputs[name] * outputs["logits"]).sum()

    monkeypatch.setitem(losses.LOSSES, "product", product)
    logits, labels = drawn()
    second = torch.randn(2, 3, 8, 9)
    declared = (TrainingOutput("logits"), TrainingOutput("second", loss="product", weight=3.0))
    whole = SegmentationLoss(LossPart(), WEIGHTS, outputs=declared)
    total = whole({"logits": logits, "second": second}, labels.to(torch.uint8))
    expected = cross_entropy(logits, labels, WEIGHTS) + 3 * (second * logits).sum()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_hard_pixels_are_mined_on_auxiliary_outputs_where_that_is_asked_for(auxiliary) -> None:
    logits, labels = drawn(3)
    ohem = OhemPart(threshold=0.05, least=0.25, auxiliary=auxiliary)
    whole = SegmentationLoss(LossPart(ohem=ohem, auxiliary=0.5), WEIGHTS, outputs=OUTPUTS)
    total = whole({"logits": logits, "aux_0": logits}, labels.to(torch.uint8))
    hard = ohem_by_loss(logits, labels, WEIGHTS, threshold=0.05, least=0.25)
    expected = hard + 0.5 * (hard if auxiliary else cross_entropy(logits, labels, WEIGHTS))
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("rule", ["pidnet", "mmsegmentation", "paddle"])
def test_a_recipe_names_the_form_of_hard_pixel_mining(rule) -> None:
    logits, labels = drawn(3)
    part = LossPart(ohem=OhemPart(rule=rule, threshold=0.3, least=40))
    found = SegmentationLoss(part, WEIGHTS)({"logits": logits}, labels.to(torch.uint8))
    expected = ohem_by_probability(logits, labels, WEIGHTS, threshold=0.3, least=40, rule=rule)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_dice_and_lovasz_are_added_to_the_loss_of_the_logits() -> None:
    logits, labels = drawn(3)
    part = LossPart(dice=0.5, lovasz=2.0)
    whole = SegmentationLoss(part, WEIGHTS, outputs=OUTPUTS)
    found = whole({"logits": logits, "aux_0": logits}, labels.to(torch.uint8))
    expected = 1.4 * cross_entropy(logits, labels, WEIGHTS)
    expected = expected + 0.5 * dice(logits, labels) + 2 * lovasz_softmax(logits, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_output_that_the_network_does_not_declare_is_no_silent_auxiliary() -> None:
    logits, labels = drawn()
    with pytest.raises(KeyError, match="strange"):
        SegmentationLoss(LossPart(), WEIGHTS, outputs=OUTPUTS)(
            {"logits": logits, "strange": logits}, labels.to(torch.uint8)
        )
