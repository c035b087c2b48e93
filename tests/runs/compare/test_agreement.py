"""The numbers of `compare` against plain loops over made-up curves, and its verdict."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest


def falling(n: int, seed: int = 0, noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.5 + 2.5 * np.exp(-np.arange(n) / 30)) * (1 + noise * rng.normal(size=n))


def test_errors_are_those_of_a_plain_loop(run_of, found) -> None:
    a, b = falling(200, 1, 0.05), falling(200, 2, 0.05)
    result = found(run_of("a", a), run_of("b", b))
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    relative = sum(abs(y - x) / x for x, y in pairs) / 200
    absolute = sum(abs(y - x) for x, y in pairs) / 200
    assert result["mean_relative_error"] == pytest.approx(relative, rel=1e-12)
    assert result["mean_absolute_error"] == pytest.approx(absolute, rel=1e-12)
    # signed, as the vendor's scripts have it: ups and downs cancel
    signed = sum((y - x) / x for x, y in pairs) / 200
    assert result["mean_relative_difference"] == pytest.approx(signed, rel=1e-9)
    assert abs(signed) < relative / 3
    worst = max(range(200), key=lambda i: abs(b[i] - a[i]) / a[i])
    assert result["widest"]["at"] == worst + 1
    assert (result["points"], result["interpolated"]) == (200, 0)


def test_a_lower_loss_is_no_pass(run_of, found) -> None:
    result = found(run_of("a", falling(50)), run_of("b", falling(50) * 0.8))
    assert result["mean_relative_difference"] == pytest.approx(-0.2)
    assert (result["status"], result["within"]) == (1, False)


def test_the_rule_passes_by_either_bound_and_both_can_be_set(run_of, command) -> None:
    a = run_of("a", falling(40))
    near = run_of("near", falling(40) * 1.024)
    done = command("compare", a, near)
    assert done.status == 0
    last = done.out.splitlines()[-1]
    assert last.startswith("EQUAL within the rule: MeanRelativeError 0.024 <= 0.05 (MeanAbsolute")
    tiny, tinier = run_of("tiny", [1e-4] * 9), run_of("tinier", [2e-4] * 9)
    done = command("compare", tiny, tinier)
    assert done.status == 0
    assert done.out.splitlines()[-1] == (
        "EQUAL within the rule: MeanAbsoluteError 0.0001 <= 0.0002 "
        "(MeanRelativeError 1 > 0.05; one is enough)"
    )
    done = command("compare", a, near, "--mre", "0.02")
    assert done.status == 1
    assert "NOT EQUAL: MeanRelativeError 0.024 > 0.02 and MeanAbsoluteError" in done.out
    assert command("compare", a, near, "--mre", "0.02", "--mae", "1").status == 0


def test_equal_to_the_last_bit_and_one_bit_off(run_of, found, command) -> None:
    a = falling(60, 3, 0.1)
    off = a.copy()
    off[41] = np.nextafter(off[41], 9)
    first, same, other = run_of("a", a), run_of("b", a), run_of("c", off)
    result = found(first, same)
    assert (result["same_log"], result["first_difference"], result["parts_at"]) == (
        True,
        None,
        None,
    )
    out = command("compare", first, same).out
    assert "EQUAL TO THE LAST BIT of the logs" in out
    assert "the runs part      never" in out
    result = found(first, other)
    assert (result["status"], result["same_log"], result["first_difference"]) == (0, False, 42)
    assert "EQUAL within the rule" in result["verdict"]


def test_a_log_that_goes_on_is_not_the_same_log(run_of, found) -> None:
    result = found(run_of("a", falling(30)), run_of("b", falling(50)))
    assert (result["same_log"], result["within"], result["points"]) == (False, True, 30)
    assert (result["a"]["last"], result["b"]["last"], result["last"]) == (30, 50, 30)


def test_a_run_that_ended_early_is_equal_as_far_as_it_went(run_of, found) -> None:
    whole, begun = run_of("a", falling(50)), run_of("b", falling(30))
    result = found(whole, begun)
    assert (result["status"], result["within"]) == (0, True)
    assert result["verdict"].endswith("one is enough), up to step 30; A goes on to step 50")
    # where it diverged its log ends too, as a loss that is no number is not written
    (begun / "checkpoints").mkdir()
    (begun / "checkpoints" / "diverged.json").write_text('{"step": 31, "found": "nan"}')
    result = found(whole, begun)
    assert (result["status"], result["within"], result["diverged"]) == (1, False, ["B"])
    assert result["verdict"] == "NOT EQUAL: B diverged; see the end of its log"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: b, None),
        (lambda b: np.where(np.arange(200) >= 120, b * 1.2, b), 121),
        (lambda b: np.where((np.arange(200) >= 50) & (np.arange(200) < 70), b * 2, b), None),
        (lambda b: np.where(np.arange(200) >= 120, b * 1.04, b), None),  # within the bound
        (lambda b: b * np.where(np.arange(200) % 7 == 0, 1.0, 1.3), 2),  # crossings do not count
        (lambda b: np.where(np.arange(200) == 199, b * 3, b), None),  # one point is no parting
        (lambda b: np.where(np.arange(200) >= 193, b * 100, b), 194),  # shorter than a stretch
        (lambda b: np.where(np.arange(200) >= 197, b * 100, b), 198),  # few, but unequal by them
        (lambda b: np.where(np.arange(200) == 199, b * 100, b), 200),
    ],
)
def test_where_the_runs_part(run_of, found, change, expected) -> None:
    a = falling(200)
    assert found(run_of("a", a), run_of("b", change(a)))["parts_at"] == expected


def test_runs_that_come_together_again_are_not_said_never_to_part(run_of, command) -> None:
    a = falling(200)
    b = np.where(np.arange(200) < 70, a * 2, a)
    done = command("compare", run_of("a", a), run_of("b", b))
    assert "NOT EQUAL" in done.out
    assert "the runs part      not for good: at the end they are near" in done.out


def test_smoothing_averages_the_steps_before(run_of, found) -> None:
    a, b = falling(80, 4, 0.2), falling(80, 5, 0.2)
    result = found(run_of("a", a, every=10), run_of("b", b, every=10), "--smooth", 70)

    def mean_before(values: np.ndarray) -> np.ndarray:
        return np.array([values[max(0, i - 6) : i + 1].mean() for i in range(len(values))])

    a, b = mean_before(a), mean_before(b)
    assert result["mean_relative_error"] == pytest.approx(np.mean(np.abs(b - a) / a), rel=1e-12)
    assert result["smoothed_over"] == 70


def test_alignment_by_step_samples_and_time(run_of, found) -> None:
    a, b = falling(100, 6), falling(40, 7, 0.1)
    runs = (
        run_of("a", a, every=10, batch=4, pace=0.5),
        run_of("b", b, every=25, batch=8, pace=0.3),
    )
    for axis, per_a, per_b in (("step", 10, 25), ("samples", 40, 200), ("time", 5.0, 7.5)):
        places, others = per_a * np.arange(1, 101), per_b * np.arange(1, 41)
        shared = (places >= others[0]) & (places <= others[-1])
        expected = np.interp(places[shared], others, b)
        error = np.mean(np.abs(expected - a[shared]) / a[shared])
        result = found(*runs, "--by", axis)
        assert result["by"] == axis
        assert result["points"] == shared.sum()
        assert result["mean_relative_error"] == pytest.approx(error, rel=1e-9)
        assert result["interpolated"] == np.isin(places[shared], others, invert=True).sum()


def test_a_loss_that_is_no_number_is_never_equal(run_of, found, command) -> None:
    a, b = falling(50), falling(50)
    b[30:33] = np.nan
    runs = run_of("a", a), run_of("b", b)
    result = found(*runs)
    assert (result["status"], result["within"]) == (1, False)
    assert result["no_numbers_at"] == [31, 32, 33]
    assert result["mean_relative_error"] == 0
    last = command("compare", *runs).out.splitlines()[-1]
    assert last.startswith("NOT EQUAL: loss is no finite number at 3 points, first at step 31 (A 1")
    assert last.endswith("B nan)")
    smooth = found(*runs, "--smooth", 2)
    assert smooth["no_numbers_at"] == [31, 32, 33, 34]  # and no further
    both = found(runs[1], runs[1])
    assert (both["status"], both["no_numbers_at"]) == (1, [31, 32, 33])


def test_a_reference_of_zero_has_no_relative_error(run_of, found) -> None:
    result = found(run_of("a", [1.0, 0.0, 0.0]), run_of("b", [1.0, 0.0, 1e-5]))
    assert result["mean_relative_error"] is None  # infinite
    assert result["mean_absolute_error"] == pytest.approx(1e-5 / 3)
    assert (result["status"], result["within"]) == (0, True)


def test_a_resumed_runs_later_rows_count(run_of, found) -> None:
    run = run_of("a", [3.0, 2.0, 1.0])
    again = run_of("b", [3.0, 9.0, 9.0])
    with (again / "metrics.csv").open("a") as file:
        file.write("2,0,8,1.0,2.0,\n3,0,12,1.5,1.0,\n")
    assert found(run, again)["same_log"]


def test_other_keys_than_the_loss(run_of, found) -> None:
    result = found(run_of("a", falling(40)), run_of("b", falling(30)), "--key", "val_miou")
    assert (result["a"]["key"], result["points"]) == ("val_miou", 3)


def test_the_picture_shows_both(run_of, command, tmp_path) -> None:
    runs = run_of("first", falling(60, 1, 0.1)), run_of("second", falling(60) * 1.3)
    for name in ("a.svg", "b.svg", "c.png"):
        status = command("compare", *runs, "--smooth", 5, "--plot", tmp_path / name).status
        assert status == 1
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for label in ("A  first", "B  second", "part at step 1", "bound 0.05", "NOT EQUAL"):
        assert f"<!-- {label}" in text
    from briskseg.core.images import image_size

    assert image_size(tmp_path / "c.png") == (720, 1080)


def test_a_long_verdict_fits_on_the_picture(run_of, command, tmp_path) -> None:
    runs = run_of("first", falling(60)), run_of("second", falling(40) * 1.02)
    assert command("compare", *runs, "--plot", tmp_path / "a.svg").status == 0
    lines = re.findall(r"<!-- (.*?) -->", html.unescape((tmp_path / "a.svg").read_text()))
    first = next(number for number, line in enumerate(lines) if "EQUAL within the rule" in line)
    assert lines[first + 1].endswith("A goes on to step 60")
    assert len(lines[first]) <= 90  # 9 inches hold some 100
