"""Weights as trainers wrap them: what holds the tensors, and what stands before their names."""

from __future__ import annotations

import argparse
import collections
import enum
import functools
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from briskseg import create_model, load_published
from briskseg.core.errors import WeightsError

CLASSES = 4


class AttributeDict(dict):
    """As Lightning has one for a module's arguments."""


class HistoryBuffer:
    """As mmengine keeps one of each value that it logs."""

    def __init__(self) -> None:
        self._log_history, self._max_length = [1.0, 2.0], 1000
        self._statistics_methods = {"mean": functools.partial(max, 1)}


class Phase(enum.Enum):
    TRAIN = "train"


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(11)
    return create_model("erfnet", CLASSES).state_dict()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in weights().items()}


ADAM = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
CONTAINERS = {
    "plain": lambda: weights(),
    "DataParallel": lambda: prefixed("module."),
    "torch.compile": lambda: prefixed("_orig_mod."),
    "DataParallel of torch.compile": lambda: prefixed("module._orig_mod."),
    "any prefix": lambda: prefixed("segmentor.student.net."),
    "Lightning": lambda: {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": prefixed("model."),
        "optimizer_states": [ADAM],
        "callbacks": {"EarlyStopping": {"best_score": torch.tensor(0.5)}},
        "hyper_parameters": AttributeDict(lr=0.1, data=Path("data"), inner=AttributeDict(a=1)),
        "hparams_name": "kwargs",
    },
    "mmengine": lambda: {
        "meta": {"cfg": "model = dict()", "phase": Phase.TRAIN},
        "state_dict": collections.OrderedDict(weights()),
        "message_hub": {"log_scalars": {"loss": HistoryBuffer()}},
        "optimizer": ADAM,
    },
    "timm": lambda: {
        "epoch": 3,
        "arch": "erfnet",
        "state_dict": weights(),
        "optimizer": ADAM,
        "args": argparse.Namespace(lr=0.1),
        "state_dict_ema": weights(),
    },
    "a script's own": lambda: {"model_state_dict": weights(), "optimizer_state_dict": ADAM},
    "a number beside them": lambda: {
        "model": weights(),
        "best_miou": torch.tensor(0.5),
        "epoch": 3,
    },
    "a scaler beside them": lambda: {"model": weights(), "scaler": {"scale": torch.tensor(8.0)}},
    "AveragedModel": lambda: {"n_averaged": torch.tensor(3), **prefixed("module.")},
    "two levels": lambda: {"checkpoint": {"network": prefixed("net."), "step": 3}},
    "defaultdict": lambda: {"model": weights(), "log": collections.defaultdict(list, {"a": [1]})},
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_weights_in_a_container_are_loaded(
    container: str, zipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(CONTAINERS[container](), path, _use_new_zipfile_serialization=zipped)
    assert_it_loads(path)


def assert_it_loads(path: Path) -> None:
    found = load_published(path).state_dict()
    expected = weights()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_accelerate_writes_safetensors(prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(prefixed(prefix), path, metadata={"format": "pt"})
    assert_it_loads(path)


@pytest.mark.parametrize("key", [None, "model"])
def test_a_whole_module_is_loaded_without_its_class(key: str | None, tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    network = create_model("erfnet", CLASSES)
    network.load_state_dict(weights())
    torch.save(network if key is None else {key: network, "ema": None, "epoch": 3}, path)
    assert_it_loads(path)


def test_a_name_without_end_is_neither_tried_nor_printed_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    save_file({3000 * "net." + "weight": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="holds 1 tensor ") as caught:
        load_published(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn])
def test_rounded_weights_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    """Copied as they are, they would be a network of whole numbers."""
    path = tmp_path / "rounded.pth"
    torch.save({name: tensor.to(dtype) for name, tensor in weights().items()}, path)
    with pytest.raises(WeightsError, match="as rounded weights are, expected numbers of 16 bits"):
        load_published(path)


def test_weights_at_the_top_and_in_a_key_are_two_sets(tmp_path: Path) -> None:
    path, kept = tmp_path / "two.pth", tmp_path / "weights.pth"
    torch.save({**weights(), "ema": weights()}, path)
    with pytest.raises(WeightsError, match=r"'ema' \(\d+ tensors\), 'the file itself'") as caught:
        load_published(path)
    carry_out(str(caught.value), tmp_path)
    assert_it_loads(kept)


@pytest.mark.parametrize("key", ["model", "model.net"])
def test_two_sets_of_tensors_are_named_with_how_to_keep_one(key: str, tmp_path: Path) -> None:
    path, kept = tmp_path / "it's two.pth", tmp_path / "weights.pth"
    torch.save({key: weights(), "ema": prefixed("module.")}, path)
    with pytest.raises(
        WeightsError, match=rf"'{key}' \(\d+ tensors\), 'ema' \(\d+ tensors\)"
    ) as caught:
        load_published(path)
    carry_out(str(caught.value), tmp_path)
    assert_it_loads(kept)


def carry_out(message: str, folder: Path) -> None:
    """Run the Python that a message ends with, as a user would."""
    (code,) = re.findall(r"torch\.save\(.*\)$", message)
    subprocess.run([sys.executable, "-c", f"import torch; {code}"], cwd=folder, check=True)


def test_torchscript_is_named_with_how_to_take_its_weights(tmp_path: Path) -> None:
    network = create_model("erfnet", CLASSES)
    network.load_state_dict(weights())
    path, taken = tmp_path / "script.pt", tmp_path / "weights.pth"
    with warnings.catch_warnings():  # of torch, which has given TorchScript up
        warnings.simplefilter("ignore")
        torch.jit.trace(network.eval(), torch.zeros(1, 3, 32, 32)).save(path)
    with pytest.raises(WeightsError, match=r"script.pt is a TorchScript archive") as caught:
        load_published(path)
    carry_out(str(caught.value), tmp_path)
    assert_it_loads(taken)


def test_a_compressed_checkpoint_is_named_with_how_to_write_it_again(tmp_path: Path) -> None:
    good, path = tmp_path / "good.pth", tmp_path / "small.pth"
    torch.save(weights(), good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(WeightsError, match=r"small.pth is a compressed archive") as caught:
        load_published(path)
    carry_out(str(caught.value), tmp_path)
    assert_it_loads(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8000000\n",
            "holds a pointer of Git LFS, not the file itself, expected",
        ),
        (b"\n<!DOCTYPE html><html>Quota exceeded</html>", "is a web page, expected"),
        (b'{"weight_map": {}}', "is JSON, expected"),
        (b"\x1f\x8b\x08\x00", "is an archive, expected"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_checkpoint_is_named(
    suffix: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=re.escape(message)):
        load_published(path)


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "download.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("release/erfnet.pth", b"")
    with pytest.raises(WeightsError, match=r"without a checkpoint .*\(release/erfnet.pth \.\.\.\)"):
        load_published(path)
