"""What goes wrong around a run, through the command: a sentence, and a run that can go on."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file
from tests.training.conftest import rows

from briskseg.core.errors import RequestError, TrainingError
from briskseg.data.synthetic import draw_dataset
from briskseg.runs.lock import locked
from briskseg.runs.run_folder import RunFolder
from briskseg.training import friendly_errors
from briskseg.training.log import Diverged, Log
from briskseg.training.samples.sampler import EpochBatches

SMALL = [
    "--set=data.size=null", "--set=training.batch=4", "--set=training.epochs=3",
    "--set=training.validate_every=1", "--set=training.log_every=1",
    "--set=training.precision=float32", "--set=training.schedule={name: constant}",
]  # fmt: skip
ENDS = {"scores.json", "model.safetensors"}
# What torch raises from a signal's handler is lost where that comes in a weak reference's callback.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command that trains six steps in tmp_path/run, on data of this test's own."""
    data = draw_dataset(tmp_path / "data", train=8, val=2, size_hw=(32, 48), seed=7)
    return ["train", "demo", "--data", str(data), "--out", str(tmp_path / "run"), *SMALL]


@contextmanager
def when(run: Path, step: int, act: Callable[[], object]) -> Iterator[None]:
    """Do something once a run's metrics have the row of this step, before it goes on."""
    logged = Log.step

    def then_act(self: Log, number: int, *words: object) -> None:
        logged(self, number, *words)
        if self.path.parent == run and number == step:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "step", then_act)
        yield


def loading_processes() -> list[int]:
    """Children that were forked from this process, and so have its command line."""
    own = Path("/proc/self/cmdline").read_bytes()
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes() == own]


def goes_on(command: Callable, words: list[str], run: Path) -> None:
    done = command(*words, "--resume")
    assert done.status == 0, done.err
    assert {p.name for p in run.iterdir()} >= ENDS
    assert [int(r["step"]) for r in rows(run) if r["loss"]] == list(range(1, 7))


@pytest.mark.parametrize("bytes_", [1000, 200_000])
def test_a_full_disk(bytes_: int, words: list[str], tmp_path: Path, command: Callable) -> None:
    """Files may grow so far and no further: those of the log, or those of the weights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        done = command(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.status == 1
    assert "File too large" in done.err
    assert "go on with: briskseg train demo" in done.err
    assert "Traceback" not in done.err
    goes_on(command, words, tmp_path / "run")


def test_a_folder_that_cannot_be_made(words: list[str], tmp_path: Path, command: Callable) -> None:
    (tmp_path / "file").write_text("")
    done = command(*words, "--out", tmp_path / "file" / "run")
    assert done.status == 2
    assert "cannot be written: Not a directory; name another folder" in done.err


def test_a_folder_that_may_not_be_written_any_more(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"

    def forbid() -> None:
        if os.geteuid() == 0:  # whom no folder's mode keeps out
            os.seteuid(65534)
        else:
            run.chmod(0o555)
            (run / "checkpoints").chmod(0o555)

    def allow() -> None:
        if os.getuid() == 0:
            os.seteuid(0)
        else:
            run.chmod(0o755)
            (run / "checkpoints").chmod(0o755)

    try:
        with when(run, 3, forbid):
            done = command(*words)
    finally:
        allow()
    assert done.status == 1
    assert "Permission denied; " in done.err
    assert "make it writable, and go on with: briskseg train demo" in done.err
    goes_on(command, words, run)


@pytest.mark.parametrize(
    ("spoil", "told", "workers"),
    [
        (lambda path: path.write_bytes(b"rubbish" * 99), "cannot be read as an image", 1),
        (lambda path: path.unlink(), "no such file", 0),
    ],
    ids=["rubbish", "vanished"],
)
def test_an_image_spoiled_within_a_run(
    spoil: Callable, told: str, workers: int, words: list[str], tmp_path: Path, command: Callable
) -> None:
    run, image = tmp_path / "run", min((tmp_path / "data/images/train").iterdir())
    whole = image.read_bytes()
    words = [*words, "--set=data.cache_gb=0", f"--set=training.workers={workers}"]
    with when(run, 1, lambda: spoil(image)):
        done = command(*words)
    assert done.status == 1
    assert f"{image}: {told}" in done.err
    assert "go on with: briskseg train demo" in done.err
    image.write_bytes(whole)
    goes_on(command, words, run)


def test_a_log_deleted_within_a_run(words: list[str], tmp_path: Path, command: Callable) -> None:
    run = tmp_path / "run"
    with when(run, 4, (run / "metrics.csv").unlink):
        done = command(*words)
    assert done.status == 1
    assert "metrics.csv: No such file or directory; the run is kept up to step" in done.err
    done = command(*words, "--resume")
    assert done.status == 0
    assert "metrics.csv is missing: its rows to step" in done.err


def test_a_loading_process_that_is_killed(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run, words = tmp_path / "run", [*words, "--set=training.workers=1"]

    with when(run, 3, lambda: [os.kill(pid, signal.SIGKILL) for pid in loading_processes()]):
        done = command(*words)
    assert done.status == 1
    assert "the system ended a loading process" in done.err, done.err[-900:]
    assert "the run is kept up to step" in done.err
    goes_on(command, words, run)


def test_a_second_report_of_killed_loading_processes_changes_no_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch raises it from a signal's handler, so also while the first one is made a sentence."""
    reports = [
        RuntimeError(f"DataLoader worker (pid {n}) is killed by signal: Killed. ") for n in "12"
    ]
    real = friendly_errors._recognized

    def interrupted(error: Exception, folder: RunFolder) -> tuple[str, str] | None:
        if reports:
            raise reports.pop()
        return real(error, folder)

    monkeypatch.setattr(friendly_errors, "_recognized", interrupted)
    with (
        pytest.raises(TrainingError, match=r"ended a loading process.*go on with: again"),
        friendly_errors.friendly_errors(RunFolder(tmp_path), "again"),
    ):
        raise reports.pop()


