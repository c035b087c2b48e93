"""Several processes train one network: who they are, what they compute, how they end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
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


@pytest.fixture(scope="module")
def masked(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The streets with labels of which each process has another number."""
    data = tmp_path_factory.mktemp("masked") / "data"
    shutil.copytree(streets, data)
    for number, file in enumerate(sorted((data / "labels").rglob("*.png"))):
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        labels[: 12 * (number % 4)] = 255
        write_png(file, labels)
    return data


@pytest.fixture(scope="module")
def on_two(masked: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on two processes here that nothing disturbs, and what it said."""
    out = tmp_path_factory.mktemp("runs") / "two"
    done = run(*words(masked, out, *SMALL), "--devices", "2")
    assert done.returncode == 0, done.stderr
    return out, done.stderr


SMALL = ("training.batch=2", "training.epochs=3")


def test_two_processes_train_as_one_does_with_the_same_images_a_step(
    masked: Path, on_two: tuple[Path, str], tmp_path: Path, command: Callable
) -> None:
    two, said = on_two
    one = command(*words(masked, tmp_path / "one", "training.batch=4", "training.epochs=3"))
    assert one.status == 0, one.err
    pairs = zip(losses(tmp_path / "one"), losses(two), strict=True)
    apart = [abs(one - two) / one for one, two in pairs]
    assert apart[0] < 1e-6  # the same images, normalized and averaged over both processes
    assert apart[1] < 1e-4  # the same gradients
    assert max(apart) < 2e-2  # float32 gradients of a deep network are off by percents, on one too
    scored = [
        [float(row["val_loss"]) for row in rows(path) if row["val_loss"]]
        for path in (tmp_path / "one", two)
    ]
    assert scored[1] == pytest.approx(scored[0], rel=1e-3)
    compared = command("compare", tmp_path / "one", two)
    assert compared.status == 0, compared.out
    assert "EQUAL within the rule" in compared.out
    assert said.count("epoch 1: val mIoU") == 1  # one process speaks
    assert [row["samples"] for row in rows(two) if row["loss"]][:2] == ["4", "8"]
    assert (two / "scores.json").is_file()
    assert len([*(two / "film").glob("image-*.png")]) > 0
    refused = command(*words(masked, two, *SMALL), "--resume")
    assert refused.status == 2
    assert "begun on 2 devices" in refused.err


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_two_machines_one_killed_and_the_run_ends_as_if_it_had_not_been(
    masked: Path, on_two: tuple[Path, str], tmp_path: Path
) -> None:
    """Two agents of torchrun, each with a folder of its own, as machines that share no disk; then
    the tasks of a step of SLURM go on with the run."""
    hosts = [tmp_path / "host0", tmp_path / "host1"]
    train, port = words(masked, Path("run"), *SMALL), free_port()
    agents = []
    for rank, host in enumerate(hosts):
        host.mkdir()
        place = f"--nnodes=2 --nproc-per-node=1 --node-rank={rank} --rdzv-backend=static"
        place += f" --master-addr=127.0.0.1 --master-port={port} --redirects=3 --log-dir=said"
        torchrun = [sys.executable, "-m", "torch.distributed.run", *place.split(), "--no-python"]
        agents.append(begin(host, *torchrun, BRISKSEG, *train))
    last = hosts[0] / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 300
    while not last.exists():
        assert time.monotonic() < deadline
        assert [agent.poll() for agent in agents] == [None, None]
        time.sleep(0.02)
    (worker,) = (pid for pid in children(agents[1].pid) if b"briskseg" in command_line(pid))
    os.kill(worker, signal.SIGKILL)
    assert all(agent.wait(timeout=60) for agent in agents)
    (said,) = (file.read_text() for file in (hosts[0] / "said").rglob("stderr.log"))
    assert "another process of the run ended; the run is kept up to step 3; go on with:" in said
    assert re.search(r"torchrun ... --no-python \S*briskseg train demo --out run ", said)
    assert "Traceback" not in said
    step = {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_LOCALID": "0",
        "MASTER_PORT": str(free_port()),
    }
    tasks = [
        begin(host, BRISKSEG, *train, "--resume", SLURM_PROCID=str(n), SLURM_NODEID=str(n), **step)
        for n, host in enumerate(hosts)
    ]
    assert [task.wait(timeout=300) for task in tasks] == [0, 0]
    assert not (hosts[1] / "run").exists()  # the first has the run
    weights = [folder / "model.safetensors" for folder in (hosts[0] / "run", on_two[0])]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert losses(hosts[0] / "run") == losses(on_two[0])


def begin(host: Path, *words: str | Path, **env: str) -> subprocess.Popen[bytes]:
    here = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    with (host / "out.txt").open("w") as out:
        return subprocess.Popen(words, cwd=host, env=here, stdout=out, stderr=out)


def test_a_task_that_is_shown_one_gpu_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    assert launched().gpu(4) == 1
    with pytest.raises(RequestError, match="2 processes on this machine need a GPU each, and it"):
        launched().gpu(1)
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "1")
    assert launched().gpu(1) == 0


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
