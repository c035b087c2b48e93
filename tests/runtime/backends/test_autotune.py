"""`briskseg.load`: which file and backend it takes, what it remembers, and names of ours."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
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
from briskseg.runtime import model_files
from briskseg.runtime.backends import autotune, backends_here

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


SIZE = (48, 64)  # the card's where it has one; as in other tests, so that it is traced once
IMAGE = np.random.default_rng(2).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def test_the_fastest_is_measured_once_and_remembered(exported, cache, monkeypatch):
    first = briskseg.load(exported)
    (remembered,) = cache.iterdir()
    times = json.loads(remembered.read_text())["milliseconds"]
    assert times[f"{Path(first.ran.file).name} with {first.ran.backend}"] == min(times.values())
    assert {name.partition(",")[0] for name in times} >= {
        "model.safetensors with torch",
        "model.onnx with onnx",
        "model.onnx with openvino",
        "model.xml with openvino",
    }
    monkeypatch.setattr(autotune, "_times", None)  # would fail
    assert briskseg.load(exported / "model.safetensors").ran == first.ran
    np.testing.assert_array_equal(first(IMAGE), briskseg.load(exported, "torch")(IMAGE))


def test_another_machine_or_version_measures_again(exported, cache, monkeypatch):
    briskseg.load(exported / "model.onnx")
    monkeypatch.setattr(autotune, "_machine", lambda: ["another"])
    briskseg.load(exported / "model.onnx")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "another")
    briskseg.load(exported / "model.onnx")
    assert len([*cache.iterdir()]) == 3


def sizes_run(monkeypatch):
    """The sizes of the images that the backends run from now on, by backend."""
    from briskseg.runtime.backends.onnx_backend import OnnxBackend
    from briskseg.runtime.backends.openvino_backend import OpenVINOBackend

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
    card = card.model_copy(update={"input": card.input.model_copy(update={"size": SIZE})})
    save_weights(weights, tensors, card)
    export(weights, "onnx")
    seen = sizes_run(monkeypatch)
    briskseg.load(tmp_path)
    assert {size for sizes in seen.values() for size in sizes} == {SIZE}
    monkeypatch.setattr(autotune, "_USUAL_HW", (160, 256))  # for the file whose card names none
    briskseg.load(exported / "model.onnx")
    assert {*seen["onnx"]} == {SIZE, (160, 256)}
    assert {*seen["openvino"]} == {SIZE, (160, 256)}
    monkeypatch.setattr(autotune, "_USUAL_HW", (192, 256))
    briskseg.load(exported / "model.onnx")
    assert (192, 256) in seen["onnx"]  # remembered for another size
    assert len([*cache.iterdir()]) == 3


def test_one_that_is_clearly_slower_is_dropped_after_a_run(exported, cache, monkeypatch):
    seen, now = sizes_run(monkeypatch), [0.0]

    def clock():
        now[0] += 1
        return now[0] + 10 * len(seen["openvino"])  # seconds: each of its runs takes ten more

    monkeypatch.setattr(autotune.time, "perf_counter", clock)
    assert briskseg.load(exported / "model.onnx").ran.backend == "onnx"
    backends = [c.backend for c in autotune._candidates([exported / "model.onnx"], "auto", None)]
    of_onnx = backends.count("onnx")
    assert len(seen["onnx"]) == 4 * of_onnx  # one that prepares, and three
    assert len(seen["openvino"]) == 2 * (len(backends) - of_onnx)


def test_what_computes_other_labels_is_not_taken(exported, cache, monkeypatch):
    def flipped(self, image_hwc, at_own_size):
        return -self._run("logits", image_hwc)

    monkeypatch.setattr("briskseg.runtime.backends.openvino_backend.OpenVINOBackend.run", flipped)
    assert briskseg.load(exported / "model.onnx").ran.backend == "onnx"


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_file_of_one_size_says_so(backend, exported, small_data, command, tmp_path):
    weights, file = exported / "model.safetensors", tmp_path / "one.onnx"
    assert command("export", weights, "--to", "onnx", "--size", "32x48", "--out", file).status == 0
    words = ("evaluate", file, "--data", small_data, "--backend", backend)
    for more in (("--scales", "0.5"), ("--window", "16x24")):
        done = command(*words, *more)
        assert (done.status, done.out) == (2, "")
        assert "one.onnx takes images of 32x48 alone, found 16x24; leave out" in done.err
    assert command(*words).status == 0


def test_files_made_of_other_weights_are_left(exported, weights_file, tmp_path, cache):
    for file in exported.iterdir():
        shutil.copy(file, tmp_path / file.name)
    with (tmp_path / "model.safetensors").open("r+b") as file:  # as if trained on
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    assert model_files.find_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert Path(briskseg.load(exported, "torch").ran.file) == exported / "model.safetensors"


def test_a_file_for_another_size_is_another_model(exported, tmp_path, cache, command):
    weights = tmp_path / "model.safetensors"
    tensors, card = load_weights(exported / "model.safetensors")
    sized = card.input.model_copy(update={"size": (64, 96)})
    scored = {"input": sized, "scores": {"val_miou": 0.5}}
    save_weights(weights, tensors, card.model_copy(update=scored))
    for size, kept in (((32, 48), {}), ((64, 96), {"val_miou": 0.5})):
        words = ("export", weights, "--to", "onnx", "--size", "x".join(map(str, size)))
        (tmp_path / "model.onnx").unlink(missing_ok=True)
        assert command(*words).status == 0
        assert model_files.read_file(tmp_path / "model.onnx")[0].scores == kept
        found = model_files.find_files(tmp_path)
        assert (tmp_path / "model.onnx" in found) == (size == (64, 96))
        assert tmp_path / "model.onnx" in model_files.find_files(tmp_path, any_size=True)
        expected = briskseg.load(weights, "torch")(IMAGE)
        np.testing.assert_array_equal(briskseg.load(tmp_path)(IMAGE), expected)


def test_shipped_names(exported, tmp_path, cache, command, monkeypatch):
    shipped = tmp_path / "weights"
    shipped.mkdir()
    for suffix in (".safetensors", ".onnx"):
        shutil.copy(exported / f"model{suffix}", shipped / f"small-streets{suffix}")
    monkeypatch.setattr(model_files, "weights_folder", lambda: shipped)
    np.testing.assert_array_equal(
        briskseg.load("small-streets")(IMAGE), briskseg.load(exported, "torch")(IMAGE)
    )
    assert model_files.find_weights(Path("small-streets")) == shipped / "small-streets.safetensors"
    with pytest.raises(RequestError, match=r"did you mean 'small-streets'\?"):
        briskseg.load("smal-streets")
    done = command("models")
    assert "small-streets" in done.out
    listed = json.loads(command("models", "--json", "-").out)
    assert listed["shipped"]["small-streets"]["network"] == "fast_scnn"


def run_without(packages: tuple[str, ...], weights: Path, *words: object):
    """`briskseg ...` where these packages are not installed and the shipped files are others."""
    code = f"""