def test_a_killed_loading_process_changes_no_sentence_on_a_loss_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")]
    (tmp_path / "checkpoints").mkdir()
    real = friendly_errors._saved

    def interrupted(folder: RunFolder) -> str:
        if reports:
            raise reports.pop()
        return real(folder)

    monkeypatch.setattr(friendly_errors, "_saved", interrupted)
    with (
        pytest.raises(TrainingError, match=r"no checkpoint was due yet.*training\.clip=1"),
        friendly_errors.friendly_errors(RunFolder(tmp_path), "again"),
    ):
        raise friendly_errors.Diverged("the loss became nan at step 3", 3)


def test_a_run_that_diverged_goes_on_more_gently(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    jump = "--set=training.schedule={name: step, milestones: [2], factors: [1.0e+30]}"
    run, words = tmp_path / "run", [*words, jump]
    done = command(*words)
    assert done.status == 1
    named = re.search(r"the loss became \S+ at step \d+ on the images ([^;]+);", done.err)
    assert named is not None
    images = {path.stem for path in (tmp_path / "data/images/train").iterdir()}
    assert len(set(named[1].split(", ")) & images) == 4
    assert "the run is kept up to step 2" in done.err
    assert "--resume --set training.clip=1" in done.err
    refused = command(*words, "--resume", "--set=training.seed=5")
    assert refused.status == 2
    done = command(*words, "--resume", "--set=training.optimizer.lr=1e-36")
    assert done.status == 0, done.err
    assert "goes on from step 2 with another training.optimizer.lr was 0.003" in done.err
    assert (run / "recipe-to-step-2.yaml").exists()
    assert float(rows(run)[3]["lr"]) == pytest.approx(1e-6)  # step 3, times the factor
    again = command(*words, "--resume")
    assert again.status == 2


def test_a_seed_that_diverged_goes_on_more_gently_than_the_finished_ones(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run, words = tmp_path / "run", [*words, "--set=training.epochs=2", "--repeat=2"]

    def spoil() -> None:
        raise Diverged("the loss became nan at step 3", 3)

    with when(run / "seed-1", 3, spoil):
        done = command(*words)
    assert done.status == 1
    cure = re.search(r"with: (\S+ train .*--set training.clip=1) ", done.err)
    assert cure is not None, done.err
    kept = (run / "seed-0" / "model.safetensors").read_bytes()
    done = command(*shlex.split(cure[1])[1:])
    assert done.status == 0, done.err
    assert "seed 0 (1/2): finished before, and stays as it is: training.clip was None" in done.err
    assert (run / "seed-0" / "model.safetensors").read_bytes() == kept
    assert json.loads((run / "repeat.json").read_text())["seeds"] == [0, 1]
    assert (
        command("train", "--out", run, "--resume", "--repeat=2").status == 0
    )  # by seed 0's recipe
    single = command("train", "--out", run, "--resume")
    assert (
        single.status,
        f"--repeat 2 or more, or with one of them, as --out {run}" in single.err,
    ) == (2, True)


def test_the_printed_command_goes_on_where_the_recipe_was_chosen_for_few_images(
    tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    data = draw_dataset(tmp_path / "data", train=4, val=2, size_hw=(32, 48), seed=7)
    small = ["--set=augment.size=[32, 48]", "--set=training.epochs=3", "--set=training.workers=0"]
    with when(run, 2, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        done = command("train", "--data", data, "--out", run, *small)
    assert done.status == 75, done.err
    assert "in batches of 4: train has 4 images" in done.err
    printed = re.search(r"go on with: (.+)", done.err)
    assert printed is not None
    assert command(*shlex.split(printed[1])[1:]).status == 0
    # and the run's own recipe, wherever the data are now
    data.rename(tmp_path / "elsewhere")
    again = command("train", "--resume", "--out", run, "--data", tmp_path / "elsewhere")
    assert (again.status, "none is left to train" in again.err) == (0, True), again.err


def test_a_class_name_with_a_comma_doubles_no_row(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    # the checkpoint before the last is then of the same step, ahead of its validation
    words += ["--set=training.epochs=1"]
    run, names = tmp_path / "run", tmp_path / "data" / "classes.txt"
    text = names.read_text()
    first = text.split()[0]
    names.write_text(text.replace(first, f'"{first}, wet"', 1))
    assert command(*words).status == 0
    assert '"val_iou/' in (run / "metrics.csv").read_text().partition("\n")[0]
    before = (run / "metrics.csv").read_bytes()
    (run / "checkpoints" / "last.ckpt").unlink()
    done = command(*words, "--resume")
    assert done.status == 0, done.err
    steps = [(row["step"], bool(row["val_miou"])) for row in rows(run)]
    assert len(steps) == len(set(steps))
    assert len((run / "metrics.csv").read_bytes().splitlines()) == len(before.splitlines())


def test_a_train_split_without_images_is_a_sentence(tmp_path: Path, command: Callable) -> None:
    data = draw_dataset(tmp_path / "data", train=1, val=1, size_hw=(32, 48), seed=7)
    for part in ("images", "labels"):  # in no split: the only pair is drawn for val
        for file in (data / part / "val").iterdir():
            file.rename(data / part / file.name)
        for folder in ("train", "val"):
            shutil.rmtree(data / part / folder, ignore_errors=True)
    done = command("train", "demo", "--data", data, "--out", tmp_path / "run", *SMALL, "--no-check")
    assert done.status == 2, done.err
    assert "no labeled image in its train split" in done.err
    with pytest.raises(RequestError, match=r"has only 1; add images, or train on fewer devices$"):
        EpochBatches(1, 1, 0, world=2)


def test_a_first_stage_leaves_its_encoder_however_seldom_it_validates(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    stages = "--set=training.stages=[{output: encoder}, {output: logits}]"
    changes = ["--set=model.name=erfnet", stages, "--set=training.validate_every=5"]
    changes += ["--set=training.loss.class_weights=none", "--set=training.epochs=1"]
    done = command(*words, *changes)
    assert done.status == 0, done.err
    assert (tmp_path / "run" / "encoder.safetensors").is_file()


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGHUP", 129)])
def test_a_signal_saves_and_says_how_to_go_on(
    name: str, status: int, words: list[str], tmp_path: Path, command: Callable
) -> None:
    """Every process of the job gets it, the loading one first."""
    run, words = tmp_path / "run", [*words, "--set=training.workers=1"]

    def signal_all() -> None:
        # from another process: a loading process does as its own training process says
        processes = map(str, [*loading_processes(), os.getpid()])
        subprocess.run(["kill", f"-{name.removeprefix('SIG')}", *processes], check=True)

    with when(run, 3, signal_all):
        done = command(*words)
    assert done.status == status
    assert f"briskseg: stopped by {name}" in done.err
    assert "saved, go on with: briskseg train demo" in done.err
    if name == "SIGTERM":
        goes_on(command, words, run)


def test_a_clock_that_jumps(
    words: list[str], tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**10, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    assert command(*words).status == 0
    seconds = [float(r["seconds"]) for r in rows(tmp_path / "run")]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0
    assert seconds[-1] < 3600
    assert all(float(r["images_per_s"]) > 0 for r in rows(tmp_path / "run") if r["loss"])


def test_a_second_process_is_refused(words: list[str], tmp_path: Path, command: Callable) -> None:
    run = tmp_path / "run"
    run.mkdir()
    hold = "import sys; from pathlib import Path; from briskseg.runs.lock import locked\n"
    hold += "with locked(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", hold, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    done = command(*words)
    process.kill()  # the lock goes with its process
    process.communicate()
    assert done.status == 2
    assert f"{run} is being trained by process {process.pid} on" in done.err
    with locked(run, print):
        pass


def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    assert command(*words).status == 0
    whole = load_file(run / "model.safetensors")
    last = run / "checkpoints" / "last.ckpt"
    damaged = bytearray(last.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    last.write_bytes(damaged)
    done = command(*words, "--resume")
    assert "last.ckpt is damaged (BadZipFile); going on from the one before it, of step" in done.err
    goes_on(command, words, run)
    again = load_file(run / "model.safetensors")
    assert all((whole[name] == again[name]).all() for name in whole)
    for name in ("last", "previous"):
        (run / "checkpoints" / f"{name}.ckpt").write_bytes(b"")
    done = command(*words, "--resume")
    assert done.status == 1
    assert "restore it from a copy, or train again with another --out" in done.err


def test_a_checkpoint_of_an_older_version_is_refused_and_its_weights_can_be_taken(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert command(*words, "--set=training.epochs=1").status == 0
    lightning = {"pytorch-lightning_version": "2.6.6", "global_step": 2, "state_dict": {}}
    torch.save(lightning, last)
    done = command(*words, "--set=training.epochs=1", "--resume")
    assert done.status == 2
    assert f"{last} was written by briskseg before its training loop was its own" in done.err
    assert f"--set model.weights={run}" in done.err
    assert command("report", run).status == 0
    begun = command(*words, f"--set=model.weights={run}", "--out", tmp_path / "other")
    assert begun.status == 0, begun.err


def test_a_log_torn_after_the_last_step_is_cut_at_the_checkpoint(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run = tmp_path / "run"
    assert command(*words).status == 0
    (run / "scores.json").unlink()  # as if killed while the best weights were scored
    metrics = run / "metrics.csv"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole + b"99,9\n")
    assert command(*words, "--resume").status == 0
    assert metrics.read_bytes() == whole


def test_other_images_than_the_run_began_with(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    assert command(*words).status == 0
    for part in ("images", "labels"):
        min((tmp_path / "data" / part / "train").iterdir()).unlink()
    done = command(*words, "--resume")
    assert done.status == 2
    assert "begun with 8 images in train, and now it has 7" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda names: [names[1], names[0], *names[2:]], "class 0 was '{0}' and is '{1}'"),
        (lambda names: [*names, "vehicle"], "{n} classes then, {more} now"),
    ],
)
def test_other_classes_than_the_run_began_with(
    change: Callable, said: str, words: list[str], tmp_path: Path, command: Callable
) -> None:
    assert command(*words).status == 0
    listed = tmp_path / "data" / "classes.txt"
    lines = [line.split() for line in listed.read_text().splitlines()]
    names = [name for name, *_ in lines if name != "ignore"]
    listed.write_text("".join(f"{line}\n" for line in [*change(names), "ignore 255"]))
    done = command(*words, "--resume")
    assert done.status == 2, done.err
    assert said.format(*names, n=len(names), more=len(names) + 1) in done.err


def test_several_seeds_and_their_spread(
    words: list[str], tmp_path: Path, command: Callable
) -> None:
    run, words = tmp_path / "run", [*words, "--set=training.epochs=1", "--repeat=2"]
    with when(run / "seed-1", 1, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        done = command(*words)
    assert done.status == 75
    assert "--repeat 2 --resume" in done.err
    kept = (run / "seed-0" / "scores.json").stat().st_mtime_ns
    done = command(*words, "--resume")
    assert done.status == 0, done.err
    assert (run / "seed-0" / "scores.json").stat().st_mtime_ns == kept
    told = json.loads((run / "repeat.json").read_text())
    each = [
        json.loads((run / f"seed-{s}" / "scores.json").read_text())["miou"] for s in told["seeds"]
    ]
    assert told["scores"]["miou"]["each"] == each
    assert told["scores"]["miou"]["mean"] == pytest.approx(sum(each) / 2)
    assert told["scores"]["miou"]["sd"] == pytest.approx(abs(each[0] - each[1]) / 2**0.5)
    assert each[0] != each[1]
    assert "standard deviation" in done.out
    other = command(*words, "--resume", "--set=training.optimizer.lr=0.5", "--repeat=3")
    assert (other.status, "training.optimizer.lr was 0.003, now 0.5" in other.err) == (2, True)
    assert f"{run / 'seed-0' / 'report.html'}: a page for each run" in done.out
    assert all((run / f"seed-{seed}" / "report.html").is_file() for seed in (0, 1))
    named = command("evaluate", run, "--data", "streets").err
    assert f"name one of them: {run / 'seed-0'}" in named
    assert "Road" in done.out
    assert command(*words).status == 2


def test_an_interrupt_before_the_first_step_offers_nothing_to_resume(
    words: list[str], tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("briskseg.training.segmentation_task.begin_network", interrupted)
        done = command(*words)
    assert done.status == 130
    assert done.err.endswith("interrupted before the first step; give the same command again\n")
    assert command(*words, "--set=training.epochs=1").status == 0
