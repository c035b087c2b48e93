"""A killed job of `label` goes on with the same command, and ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.scale.conftest import contents

from briskseg.core.types import Image
from briskseg.runtime.predictor import Predictor

pytest.importorskip("pyarrow")

# A process that dies, as by `kill -9`, before the file with this number becomes what it is to be.
_DIES = """
import os, sys, threading
from briskseg.scale.storage import LocalStorage
left, put, lock = [int(sys.argv.pop(1))], LocalStorage.put, threading.Lock()
def dying(self, made, name):
    with lock:
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        put(self, made, name)
LocalStorage.put = dying
from briskseg.cli import main
main()
"""
_MAIN = "from briskseg.cli import main; main()"


@pytest.fixture
def whole(command, weights_file: Path, photos: Path, tmp_path: Path) -> dict[str, bytes]:
    """What a job that nothing happens to leaves."""
    (photos / "sub" / "broken.jpg").write_bytes(b"")
    out = tmp_path / "whole"
    assert command(*words(weights_file, photos, out), "--workers", 1).status == 1
    return contents(out)


def words(model: Path, photos: Path, out: Path) -> list[str]:
    return ["label", str(photos), "--model", str(model), "--out", str(out), "--shard-size", "4"]


@pytest.mark.parametrize("files", [0, 4, 11])  # a shard is four masks and a manifest
def test_killed_at_any_file_it_goes_on(
    command, weights_file: Path, photos: Path, tmp_path: Path, whole: dict[str, bytes], files: int
) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-c", _DIES, str(files), *words(weights_file, photos, out)]
    died = subprocess.run([*line, "--workers", "1"], check=False, capture_output=True)
    assert died.returncode == 9, died.stderr
    assert len(list(out.rglob("*.p*"))) - len(list(out.glob(".work/**/*.p*"))) == files
    assert (out / ".work").is_dir()  # what it was writing
    done = command(*words(weights_file, photos, out), "--workers", 1)
    assert done.status == 1
    assert ("of them were done before" in done.out) == (files > 4)
    assert contents(out) == whole


@pytest.mark.parametrize(
    ("to", "file"),
    [("png", "sub/deep/03.png"), ("tar", "00001.tar"), ("parquet", "labels/00001.parquet")],
)
def test_labels_that_were_deleted_are_made_again(
    command, weights_file: Path, photos: Path, tmp_path: Path, to: str, file: str
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    out = tmp_path / "out"
    line = [*words(weights_file, photos, out), "--to", to, "--workers", 1]
    assert command(*line).status == 0
    before = contents(out)
    (out / file).unlink()
    done = command(*line)
    assert done.status == 0, done.err
    assert "18 of them were done before" in done.out
    assert contents(out) == before


def test_a_file_of_another_format_beside_the_model_is_not_its_part(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copy(weights_file, tmp_path / "model.safetensors"))
    line = [*words(model, photos, tmp_path / "out"), "--backend", "torch", "--workers", 1]
    command(*line)
    model.with_suffix(".bin").write_bytes(b"an OpenVINO file's numbers")
    done = command(*line)
    assert "of them were done before" in done.out, done.err


def test_a_killed_command_takes_its_workers_along(
    command, weights_file: Path, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-c", _MAIN, *words(weights_file, photos, out), "--workers", "2"]
    with subprocess.Popen(line, start_new_session=True) as process:
        wait_until(lambda: any(out.glob("manifest/*")))
        process.kill()
    wait_until(lambda: not is_group_there(process.pid))
    before = contents(out)
    assert {
        name: data for name, data in before.items() if not name.startswith(".work")
    }.items() <= (whole.items())
    assert command(*words(weights_file, photos, out), "--workers", 1).status == 1
    assert contents(out) == whole


def test_ctrl_c_keeps_what_is_written(
    command, weights_file: Path, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-c", _MAIN, *words(weights_file, photos, out), "--workers", "2"]
    process = subprocess.Popen(line, start_new_session=True, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(out.glob("manifest/*")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "images are done" in said
    assert f"in {out}; the same command goes on from there" in said
    assert "Traceback" not in said
    assert not list(out.glob(".work/*/*"))
    assert contents(out).items() < whole.items()
    assert command(*words(weights_file, photos, out), "--workers", 1).status == 1
    assert contents(out) == whole


def test_ctrl_c_is_the_first_process_s_alone(
    weights_file: Path, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """Whenever it reaches a worker: while that imports, too."""
    out = tmp_path / "out"
    line = [sys.executable, "-c", _MAIN, *words(weights_file, photos, out), "--workers", "2"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:
            with suppress(OSError):  # one that has just ended
                for child in children.read_text().split():
                    os.kill(int(child), signal.SIGINT)
            time.sleep(0.01)
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Traceback" not in said
    assert contents(out) == whole, said


def test_a_worker_that_dies_is_said(weights_file: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-c", _MAIN, *words(weights_file, photos, out), "--workers", "2"]
    process = subprocess.Popen(line, start_new_session=True, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(out.glob(".work/*")))
    worker = next(out.glob(".work/*")).name.rpartition("-")[2]
    os.kill(int(worker), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "a worker process died" in said
    assert "give the same command again to go on" in said


def wait_until(there) -> None:
    for _ in range(6000):
        if there():
            return
        time.sleep(0.02)
    raise AssertionError("waited for two minutes")


def is_group_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("to", ["png", "tar", "parquet"])
def test_ctrl_c_in_this_process_leaves_nothing_half_written(
    command, weights_file: Path, photos: Path, tmp_path: Path, monkeypatch, to: str
) -> None:
    line = [*words(weights_file, photos, tmp_path / "out"), "--workers", "1", "--to", to]
    predict, seen = Predictor.with_confidence, []

    def pressed(self: Predictor, image_hwc: Image) -> object:
        seen.append(image_hwc)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return predict(self, image_hwc)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "with_confidence", pressed)
        done = command(*line)
    assert done.status == 130
    assert "interrupted: 4 images are done" in done.err
    assert not list((tmp_path / "out").glob(".work/*"))
    assert command(*line).status == 1
    fresh = [tmp_path / "other" if word == str(tmp_path / "out") else word for word in line]
    assert command(*fresh).status == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "other")
