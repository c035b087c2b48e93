"""Labels that are shapes, trained on and scored as the recipe says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from briskseg.core.card import load_weights
from briskseg.core.images import write_png

SHAPES = [
    {"label": "car", "points": [[4, 4], [40, 8], [30, 38]], "shape_type": "polygon"},
    {"label": "sky", "points": [[0, 0], [64, 6]], "shape_type": "rectangle"},
]


def test_unlabeled_pixels_are_trained_on_only_where_the_recipe_says_so(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    root, run = tmp_path / "set", tmp_path / "run"
    root.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        write_png(root / f"{number}.png", pixels)
        content = {"shapes": SHAPES, "imagePath": f"{number}.png"}
        (root / f"{number}.json").write_text(json.dumps(content))
    settings = ("training.epochs=1", "training.batch=3", "data.unlabeled=ignored")
    words = [word for setting in settings for word in ("--set", setting)]
    done = command("train", "--data", root, "--out", run, "--device", "cpu", *words)
    assert done[0] == 0, done[2]
    assert load_weights(run / "model.safetensors")[1].labels.names == ("car", "sky")
    counts = json.loads((run / "class_counts.json").read_text())
    assert counts["classes"] == ["car", "sky"]
    assert all(image["ignored"] > 0 for image in counts["images"].values())
    # The data have three classes here; the model's are taken without being asked for.
    scored = command("evaluate", run, "--data", root, "--json", "-")
    assert scored[0] == 0, scored[2]
    assert [*json.loads(scored[1])["classes"]] == ["car", "sky"]