import sys, importlib.util
packages = {packages!r}
sys.modules.update(dict.fromkeys(packages))
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in packages else find(name, *a)
from pathlib import Path
from briskseg.runtime import model_files
model_files.weights_folder = lambda: Path({str(weights)!r})
sys.argv = {["briskseg", *map(str, words)]!r}
from briskseg.cli import main
main()
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_torch_what_is_exported_runs(exported, small_data, tmp_path):
    """A shipped name or a run, of whose files torch runs the weights alone."""
    for suffix in (".onnx", ".safetensors"):
        shutil.copy(exported / f"model{suffix}", tmp_path / f"tiny{suffix}")
    missing = ("torch", "openvino", "onnx")
    for model, file in (("tiny", tmp_path / "tiny.onnx"), (exported, exported / "model.onnx")):
        out = tmp_path / file.stem
        words = ("predict", model, small_data / "images/train", "--out", out, "--json", "-")
        done = run_without(missing, tmp_path, *words)
        assert (done.returncode, done.stderr) == (0, "")
        ran = {"file": str(file), "backend": "onnx", "precision": "float32"}
        assert json.loads(done.stdout)["ran"] == ran
        words = ("evaluate", model, "--data", small_data, "--json", "-")
        assert json.loads(run_without(missing, tmp_path, *words).stdout)["ran"] == ran
    (tmp_path / "tiny.onnx").unlink()
    done = run_without(missing, tmp_path, "predict", "tiny", small_data / "images/train")
    assert done.returncode == 2
    assert "running tiny.safetensors needs the package 'torch', which is not" in done.stderr
    assert "pip install 'briskseg[train]'" in done.stderr


