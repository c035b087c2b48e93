"""briskseg export --to litert --int8: what LiteRT alone reads from it, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile

import numpy as np
import pytest
from tests.conftest import draw_weights

import briskseg
from briskseg.core.card import LabelsCard, load_weights, save_weights
from briskseg.core.errors import ExportError
from briskseg.core.exported import read_exported
from briskseg.data import open_dataset
from briskseg.data.synthetic import draw_dataset
from briskseg.export import export, int8

SIZE = (64, 96)
ANY = 100  # points, that any file may lose


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawn streets, and fast_scnn.safetensors of their classes."""
    for package in ("litert_torch", "ai_edge_quantizer"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("INT8 OF LITERT IS NOT TESTED: pip install 'briskseg[litert-export]'")
    folder = tmp_path_factory.mktemp("phone")
    data = draw_dataset(folder / "streets", train=4, val=3, size_hw=SIZE, seed=3)
    labels = open_dataset(data).labels
    weights = draw_weights(folder / "fast_scnn.safetensors", "fast_scnn", len(labels.names))
    tensors, card = load_weights(weights)
    update = {"labels": LabelsCard.from_label_set(labels)}
    save_weights(weights, tensors, card.model_copy(update=update))
    return data, weights


@pytest.fixture(scope="module")
def converted_once(drawn):
    """The network becomes a float32 file once for all tests: the converter takes its time."""
    from briskseg.export import litert_file

    convert, kept = litert_file.to_litert, []

    def converted(network, card, exported):
        kept[:] = kept or [convert(network, card, exported)]
        return kept[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert_file, "to_litert", converted)
        yield


@pytest.fixture(scope="module")
def small(drawn, converted_once):
    """fast_scnn-int8.tflite."""
    data, weights = drawn
    asked = int8.Int8(open_dataset(data), ANY, ANY)
    return export(weights, "litert", size_hw=SIZE, int8=asked).out


def operations(file):
    """(kind, dtype of its result) of each operation, as LiteRT reads them."""
    from ai_edge_litert import schema_py_generated as schema

    kinds, types = (
        {number: name for name, number in vars(of).items() if not name.startswith("_")}
        for of in (schema.BuiltinOperator, schema.TensorType)
    )
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    (graph,) = model.subgraphs
    return [
        (kinds[model.operatorCodes[op.opcodeIndex].builtinCode], types[graph.tensors[of].type])
        for op in graph.operators
        for of in op.outputs
    ]


def test_it_computes_in_int8_between_the_same_images_and_logits(small, drawn):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(small)).get_signature_runner()
    image, logits = run.get_input_details()["images"], run.get_output_details()["logits"]
    assert (image["dtype"], [*image["shape"]]) == (np.uint8, [1, *SIZE, 3])
    assert logits["dtype"] == np.float32
    found = operations(small)
    convolutions = [kind for name, kind in found if "CONV" in name]
    assert len(convolutions) > 40
    assert {*convolutions} == {"INT8"}
    floats = [name for name, kind in found if kind == "FLOAT32"]
    # the normalization, and the averages over the pyramid's cells
    assert {*floats} >= {"CAST", "MUL", "BATCH_MATMUL", "FULLY_CONNECTED", "DEQUANTIZE"}
    assert {"CONCATENATION", "RESIZE_BILINEAR"}.isdisjoint(floats)
    assert small.stat().st_size < drawn[1].stat().st_size / 3
    names = zipfile.ZipFile(small).read("labels.txt").decode().splitlines()
    assert names == [*open_dataset(drawn[0]).names]
    assert small.read_bytes().count(b'"train_splits"') <= 1  # one card, of which nothing is left
    card, exported = read_exported(small)
    assert (card.input.size, exported.size, exported.precision) == (SIZE, SIZE, "int8")


@pytest.mark.usefixtures("converted_once")
def test_the_command_scores_it_as_evaluate_does(drawn, command, tmp_path):
    data, weights = drawn
    out, result = tmp_path / "small.tflite", tmp_path / "export.json"
    words = ("export", weights, "--to", "litert", "--size", "64x96", "--int8", "--data", data)
    words = (*words, "--max-miou-loss", ANY, "--max-class-loss", ANY)
    done = command(*words, "--out", out, "--json", result)
    assert (done.status, done.err) == (0, "")
    told = json.loads(result.read_text())
    for kind, file, backend in (("float32", weights, "torch"), ("int8", out, "litert")):
        scored = command("evaluate", file, "--data", data, "--backend", backend, "--json", "-")
        assert (scored.status, scored.err) == (0, "")
        scores = json.loads(scored.out)
        assert told["int8"][kind]["miou"] == pytest.approx(scores["miou"], abs=2e-3)
        for name in scores["classes"]:
            assert re.search(rf"^{name} ", done.out, re.MULTILINE)
    assert scores["ran"] == {"file": str(out), "backend": "litert", "precision": "int8"}
    assert read_exported(out)[0].scores["int8_val_miou"] == pytest.approx(scores["miou"])
    (image, *_) = sorted((data / "images" / "val").iterdir())
    assert command("predict", out, image, "--out", tmp_path / "masks").status == 0
    done = command("bench", out, "--backend", "litert", "--json", tmp_path / "bench.json")
    assert done.status == 0, done.err
    assert "litert int8" in done.out


