"""The contract of exported files, over every network and format; a new network needs no line here.

A network's file alone defines it: what every format computes follows from that, and is compared
with the network's labels and logits, at three sizes where a file takes any.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import card_of
from tests.test_every_model import CLASSES, network

import briskseg
from briskseg.core.card import save_weights
from briskseg.core.errors import ExportError
from briskseg.export import export
from briskseg.export.keras_reader import convert_keras
from briskseg.models import MODELS

# All but the one that differs from another in depth alone, as an export takes its time.
EXPORTED = sorted(MODELS.keys() - {"stdc2"})


@pytest.fixture(scope="module", params=EXPORTED)
def weights(request, tmp_path_factory):
    """NAME.safetensors; its batch norms have seen images, or rounding would grow from layer to
    layer. Images are taken as they are."""
    file = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    net = network(request.param, {})
    card = card_of(request.param, CLASSES, net.options)
    save_weights(file, {name: t.numpy() for name, t in net.state_dict().items()}, card)
    return file


def compare(weights, exported, backend, sizes):
    """An exported file gives the network's labels and logits."""
    expected, found = briskseg.load(weights, "torch"), briskseg.load(exported, backend)
    for size in sizes:
        image = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
        logits = expected.logits(image)
        np.testing.assert_allclose(found.logits(image), logits, atol=2e-4 * logits.std())
        best = np.take_along_axis(logits, found(image)[None].astype(np.int64), axis=0)[0]
        assert (best >= logits.max(axis=0) - 1e-3 * logits.std()).all()


@pytest.mark.parametrize(("to", "backend"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_an_exported_file_of_any_size_gives_the_same(weights, to, backend):
    pytest.importorskip(to)
    compare(weights, export(weights, to).out, backend, [(64, 96), (37, 51), (8, 3)])


RUN_PHONE = """
import sys
assert "briskseg" not in sys.modules
np.save("labels.npy", labels_of(np.load("frame.npy")))
"""


@pytest.mark.parametrize(
    ("to", "package", "suffix", "rounding"),
    # ncnn, left to itself, rounds to half precision
    [("litert", "litert_torch", ".tflite", 1e-3), ("ncnn", "pnnx", ".ncnn.param", 2e-2)],
)
def test_the_file_gives_the_same_and_so_does_what_the_documentation_has_a_phone_do(
    weights, to, package, suffix, rounding, tmp_path
):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{to.upper()} IS NOT TESTED: 'briskseg[{to}-export]' is not installed")
    size = (37, 51)
    done = export(weights, to, tmp_path / f"model{suffix}", size)
    assert done.agreement.difference < 1e-4
    compare(weights, done.out, to, [size])
    exported = done.exported
    page = (Path(__file__).parents[1] / "docs" / "phone.md").read_text("utf-8")
    *of_each, enlarging = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    code = dict(zip(("litert", "ncnn"), of_each, strict=True))[to] + enlarging
    constants = "FACTOR, ALIGN_CORNERS = "
    assert f"{constants}None, False\n" in code
    code = code.replace(
        f"{constants}None, False", f"{constants}{exported.factor}, {exported.align_corners}"
    )
    (tmp_path / "phone.py").write_text(code + RUN_PHONE)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    np.save(tmp_path / "frame.npy", image)
    subprocess.run([sys.executable, "phone.py"], cwd=tmp_path, check=True, capture_output=True)
    labels = np.load(tmp_path / "labels.npy")
    assert labels.dtype == np.uint8
    assert np.mean(labels != briskseg.load(done.out)(image)) < rounding


def test_core_mls_program_computes_the_same_by_its_operations_documentation(weights, tmp_path):
    import torch

    if importlib.util.find_spec("coremltools") is None:
        pytest.skip("CORE ML IS NOT TESTED: pip install 'briskseg[coreml]' is missing")
    from tests.export.mil import run

    size = (37, 51)
    done = export(weights, "coreml", tmp_path / "model.mlpackage", size)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    image_nchw = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    backend = briskseg.load(weights, "torch").backend
    expected = backend.run(image, at_own_size=False)
    if done.exported.factor == 1:
        expected = expected[:, : size[0], : size[1]]
    found = run(done.out, image_nchw)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4 * expected.std())


NO_KERAS = ("segformer_b0", "efficientvit_b0")  # attention


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_gives_the_same_and_its_file_comes_back(weights, tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if weights.stem in NO_KERAS:
        with pytest.raises(ExportError, match=r"for which there is no layer of Keras here"):
            export(weights, "keras", tmp_path / "net.keras", (37, 51))
        return
    done = export(weights, "keras", tmp_path / "net.keras", (37, 51))  # compares their logits
    assert done.agreement.difference < 1e-4
    back = convert_keras(done.out)[1]
    assert back.read_bytes() == weights.read_bytes()
