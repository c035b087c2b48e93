"""briskseg export --int8: scored beside float32 on val, refused where it loses too much."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import card_of

import briskseg
from briskseg.core.card import Card, LabelsCard, NetworkCard, load_weights, save_weights
from briskseg.core.errors import ExportError
from briskseg.core.exported import read_exported
from briskseg.data import open_dataset
from briskseg.data.synthetic import draw_dataset

openvino = pytest.importorskip("openvino")
pytest.importorskip("nncf")


@pytest.fixture(autouse=True)
def _closed_before_deleted(monkeypatch):
    """No file is deleted while it is in use, which not every system does."""

    class Watched(tempfile.TemporaryDirectory):
        def cleanup(self):
            maps = Path("/proc/self/maps")
            in_use = maps.exists() and self.name in maps.read_text()
            super().cleanup()
            assert not in_use

    monkeypatch.setattr(tempfile, "TemporaryDirectory", Watched)


@pytest.fixture(scope="module")
def streets_and_model(tmp_path_factory):
    """Drawn streets of 48x64, and an untrained network of their classes."""
    import torch

    folder = tmp_path_factory.mktemp("int8")
    data = draw_dataset(folder / "streets", train=4, val=3, size_hw=(48, 64), seed=3)
    torch.manual_seed(0)
    labels = open_dataset(data).labels
    net = briskseg.create_model("fast_scnn", len(labels.names))
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 48, 64))
    card = Card(
        network=NetworkCard(name="fast_scnn", classes=len(labels.names), options=net.options),
        labels=LabelsCard.from_label_set(labels),
    )
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    save_weights(folder / "model.safetensors", state, card)
    return data, folder / "model.safetensors"


def test_int8_is_scored_beside_float32_and_computes_in_int8(streets_and_model, tmp_path, command):
    data, model = streets_and_model
    out = tmp_path / "small-int8.xml"
    words = ("export", model, "--to", "openvino", "--int8", "--data", data, "--out", out)
    result = tmp_path / "export.json"
    words = (*words, "--max-miou-loss", 100, "--max-class-loss", 100, "--json", result)
    done = command(*words)
    assert done.status == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 100 + len(str(tmp_path))
    card, exported = read_exported(out)
    assert exported.precision == "int8"

    scores = {}
    for file, backend in ((model, "torch"), (out, "openvino")):
        told = command("evaluate", file, "--data", data, "--backend", backend, "--json", "-")
        scores[backend] = json.loads(told.out)
    row = re.search(r"mIoU +(\S+) % +(\S+) % +(\S+)", done.out)
    assert row is not None
    shown = [float(row[1]), float(row[2])]
    expected = [100 * scores["torch"]["miou"], 100 * scores["openvino"]["miou"]]
    assert shown == pytest.approx(expected, abs=0.02)
    assert card.scores["int8_val_miou"] == pytest.approx(scores["openvino"]["miou"])
    for name in scores["torch"]["classes"]:
        assert re.search(rf"^{name} ", done.out, re.MULTILINE)

    told = json.loads(result.read_text())
    assert (told["file"], told["agreement"]["labels"]) == (str(out), True)
    for kind, backend in (("float32", "torch"), ("int8", "openvino")):
        assert told["int8"][kind]["miou"] == pytest.approx(scores[backend]["miou"], abs=2e-4)
        assert told["int8"][kind]["classes"].keys() == scores[backend]["classes"].keys()

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(out), "CPU", {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    )
    request = compiled.create_infer_request()
    request.infer([np.zeros((1, 48, 64, 3), np.uint8)])
    kinds = [i.exec_type for i in request.get_profiling_info() if i.node_type == "Convolution"]
    # "I8" takes unsigned numbers and "i8" signed ones
    assert sum(kind.lower().endswith("i8") for kind in kinds) > len(kinds) / 2


def test_weights_that_saw_val_claim_no_score_in_int8(
    streets_and_model, tmp_path, command, monkeypatch
):
    monkeypatch.setattr("briskseg.cli.console.LINE_EVERY_S", 0)  # a line for all that is done
    data, model = streets_and_model
    tensors, card = load_weights(model)
    scores, training = {"val_miou_before": 0.25}, {"train_splits": ["train", "val"]}
    seen = card.model_copy(update={"scores": scores, "training": training})
    save_weights(tmp_path / "m.safetensors", tensors, seen)
    words = ("export", tmp_path / "m.safetensors", "--to", "openvino", "--int8", "--data", data)
    out = tmp_path / "m-int8.xml"
    done = command(*words, "--out", out, "--max-miou-loss", 100, "--max-class-loss", 100)
    assert done.status == 0, done.err
    told = re.sub(r", [\d.]+ images/s(, \d+ s left)?$", "", done.err, flags=re.M).splitlines()
    quantizing = "quantizing on 4 images, 0 layers left in float"
    assert [line for line in told if not line.endswith(("1/3", "2/3"))] == [
        *("scoring float32", "scoring float32 3/3"),
        *(quantizing, "scoring int8", "scoring int8 3/3"),
    ]
    assert read_exported(out)[0].scores == scores
    ran = "with openvino in float32, before it was rounded to int8, beside the network itself"
    assert f"\nran      {ran}\nagrees   to " in done.out


def test_what_loses_too_much_is_not_kept_and_the_worst_class_is_named(
    streets_and_model, tmp_path, monkeypatch
):
    from briskseg.export import export, int8, openvino_int8

    data, model = streets_and_model
    rounded = openvino_int8.OpenVINOQuantizer.rounded
    layers = []

    def watched(self, in_float):
        layers.append([*in_float])
        return rounded(self, in_float)

    monkeypatch.setattr(openvino_int8.OpenVINOQuantizer, "rounded", watched)
    monkeypatch.setattr(int8, "IN_FLOAT", (0, 2))
    asked = int8.Int8(open_dataset(data), -100, -100)  # what no file keeps
    with pytest.raises(
        ExportError,
        match=r"bad-int8\.xml was not kept: in int8, with \d layers left in float, it loses \S+ "
        r"points of mIoU and its worst class '[^']+' \S+ points, expected at most -100 and -100; ",
    ):
        export(model, "openvino", tmp_path / "bad-int8.xml", (48, 64), int8=asked)
    assert [*tmp_path.iterdir()] == []
    assert [len(names) for names in layers] == [0, 2]
    assert len(set(layers[1])) == 2


def test_the_layer_whose_rounding_changes_the_logits_most_is_left_in_float_first(tmp_path):
    """Even the first, whose input fits 8 bits: of gray its small weights are all that remains."""
    from briskseg.core.exported import Exported
    from briskseg.export.openvino_int8 import OpenVINOQuantizer

    gray = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    images = [*np.repeat(gray, 3, axis=3)]
    op = openvino.opset8
    image = op.parameter([1, -1, -1, 3], np.uint8, name="images")
    layer = op.transpose(op.convert(image, "f32"), [0, 3, 1, 2])
    cancelling = np.array([[1, -1, 0.003], [0.002, 1, -1], [-1, 0.001, 1]])
    for name, weights in (("first", cancelling), ("second", np.eye(3)), ("last", np.eye(3))):
        constant = op.constant(weights[:, :, None, None].astype(np.float32))
        layer = op.convolution(layer, constant, [1, 1], [0, 0], [0, 0], [1, 1])
        layer.set_friendly_name(name)
        layer = op.relu(layer)
    layer.output(0).set_names({"logits"})
    model = openvino.Model([layer], [image], "three")
    exported = Exported(factor=1, align_corners=False, size=None, precision="float32", weights="")
    file, card = tmp_path / "three.xml", card_of("fast_scnn", 3)
    openvino.save_model(model, file, compress_to_fp16=False)
    quantizer = OpenVINOQuantizer(images, card, exported, file, None)
    ranked = quantizer.ranked(quantizer.rounded([]))
    assert ranked[0] == "first"
    assert {"second", "last"} < {*ranked}


def test_wrong_requests_are_one_sentence(streets_and_model, command, without):
    data, model = streets_and_model
    for words, message in (
        (("--to", "openvino", "--int8"), "--int8 needs images to calibrate on"),
        (
            ("--to", "onnx", "--int8", "--data", data),
            "found --to onnx; write --to openvino or litert, or leave",
        ),
    ):
        done = command("export", model, *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err
    without("nncf", "openvino_int8")
    done = command("export", model, "--to", "openvino", "--int8", "--data", data)
    assert done.status == 2
    assert "pip install 'briskseg[export]'" in done.err
    assert len([*model.parent.glob("model*")]) == 1
