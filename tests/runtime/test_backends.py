"""`briskseg.load`: which file and backend it takes, what it remembers, and names of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.card import load_weights, save_weights
from briskseg.core.errors import MissingExtraError, RequestError
from briskseg.runtime import choosing, files

pytest.importorskip("torch")


@pytest.fixture(scope="session")
def exported(weights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors, and model.onnx, model.xml and model.bin made of it."""
    from briskseg.export import export

    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(weights_file, folder / "model.safetensors")
    for kind in ("onnx", "openvino"):
        export(folder / "model.safetensors", kind)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "backends"


IMAGE = np.random.default_rng(2).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def test_the_fastest_is_measured_once_and_remembered(exported, cache, monkeypatch):
    first = briskseg.load(exported)
    (remembered,) = cache.iterdir()
    times = json.loads(remembered.read_text())["milliseconds"]
    assert times[str(first.choice)] == min(times.values())
    assert {name.partition(",")[0] for name in times} >= {
        "model.onnx with onnx",
        "model.onnx with openvino",
        "model.xml with openvino",
    }
    monkeypatch.setattr(choosing, "_measured", None)  # would fail
    assert briskseg.load(exported / "model.safetensors").choice == first.choice
    np.testing.assert_array_equal(first(IMAGE), briskseg.load(exported, "torch")(IMAGE))


def test_another_machine_or_version_measures_again(exported, cache, monkeypatch):
    briskseg.load(exported / "model.onnx")
    monkeypatch.setattr(choosing, "_machine", lambda: ["another"])
    briskseg.load(exported / "model.onnx")
    monkeypatch.setattr(choosing, "_version", lambda name: "another")
    briskseg.load(exported / "model.onnx")
    assert len([*cache.iterdir()]) == 3


def sizes_run(monkeypatch):
    """The sizes of the images that the backends run from now on, by backend."""
    from briskseg.runtime.onnx_ import OnnxBackend
    from briskseg.runtime.openvino_ import OpenVINOBackend

    seen = {"onnx": [], "openvino": []}
    for name, backend in (("onnx", OnnxBackend), ("openvino", OpenVINOBackend)):

        def run(self, image_hwc, at_own_size, name=name, real=backend.run):
            seen[name].append(image_hwc.shape[:2])
            return real(self, image_hwc, at_own_size)

        monkeypatch.setattr(backend, "run", run)
    return seen


def test_they_are_measured_at_the_size_that_runs(exported, cache, monkeypatch, tmp_path):
    from briskseg.export import export

    weights = tmp_path / "model.safetensors"
    tensors, card = load_weights(exported / weights.name)
    card = card.model_copy(update={"input": card.input.model_copy(update={"size": (192, 224)})})
    save_weights(weights, tensors, card)
    export(weights, "onnx")
    seen = sizes_run(monkeypatch)
    briskseg.load(tmp_path)
    assert {size for sizes in seen.values() for size in sizes} == {(192, 224)}
    monkeypatch.setattr(choosing, "_USUAL_HW", (160, 256))  # for the file whose card names none
    briskseg.load(exported / "model.onnx")
    assert {*seen["onnx"]} == {(192, 224), (160, 256)}
    assert {*seen["openvino"]} == {(192, 224), (160, 256)}
    monkeypatch.setattr(choosing, "_USUAL_HW", (192, 256))
    briskseg.load(exported / "model.onnx")
    assert (192, 256) in seen["onnx"]  # remembered for another size
    assert len([*cache.iterdir()]) == 3


def test_one_that_is_clearly_slower_is_dropped_after_a_run(exported, cache, monkeypatch):
    seen, now = sizes_run(monkeypatch), [0.0]

    def clock():
        now[0] += 1
        return now[0] + 10 * len(seen["openvino"])  # seconds: each of its runs takes ten more

    monkeypatch.setattr(choosing.time, "perf_counter", clock)
    assert briskseg.load(exported / "model.onnx").choice.backend == "onnx"
    backends = [c.backend for c in choosing._candidates([exported / "model.onnx"], "auto", None)]
    of_onnx = backends.count("onnx")
    assert len(seen["onnx"]) == 4 * of_onnx  # one that prepares, and three
    assert len(seen["openvino"]) == 2 * (len(backends) - of_onnx)


