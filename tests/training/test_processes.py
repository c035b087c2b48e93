"""Several processes train one network: who they are, what they compute, how they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.training.conftest import rows

from briskseg.core.errors import RequestError
from briskseg.core.images import write_png
from briskseg.training.processes import launched

BRISKSEG = Path(sys.executable).with_name("briskseg")
SLURM = {
    "SLURM_JOB_ID": "71",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
TASK = {
    **SLURM,
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2),2",
    "SLURM_PROCID": "7",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
}


@pytest.mark.parametrize(
    ("env", "devices", "expected"),
    [
        ({}, 1, (0, 1, 0, 1)),
        ({}, 2, (0, 2, 0, 2)),
        (TORCHRUN, 1, (3, 4, 1, 2)),
        (TASK, 1, (7, 8, 1, 2)),
        # an allocation, in which nobody started several processes; also an interactive step in it
        (SLURM, 1, (0, 1, 0, 1)),
        ({**SLURM, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}, 1, (0, 1, 0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, 1, (0, 1, 0, 1)),  # left over
    ],
)
def test_only_the_launcher_that_really_launched_says_who_a_process_is(
    env: dict[str, str], devices: int, expected: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in os.environ if n.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = launched(devices)
    assert (found.rank, found.world, found.local_rank, found.local_world) == expected


def test_devices_that_contradict_the_launcher_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="torchrun started 2 processes here, and --devices says"):
        launched(4)


def words(data: Path, out: Path, *more: str) -> list[str]:
    """Steps on which nothing is random but the order: no augmentation, no dropout."""
    settings = [
        "data.size=null", "augment={}", "training.epochs=2", "training.validate_every=1",
        "training.log_every=1", "training.precision=float32", "training.loss={}",
        "training.optimizer={name: sgd, lr: 0.001}", "model.name=erfnet",
        "model.options={dropout_64: 0, dropout_128: 0}", *more,
    ]  # fmt: skip
    changes = [word for setting in settings for word in ("--set", setting)]
    return ["train", "demo", "--no-check", "--data", str(data), "--out", str(out), *changes]


def test_an_allocation_of_eight_tasks_trains_on_all_images_in_one_process(
    streets: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    done = command(*words(streets, tmp_path / "run", "training.batch=4", "training.epochs=1"))
    assert done.status == 0, done.err
    assert rows(tmp_path / "run")[-1]["samples"] == "12"


def losses(run: Path) -> list[float]:
    return [float(row["loss"]) for row in rows(run) if row["loss"]]


def test_two_processes_train_as_one_does_with_the_same_images_a_step(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    data = tmp_path / "data"
    shutil.copytree(streets, data)
    for file in (data / "labels").rglob("*.png"):  # each process divides by its labeled pixels
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        write_png(file, np.where(labels == 255, 0, labels).astype(np.uint8))
    one = command(*words(data, tmp_path / "one", "training.batch=4"))
    assert one.status == 0, one.err
    two = words(data, tmp_path / "two", "training.batch=2")
    two_done = run(*two, "--devices", "2")
    assert two_done.returncode == 0, two_done.stderr
    pairs = zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True)
    apart = [abs(one - two) / one for one, two in pairs]
    assert apart[0] < 1e-6  # the same images, normalized and averaged over both processes
    assert apart[1] < 1e-4  # the same gradients
    assert max(apart) < 2e-2  # float32 gradients of a deep network are off by percents, on one too
    scored = [
        [float(row["val_loss"]) for row in rows(tmp_path / name) if row["val_loss"]]
        for name in ("one", "two")
    ]
    assert scored[1] == pytest.approx(scored[0], rel=1e-3)
    assert two_done.stderr.count("epoch 1: val mIoU") == 1  # one process speaks
    assert [row["samples"] for row in rows(tmp_path / "two") if row["loss"]][:2] == ["4", "8"]
    assert (tmp_path / "two" / "scores.json").is_file()
    refused = command(*words(data, tmp_path / "two", "training.batch=2"), "--resume")
    assert refused.status == 2
    assert "begun on 2 devices" in refused.err


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BRISKSEG, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )


@pytest.mark.parametrize("killed", ["first", "other"])
def test_where_one_process_is_killed_the_other_ends_with_a_sentence(
    killed: str, streets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    more = ["training.batch=2", "training.epochs=400", "training.validate_every=400"]
    with (tmp_path / "err.txt").open("w") as err:
        process = subprocess.Popen(
            [BRISKSEG, *words(streets, out, *more), "--devices", "2"],
            stderr=err,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + 200
        while not (out / "metrics.csv").exists() or len(rows(out)) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        (other,) = [pid for pid in children(process.pid) if b"spawn_main" in command_line(pid)]
        os.kill(process.pid if killed == "first" else other, signal.SIGKILL)
        status = process.wait(timeout=60)
    while Path(f"/proc/{other}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said = (tmp_path / "err.txt").read_text()
    assert status == (-signal.SIGKILL if killed == "first" else 1)
    assert "process" in said
    assert "of the run ended" in said
    assert "go on with" in said
    assert "Traceback" not in said


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
