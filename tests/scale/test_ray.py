"""`label --ray` on a cluster that loses a node gives what one process gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scale.conftest import contents, draw

from briskseg.core.images import write_jpeg

pytest.importorskip("pyarrow")
CLUSTER = Path(__file__).with_name("ray_cluster.py")


def test_a_node_that_dies_changes_no_byte(command, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="--ray is not tested: pip install 'briskseg[ray]'")
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(48):
        write_jpeg(folder / f"{number:02d}.jpg", draw(number))
    words = ["label", str(folder), "--model", "fast-scnn-camvid11", "--backend", "onnx"]
    words += ["--shard-size", "4"]
    assert command(*words, "--workers", 1, "--out", tmp_path / "one").status == 0

    line = [sys.executable, str(CLUSTER), str(tmp_path / "ray"), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "48 of 48 images labeled" in done.stdout
    before = re.search(r"(\d+) shards were done", done.stdout)
    assert 0 < int(before[1]) < 12
    assert contents(tmp_path / "ray") == contents(tmp_path / "one")


def test_an_address_without_a_cluster(
    command, weights_file: Path, photos: Path, tmp_path: Path, monkeypatch
) -> None:
    ray = pytest.importorskip("ray", reason="--ray is not tested: pip install 'briskseg[ray]'")

    def refuse(**options: object) -> None:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray, "init", refuse)
    words = ("label", photos, "--model", weights_file, "--out", tmp_path / "out", "--ray", "a:1")
    done = command(*words)
    assert done.status == 2
    assert "--ray a:1: no cluster answers there: nobody is there" in done.err
