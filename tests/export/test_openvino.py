"""briskseg export --to openvino: what OpenVINO alone computes from the file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import briskseg
from briskseg.core.errors import WeightsError
from briskseg.core.exported import read_exported

openvino = pytest.importorskip("openvino")


def test_openvino_alone_gives_the_networks_labels(case, deployed):
    images = np.random.default_rng(2).integers(0, 256, (2, 33, 47, 3), dtype=np.uint8)
    core = openvino.Core()
    model = core.read_model(deployed / f"{case.name}.xml")
    # without the hint OpenVINO rounds to bf16 where the processor computes in it
    found = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)
    expected = briskseg.load(deployed / f"{case.name}.safetensors", "torch")
    assert found["labels"].dtype == np.uint8
    for labels, image in zip(found["labels"], images, strict=True):
        np.testing.assert_array_equal(labels, expected(image))
    assert model.get_rt_info(["briskseg", "card"]).value == expected.card.to_json()


def test_labels_and_logits_are_the_networks_through_the_predictor(case, deployed):
    expected = briskseg.load(deployed / f"{case.name}.safetensors", "torch")
    for file, backend in ((".xml", "openvino"), (".onnx", "openvino"), (".onnx", "onnx")):
        predictor = briskseg.load(deployed / f"{case.name}{file}", backend, threads=1)
        for seed, size in enumerate([(16, 24), (21, 34), (8, 8), (5, 9), (31, 17), (16, 24)]):
            image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
            image.flags.writeable = bool(seed % 2)
            np.testing.assert_array_equal(predictor(image), expected(image))
            np.testing.assert_array_equal(
                predictor.labels_at(image, (40, 30)), expected.labels_at(image, (40, 30))
            )
        logits = predictor.logits(image, (24, 40))
        np.testing.assert_allclose(logits, expected.logits(image, (24, 40)), atol=1e-3)


def test_two_files_are_written_and_neither_is_overwritten(model, command):
    beside = model.with_suffix(".bin")
    beside.write_text("precious")
    done = command("export", model, "--to", "openvino")
    assert (done.status, done.out) == (2, "")
    assert f"{beside} is there already" in done.err
    assert beside.read_text() == "precious"
    beside.unlink()
    assert command("export", model, "--to", "openvino", "--size", "32x48").status == 0
    assert sorted(p.suffix for p in model.parent.iterdir()) == [".bin", ".safetensors", ".xml"]
    assert read_exported(model.with_suffix(".xml"))[1].size == (32, 48)


def test_damaged_files_are_named_in_one_sentence(deployed, tmp_path):
    text = (deployed / "tramac.xml").read_text()
    bad = tmp_path / "bad.xml"
    entities = (
        '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a SYSTEM "/etc/passwd">]><net>&a;</net>'
    )
    for content in ("", text[: len(text) // 2], entities, "<net></net>", "\0\1\2"):
        bad.write_text(content)
        with pytest.raises(WeightsError, match=r"bad\.xml (is damaged|has no card)"):
            briskseg.load(bad)
    bad.write_text(text)  # without its .bin
    with pytest.raises(WeightsError, match=r"no network that OpenVINO .* can read"):
        briskseg.load(bad)


def test_nothing_is_reported_to_anyone():
    code = (
        "import sys, briskseg.runtime.backends.openvino_backend\n"
        "import openvino.tools.ovc.telemetry_utils as t;"
        "print(t.tm.__name__, 'openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]
