"""Encoder files: what a pretraining, or a first stage, hands to a later run's `model.encoder`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from briskseg.core.card import save_tensors
from briskseg.core.errors import RequestError
from briskseg.models.encoders.efficientnet_lite import PRETRAINED, pretrained_file

FILE = "encoder.safetensors"  # in a run folder
FACTS = "encoder.json"  # what `read_facts` gives, written when a pretraining has ended
KEY = "briskseg.encoder"  # of the facts about it, in its metadata


def save_encoder(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write an encoder's tensors under the names that they have in the segmentation network, and
    whatever was trained on top of it; `facts` (recipe, scores, versions) become its metadata."""
    save_tensors(path, tensors, {KEY: json.dumps(facts)})


def find_encoder(name: str) -> Path:
    """The file that `model.encoder` means: itself, a run folder's encoder or whole network, or that
    of an installed package."""
    if name in PRETRAINED:
        return pretrained_file(name)
    path = Path(name)
    if not path.is_dir():
        return path
    for file in (path / FILE, path / "model.safetensors"):
        if file.is_file():
            return file
    raise RequestError(
        f"model.encoder: the folder {path} holds neither {FILE} nor model.safetensors; name a run "
        "folder that has one, or a file"
    )


def read_facts(path: Path) -> dict[str, Any]:
    """What `save_encoder` was told about an encoder file of ours."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        facts: dict[str, Any] = json.loads(file.metadata()[KEY])
    return facts
