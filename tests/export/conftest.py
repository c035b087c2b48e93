"""Exported networks, and what Keras alone computes from the files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from tests.conftest import draw_weights

CLASSES = 5


class Case(NamedTuple):
    """A network, and the size that it is exported for: multiples of 8, and of nothing."""

    name: str
    model: str
    options: dict[str, str]
    size_hw: tuple[int, int]


CASES = (
    Case("erfnet", "erfnet", {}, (21, 34)),
    Case("tramac", "fast_scnn", {"variant": "tramac"}, (45, 70)),
)

# What a user of Keras does, who has never heard of this package.
OPEN = """
import sys, keras, numpy as np
results = {}
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")
    images = np.load(f"{sys.argv[1]}/{name}.npy")
    results[name] = model.predict(images, verbose=0)
    results[f"{name}-float"] = model(images.astype("float32"), training=False).cpu().detach()
    results[f"{name}-trained"] = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    modules = {type(layer).__module__ for layer in model.layers}
    assert all(module.startswith("keras.src.layers.") for module in modules), modules
    assert "Lambda" not in {type(layer).__name__ for layer in model.layers}
np.savez(f"{sys.argv[1]}/results.npz", **results)
assert keras.backend.backend() == "torch" and "briskseg" not in sys.modules
for layer in model.layers:  # train on, and save as any user of Keras does
    if layer.name == "classifier-3":
        layer.set_weights([w + 1 for w in layer.get_weights()])
model.save(f"{sys.argv[1]}/trained_on.keras")
"""


@pytest.fixture(scope="session", autouse=True)
def _keras_with_its_own_settings(tmp_path_factory):
    """Keras reads and writes its settings in a folder of the tests, not in the user's."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("KERAS IS NOT TESTED: it is not installed; pip install 'briskseg[keras]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras_home")))
        yield


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    """Each network in turn."""
    return request.param


@pytest.fixture(scope="session")
def exported(made_once):
    """A folder with NAME.safetensors, NAME.keras and two images NAME.npy of each network, and what
    Keras computes from them, in results.npz."""
    return made_once("exported", _export_to_keras)


def _export_to_keras(folder):
    from briskseg.export import export

    folder.mkdir()
    for case in CASES:
        weights = draw_weights(
            folder / f"{case.name}.safetensors", case.model, CLASSES, **case.options
        )
        export(weights, "keras", size_hw=case.size_hw)
        images = np.random.default_rng(2).integers(0, 256, (2, *case.size_hw, 3), np.uint8)
        np.save(folder / f"{case.name}.npy", images)
    words = [sys.executable, "-c", OPEN, folder, *(case.name for case in CASES)]
    environment = os.environ | {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def deployed(made_once):
    """A folder with NAME.safetensors, NAME.onnx, NAME.xml and NAME.bin of each network."""
    return made_once("deployed", _export_to_onnx_and_openvino)


def _export_to_onnx_and_openvino(folder):
    from briskseg.export import export

    folder.mkdir()
    for case in CASES:
        weights = draw_weights(
            folder / f"{case.name}.safetensors", case.model, CLASSES, **case.options
        )
        for kind in ("onnx", "openvino"):
            export(weights, kind)


@pytest.fixture
def without(monkeypatch):
    """Calling it with a package and the file of ours that imports it: as if it were not there."""

    def hide(package, file):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"briskseg.export.{file}", raising=False)

    return hide


@pytest.fixture
def model(tmp_path):
    """The weights of a small network, which takes images of any size."""
    return draw_weights(tmp_path / "model.safetensors", "fast_scnn", CLASSES)
