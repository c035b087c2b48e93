"""A Hub on loopback, the client that speaks with it alone, and a run to push."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hub.stand_in import TOKEN, Hub

from briskseg.core.card import read_card
from briskseg.recipe import load_recipe
from briskseg.runtime.model_files import shipped_files

SHIPPED = "fast-scnn-camvid11"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The client reads its settings from the environment once, when it is first imported."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run, of weights that come with the package and of the file exported from them."""
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    for file in shipped_files()[SHIPPED]:
        if file.suffix in (".safetensors", ".onnx"):
            shutil.copyfile(file, run / f"model{file.suffix}")
    names = read_card(run / "model.safetensors").labels.names
    root = f"data.root={tmp_path / 'private' / 'mydata'}"
    (run / "recipe.yaml").write_text(load_recipe(SHIPPED, [root]).to_yaml())
    (run / "metrics.csv").write_text(
        "step,epoch,samples,seconds,loss,val_loss,val_miou,val_pixel_accuracy\n"
        "10,1,40,5.0,2.1,,,\n10,1,40,6.0,,2.0,0.2,0.6\n20,2,80,9.0,1.5,,,\n20,2,80,9.5,,1.4,0.4,0.8\n"
    )
    scores = {
        "miou": 0.4321,
        "miou_interval": [0.4, 0.46],
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.7,
        "frequency_weighted_iou": 0.65,
        "classes": {name: {"iou": 0.25, "accuracy": 0.5} for name in names},
        "split": "val",
    }
    (run / "scores.json").write_text(json.dumps(scores))
    return run
