"""The whole loss of the networks that have losses of their own, term by term."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from briskseg import create_model
from briskseg.recipe import LossPart
from briskseg.training.losses import SegmentationLoss
from briskseg.training.losses.boundary import boundary_aware, boundary_bce, boundary_target
from briskseg.training.losses.detail import detail, detail_target

WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


def drawn(*names: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Logits at full size, the named outputs at 1/8 size, and labels in squares of 8 pixels."""
    generator = torch.Generator().manual_seed(0)
    outputs = {"logits": torch.randn(2, 3, 32, 48, generator=generator)}
    for name in names:
        channels = 1 if name in ("boundary", "detail") else 3
        outputs[name] = 4 * torch.randn(2, channels, 4, 6, generator=generator)
    squares = torch.randint(0, 3, (2, 4, 6), generator=generator).to(torch.uint8)
    return outputs, squares.repeat_interleave(8, 1).repeat_interleave(8, 2)


def enlarged(output: torch.Tensor) -> torch.Tensor:
    return F.interpolate(output, (32, 48), mode="bilinear", align_corners=True)


def test_pidnets_loss_has_its_four_terms() -> None:
    outputs, labels = drawn("aux", "boundary")
    net = create_model("pidnet_s", 3)
    total = SegmentationLoss(LossPart(auxiliary=0.4), WEIGHTS, outputs=net.outputs)(outputs, labels)
    boundary = enlarged(outputs["boundary"])
    sampled = labels[:, 4::8, 4::8].long()
    expected = (
        F.cross_entropy(outputs["logits"], labels.long(), WEIGHTS)
        + 0.4 * F.cross_entropy(outputs["aux"], sampled, WEIGHTS)
        + 20 * boundary_bce(boundary, boundary_target(labels))
        + boundary_aware(outputs["logits"], labels.long(), WEIGHTS, boundary)
    )
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_stdcs_loss_has_its_detail_term() -> None:
    outputs, labels = drawn("aux16", "aux32", "detail")
    net = create_model("stdc1", 3)
    total = SegmentationLoss(LossPart(auxiliary=1.0), WEIGHTS, outputs=net.outputs)(outputs, labels)
    sampled = labels[:, 4::8, 4::8].long()
    expected = (
        F.cross_entropy(outputs["logits"], labels.long(), WEIGHTS)
        + F.cross_entropy(outputs["aux16"], sampled, WEIGHTS)
        + F.cross_entropy(outputs["aux32"], sampled, WEIGHTS)
        + detail(enlarged(outputs["detail"]), detail_target(labels))
    )
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_the_heads_as_in_validation_only_the_recipes_loss_counts() -> None:
    outputs, labels = drawn()
    net = create_model("pidnet_s", 3)
    loss = SegmentationLoss(LossPart(), WEIGHTS, outputs=net.outputs)(outputs, labels)
    expected = F.cross_entropy(outputs["logits"], labels.long(), WEIGHTS)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["pidnet_s", "stdc1"])
def test_an_image_without_labels_teaches_nothing_and_counts_in_the_mean(name: str) -> None:
    net = create_model(name, 3)
    heads = [output.name for output in net.outputs if output.name != "logits"]
    outputs, labels = drawn(*heads)
    whole = SegmentationLoss(LossPart(), WEIGHTS, outputs=net.outputs, has_unlabeled=True)
    half = SegmentationLoss(LossPart(), WEIGHTS, outputs=net.outputs)
    expected = half({name: output[:1] for name, output in outputs.items()}, labels[:1])
    labels[1] = 255
    outputs = {name: output.requires_grad_() for name, output in outputs.items()}
    loss = whole(outputs, labels)
    assert loss.item() == pytest.approx(expected.item() / 2, rel=1e-5)
    loss.backward()
    for output in outputs.values():
        assert output.grad is not None
        assert output.grad[0].any()
        assert not output.grad[1].any()
    labels[0] = 255
    assert whole(outputs, labels).item() == 0
