"""Reading curves: other tools' logs give the same comparison as ours; wrong ones are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

LOSSES = [float(np.float32(3 * math.exp(-n / 9) + 0.1 * math.sin(n))) for n in range(40)]


def scalars(path: Path, losses: list[float]) -> Path:
    """As MMEngine's LocalVisBackend writes it: a line every 50 iterations, and validations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for count, loss in enumerate(losses, start=1):
        step = 50 * count
        lines.append(
            {"lr": 0.01, "data_time": 0.01, "loss": loss, "decode.loss_ce": loss, "time": 0.2}
            | {"epoch": 1 + count // 30, "iter": step, "memory": 5000, "step": step}
        )
        if count % 20 == 0:
            lines.append({"aAcc": 90.0, "mIoU": 70.0, "time": 0.05, "step": step})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_tensorboard(run_of, found, tmp_path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    folder = tmp_path / "events"
    with tensorboard.SummaryWriter(folder) as writer:
        for step, loss in enumerate(LOSSES, start=1):
            writer.add_scalar("train/loss", loss, step, walltime=1000 + step)
            writer.add_scalar("other", 5.0, step)
        for step, loss in enumerate(LOSSES, start=1):  # as a tensor, like TensorFlow 2 writes
            writer.add_scalar("new", loss, step, new_style=True)
    keys = ("--key", "loss", "--key", "train/loss")
    result = found(run_of("a", LOSSES), folder, *keys)
    assert (result["same_log"], result["points"], result["status"]) == (True, 40, 0)
    (file,) = folder.iterdir()
    assert found(run_of("b", LOSSES), file, *keys)["same_log"]
    assert found(folder, file, "--key", "new", "--key", "train/loss")["same_log"]


def test_tensorboard_keeps_every_event(run_of, found, tmp_path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(tmp_path / "events") as writer:
        for step in range(10_500):  # its own reader thins them out beyond 10 000
            writer.add_scalar("loss", step, step)
    assert found(tmp_path / "events", tmp_path / "events")["points"] == 10_500


def test_mmengine(run_of, found, tmp_path) -> None:
    work = tmp_path / "work"
    file = scalars(work / "20250101_000000/vis_data/scalars.json", LOSSES)
    ours = run_of("a", LOSSES, every=50, pace=0.2)
    for log in (work, file, file.parent, file.parent.parent):
        result = found(ours, log)
        assert (result["same_log"], result["b"]["last"]) == (True, 2000)
    assert found(ours, file, "--by", "time")["mean_relative_error"] < 1e-9  # 0.2 s an iteration
    assert found(file, file, "--key", "mIoU")["points"] == 2
    dated = file.rename(file.with_name("20250101_000000.json"))
    assert found(ours, dated)["same_log"]


def test_several_mmengine_runs_in_one_folder_are_not_mixed(refused, tmp_path) -> None:
    work = tmp_path / "work"
    for name in ("1", "2"):
        scalars(work / name / "vis_data/scalars.json", LOSSES)
    message = refused(work, work)
    assert "holds the logs of several runs; name one of" in message
    assert "2/vis_data/scalars.json" in message


def test_mmcv_counts_within_epochs_are_refused(refused, run_of, tmp_path) -> None:
    lines = ['{"env_info": "CUDA 11"}']
    lines += [
        json.dumps({"mode": "train", "epoch": e, "iter": i, "loss": 1.0, "time": 0.1})
        for e in (1, 2)
        for i in (50, 100)
    ]
    lines.append('{"mode": "val", "epoch": 2, "iter": 30, "mIoU": 0.5, "loss": 9.0}')
    log = tmp_path / "20200101.log.json"
    log.write_text("\n".join(lines))
    message = refused(run_of("a", LOSSES), log)
    assert "line 4: 'iter' begins again with epoch 2, and no 'step' counts" in message
    log.write_text("\n".join([*lines[:3], lines[-1]]))  # one epoch is clear
    from briskseg.runs.compare.logs import Log

    assert Log(log).read().positions["step"].tolist() == [50, 100]


def test_text_with_a_pattern(run_of, found, tmp_path) -> None:
    log = tmp_path / "train.log"
    log.write_text(
        "start\n"
        + "".join(f"[{n}/40] t={n * 0.5}s Loss: {loss!r} ok\n" for n, loss in enumerate(LOSSES, 1))
    )
    ours = run_of("a", LOSSES)
    full = r"\[(?P<step>\d+)/\d+\] t=(?P<time>[\d.]+)s Loss: (?P<loss>\S+)"
    assert found(ours, log, "--pattern", full)["same_log"]
    by_time = found(ours, log, "--pattern", full, "--by", "time")
    assert (by_time["same_log"], by_time["b"]["last"]) == (True, 20.0)
    # without a group for the step, matches are counted
    assert found(ours, log, "--pattern", r"Loss: (?P<loss>\S+)")["same_log"]
    two = tmp_path / "other.txt"
    two.write_text("".join(f"{loss!r}\n" for loss in LOSSES))
    patterns = ("--pattern", full, "--pattern", r"(?P<loss>.+)")
    assert found(log, two, *patterns)["same_log"]


def test_what_is_no_log_is_refused(refused, run_of, tmp_path) -> None:
    ours = run_of("a", LOSSES)
    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "train.log"
    text.write_text("step 1 loss x\n")
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"loss": 1.0, "step": 1}\n{"loss": 1.0, "st')
    strange = tmp_path / "strange.json"
    strange.write_text('{"loss": "low", "step": 1}\n')
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n")
    (tmp_path / "repeat" / "seed-0").mkdir(parents=True)
    for words, message in (
        ((tmp_path / "repeat",), "holds runs of several seeds (seed-0); name one of them: "),
        ((tmp_path / "none",), "none is not there, expected a run folder or a log file"),
        (
            (empty,),
            "empty holds no log that is known (metrics.csv, events.out.tfevents.*, vis_data",
        ),
        ((text,), "train.log is a text log; say how its lines name step and loss, for example"),
        ((text, "--pattern", "(?P<loss>"), "--pattern (?P<loss>: missing ), unterminated"),
        ((text, "--pattern", "loss (.)"), "has no group (?P<loss>...), its groups: none"),
        ((text, "--pattern", "(?P<loss>9)"), "matches none of the 1 lines of"),
        ((text, "--pattern", r"(?P<stp>\d) loss (?P<loss>.)"), "no use for the group 'stp'; did"),
        ((ours, "--key", "lss"), "metrics.csv has no column 'lss'; did you mean 'loss'?"),
        ((ours, "--by", "epoch"), "--by epoch: choices: step, samples, time"),
        ((ours, "--smooth", "0"), "--smooth 0: expected a number above 0"),
        ((ours, "--smooth", "inf"), "--smooth inf: expected a number above 0"),
        ((ours, "--mre", "inf"), "--mre inf: expected a bound of 0 or above"),
        ((ours, "--mre", "nan"), "--mre nan: expected a bound of 0 or above"),
        ((ours, "--key", "a", "--key", "b", "--key", "c"), "--key is given 3 times; give one"),
        ((ours, "--plot", "x.bmp"), "x.bmp is no kind of picture that can be written"),
        ((ours, "--plot", "nowhere/x.png"), "the folder nowhere is not there; make it"),
        ((ours, "--json", "nowhere/x.json"), "the folder nowhere is not there; make it"),
    ):
        assert message in refused(ours, *words)
    for words, message in (
        ((text, "--pattern", "loss (?P<loss>.)"), "line 1: the group 'loss' is 'x', expected a"),
        ((damaged,), "damaged.json, line 2: no JSON object; expected one a line"),
        ((strange,), "strange.json, line 1: 'loss' is 'low', expected a number"),
        ((table,), "table.csv has no column 'step' in its first line; expected metrics.csv"),
    ):
        assert message in refused(ours, *words, status=1)


def test_what_a_log_does_not_say_is_refused(refused, run_of, tmp_path) -> None:
    ours = run_of("a", LOSSES)
    log = scalars(tmp_path / "scalars.json", LOSSES)
    assert (
        "scalars.json does not say the samples of its rows; it allows --by step, --by time"
    ) in refused(ours, log, "--by", "samples")
    assert "scalars.json has no 'los'; did you mean 'loss'? choices: aAcc, decode" in refused(
        log, log, "--key", "los"
    )
    assert "the runs have no stretch in common" in refused(
        run_of("short", [1.0, 0.5]), scalars(tmp_path / "late.json", LOSSES)
    )
    begun = run_of("begun", [])
    assert "metrics.csv has no row with a 'loss': the run has just begun, or is shorter" in refused(
        begun, ours
    )


def test_a_table_that_a_spreadsheet_has_written(run_of, found, tmp_path) -> None:
    run, table = run_of("a", LOSSES), tmp_path / "table.csv"
    text = (run / "metrics.csv").read_text()
    table.write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert found(run, table)["same_log"]


@pytest.mark.parametrize("cut", ["41,0,164,20.5,0.0", "41,0,164,20.5,0.05\n", "41,0,164\n"])
def test_a_last_row_that_is_not_whole_is_left_out_and_said(run_of, command, found, cut) -> None:
    run, other = run_of("a", LOSSES), run_of("b", LOSSES)
    with (other / "metrics.csv").open("a") as file:
        file.write(cut)
    result = found(run, other)
    assert (result["same_log"], result["b"]["points"]) == (True, 40)
    assert (result["a"]["cut"], result["b"]["cut"]) == (False, True)
    said = "loss at 40 points, step 1 to step 40; its last line has no newline, and is left out"
    assert command("compare", run, other).out.count(said) == 1


def test_so_is_a_last_line_of_text(run_of, found, tmp_path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(f"step {n} loss {loss!r}\n" for n, loss in enumerate(LOSSES, 1)))
    with log.open("a") as file:
        file.write("step 41 loss 0.0")
    pattern = r"step (?P<step>\d+) loss (?P<loss>\S+)"
    result = found(run_of("a", LOSSES), log, "--pattern", pattern)
    assert (result["same_log"], result["b"]["cut"]) == (True, True)


def test_a_damaged_row_is_named(refused, run_of) -> None:
    run = run_of("a", LOSSES)
    with (run / "metrics.csv").open("a") as file:
        file.write("\n41,0,x,20.5,0.1,\n")  # an empty line counts where lines are counted
    assert "metrics.csv, line 47: 'samples' is 'x', expected a number" in refused(
        run, run, status=1
    )


def test_a_damaged_event_file_holds_nothing(refused, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    file = tmp_path / "events.out.tfevents.1.host"
    file.write_bytes(b"not at all")
    assert "has no tag 'loss'; it holds no scalars at all" in refused(file, file)
    file.unlink()
    file.symlink_to(tmp_path / "gone")
    assert "has no tag 'loss'; it holds no scalars at all" in refused(tmp_path, tmp_path)