def test_weights_alone_load_no_other_backend(weights_file):
    load = f"briskseg.load({str(weights_file)!r})"
    code = f"import briskseg, sys; {load}; print('openvino' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_is_installed_runs_though_another_file_lies_there(exported, cache, monkeypatch):
    """An .xml file beside the weights is no reason to ask for OpenVINO."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "briskseg.runtime.backends.importlib.util.find_spec",
        lambda name: find(name) if name == "torch" else None,
    )
    assert briskseg.load(exported).ran.backend == "torch"


def test_the_record_of_a_backend_says_what_computes(exported, cache):
    for file, backend, precision in (
        ("model.safetensors", "torch", "float32"),
        ("model.onnx", "onnx", "float32"),
        ("model.xml", "openvino", "float32"),
        ("model.onnx", "openvino-bf16", "bf16"),
    ):
        if backend in backends_here():
            predictor = briskseg.load(exported / file, backend)
            assert predictor.ran == (str(exported / file), backend, precision)
            assert str(predictor.ran) == f"{file} with {backend} in {precision}"


def test_backends_that_do_not_fit_are_one_sentence(exported, weights_file, monkeypatch):
    for path, backend, message in (
        (
            weights_file,
            "onnx",
            r"the backend onnx runs \.onnx files, .*briskseg export .* --to onnx",
        ),
        (weights_file, "openvino", r"runs \.xml or \.onnx files, .*--to openvino"),
        (exported / "model.onnx", "torch", r"the backend torch runs \.safetensors files"),
        (exported / "model.xml", "onnx", r"runs \.onnx files, found model\.xml; name the weights"),
    ):
        with pytest.raises(RequestError, match=message):
            briskseg.load(path, backend)
    monkeypatch.setattr("briskseg.runtime.backends.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'briskseg\[openvino\]'"):
        briskseg.load(exported / "model.xml")
    with pytest.raises(MissingExtraError, match=r"pip install onnxruntime$"):
        briskseg.load(exported / "model.onnx")


def test_a_file_of_older_weights_is_to_be_removed_and_made_again(exported, tmp_path, command):
    run = shutil.copytree(exported, tmp_path / "run")
    tensors, card = load_weights(run / "model.safetensors")
    newer = {name: t * 1.01 if t.ndim == 4 else t for name, t in tensors.items()}
    save_weights(run / "model.safetensors", newer, card)
    with pytest.raises(RequestError) as caught:
        briskseg.load(run / "model.safetensors", "onnx")
    told, _, line = str(caught.value).partition("make one with: ")
    assert f"{run / 'model.onnx'} is of other weights: remove it, and" in told
    (run / "model.onnx").unlink()
    assert command(*shlex.split(line)[1:]).status == 0
    assert briskseg.load(run / "model.safetensors", "onnx").ran.backend == "onnx"


@pytest.mark.parametrize(("file", "backend"), [("model.onnx", "onnx"), ("model.xml", "openvino")])
@pytest.mark.parametrize("callers", [1, 4])
def test_several_threads_may_call_one_predictor(exported, file, backend, callers):
    predictor = briskseg.load(exported / file, backend, threads=2, callers=callers)
    images = [np.roll(IMAGE, shift, axis=1) for shift in range(12)]
    expected = [predictor(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(predictor, images), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_openvino_divides_the_processors_among_callers(exported, monkeypatch):
    from briskseg.runtime.backends import openvino_backend

    compiled = []

    class Core:
        def __getattr__(self, name):
            return getattr(core, name)

        def compile_model(self, *given):
            compiled.append(core.compile_model(*given))
            return compiled[-1]

    core = openvino_backend.core()
    monkeypatch.setattr(openvino_backend, "core", Core)
    for callers in (1, 2):
        briskseg.load(exported / "model.xml", "openvino", threads=2, callers=callers)(IMAGE)
        assert compiled[-1].get_property("NUM_STREAMS") == callers


def test_evaluate_scores_an_exported_file_as_its_network(exported, small_data, command):
    words = ("--data", small_data, "--json", "-")
    usual = json.loads(command("evaluate", exported, *words).out)
    assert usual["ran"]["file"] == str(exported / "model.safetensors")  # whatever is faster
    expected = json.loads(command("evaluate", exported, "--backend", "torch", *words).out)
    for file, backend in (("model.onnx", "onnx"), ("model.xml", "openvino")):
        done = command("evaluate", exported / file, "--backend", backend, "--threads", 1, *words)
        assert json.loads(done.out)["confusion"] == expected["confusion"]
    scaled = (*words, "--scales", "0.5,1", "--flip")
    expected = json.loads(command("evaluate", exported, "--backend", "torch", *scaled).out)
    done = command("evaluate", exported / "model.onnx", "--backend", "onnx", *scaled)
    assert json.loads(done.out)["miou"] == pytest.approx(expected["miou"], abs=1e-3)
