"""What every test may ask for: drawn data, a saved network, the command, and its own cache."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from filelock import FileLock

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.images import write_png

NAMES = ("sky", "road", "car")
COLORS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))

Make = Callable[[Path], object]  # writes a file or a folder there


SLOWEST = ("tests/test_every_export.py", "tests/web/", "tests/training/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, or one process would have it left when the others are done."""

    def place(item: pytest.Item) -> int:
        found = (n for n, path in enumerate(SLOWEST) if item.nodeid.startswith(path))
        return next(found, len(SLOWEST))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn data set, 12 train and 4 val images of 48x64, in the folder layout."""
    from briskseg.data.synthetic import draw_dataset

    folder = tmp_path_factory.mktemp("data") / "streets"
    return draw_dataset(folder, train=12, val=4, size_hw=(48, 64), seed=7)


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Fast-SCNN of three classes with its card; it takes images as they are."""
    torch = pytest.importorskip("torch")
    from briskseg import create_model

    torch.manual_seed(3)
    network = create_model("fast_scnn", len(NAMES))
    card = Card(
        network=NetworkCard(name="fast_scnn", classes=len(NAMES), options=network.options),
        labels=LabelsCard(names=NAMES, colors=COLORS),
        input=InputCard(mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3)),
        training={"epochs": 0},
        source="an untrained network, for tests",
    )
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(path, {k: v.numpy() for k, v in network.state_dict().items()}, card)
    return path


def draw_weights(path: Path, model: str, classes: int, **options: Any) -> Path:
    """A file of ours whose every bias, scale and mean differs from what it starts with."""
    from briskseg import create_model

    net = create_model(model, classes, **options)
    rng, tensors = np.random.default_rng(1), {}
    for key, tensor in net.state_dict().items():
        shape = tuple(tensor.shape)
        if key.endswith("num_batches_tracked"):
            tensors[key] = np.array(7)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            tensors[key] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            scale = 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))
            last = key.startswith(("decoder.output_conv", "head.4", "classifier.3"))
            scale *= 0.03 if last else 1  # so that logits vary by a few, as in a trained network
            tensors[key] = (scale * rng.standard_normal(shape)).astype(np.float32)
    card = card_of(model, classes, net.options).model_copy(update={"scores": {"val_miou": 0.5}})
    save_weights(path, tensors, card)
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Make], Path]:
    """`made_once(name, make)` is a path that `make` has written, in one of the test processes."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def made_once(name: str, make: Make) -> Path:
        path, part = folder / name, folder / f"{name}.part"
        with FileLock(folder / f"{name}.lock"):
            if not path.exists():
                if part.is_dir():  # of a test process in which it failed
                    shutil.rmtree(part)
                make(part)
                part.replace(path)
        return path

    return made_once


@pytest.fixture(scope="session", autouse=True)
def _tracing_once(made_once: Callable[[str, Make], Path]) -> Iterator[None]:
    """Networks that differ in their weights alone become an ONNX graph once for all tests, in
    whichever process: torch takes some ten seconds for each."""
    if None in map(importlib.util.find_spec, ("torch", "onnx", "onnxscript")):
        yield
        return
    import onnx

    from briskseg.export import onnx_file

    trace = onnx_file._traced

    @functools.wraps(trace)
    def traced(deployed: Any, size_hw: tuple[int, int] | None, name: str) -> Any:
        tensors = deployed.state_dict()
        shapes = [(tensor_name, tensor.shape) for tensor_name, tensor in tensors.items()]
        modules = [(type(module), plain_attributes(module)) for module in deployed.modules()]
        key = hashlib.sha256(repr((name, size_hw, shapes, modules)).encode()).hexdigest()
        file = made_once(
            f"{key}.onnx",
            lambda part: part.write_bytes(trace(deployed, size_hw, name).SerializeToString()),
        )
        model = onnx.load_from_string(file.read_bytes())
        for constant in model.graph.initializer:
            if constant.name in tensors:
                values = tensors[constant.name].numpy()
                constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "_traced", traced)
        yield


def plain_attributes(module: object) -> dict[str, object]:
    """What may change the operations of a module."""
    plain = (bool, int, float, str, tuple, type(None))
    return {name: value for name, value in vars(module).items() if isinstance(value, plain)}


@pytest.fixture
def traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that changes what torch finds in a network."""
    from briskseg.export import onnx_file

    monkeypatch.setattr(onnx_file, "_traced", onnx_file._traced.__wrapped__)


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A *folder* data set: four pairs of differing sizes in val, some pixels ignored."""
    rng = np.random.default_rng(5)
    root = tmp_path / "data"
    for part in ("images/val", "labels/val", "images/train", "labels/train"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text(
        "".join(f"{n} {r} {g} {b}\n" for n, (r, g, b) in zip(NAMES, COLORS, strict=True))
    )
    for split, number in (("val", 4), ("train", 1)):
        for index in range(number):
            height, width = 40 + 7 * index, 64 - 3 * index
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            labels = rng.choice([0, 1, 2, 255], (height, width)).astype(np.uint8)
            write_png(root / "images" / split / f"street{index}.png", image)
            write_png(root / "labels" / split / f"street{index}.png", labels)
    return root


def card_of(network: str, classes: int, options: Mapping[str, Any] | None = None) -> Card:
    """The card of a network of so many classes, with a mean and deviation that are no usual ones;
    it takes images as they are."""
    return Card(
        network=NetworkCard(name=network, classes=classes, options=dict(options or {})),
        labels=LabelsCard(
            names=tuple(f"class{index}" for index in range(classes)),
            colors=tuple((index, index, index) for index in range(classes)),
        ),
        input=InputCard(mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3)),
    )


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """`command("predict", model, image)` runs `briskseg predict ...` in this process."""
    from briskseg.cli import main

    def run(*words: object) -> Done:
        monkeypatch.setattr("sys.argv", ["briskseg", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run
