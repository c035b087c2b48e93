"""A weights file carries its card, and damage to it is a sentence that names the file."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from briskseg.core.card import (
    CARD_KEY,
    Card,
    InputCard,
    LabelsCard,
    NetworkCard,
    load_weights,
    read_card,
    save_weights,
)
from briskseg.core.errors import BriskError, RequestError, WeightsError
from briskseg.core.labels import CAMVID11


def make_card(**changes: object) -> Card:
    return Card(
        network=NetworkCard(name="erfnet", classes=11, options={"dropout": 0.3, "head": True}),
        labels=LabelsCard.from_label_set(CAMVID11),
        input=InputCard(size=(360, 480), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)),
        training={"recipe": "x", "epochs": 3, "seed": None},
        scores={"val_miou": 0.5},
        source="here",
        license="Apache-2.0",
    ).model_copy(update=changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "model.safetensors"
    tensors = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
        "half": np.ones(4, np.float16),
        "count": np.array(7),
    }
    save_weights(path, tensors, make_card())
    return path


def with_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def test_tensors_and_card_come_back(file: Path) -> None:
    tensors, card = load_weights(file)
    assert card == make_card() == read_card(file)
    assert isinstance(card.network.options["head"], bool)
    np.testing.assert_array_equal(tensors["weight"], np.arange(6).reshape(2, 3).T)
    assert tensors["half"].dtype == np.float32
    assert tensors["count"].shape == ()
    assert card.labels.to_label_set().names == CAMVID11.names
    assert card.labels.to_label_set().colors == CAMVID11.colors


def test_another_tool_reads_the_file(file: Path) -> None:
    with safe_open(file, framework="numpy") as opened:
        card = json.loads(opened.metadata()[CARD_KEY])
        assert card["card_version"] == 1
        assert card["network"]["name"] == "erfnet"
        assert opened.get_tensor("weight").shape == (3, 2)


def test_writing_leaves_one_whole_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(WeightsError, match=r"model.safetensors cannot be written: No space left"):
        save_weights(file, {"other": np.zeros(3)}, make_card())
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"]


def test_a_file_without_a_card_is_refused_with_the_way_to_add_one(tmp_path: Path) -> None:
    path = with_header(tmp_path / "bare.safetensors", b'{"__metadata__":{"format":"pt"}}')
    for read in (read_card, load_weights):
        with pytest.raises(WeightsError, match=r"has no card.*briskseg convert .*bare.safetensors"):
            read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none.safetensors is not there"):
        read_card(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x10", "is damaged or no .safetensors file"),
        (b"PK\x03\x04" + b"\0" * 99, r"is a PyTorch checkpoint.*briskseg convert"),
        (struct.pack("<Q", 2**63) + b"{}", "is damaged or no .safetensors file"),
        (struct.pack("<Q", 3) + b"{}", "is damaged or no .safetensors file"),
        (struct.pack("<Q", 4) + b"[{}]", "is damaged or no"),
        (struct.pack("<Q", 4) + b"\xff\xfe{}", "is damaged or no"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "is damaged or no"),
        (struct.pack("<Q", 20) + b'{"__metadata__":[1]}', "is damaged or no"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)


def test_random_damage_is_never_a_traceback(file: Path, tmp_path: Path) -> None:
    whole, path, rng = file.read_bytes(), tmp_path / "damaged.safetensors", random.Random(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(200)] = rng.randrange(256)
        path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        try:
            load_weights(path)
        except BriskError as error:
            refused += 1
            assert "damaged.safetensors" in str(error)  # noqa: PT017
    assert refused > 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"card_version": 2}, "card has version 2, this briskseg reads up to 1; upgrade"),
        ({"network": {"name": "x", "classes": 12}}, "has 12 classes but labels has 11 names"),
        ({"input": {"size": [0, 3]}}, "input.size.0"),
        ({"input": {"std": [0, 1, 1]}}, "input.std.0"),
        ({"labels": {"names": ["a", "a"], "colors": [[0, 0, 0], [1, 1, 1]]}}, "the same name"),
        ({"labels": {"names": ["a"], "colors": []}}, "labels: 1 names but 0 colors"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_card_that_does_not_fit(change: dict[str, object], message: str) -> None:
    text = json.dumps(json.loads(make_card().to_json()) | change)
    with pytest.raises(WeightsError, match=message) as caught:
        Card.from_json(text, Path("some.safetensors"))
    assert "some.safetensors" in str(caught.value)


def test_a_path_may_be_text(weights_file: Path, tmp_path: Path) -> None:
    tensors, card = load_weights(str(weights_file))
    save_weights(str(tmp_path / "again.safetensors"), tensors, card)
    assert read_card(str(tmp_path / "again.safetensors")) == card
