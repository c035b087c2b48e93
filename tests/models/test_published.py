"""The forms that published weights come in, and a file that is none is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import briskseg
from briskseg.core.errors import RequestError, WeightsError


def refused(path) -> str:
    with pytest.raises(WeightsError) as caught:
        briskseg.load_published(path)
    return str(caught.value)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COINCHEUNG = ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115))


@pytest.mark.parametrize(
    ("name", "title", "size", "mean", "std"),
    [
        ("erfnet_official", "ERFNet, the authors' PyTorch code", (512, 1024), (0,) * 3, (1,) * 3),
        ("erfnet_mmseg", "ERFNet with an FCN head, MMSegmentation", None, *IMAGENET),
        ("fast_scnn_mmseg", "Fast-SCNN, MMSegmentation", None, *IMAGENET),
        ("fast_scnn_tramac", "Fast-SCNN, Tramac/Fast-SCNN-pytorch", None, *IMAGENET),
        ("bisenetv2_coincheung", "BiSeNetV2, CoinCheung/BiSeNet", None, *COINCHEUNG),
        ("stdc1_seg_official", "STDC1-Seg, the authors' code", (768, 1536), *IMAGENET),
        ("pp_liteseg_t_paddle", "PP-LiteSeg-T, PaddleSeg", None, (0.5,) * 3, (0.5,) * 3),
    ],
)
def test_convert_names_the_layout_and_keeps_its_preprocessing(
    name, title, size, mean, std, published, command, tmp_path
):
    fixture = published(name)
    torch.save(fixture.weights(), tmp_path / "weights.pth")
    done = command("convert", tmp_path / "weights.pth", "--labels", "cityscapes")
    assert done.out.startswith(f"recognized  {title}; 19 classes\n")
    predictor = briskseg.load(tmp_path / "weights.safetensors")
    expects = predictor.card.input
    assert (expects.size, expects.mean, expects.std) == (size, mean, std)
    # The fixture's images are normalized ones, so normalization is undone for the predictor.
    levels = (fixture.images()[0].permute(1, 2, 0).numpy() * std + mean) * 255
    image = np.clip(levels.round(), 0, 255).astype(np.uint8)
    normalized = (image / 255 - mean) / std
    with torch.no_grad():
        net = briskseg.load_published(tmp_path / "weights.pth")
        expected = net(torch.from_numpy(normalized.astype(np.float32)).permute(2, 0, 1)[None])[0]
    logits = torch.from_numpy(predictor.logits(image, image.shape[:2]))
    assert (logits - expected).abs().max() < 1e-4 * expected.std()


def test_weights_for_research_only_are_said_to_be_so_and_their_card_says_it(
    published, command, tmp_path
):
    torch.save(published("segformer_b0_nvlabs").weights(), tmp_path / "segformer.b0.pth")
    done = command("convert", tmp_path / "segformer.b0.pth", "--labels", "cityscapes")
    (said,) = (line for line in done.out.splitlines() if line.startswith("license"))
    assert "research and evaluation only, not commercially" in said
    card = briskseg.load(tmp_path / "segformer.b0.safetensors").card
    assert card.license == said.removeprefix("license").strip()


def official(published) -> dict[str, torch.Tensor]:
    return published("erfnet_official").weights()


def wrapped(weights):
    return {"epoch": 150, "arch": "ERFNet", "state_dict": weights, "best_acc": np.float64(0.7)}


def parallel(weights):
    return {f"module.{key}": value for key, value in weights.items()}


def before_pytorch_041(weights):
    return {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    "form", [wrapped, parallel, before_pytorch_041, lambda w: wrapped(parallel(w))]
)
def test_the_forms_that_checkpoints_come_in_are_read(published, form, tmp_path):
    fixture = published("erfnet_official")
    torch.save(form(fixture.weights()), tmp_path / "weights.pth.tar")
    with torch.no_grad():
        logits = briskseg.load_published(tmp_path / "weights.pth.tar")(fixture.images())
    assert fixture.error(logits, "logits") < 1e-4


def test_the_file_format_before_pytorch_16_is_read(published, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(official(published), path, _use_new_zipfile_serialization=False)
    assert briskseg.load_published(path).classes == 19


def test_safetensors_are_read(published, tmp_path):
    from safetensors.torch import save_file

    save_file(published("erfnet_mmseg").weights(), tmp_path / "weights.safetensors")
    assert briskseg.load_published(tmp_path / "weights.safetensors").classes == 19


def test_the_number_of_classes_comes_from_the_file(published, tmp_path):
    weights = official(published)
    weights["decoder.output_conv.weight"] = torch.zeros(16, 20, 2, 2)
    weights["decoder.output_conv.bias"] = torch.zeros(20)
    weights["encoder.output_conv.weight"] = torch.zeros(20, 128, 1, 1)
    weights["encoder.output_conv.bias"] = torch.zeros(20)
    torch.save(weights, tmp_path / "weights.pth")
    assert briskseg.load_published(tmp_path / "weights.pth").classes == 20


def test_two_classes_by_a_threshold_are_refused(published, tmp_path):
    """As one class, which every pixel would be."""
    weights = published("erfnet_mmseg").weights()
    path = tmp_path / "weights.pth"
    torch.save({n: w[:1] if w.shape[:1] == (19,) else w for n, w in weights.items()}, path)
    with pytest.raises(RequestError, match=r"gives one number a pixel, .* with out_channels=2$"):
        briskseg.load_published(path)


def test_a_file_that_nearly_fits_is_refused_with_what_differs(published, tmp_path):
    weights = published("fast_scnn_tramac").weights()
    del weights["classifier.conv.1.weight"]
    weights["auxlayer.0.weight"] = torch.zeros(32, 128, 3, 3)
    weights["extra.bias"] = torch.zeros(3)
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    assert refused(path) == (
        f"{path} is nearest to the layout 'fast_scnn_tramac' (Fast-SCNN, "
        "Tramac/Fast-SCNN-pytorch) with 19 classes, but of its 276 tensors 1 missing "
        "(classifier.conv.1.weight), 1 not of it (extra.bias), 1 of another shape "
        "(auxlayer.0.weight (32, 128, 3, 3), expected (32, 64, 3, 3)); load a file whose tensors "
        "all fit"
    )


def test_the_weights_of_another_network_are_refused_with_what_is_known(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(1000)}, path)
    assert refused(path).startswith(
        f"{path} holds 2 tensors (conv1.weight, fc.bias ...), but not the weights of a network "
        "that is known here: ERFNet; Fast-SCNN; PIDNet-S; "
    )


def test_weights_that_are_not_finite_are_refused(published, tmp_path):
    weights = official(published)
    weights["encoder.layers.3.bn1.running_var"][5] = math.nan
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    assert refused(path).startswith(
        f"{path}: 'encoder.layers.3.bn1.running_var' holds values that are not finite numbers"
    )


@pytest.mark.parametrize("kept", [0, 5, 1000, -50], ids=lambda kept: f"{kept} bytes")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_refused(kept, suffix, tmp_path):
    from safetensors.torch import save_file

    weights, path = {"a": torch.ones(30, 30)}, tmp_path / f"weights{suffix}"
    torch.save(weights, path) if suffix == ".pth" else save_file(weights, path)
    path.write_bytes(path.read_bytes()[:kept])
    assert str(path) in refused(path)
    assert "copy or download it again" in refused(path)


def test_a_file_without_tensors_is_refused(tmp_path):
    path = tmp_path / "optimizer.pth"
    torch.save({"epoch": 3, "lr": 0.1}, path)
    assert refused(path).startswith(
        f"{path} holds a dictionary without tensors (keys: epoch, lr), expected tensors by name"
    )


def test_a_file_that_is_not_there_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match=r"none\.pth is not there or is no file, expected a"):
        briskseg.load_published(tmp_path / "none.pth")
