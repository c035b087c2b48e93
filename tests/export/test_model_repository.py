"""briskseg export --to triton and ovms: folders that these servers load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import briskseg
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.model_files import find_files, model_name

MODEL = "fast-scnn-camvid11"

# What OpenVINO Model Server's schema (src/schema.cpp of its repository) lets a model's entry have,
# of the keys that are written: it takes no others.
OVMS_TYPES = {"name": str, "base_path": str, "plugin_config": dict}


def parsed_triton(file: Path):
    """config.pbtxt by Triton's own model_config.proto."""
    from google.protobuf import text_format

    model_config = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2",
        reason="CONFIG.PBTXT IS NOT CHECKED: pip install 'tritonclient[http]' grpcio",
    )
    return text_format.Parse(file.read_text(), model_config.ModelConfig())


@pytest.mark.parametrize("to", ["triton", "ovms"])
def test_the_folder_holds_the_file_that_serve_would_take(command, tmp_path, to):
    done = command("export", MODEL, "--to", to, "--out", tmp_path / "models")
    assert done.status == 0, done.err
    file = tmp_path / "models" / MODEL / "1" / "model.onnx"
    assert f"wrote    {file}" in done.out
    (shipped,) = (file for file in find_files(Path(MODEL)) if file.suffix == ".onnx")
    assert file.read_bytes() == shipped.read_bytes()
    image = draw_scene(2, (360, 480))[0]
    session = onnxruntime.InferenceSession(file)  # as either server runs it
    (labels,) = session.run(["labels"], {"images": image[None]})
    expected = briskseg.load(MODEL, "onnx", threads=1)(image)
    assert np.count_nonzero(labels[0] != expected) <= 1e-4 * expected.size  # ties, by rounding


@pytest.mark.parametrize("to", ["web", "triton", "ovms"])
def test_an_export_that_fails_leaves_no_folder(command, tmp_path, to):
    shipped = Path(briskseg.__file__).parent / "weights" / f"{MODEL}.onnx"
    file = tmp_path / "damaged.onnx"
    file.write_bytes(shipped.read_bytes().replace(b'"card_version":1,', b'"card_version":x,'))
    done = command("export", file, "--to", to, "--out", tmp_path / "new" / "folder")
    assert (done.status, done.out) == (1, "")
    assert [*tmp_path.iterdir()] == [file]


def test_with_data_the_network_is_compared_and_not_only_packed(
    command, weights_file, small_data, tmp_path
):
    words = ["--to", "triton", "--data", small_data, "--out", tmp_path / "models"]
    done = command("export", weights_file, *words)
    assert done.status == 0, done.err
    assert "agrees   to" in done.out
    (shipped,) = (file for file in find_files(Path(MODEL)) if file.suffix == ".onnx")
    done = command("export", shipped, *words[:4], "--out", tmp_path / "other")
    assert done.status == 2
    assert "is exported already, and is not compared with the network again" in done.err


def test_triton_s_config_fits_its_schema_and_the_file(command, tmp_path):
    command("export", MODEL, "--to", "triton", "--out", tmp_path)
    folder = tmp_path / MODEL
    config = parsed_triton(folder / "config.pbtxt")
    assert config.name == folder.name == MODEL
    assert config.backend == "onnxruntime"
    assert config.max_batch_size == 0
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
    types = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
    for listed, stored in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [each.name for each in listed] == [each.name for each in stored]
        for each, tensor in zip(listed, stored, strict=True):
            kind = each.DESCRIPTOR.fields_by_name["data_type"].enum_type
            assert kind.values_by_number[each.data_type].name == types[tensor.type]
            sides = [side if isinstance(side, int) else -1 for side in tensor.shape]
            assert len(each.dims) == len(sides)
            for listed_side, side in zip(each.dims, sides, strict=True):
                assert listed_side in (side, -1)
                assert side != -1 or listed_side == -1 or each.name == "logits"


def test_weights_are_exported_and_checked_at_a_size(command, weights_file, tmp_path):
    pytest.importorskip("onnxscript")
    run = tmp_path / "street-run"
    run.mkdir()
    (run / "model.safetensors").write_bytes(weights_file.read_bytes())
    done = command("export", run, "--to", "triton", "--size", "64x96", "--out", tmp_path / "m")
    assert done.status == 0, done.err
    assert "agrees   to " in done.out
    config = parsed_triton(tmp_path / "m" / "street-run" / "config.pbtxt")
    assert [*config.input[0].dims] == [-1, 64, 96, 3]
    assert [*config.output[0].dims] == [-1, 64, 96]


def test_ovms_config_lists_every_model_once(command, tmp_path):
    for model in (MODEL, "erfnet-camvid11"):
        assert command("export", model, "--to", "ovms", "--out", tmp_path).status == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert set(config) == {"model_config_list"}
    entries = [entry["config"] for entry in config["model_config_list"]]
    assert [entry["name"] for entry in entries] == [MODEL, "erfnet-camvid11"]
    for entry in entries:
        assert {key: type(value) for key, value in entry.items()} == OVMS_TYPES
        assert (tmp_path / entry["base_path"] / "1" / "model.onnx").is_file()
        assert entry["plugin_config"] == {"INFERENCE_PRECISION_HINT": "f32"}
    done = command("export", MODEL, "--to", "ovms", "--out", tmp_path)
    assert done.status == 2
    assert "model.onnx is there already" in done.err
    shutil.rmtree(tmp_path / MODEL)
    assert command("export", MODEL, "--to", "ovms", "--out", tmp_path).status == 0
    config = json.loads((tmp_path / "config.json").read_text())
    names = [entry["config"]["name"] for entry in config["model_config_list"]]
    assert sorted(names) == ["erfnet-camvid11", MODEL]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/a.b/model.v2.onnx", "model.v2"),
        ("b.ncnn.param", "b"),
        (MODEL, MODEL),
        ("hf://me/net.v2", "net.v2"),
        ("hf://me/net.v2@v1.0", "net.v2"),
    ],
)
def test_a_model_has_its_file_s_name_without_the_ending(path, name):
    assert model_name(Path(path)) == name


@pytest.mark.parametrize("content", ["[]", "{", '{"model_config_list": 7}'])
def test_a_config_of_something_else_is_left_alone(command, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    done = command("export", MODEL, "--to", "ovms", "--out", tmp_path)
    assert done.status == 2
    assert "is no configuration of OpenVINO Model Server's" in done.err
    assert (tmp_path / "config.json").read_text() == content
    assert not (tmp_path / MODEL).exists()
