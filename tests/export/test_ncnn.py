"""briskseg export --to ncnn: what ncnn alone computes from the files, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.conftest import draw_weights

import briskseg
from briskseg.core.card import LabelsCard, load_weights, save_weights
from briskseg.core.errors import ExportError, RequestError, WeightsError
from briskseg.core.exported import read_exported
from briskseg.data import open_dataset
from briskseg.export import export

SIZE = (48, 64)


@pytest.fixture(scope="module")
def board(tmp_path_factory, streets):
    """A folder with fast_scnn.safetensors, .ncnn.param and .ncnn.bin, of drawn streets' classes."""
    for package in ("ncnn", "pnnx"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("NCNN IS NOT TESTED: pip install 'briskseg[ncnn-export]' is missing")
    folder = tmp_path_factory.mktemp("board")
    labels = open_dataset(streets).labels
    weights = draw_weights(folder / "fast_scnn.safetensors", "fast_scnn", len(labels.names))
    tensors, card = load_weights(weights)
    update = {"labels": LabelsCard.from_label_set(labels)}
    save_weights(weights, tensors, card.model_copy(update=update))
    export(weights, "ncnn", size_hw=SIZE)
    return folder


@pytest.fixture
def copied(board, tmp_path):
    """The three files, to be damaged; the path of the .ncnn.param."""
    shutil.copytree(board, tmp_path / "copied")
    return tmp_path / "copied" / "fast_scnn.ncnn.param"


ALONE = """
import sys, ncnn, numpy as np
network = ncnn.Net()
network.opt.use_fp16_packed = network.opt.use_fp16_storage = False
network.opt.use_fp16_arithmetic = False
assert network.load_param(sys.argv[1]) == network.load_model(sys.argv[2]) == 0
image = np.load(sys.argv[3])
height, width = image.shape[:2]
extractor = network.create_extractor()
extractor.input("in0", ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, width, height))
np.save(sys.argv[4], np.array(extractor.extract("out0")[1]))
assert "briskseg" not in sys.modules
"""


def test_ncnn_alone_gives_the_networks_logits(board, tmp_path):
    import torch
    import torch.nn.functional as F

    assert sorted(path.name for path in board.iterdir()) == [
        "fast_scnn.ncnn.bin",
        "fast_scnn.ncnn.param",
        "fast_scnn.safetensors",
    ]
    image = np.random.default_rng(2).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    files = [board / "fast_scnn.ncnn.param", board / "fast_scnn.ncnn.bin"]
    words = [sys.executable, "-c", ALONE, *files, tmp_path / "image.npy", tmp_path / "logits.npy"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    logits_nchw = torch.from_numpy(np.load(tmp_path / "logits.npy"))[None]
    full = F.interpolate(logits_nchw, SIZE, mode="bilinear")[0].numpy()
    expected = briskseg.load(board / "fast_scnn.safetensors", "torch").logits(image)
    np.testing.assert_allclose(full, expected, atol=1e-4 * expected.std())


def test_predict_evaluate_and_bench_take_the_file_as_any(board, streets, command, tmp_path):
    file = board / "fast_scnn.ncnn.param"
    told = {}
    for path, backend in ((file, "auto"), (board / "fast_scnn.safetensors", "torch")):
        done = command("evaluate", path, "--data", streets, "--backend", backend, "--json", "-")
        assert (done.status, done.err) == (0, "")
        told[backend] = json.loads(done.out)
    assert told["auto"]["ran"] == {"file": str(file), "backend": "ncnn", "precision": "float32"}
    assert told["auto"]["miou"] == pytest.approx(told["torch"]["miou"], abs=1e-3)
    (image, *_) = sorted((streets / "images" / "val").iterdir())
    done = command("predict", file, image, "--out", tmp_path / "masks")
    assert (done.status, len([*(tmp_path / "masks").iterdir()])) == (0, 3)
    done = command("bench", file, "--backend", "ncnn", "--json", tmp_path / "bench.json")
    assert done.status == 0, done.err
    both = file.stat().st_size + file.with_suffix(".bin").stat().st_size
    assert str(both) in (tmp_path / "bench.json").read_text()


def test_threads_may_share_a_predictor(board):
    predictor = briskseg.load(board / "fast_scnn.ncnn.param", threads=2)
    images = [np.full((*SIZE, 3), 40 * index, np.uint8) for index in range(6)]
    expected = [predictor(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, labels in zip(pool.map(predictor, images), expected, strict=True):
            np.testing.assert_array_equal(found, labels)


def test_the_file_says_what_is_left_to_do_and_stays_lines_of_layers(board):
    file = board / "fast_scnn.ncnn.param"
    card, exported = read_exported(file)
    assert exported.enlarging == "to be stretched to the image's size, align_corners=False"
    assert (card.input.size, exported.size, exported.precision) == (SIZE, SIZE, "float32")
    for line in file.read_text("ascii").splitlines()[2:]:  # as other readers take every line
        _, _, inputs, outputs, *rest = line.split()
        assert all(word.count("=") == 1 for word in rest[int(inputs) + int(outputs) :])


def test_an_operation_without_counterpart_is_named(board, tmp_path, monkeypatch):
    import torch

    from briskseg.models.fast_scnn import FastSCNN

    def decomposed(self, images):
        return torch.linalg.svdvals(images[:, :, :4, :4])[..., None].expand(-1, -1, 4, 4)

    monkeypatch.setattr(FastSCNN, "forward_coarse", decomposed)
    with pytest.raises(ExportError, match=r"FastSCNN has an operation that ncnn has no counterp"):
        export(board / "fast_scnn.safetensors", "ncnn", tmp_path / "x.ncnn.param", SIZE)
    assert [*tmp_path.iterdir()] == []


def test_an_image_of_another_size_is_told_the_one(board, command, streets):
    words = ("evaluate", board / "fast_scnn.ncnn.param", "--data", streets, "--scales", "0.5")
    done = command(*words)
    assert (done.status, done.out) == (2, "")
    assert "takes images of 48x64 alone, found 24x32; leave out --scales and --window" in done.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "7767517\n",
            "7767518\n",
            "no .ncnn.param file (it does not begin with 7767517",
        ),
        ("\nbriskseg.card", "\nother", "has no card, so its classes and its input are unknown"),
        ("\nInput ", "\nExec ", "(no kind of layer that is known here: 'Exec')"),
        (" 0=32 1=3 ", " 0=1000000000000 1=3 ", "is no number"),
        (" 0=32 1=3 ", " 99=32 1=3 ", "is no number"),
        (" 0=32 1=3 ", " -23300=9,1 1=3 ", "is not of the length that it says"),
        (" 6=864 ", " 6=1728 ", "fast_scnn.ncnn.bin do not belong together ("),
        (" 6=864 ", " 6=865 ", "has 865 numbers for 32 outputs"),
        (" 2 1 in0 ", " 2 1 in7 ", "takes in7, which no layer before gives it"),
        (" out0 ", " out1 ", "its output not out0"),
    ],
)
def test_a_text_that_ncnn_would_trip_over_is_one_sentence(copied, old, new, message):
    text = copied.read_text()
    assert old in text
    copied.write_text(text.replace(old, new, 1))
    with pytest.raises(WeightsError) as refused:
        briskseg.load(copied)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_cut_short_and_those_of_others_are_one_sentence(copied):
    weights, whole = copied.with_suffix(".bin"), copied.read_bytes()
    for content, message in (
        (b"", r"is damaged or no .ncnn.param file \("),
        (whole[: len(whole) // 3], r"is damaged or no .ncnn.param file \(of \d+ layers \d+ are"),
        (b"\xff" + whole, r"is damaged or no .ncnn.param file \("),
        (b"PK\x03\x04" + whole, r"is a zip archive, expected a model's .ncnn.param file"),
    ):
        copied.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            briskseg.load(copied)
    copied.write_bytes(whole)
    numbers = weights.read_bytes()
    for content in (numbers[:-4], numbers + b"\0" * 4, b""):
        weights.write_bytes(content)
        with pytest.raises(WeightsError, match=r"do not belong together \("):
            briskseg.load(copied)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"ncnn.bin cannot be read: .*; it belongs to fast_sc"):
        briskseg.load(copied)
    with pytest.raises(RequestError, match=r"is of no known type, expected .* or .ncnn.param file"):
        briskseg.load(copied.rename(copied.with_name("other.param")))


def test_wrong_requests_are_one_sentence_and_leave_nothing(model, command, without):
    for words, message in (
        ((), "but a file for ncnn takes one size; name it: --size HxW"),
        (("--size", "32x48", "--out", "x.param"), "ends in '.param', expected .ncnn.param"),
        (("--int8",), "int8 files are OpenVINO and LiteRT files, found --to ncnn; write --to"),
    ):
        done = command("export", model, "--to", "ncnn", *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err
    without("pnnx", "ncnn_file")
    done = command("export", model, "--to", "ncnn", "--size", "32x48")
    assert done.status == 2
    assert "pip install 'briskseg[ncnn-export]'" in done.err
    assert [*model.parent.iterdir()] == [model]


def test_a_mean_over_the_whole_image_keeps_its_axes(board, tmp_path):
    """PP-LiteSeg's pyramid has one; exporting compares the file with the network."""
    weights = draw_weights(tmp_path / "pp_liteseg_t.safetensors", "pp_liteseg_t", 5)
    assert export(weights, "ncnn", size_hw=(96, 160)).agreement.difference < 1e-3