def test_what_computes_other_labels_is_not_taken(exported, cache, monkeypatch):
    def flipped(self, image_hwc, at_own_size):
        return -self._run("logits", image_hwc)

    monkeypatch.setattr("briskseg.runtime.backends.openvino_backend.OpenVINOBackend.run", flipped)
    assert briskseg.load(exported / "model.onnx").choice.backend == "onnx"


def test_files_made_of_other_weights_are_left(exported, weights_file, tmp_path, cache):
    for file in exported.iterdir():
        shutil.copy(file, tmp_path / file.name)
    with (tmp_path / "model.safetensors").open("ab") as file:  # as if trained on
        file.write(b" ")
    assert files.find_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert briskseg.load(exported / "model.safetensors", "torch").choice.file.suffix == (
        ".safetensors"
    )


def test_shipped_names(exported, tmp_path, cache, command, monkeypatch):
    shipped = tmp_path / "weights"
    shipped.mkdir()
    for suffix in (".safetensors", ".onnx"):
        shutil.copy(exported / f"model{suffix}", shipped / f"small-streets{suffix}")
    monkeypatch.setattr(files, "weights_folder", lambda: shipped)
    np.testing.assert_array_equal(
        briskseg.load("small-streets")(IMAGE), briskseg.load(exported, "torch")(IMAGE)
    )
    assert files.find_weights(Path("small-streets")) == shipped / "small-streets.safetensors"
    with pytest.raises(RequestError, match=r"did you mean 'small-streets'\?"):
        briskseg.load("smal-streets")
    done = command("models")
    assert "small-streets" in done.out
    listed = json.loads(command("models", "--json", "-").out)
    assert listed["shipped"]["small-streets"]["network"] == "fast_scnn"


def test_a_shipped_name_predicts_without_torch(exported, tmp_path):
    shutil.copy(exported / "model.onnx", tmp_path / "tiny.onnx")
    from briskseg.core.images import write_png

    write_png(tmp_path / "street.png", IMAGE)
    code = f"""
import sys
sys.modules["torch"] = sys.modules["openvino"] = sys.modules["onnx"] = None
import importlib.util
find = importlib.util.find_spec
missing = ("torch", "openvino")
importlib.util.find_spec = lambda name, *a: None if name in missing else find(name, *a)
from pathlib import Path
from briskseg.runtime import files
files.weights_folder = lambda: Path({str(tmp_path)!r})
sys.argv = ["briskseg", "predict", "tiny", {str(tmp_path / "street.png")!r}, "--out",
    {str(tmp_path / "out")!r}]
from briskseg.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "street_labels.png").is_file()


def test_backends_that_do_not_fit_are_one_sentence(exported, weights_file, monkeypatch):
    for path, backend, message in (
        (
            weights_file,
            "onnx",
            r"the backend onnx runs \.onnx files, .*briskseg export .* --to onnx",
        ),
        (weights_file, "openvino", r"runs \.xml or \.onnx files, .*--to openvino"),
        (exported / "model.onnx", "torch", r"the backend torch runs \.safetensors files"),
    ):
        with pytest.raises(RequestError, match=message):
            briskseg.load(path, backend)
    monkeypatch.setattr("briskseg.runtime.backends.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'briskseg\[openvino\]'"):
        briskseg.load(exported / "model.xml")
    with pytest.raises(MissingExtraError, match=r"pip install onnxruntime$"):
        briskseg.load(exported / "model.onnx")


@pytest.mark.parametrize(("file", "backend"), [("model.onnx", "onnx"), ("model.xml", "openvino")])
def test_several_threads_may_call_one_predictor(exported, file, backend):
    predictor = briskseg.load(exported / file, backend, threads=1)
    images = [np.roll(IMAGE, shift, axis=1) for shift in range(12)]
    expected = [predictor(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(predictor, images), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_evaluate_scores_an_exported_file_as_its_network(exported, small_data, command):
    words = ("--data", small_data, "--json", "-")
    expected = json.loads(command("evaluate", exported, "--backend", "torch", *words).out)
    for file, backend in (("model.onnx", "onnx"), ("model.xml", "openvino")):
        done = command("evaluate", exported / file, "--backend", backend, "--threads", 1, *words)
        assert json.loads(done.out)["confusion"] == expected["confusion"]
    scaled = (*words, "--scales", "0.5,1", "--flip")
    expected = json.loads(command("evaluate", exported, "--backend", "torch", *scaled).out)
    done = command("evaluate", exported / "model.onnx", "--backend", "onnx", *scaled)
    assert json.loads(done.out)["miou"] == pytest.approx(expected["miou"], abs=1e-3)
