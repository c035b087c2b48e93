"""briskseg convert: from a published file to one that any tool can read, with its card."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from briskseg import create_model
from briskseg.core.images import write_png

CLASSES = 20


@pytest.fixture
def official(tmp_path):
    """A checkpoint of the official ERFNet for Cityscapes, whose names are ours."""
    weights = create_model("erfnet", CLASSES).state_dict()
    path = tmp_path / "erfnet.pth"
    torch.save({f"module.{name}": tensor for name, tensor in weights.items()}, path)
    return path, weights


def read(path):
    with safe_open(path, framework="np") as file:
        card = json.loads(file.metadata()["briskseg.card"])
        return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_the_20th_output_of_the_official_erfnet_is_left_out(official, command):
    path, weights = official
    assert command("convert", path, "--labels", "cityscapes") == (
        0,
        "recognized  ERFNet, the authors' PyTorch code; 20 classes, the last one (ignored pixels) "
        "left out\n"
        "network     erfnet, 19 classes: road ... bicycle\n"
        "images      resized to 512x1024; mean 0 0 0, std 1 1 1 (RGB in [0, 1])\n"
        "license     as whoever published the source states it\n"
        f"wrote       {path.with_suffix('.safetensors')}\n",
        "",
    )
    card, tensors = read(path.with_suffix(".safetensors"))
    assert card["network"] == {
        "name": "erfnet",
        "classes": 19,
        "options": {"dropout_64": 0.03, "dropout_128": 0.3, "auxiliary": True},
    }
    assert card["labels"]["names"][:2] == ["road", "sidewalk"]
    assert card["input"] == {"size": [512, 1024], "mean": [0, 0, 0], "std": [1, 1, 1]}
    assert tensors.keys() == weights.keys()
    for name, tensor in tensors.items():
        whole = weights[name].numpy()
        if "output_conv" in name:
            axis = whole.shape.index(20)
            whole = whole.take(range(19), axis)
        np.testing.assert_array_equal(tensor, whole)


def test_the_file_gives_the_same_logits_in_the_network_of_its_card(official, command, tmp_path):
    path, weights = official
    net = create_model("erfnet", CLASSES).eval()
    net.load_state_dict(weights)
    names = tmp_path / "classes.txt"
    names.write_text("".join(f"class{i}\n" for i in range(CLASSES)))
    out = tmp_path / "out" / "mine.safetensors"
    assert command("convert", path, "--labels", names, "--out", out)[0] == 0
    card, tensors = read(out)
    assert card["input"]["size"] is None
    assert card["source"] == "erfnet.pth, in the layout of: ERFNet, the authors' PyTorch code"
    again = create_model(card["network"]["name"], CLASSES, **card["network"]["options"]).eval()
    again.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    image = torch.from_numpy(np.random.default_rng(0).random((1, 3, 32, 40), np.float32))
    with torch.no_grad():
        assert torch.equal(again(image), net(image))


def test_labels_that_do_not_fit_are_refused(official, command):
    path, _ = official
    status, _, message = command("convert", path, "--labels", "camvid11")
    assert status == 2
    assert message.startswith(
        f"briskseg: {path} (ERFNet, the authors' PyTorch code) has 20 classes, but the labels have "
        "11 (Sky ... Bicyclist); give the classes it was trained with: --labels FILE"
    )
    assert list(path.parent.iterdir()) == [path]


def test_without_labels_the_network_and_its_number_of_classes_are_said(official, command):
    path, _ = official
    assert command("convert", path) == (
        2,
        "",
        f"briskseg: {path} (ERFNet, the authors' PyTorch code) has 20 classes, but not their "
        "names; give them: --labels cityscapes|camvid11|camvid32|FILE, FILE with a name a line in "
        "the order of its outputs\n",
    )


@pytest.fixture
def encoder(official):
    """The authors' encoder pretrained on ImageNet, as their classifier of images is saved."""
    weights = {
        f"module.features.{name}": tensor
        for name, tensor in official[1].items()
        if name.startswith("encoder.") and "output_conv" not in name
    }
    weights["module.classifier.linear.weight"] = torch.zeros(1000, 128)
    weights["module.classifier.linear.bias"] = torch.zeros(1000)
    return weights


