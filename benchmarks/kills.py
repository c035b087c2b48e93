"""Kill the training command at random moments, over and over, and compare with the run left alone.

    python benchmarks/kills.py [KILLS [SEED]]      50 kills if not said

A third of the stops are signals that let it save. After a kill it may be worse: files lose what was
not synced, or end in garbage, as after a power cut; the last checkpoint is damaged. Every file of
the finished folder is compared, bit for bit but for wall time.

Every other run is the recipe as it is shipped, but for the size of its images and batches and for
its length, and half of its stops come as soon as a checkpoint is saved, which is at an epoch's end:
validations follow some of these only. The others have bf16, snapshots, a validation every epoch,
checkpoints within it, and loading processes where the run left alone has none.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

SHIPPED = ["data.size=null", "training.batch=2", "training.epochs=6"]
OTHERWISE = [
    "data.size=null", "data.cache_gb=0", "training.batch=2", "training.epochs=3",
    "training.validate_every=1", "training.log_every=1", "training.precision=bf16",
    "training.snapshots=true", "training.stop_after=3", "training.save_every=0.0002",
]  # fmt: skip
STOPS = 3  # of a run at most, so that a few are divided between both
WALL_TIME = ("seconds", "images_per_s", "waiting")
# What a new process has to import takes longer than what it has to train here, so it is forked from
# a server that has imported it and has done nothing else.
PRELOAD = [
    "briskseg.cli",
    "briskseg.training.fit",
    "briskseg.training.classification_task",
    "matplotlib.projections",  # of the report
    "torch.utils.tensorboard",
]
CHILD = """
import multiprocessing, os, sys
multiprocessing.set_start_method("fork", force=True)  # as in a process that was not forked so
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
os.environ["OMP_NUM_THREADS"] = "1"
sys.argv = {words!r}
from briskseg.cli import main
main()
"""


def start(words: list[str], log: Path) -> Any:
    """The command in a process of its own."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOAD)
    code = CHILD.format(log=str(log), words=["briskseg", *words])
    process = server.Process(target=exec, args=(code,))
    process.start()
    return process


def train_words(data: Path, run: Path, settings: list[str], *more: str) -> list[str]:
    words = [word for setting in settings for word in ("--set", setting)]
    return ["train", "demo", "--no-check", "--data", str(data), "--out", str(run), *words, *more]


def survive(data: Path, folder: Path, kills: int, seed: int) -> Counter[str]:
    """Kill runs until so many kills are survived; raises AssertionError where one was not."""
    log = folder / "log.txt"
    start(["--version"], log).join()  # the server is there then
    alone, longest = {}, {}
    for name, settings in (("shipped", SHIPPED), ("otherwise", OTHERWISE)):
        alone[name] = folder / name
        began = time.monotonic()
        process = start(train_words(data, alone[name], settings), log)
        process.join()
        assert process.exitcode == 0, log.read_text()
        longest[name] = time.monotonic() - began
    rng, survived = random.Random(seed), Counter[str]()
    names = itertools.cycle(alone)
    while sum(survived.values()) < kills:
        name, run = next(names), folder / "killed"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()  # an empty folder may be "resumed": the command is the same from the start on
        left = min(STOPS, kills - sum(survived.values()))
        survived += _one_run(data, run, rng, name == "shipped", longest[name], left)
        compare(alone[name], run)
        print(f"{sum(survived.values())} of {kills} stops survived", file=sys.stderr, flush=True)
    return survived


def _one_run(
    data: Path, run: Path, rng: random.Random, is_shipped: bool, longest: float, kills: int
) -> Counter[str]:
    """A run that is stopped up to so many times, and then ends."""
    stops: Counter[str] = Counter()
    log = run.with_suffix(".log")
    while True:
        settings = SHIPPED
        if not is_shipped:
            settings = [*OTHERWISE, f"training.workers={rng.choice([0, 2])}"]
        process = start(train_words(data, run, settings, "--resume"), log)
        stop = rng.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT])
        if sum(stops.values()) < kills:
            if is_shipped and rng.random() < 0.5:
                _await_checkpoints(process, run, rng.randint(1, 4))
            else:
                process.join(rng.uniform(0, longest))
            if process.is_alive():
                os.kill(process.pid, stop)
        process.join()
        if process.exitcode == 0:
            return stops
        expected = {signal.SIGKILL: -9, signal.SIGTERM: 75, signal.SIGINT: 130}[stop]
        # before `main` hears signals they have their plain effect
        at_once = {-int(stop), *([1, 130] if stop == signal.SIGINT else [])}
        assert process.exitcode in {expected, *at_once}, (
            f"{stop.name}: status {process.exitcode}\n{log.read_text()}"
        )
        stops[stop.name] += 1
        if stop == signal.SIGKILL:
            _spoil(run, rng)


