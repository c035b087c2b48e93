"""briskseg export --to litert: what LiteRT alone computes from the file, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tests.conftest import draw_weights

import briskseg
from briskseg.core.card import LabelsCard, load_weights, save_weights
from briskseg.core.errors import ExportError, WeightsError
from briskseg.core.exported import read_exported
from briskseg.data import open_dataset
from briskseg.export import export

SIZE = (48, 64)


@pytest.fixture(scope="module")
def phone(tmp_path_factory, streets):
    """A folder with fast_scnn.safetensors and fast_scnn.tflite, for drawn streets' classes."""
    if importlib.util.find_spec("litert_torch") is None:
        pytest.skip("LITERT IS NOT TESTED: pip install 'briskseg[litert-export]' is missing")
    folder = tmp_path_factory.mktemp("phone")
    labels = open_dataset(streets).labels
    weights = draw_weights(folder / "fast_scnn.safetensors", "fast_scnn", len(labels.names))
    tensors, card = load_weights(weights)
    update = {"labels": LabelsCard.from_label_set(labels)}
    save_weights(weights, tensors, card.model_copy(update=update))
    export(weights, "litert", size_hw=SIZE)
    return folder


ALONE = """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1])
run = interpreter.get_signature_runner()
np.save(sys.argv[3], run(images=np.load(sys.argv[2]))["logits"])
assert "briskseg" not in sys.modules
"""


def test_litert_alone_gives_the_networks_logits_and_says_what_they_are(phone, streets, tmp_path):
    import torch
    import torch.nn.functional as F

    image = np.random.default_rng(2).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    file, out = phone / "fast_scnn.tflite", tmp_path / "logits.npy"
    words = [sys.executable, "-c", ALONE, file, tmp_path / "image.npy", out]
    subprocess.run(words, check=True, capture_output=True)
    logits_nchw = torch.from_numpy(np.load(out)).permute(0, 3, 1, 2)
    full = F.interpolate(logits_nchw, SIZE, mode="bilinear")[0].numpy()
    expected = briskseg.load(phone / "fast_scnn.safetensors", "torch").logits(image[0])
    np.testing.assert_allclose(full, expected, atol=1e-4 * expected.std())
    names = zipfile.ZipFile(file).read("labels.txt").decode().splitlines()
    assert names == [*open_dataset(streets).names]


def test_other_readers_find_their_own_metadata(phone):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((phone / "fast_scnn.tflite").read_bytes(), 0)
    found = {
        entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata
    }
    assert found["TFLITE_METADATA"][4:8] == b"M001"
    assert b"labels.txt" in found["TFLITE_METADATA"]
    assert json.loads(found["briskseg.card"])["input"]["size"] == [*SIZE]


def test_predict_evaluate_and_bench_take_the_file_as_any(phone, streets, command, tmp_path):
    file = phone / "fast_scnn.tflite"
    told = {}
    for path, backend in ((file, "auto"), (phone / "fast_scnn.safetensors", "torch")):
        done = command("evaluate", path, "--data", streets, "--backend", backend, "--json", "-")
        assert (done.status, done.err) == (0, "")
        told[backend] = json.loads(done.out)
    assert told["auto"]["ran"] == {"file": str(file), "backend": "litert", "precision": "float32"}
    assert told["auto"]["miou"] == pytest.approx(told["torch"]["miou"], abs=1e-3)
    (image, *_) = sorted((streets / "images" / "val").iterdir())
    done = command("predict", file, image, "--out", tmp_path / "masks")
    assert (done.status, len([*(tmp_path / "masks").iterdir()])) == (0, 3)
    done = command("bench", file, "--backend", "litert", "--json", tmp_path / "bench.json")
    assert done.status == 0, done.err
    assert "litert" in (tmp_path / "bench.json").read_text()


def test_threads_may_share_a_predictor(phone):
    from concurrent.futures import ThreadPoolExecutor

    predictor = briskseg.load(phone / "fast_scnn.tflite")
    images = [np.full((*SIZE, 3), 40 * index, np.uint8) for index in range(6)]
    expected = [predictor(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, labels in zip(pool.map(predictor, images), expected, strict=True):
            np.testing.assert_array_equal(found, labels)


def test_an_operation_without_counterpart_is_named(phone, tmp_path, monkeypatch):
    import torch

    from briskseg.models.fast_scnn import FastSCNN

    def decomposed(self, images):
        return torch.linalg.svdvals(images[:, :, :4, :4])[..., None].expand(-1, -1, 4, 4)

    monkeypatch.setattr(FastSCNN, "forward_coarse", decomposed)
    with pytest.raises(ExportError, match=r"FastSCNN has an operation that LiteRT has no counterp"):
        export(phone / "fast_scnn.safetensors", "litert", tmp_path / "x.tflite", SIZE)
    assert [*tmp_path.iterdir()] == []


def test_an_image_of_another_size_is_told_the_one(phone, command, streets):
    words = ("evaluate", phone / "fast_scnn.tflite", "--data", streets, "--scales", "0.5")
    done = command(*words)
    assert (done.status, done.out) == (2, "")
    assert "takes images of 48x64 alone, found 24x32; leave out --scales and --window" in done.err


def test_damaged_files_and_those_of_others_are_one_sentence(phone, tmp_path):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    whole = (phone / "fast_scnn.tflite").read_bytes()
    builder = flatbuffers.Builder()
    builder.Finish(schema.ModelT().Pack(builder), file_identifier=b"TFL3")
    bad = tmp_path / "bad.tflite"
    for content, message in (
        (b"", r"is damaged or no .tflite file \("),
        (whole[: len(whole) // 2], r"is damaged or no .tflite file \("),
        (whole[:-60], r"is damaged or no .tflite file \(its end is missing\)"),
        (b"\0" * 4000, r"it does not begin as TFL3 files do"),
        (bytes(builder.Output()), r"has no card.*briskseg export MODEL --to litert"),
        (b"PK\x03\x04" + whole, r"is a zip archive, expected a model's .tflite file"),
    ):
        bad.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            briskseg.load(bad)
    broken = bytearray(whole)
    broken[2000 : len(whole) // 20] = b"\xff" * (len(whole) // 20 - 2000)
    bad.write_bytes(broken)
    with pytest.raises(WeightsError, match=r"bad.tflite "):
        briskseg.load(bad)


def test_wrong_requests_are_one_sentence_and_leave_nothing(model, command, without):
    for words, message in (
        ((), "but a file for LiteRT takes one size; name it: --size HxW"),
        (("--size", "99999x99999"), "--size asks for images of 99999x99999, expected at most"),
        (("--size", "32x48", "--out", "x.onnx"), "ends in '.onnx', expected .tflite"),
    ):
        done = command("export", model, "--to", "litert", *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err
    without("litert_torch", "litert_file")
    done = command("export", model, "--to", "litert", "--size", "32x48")
    assert done.status == 2
    assert "pip install 'briskseg[litert-export]'" in done.err
    assert [*model.parent.iterdir()] == [model]


def test_the_file_says_what_is_left_to_do(phone):
    card, exported = read_exported(phone / "fast_scnn.tflite")
    assert exported.enlarging == "to be stretched to the image's size, align_corners=False"
    assert (card.input.size, exported.size, exported.precision) == (SIZE, SIZE, "float32")