def test_an_encoder_alone_is_told_what_it_is_for(encoder, command, tmp_path):
    path = tmp_path / "erfnet_encoder_pretrained.pth.tar"
    torch.save({"state_dict": encoder}, path)
    for labels in ([], ["--labels", "cityscapes"]):
        assert command("convert", path, *labels) == (
            2,
            "",
            f"briskseg: {path} is the encoder of ERFNet alone, pretrained to classify images (1000 "
            "classes; the authors' PyTorch code), expected a whole network; train one from it with "
            f"--set model.encoder={path}\n",
        )


def test_a_file_that_is_there_is_not_overwritten(official, command, tmp_path):
    out = tmp_path / "mine.safetensors"
    out.write_text("precious")
    status, _, message = command("convert", official[0], "--labels", "cityscapes", "--out", out)
    assert (status, out.read_text()) == (2, "precious")
    assert message == (
        f"briskseg: {out} is there already; remove it, or name another file with --out\n"
    )


def test_a_converted_file_is_not_converted_again(official, command, tmp_path):
    command("convert", official[0], "--labels", "cityscapes")
    ours = official[0].with_suffix(".safetensors")
    status, _, message = command(
        "convert", ours, "--labels", "cityscapes", "--out", tmp_path / "again"
    )
    assert status == 2
    assert message.startswith(f"briskseg: {ours} has a card already, expected published weights")


def test_what_cannot_be_converted_is_said_before_what_is_in_the_way(official, command, tmp_path):
    command("convert", official[0], "--labels", "cityscapes")
    ours, exported = (official[0].with_suffix(suffix) for suffix in (".safetensors", ".onnx"))
    exported.write_bytes(b"")
    for path, told in ((ours, "has a card already"), (exported, "is an exported file, expected")):
        done = command("convert", path, "--labels", "cityscapes")
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"briskseg: {path} {told}")


def test_an_unknown_label_set_names_the_nearest(official, command):
    status, _, message = command("convert", official[0], "--labels", "cityscape")
    assert status == 2
    assert message == (
        "briskseg: --labels cityscape is no label set and no file; did you mean 'cityscapes'? "
        "choices: camvid11, camvid32, cityscapes, or a classes.txt with a name a line\n"
    )


def test_the_file_itself_is_not_to_be_removed(command, tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file(create_model("erfnet", 11).state_dict(), path)
    told = f"briskseg: {path} is there already; name another file with --out\n"
    assert command("convert", path, "--labels", "camvid") == (2, "", told)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_command_that_a_file_without_a_card_is_told_can_be_typed(suffix, command, tmp_path):
    path = tmp_path / f"my bare{suffix}"
    weights = create_model("erfnet", 11).state_dict()
    (save_file if suffix == ".safetensors" else torch.save)(weights, path)
    write_png(tmp_path / "image.png", np.zeros((8, 8, 3), np.uint8))
    refused = command("predict", path, tmp_path / "image.png")
    words = re.search(r"with: briskseg (convert .*)$", refused.err, re.M)[1]
    new = str(tmp_path / "new.safetensors")
    words = words.replace("cityscapes|camvid|FILE", "camvid").replace("NEW.safetensors", new)
    done = command(*shlex.split(words))
    assert done.status == 0, done.err
    assert "erfnet, 11 classes: Sky ... Bicyclist" in done.out
    out = tmp_path / ("my bare.safetensors" if suffix == ".pth" else "new.safetensors")
    assert read(out)[0]["labels"]["names"][0] == "Sky"


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 cut off", b"\x00\x00\x00 ftypisom" + bytes(50), b"\x89PNG\r\n\x1a\n" + bytes(50)],
    ids=["zip", "video", "image"],
)
def test_a_damaged_file_is_a_failure_in_one_sentence(command, tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    status, _, message = command("convert", tmp_path / "weights.pth", "--labels", "cityscapes")
    assert status == 1
    assert message.count("\n") == 1
    assert "is damaged or no PyTorch checkpoint" in message


def test_a_file_of_another_kind_is_not_written(command, official, tmp_path):
    out = tmp_path / "ours.pth"
    words = ("convert", official[0], "--labels", "cityscapes", "--out", out)
    status, _, message = command(*words)
    assert status == 2
    assert f"--out {out}: expected a file that ends in .safetensors" in message
    assert not out.exists()
