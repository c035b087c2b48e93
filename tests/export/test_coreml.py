"""briskseg export --to coreml: what the .mlpackage says of itself, and what is refused."""

from __future__ import annotations

import importlib.util
import json

import pytest
from tests.conftest import draw_weights

from briskseg.core.errors import ExportError
from briskseg.export import export

SIZE = (48, 64)


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    """A folder with fast_scnn.safetensors and fast_scnn.mlpackage of five classes."""
    if importlib.util.find_spec("coremltools") is None:
        pytest.skip("CORE ML IS NOT TESTED: pip install 'briskseg[coreml]' is missing")
    folder = tmp_path_factory.mktemp("phone")
    export(draw_weights(folder / "fast_scnn.safetensors", "fast_scnn", 5), "coreml", size_hw=SIZE)
    return folder


def test_the_package_is_what_its_own_tools_read(phone):
    """An RGB image in, logits of the network's size out; the card, the classes, the weights."""
    import coremltools

    package = phone / "fast_scnn.mlpackage"
    assert {path.name for path in phone.iterdir()} == {package.name, "fast_scnn.safetensors"}
    spec = coremltools.utils.load_spec(str(package))
    (image,), (logits,) = spec.description.input, spec.description.output
    kind, array = image.type.imageType, logits.type.multiArrayType
    assert (image.name, kind.height, kind.width) == ("image", *SIZE)
    assert kind.colorSpace == kind.RGB
    assert (logits.name, [*array.shape]) == ("logits", [1, 5, 6, 8])
    assert array.dataType == array.FLOAT32
    said = spec.description.metadata.userDefined
    assert said["classes"].splitlines() == [f"class{index}" for index in range(5)]
    assert json.loads(said["briskseg.card"])["network"]["name"] == "fast_scnn"
    assert json.loads(said["briskseg.export"])["size"] == [*SIZE]
    weights = (package / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    assert weights > 0.9 * (phone / "fast_scnn.safetensors").stat().st_size


def test_the_command_says_that_it_was_not_run(phone, command, tmp_path):
    out = tmp_path / "model.mlpackage"
    words = (phone / "fast_scnn.safetensors", "--to", "coreml", "--size", "32x48", "--out", out)
    done = command("export", *words)
    assert (done.status, done.err) == (0, "")
    assert "takes    image, 32x48, RGB\n" in done.out
    assert "ran      not at all, and was not compared with the network\n" in done.out
    assert "benchmarks/coreml.py" in done.out
    assert [*tmp_path.iterdir()] == [out]
    done = command("export", *words)
    assert done.status == 2
    assert f"{out} is there already; remove it, or name another file with --out" in done.err
    done = command("evaluate", out, "--data", "streets")
    assert done.status == 2
    assert "is Core ML's, which runs on Apple's systems alone, expected a run fol" in done.err


def test_an_operation_without_counterpart_is_named(phone, tmp_path, monkeypatch):
    import torch

    from briskseg.models.fast_scnn import FastSCNN

    def decomposed(self, images):
        return torch.linalg.svdvals(images[:, :, :4, :4])[..., None].expand(-1, -1, 4, 4)

    monkeypatch.setattr(FastSCNN, "forward_coarse", decomposed)
    with pytest.raises(ExportError, match=r"FastSCNN has an operation that Core ML has no counter"):
        export(phone / "fast_scnn.safetensors", "coreml", tmp_path / "x.mlpackage", SIZE)
    assert [*tmp_path.iterdir()] == []


def test_a_package_that_says_something_else_is_not_kept(phone, tmp_path, monkeypatch):
    from briskseg.export import coreml_file

    texts = coreml_file._texts
    calls = []

    def other_the_second_time(card, exported):
        calls.append(card)
        return texts(card, exported) | ({"classes": "other"} if len(calls) > 1 else {})

    monkeypatch.setattr(coreml_file, "_texts", other_the_second_time)
    with pytest.raises(ExportError, match=r"x.mlpackage was not kept: its card is "):
        export(phone / "fast_scnn.safetensors", "coreml", tmp_path / "x.mlpackage", SIZE)
    assert [*tmp_path.iterdir()] == []


def test_wrong_requests_are_one_sentence_and_leave_nothing(model, command, without):
    for words, message in (
        ((), "but a file for Core ML takes one size; name it: --size HxW"),
        (("--size", "32x48", "--out", "x.mlmodel"), "ends in '.mlmodel', expected .mlpackage"),
        (("--int8",), "int8 files are OpenVINO and LiteRT files, found --to coreml; write --to"),
    ):
        done = command("export", model, "--to", "coreml", *words)
        assert (done.status, done.out) == (2, "")
        assert message in done.err
    without("coremltools", "coreml_file")
    done = command("export", model, "--to", "coreml", "--size", "32x48")
    assert done.status == 2
    assert "pip install 'briskseg[coreml]'" in done.err
    assert [*model.parent.iterdir()] == [model]