@pytest.mark.usefixtures("converted_once")
def test_layers_in_float_bring_it_nearer_to_the_network(small, drawn, tmp_path, monkeypatch):
    data, weights = drawn
    monkeypatch.setattr(int8, "IN_FLOAT", (0, 12))
    monkeypatch.setattr(int8.Scored, "is_within", lambda scored, asked: scored.in_float == 12)
    out = tmp_path / "twelve.tflite"
    asked = int8.Int8(open_dataset(data), 0, 0)
    done = export(weights, "litert", out, SIZE, int8=asked)
    assert done.scored.in_float == 12
    kinds = [kind for name, kind in operations(out) if "CONV" in name]
    assert kinds.count("FLOAT32") == 12
    dataset = open_dataset(data)
    images = [dataset.read_image(pair) for pair in dataset.pairs("val")]
    exact = [briskseg.load(weights, "torch").logits(image) for image in images]
    plain, nearer = (
        sum(
            np.square(briskseg.load(file).logits(image) - logits).mean()
            for image, logits in zip(images, exact, strict=True)
        )
        for file in (small, out)
    )
    assert nearer < 0.9 * plain


@pytest.mark.usefixtures("converted_once")
def test_what_loses_too_much_is_not_kept_and_the_worst_class_is_named(drawn, tmp_path, monkeypatch):
    data, weights = drawn
    monkeypatch.setattr(int8, "IN_FLOAT", (0,))
    asked = int8.Int8(open_dataset(data), -ANY, -ANY)  # what no file keeps
    with pytest.raises(
        ExportError,
        match=r"bad\.tflite was not kept: in int8, with 0 layers left in float, it loses \S+ "
        r"points of mIoU and its worst class '[^']+' \S+ points, expected at most -100 and -100; ",
    ):
        export(weights, "litert", tmp_path / "bad.tflite", SIZE, int8=asked)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("converted_once")
def test_what_cannot_be_rounded_is_one_sentence_and_leaves_nothing(
    drawn, command, tmp_path, monkeypatch, without
):
    from ai_edge_quantizer.quantizer import Quantizer

    data, weights = drawn

    def failing(self, *arguments, **options):
        raise ValueError("POW has no int8 kernel.\nand a second line")

    monkeypatch.setattr(Quantizer, "quantize", failing)
    out = tmp_path / "x.tflite"
    words = ("export", weights, "--to", "litert", "--size", "64x96", "--int8", "--data", data)
    done = command(*words, "--out", out)
    assert (done.status, done.out) == (1, "")
    assert "FastSCNN cannot be rounded to int8: POW has no int8 kernel; leave --int8" in done.err
    without("ai_edge_quantizer", "litert_int8")
    done = command(*words, "--out", out)
    assert done.status == 2
    assert "pip install 'briskseg[litert-export]'" in done.err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("converted_once")
def test_what_fails_while_it_runs_is_one_sentence_too(drawn, command, tmp_path, monkeypatch):
    from briskseg.core.errors import WeightsError
    from briskseg.runtime.backends.litert_backend import LiteRTBackend

    run = LiteRTBackend._run

    def failing(self, *arguments):
        if self.exported.precision != "int8":
            return run(self, *arguments)
        raise WeightsError(f"{self.path} cannot be run: div.cc:262 a divisor is 0")

    monkeypatch.setattr(LiteRTBackend, "_run", failing)
    data, weights = drawn
    words = ("export", weights, "--to", "litert", "--size", "64x96", "--int8", "--data", data)
    done = command(*words, "--out", tmp_path / "x.tflite")
    assert (done.status, done.out) == (1, "")
    assert (
        "FastSCNN cannot be rounded to int8: it cannot be run: div.cc:262 a divisor is 0; leave"
        in done.err
    )
    assert [*tmp_path.iterdir()] == []


GRAPH = """
CONV_2D 0 w -> a
PADV2 a lowest -> b
MAX_POOL_2D b -> c
CONV_2D c w -> d
MEAN d axes -> e
SUB d e -> f
RSQRT e -> g
MUL f g -> h
CONV_2D d w -> i
ADD i d -> j
"""


@pytest.mark.usefixtures("drawn")
def test_what_lies_between_layers_is_rounded_and_norms_and_infinite_numbers_are_not():
    """Of a maximum over an image surrounded by -inf, and of a norm beside the layers."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from briskseg.export.litert_int8 import between_layers

    model, graph = schema.ModelT(), schema.SubGraphT()
    graph.tensors, graph.operators, model.operatorCodes, numbers = [], [], [], {}

    def tensor(name):
        if name not in numbers:
            numbers[name] = len(graph.tensors)
            made = schema.TensorT()
            made.name = name
            graph.tensors.append(made)
        return numbers[name]

    for number, line in enumerate(GRAPH.strip().splitlines()):
        kind, *inputs, _, output = line.split()
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        operator.opcodeIndex = number
        operator.inputs, operator.outputs = [*map(tensor, inputs)], [tensor(output)]
        model.operatorCodes.append(code)
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [tensor("0")], [tensor("h"), tensor("j")]
    signature = schema.SignatureDefT()
    signature.subgraphIndex = 0
    model.subgraphs, model.signatureDefs = [graph], [signature]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    ranges = {"a": {"min": np.array([0.0])}, "b": {"min": np.array([-np.inf])}}
    found = between_layers(bytes(builder.Output()), ranges)
    assert found == {"a;": True, "d;": True, "i;": True, "j;": False}


def test_int8_needs_data(model, command):
    done = command("export", model, "--to", "litert", "--size", "64x96", "--int8")
    assert (done.status, done.out) == (2, "")
    assert "--int8 needs images to calibrate on and labels to score what it costs" in done.err
