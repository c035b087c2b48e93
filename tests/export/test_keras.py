"""briskseg export --to keras: what Keras itself computes from the file."""

from __future__ import annotations

import re

import numpy as np
import pytest

import briskseg

# Keras' variables on torch lack what NumPy 2 asks of them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_keras_alone_gives_the_same_logits(case, exported):
    images, results = np.load(exported / f"{case.name}.npy"), np.load(exported / "results.npz")
    predictor = briskseg.load(exported / f"{case.name}.safetensors")
    for index, image in enumerate(images):
        expected = np.moveaxis(predictor.logits(image), 0, -1)
        assert expected.std() > 0.5
        assert np.abs(results[case.name][index] - expected).max() < 1e-4
        assert np.abs(results[f"{case.name}-float"][index] - expected).max() < 1e-4


def test_everything_can_be_trained_there_but_what_only_our_training_uses(case, exported):
    net = briskseg.create_model(case.model, 5, **case.options)
    heads = ("encoder.output_conv.", "heads.")
    expected = sum(p.numel() for k, p in net.named_parameters() if not k.startswith(heads))
    assert np.load(exported / "results.npz")[f"{case.name}-trained"] == expected


def test_the_command_says_what_goes_in_and_comes_out(model, command):
    done = command("export", model, "--to", "keras", "--size", "32x48")
    assert (done.status, done.err) == (0, "")
    assert re.sub(r"to \d\.\de-\d\d", "to X", done.out) == (
        "network  fast_scnn, 5 classes\n"
        "takes    images (N, 32, 48, 3), RGB from 0 to 255\n"
        "gives    logits (N, 32, 48, 5)\n"
        "ran      model.keras with keras in float32, beside the network itself\n"
        "agrees   to X of the logits' standard deviation, on 3 images\n"
        f"wrote    {model.with_suffix('.keras')}, Keras 3 of 6.5 MB\n"
    )
    assert sorted(p.name for p in model.parent.iterdir()) == ["model.keras", "model.safetensors"]


def test_a_file_that_disagrees_is_not_kept(model, command, monkeypatch):
    from briskseg.export.keras_file import OPERATIONS

    monkeypatch.setitem(OPERATIONS, "relu", lambda writer, x: x)
    done = command("export", model, "--to", "keras", "--size", "32x48")
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(
        rf"briskseg: {model.with_suffix('.keras')} was not kept: its logits differ from the "
        r"network's by up to \S+ of their standard deviation, expected at most 0\.001 \(3 images "
        r"of 32x48\); report the model and the versions of its packages\n",
        done.err,
    )
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--to", "kers"],
            "unknown format 'kers'; did you mean 'keras'? choices: onnx, openvino, litert, ncnn, "
            "coreml, keras, web, webgpu, triton, ovms\n",
        ),
        (
            ["--to", "keras"],
            "{model} takes images of any size, but a file for Keras 3 takes one size; name it: "
            "--size HxW, as in --size 512x1024\n",
        ),
        (["--to", "keras", "--size", "32"], "--size 32 is no size, expected HxW as in 512x1024\n"),
        (
            ["--to", "keras", "--size", "8x8", "--out", "a.h5"],
            "--out a.h5 ends in '.h5', expected .keras, by which Keras 3 knows its files\n",
        ),
        (
            ["--to", "keras", "--size", "8x8", "--out", "{there}"],
            "{there} is there already; remove it, or name another file with --out\n",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence(words, message, model, command):
    there = model.with_name("there.keras")
    there.write_text("precious")
    places = {"model": model, "there": there}
    done = command("export", model, *(word.format(**places) for word in words))
    assert (done.status, done.out) == (2, "")
    assert done.err == "briskseg: " + message.format(**places)
    assert there.read_text() == "precious"


def test_an_operation_without_a_layer_is_named(model, command, monkeypatch):
    from briskseg.export.keras_file import OPERATIONS

    monkeypatch.delitem(OPERATIONS, "cat")
    done = command("export", model, "--to", "keras", "--size", "32x48")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(
        "briskseg: FastSCNN has the operation 'cat', for which there is no layer of Keras here, "
        "expected one of: conv2d, "
    )
    assert list(model.parent.iterdir()) == [model]


def test_without_keras_the_way_to_install_it_is_named(model, command, without):
    without("keras", "keras_file")
    done = command("export", model, "--to", "keras", "--size", "32x48")
    assert (done.status, done.err) == (
        2,
        "briskseg: exporting to Keras needs the package 'keras', which is not installed; install "
        "it with: pip install 'briskseg[keras]'\n",
    )
    assert list(model.parent.iterdir()) == [model]


def test_the_help_names_every_format(command):
    from briskseg.export import FORMATS

    told = " ".join(command("export", "--help").out.replace("│", " ").split())
    assert f"The format: {', '.join(FORMATS)}." in told