def _await_checkpoints(process: Any, run: Path, number: int) -> None:
    """Wait until the run has saved so many, or has ended."""
    last = run / "checkpoints" / "last.ckpt"

    def saved() -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return last.stat().st_mtime_ns
        return None

    before = saved()
    while number and process.is_alive():
        time.sleep(0.002)
        if saved() not in (before, None):
            before, number = saved(), number - 1


def _spoil(run: Path, rng: random.Random) -> None:
    """What a power cut does besides: unsynced ends of files are lost, zero, or rubbish."""
    import torch

    last, before = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    metrics = run / "metrics.csv"
    if rng.random() < 0.5 and metrics.exists():
        synced = 0
        for checkpoint in (before, last):
            with contextlib.suppress(Exception):  # not there, or damaged by us
                synced = torch.load(checkpoint, weights_only=True)["log"]["bytes"]
        with metrics.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.truncate(rng.randint(min(synced, size), size))
            file.seek(0, os.SEEK_END)
            file.write(rng.choice([b"", b"17", b"\0" * 99, b"99,9\n", bytes(range(128, 200))]))
        for events in run.glob("events.*"):
            with events.open("ab") as file:
                file.write(rng.choice([b"", b"\0" * 20, b"x" * 7]))
        (run / ".model.safetensors.1.part").write_bytes(b"half")
    if rng.random() < 0.3 and before.exists() and last.exists():
        whole = bytearray(last.read_bytes())
        whole[rng.randrange(len(whole))] ^= 0xFF
        last.write_bytes(whole[: rng.choice([len(whole), len(whole) // 2])])


def compare(alone: Path, killed: Path) -> None:
    """Hold every file of the one folder to the other's."""
    own = {"checkpoints/previous.ckpt", "checkpoints/damaged.ckpt", ".lock"}
    names = [
        {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()} - own
        for run in (alone, killed)
    ]
    names = [{n for n in each if not n.startswith("events.")} for each in names]
    assert names[0] == names[1], names[0] ^ names[1]
    apart = {"metrics.csv", "recipe.yaml", "report.html", "checkpoints/last.ckpt"}
    for name in sorted(names[0] - apart):
        assert (alone / name).read_bytes() == (killed / name).read_bytes(), name
    rows = [_rows(run) for run in (alone, killed)]
    assert rows[0] == rows[1]
    assert _tensors(alone) == _tensors(killed)
    assert _events(killed) == [(r["step"], r["loss"]) for r in rows[0] if r["loss"]]


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in WALL_TIME} for row in csv.DictReader(file)
        ]


def _tensors(run: Path) -> dict[str, bytes]:
    """Weights, averages and the optimizer's state, by their place in the checkpoint."""
    import torch

    found: dict[str, bytes] = {}

    def walk(value: Any, place: str) -> None:
        if isinstance(value, torch.Tensor):
            found[place] = value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        elif isinstance(value, dict | list | tuple):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                walk(item, f"{place}/{key}")

    walk(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True), "")
    assert found
    return found


def _events(run: Path) -> list[tuple[str, str]]:
    """The losses as TensorBoard shows them, in metrics.csv's form."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held = EventAccumulator(str(run))
    held.Reload()
    exact = {str(int(r["step"])): r["loss"] for r in _rows(run) if r["loss"]}
    told = []
    for event in held.Scalars("loss"):
        loss = exact[str(event.step)]
        told.append((str(event.step), loss if abs(event.value - float(loss)) < 1e-4 else "other"))
    return told


def main() -> None:
    from briskseg.data.synthetic import draw_dataset

    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BRISKSEG_CACHE"] = folder + "/cache"
        data = draw_dataset(Path(folder) / "data", train=8, val=2, size_hw=(32, 48), seed=7)
        survived = survive(data, Path(folder), kills, seed)
    print(f"survived {sum(survived.values())} stops, every file as in the run left alone")
    print(json.dumps(survived, indent=1))


if __name__ == "__main__":
    main()
