"""briskseg convert FILE.keras: the way back, for what we wrote and for nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.errors import RequestError

# Keras' variables on torch lack what NumPy 2 asks of them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_convert_takes_the_file_back_to_the_last_bit(case, exported, command, tmp_path):
    out = tmp_path / "again.safetensors"
    done = command("convert", exported / f"{case.name}.keras", "--out", out)
    assert done == (
        0,
        "recognized  Keras, as `briskseg export` writes it\n"
        f"network     {case.model}, 5 classes: class0 ... class4\n"
        "images      as they are; mean 0.4 0.45 0.5, std 0.2 0.25 0.3 (RGB in [0, 1])\n"
        f"wrote       {out}\n",
        "",
    )
    assert out.read_bytes() == (exported / f"{case.name}.safetensors").read_bytes()


def test_a_file_that_keras_trained_on_comes_back_with_its_card_put_back(
    exported, command, tmp_path
):
    path = tmp_path / "trained_on.keras"
    path.write_bytes((exported / "trained_on.keras").read_bytes())
    done = command("convert", path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"briskseg: {path} has no card, so its network and classes are unkn")
    assert done.err.endswith(
        f": unzip EXPORTED.keras briskseg.safetensors && zip {path} briskseg.safetensors\n"
    )
    with zipfile.ZipFile(exported / "tramac.keras") as source, zipfile.ZipFile(path, "a") as target:
        target.writestr("briskseg.safetensors", source.read("briskseg.safetensors"))
    assert command("convert", path).status == 0
    image = np.load(exported / "tramac.npy")[0]
    before = briskseg.load(exported / "tramac.safetensors").logits(image)
    after = briskseg.load(tmp_path / "trained_on.safetensors").logits(image)
    # its last convolution's weights and biases are one larger: every class by the same
    assert (after - before).std(axis=0).max() < 1e-3 < 1 < (after - before).min()


def test_reading_a_file_back_does_not_import_keras(exported, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from briskseg.export.keras_reader import convert_keras\n"
        "convert_keras(Path(sys.argv[1]), Path(sys.argv[2])); sys.exit('keras' in sys.modules)"
    )
    words = [sys.executable, "-c", code, exported / "tramac.keras", tmp_path / "x.safetensors"]
    assert subprocess.run(words, check=False).returncode == 0


def test_a_keras_file_where_ours_is_wanted_is_told_the_way(exported):
    path = exported / "erfnet.keras"
    with pytest.raises(RequestError) as caught:
        briskseg.load(path)
    assert str(caught.value) == (
        f"{path} is a Keras file, expected a run folder (runs/NAME), a .safetensors, .onnx, .xml, "
        ".tflite or .ncnn.param file, a name that `briskseg models` lists, or hf://OWNER/NAME; "
        f"make one with: briskseg convert {path}"
    )


def change(source: Path, target: Path, member: str, edit) -> Path:
    """`source` with one member of the zip changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, edit(data) if name == member else data)
    return target


def renamed(data: bytes) -> bytes:
    return data.replace(b'"classifier-3"', b'"classifier-9"')


def shortened(data: bytes) -> bytes:
    return json.dumps({"config": {"layers": json.loads(data)["config"]["layers"][:-9]}}).encode()


def linked(data: bytes) -> bytes:
    import h5py

    file = io.BytesIO(data)
    with h5py.File(file, "a") as weights:
        group = weights["layers/conv2d/vars"]
        del group["0"]
        group["0"] = h5py.ExternalLink("/etc/passwd", "/")
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "edit", "message"),
    [
        ("config.json", renamed, "is not the fast_scnn with 5 classes that its card names: of its"),
        ("config.json", shortened, " missing (classifier."),
        ("config.json", lambda _: b"{}", "is damaged or no .keras file (KeyError"),
        ("config.json", lambda data: data[:500], "is damaged or no .keras file (ValueError"),
        ("model.weights.h5", lambda data: data[:5000], "is damaged or no .keras file (OSError"),
        ("model.weights.h5", linked, "(ValueError: /layers/conv2d/vars/0 is a link)"),
        (
            "briskseg.safetensors",
            lambda data: data[:100],
            "is damaged or no .safetensors file",
        ),
    ],
)
def test_a_damaged_file_is_refused(member, edit, message, exported, command, tmp_path):
    path = change(exported / "tramac.keras", tmp_path / "bad.keras", member, edit)
    done = command("convert", path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("briskseg: ")
    assert str(path) in done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_keras_file_or_has_labels_given_is_refused(exported, command, tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("no zip")
    assert command("convert", path).err.startswith(
        f"briskseg: {path} is damaged or no .keras file (BadZipFile"
    )
    done = command("convert", exported / "erfnet.keras", "--labels", "camvid11")
    assert (done.status, done.err) == (
        2,
        f"briskseg: {exported / 'erfnet.keras'} has its classes in its card; leave --labels out\n",
    )
    done = command("convert", tmp_path / "none.keras")
    assert (done.status, done.err) == (
        2,
        f"briskseg: {tmp_path / 'none.keras'} is not there or is no file, expected a .keras file\n",
    )
