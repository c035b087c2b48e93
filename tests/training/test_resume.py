"""Shipped recipes, killed at told moments: every step trains on the samples it would have had, and
the run folder ends as if it had been left alone.

Of a recipe only what the tiny data sets ask for is changed: sizes, batches and the length.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from benchmarks import kills

KILL, TERM = signal.SIGKILL, signal.SIGTERM
Moment = tuple[str, int, signal.Signals]  # the phase and the step of the event that brings a signal


class Case(NamedTuple):
    """A shipped recipe, the fixture it is trained on, and what is changed of it."""

    recipe: str
    data: str
    changes: tuple[str, ...]
    last: int  # step


# epochs of three steps; validated after step 12, at the end of the fourth epoch, and after step 15
DEMO = Case("demo", "streets", ("data.size=null", "training.batch=4", "training.epochs=5"), 15)
MOMENTS: dict[str, list[Moment]] = {
    "after an epoch without validation": [("train", 7, KILL)],
    "after an epoch with validation": [("train", 13, KILL)],
    "again and again": [
        ("train", 2, KILL),
        ("train", 4, KILL),
        ("train", 7, TERM),
        ("train", 10, KILL),
        ("validate", 12, KILL),
        ("validated", 12, KILL),
        ("train", 13, KILL),
        ("train", 13, TERM),
        ("validated", 15, KILL),
    ],
}
OTHERS = (
    # epochs of four steps; validated after steps 20 and 24
    Case(
        "erfnet-camvid11",
        "camvid32",
        ("data.size=[32, 48]", "training.batch=2", "training.epochs=6"),
        24,
    ),
    # epochs of three steps, of whose samples half are drawn by class
    Case(
        "demo",
        "streets",
        (*DEMO.changes[:2], "training.epochs=4", "training.class_balanced=0.5"),
        12,
    ),
    # two stages of two epochs of three steps
    Case(
        "erfnet-cityscapes",
        "cityscapes",
        ("data.size=[16, 32]", "training.batch=2", "training.epochs=2", "training.ema=0.9"),
        12,
    ),
    Case(
        "erfnet-encoder-imagenet",
        "imagenet",
        ("data.size=32", "data.shorter_side=36", "training.batch=8", "training.epochs=4"),
        12,
    ),
)


def _sit(
    recipe: str, changes: list[str], run: Path, resume: bool, moment: Moment | None, told: Path
) -> None:
    """A session in this process: a line {step, names} a step in `told`, a signal at the moment."""
    import torch

    from briskseg.core.errors import Interrupted
    from briskseg.recipe import load_recipe
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession

    multiprocessing.set_start_method("fork", force=True)  # as in a process that was not forked so
    torch.set_num_threads(1)

    def listen(event: dict) -> None:
        if event["phase"] == "train":
            with told.open("a") as file:
                file.write(json.dumps([event["step"], event["names"]]) + "\n")
        if moment is not None and (event["phase"], event.get("step")) == moment[:2]:
            os.kill(os.getpid(), moment[2])

    loaded = load_recipe(recipe, changes)
    session = RunSession(resume, "cpu", listener=listen)
    try:
        fit(loaded, run, session)
    except Interrupted as stop:
        raise SystemExit(stop.exit_status) from None


@pytest.fixture(scope="module")
def train(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Case, list[Moment]], tuple[Path, list[tuple[int, list[str]]]]]:
    """`train(case, moments)`: a run stopped at each moment in turn, and gone on with to its end.

    Returns the run folder, and the step and the names of every step of every session. A run that is
    left alone is trained once.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(kills.PRELOAD)
    alone: dict[Case, Path] = {}

    def train(case: Case, moments: list[Moment]) -> tuple[Path, list[tuple[int, list[str]]]]:
        run = tmp_path_factory.mktemp(case.recipe) / "run"
        if not moments:
            run = alone.setdefault(case, run)
        told = run.with_suffix(".txt")
        changes = [f"data.root={request.getfixturevalue(case.data)}", *case.changes]
        for number, moment in enumerate([*moments, None] if not told.exists() else []):
            words = (case.recipe, changes, run, number > 0, moment, told)
            process = server.Process(target=_sit, args=words)
            process.start()
            process.join()
            expected = 0 if moment is None else {KILL: -KILL, TERM: 75}[moment[2]]
            assert process.exitcode == expected, moment
        steps = [json.loads(line) for line in told.read_text().splitlines()]
        return run, [(step, names) for step, names in steps]

    return train


def assert_resumes_exactly(train: Callable, case: Case, moments: list[Moment]) -> None:
    alone, told = train(case, [])
    expected = dict(told)
    assert list(expected) == list(range(1, case.last + 1))
    killed, told = train(case, moments)
    for step, names in told:
        assert names == expected[step], f"step {step}"
    # a step that is stopped after is saved and not told
    stopped = {step + 1 for _, step, sent in moments if sent == TERM}
    assert {step for step, _ in told} | stopped == expected.keys()
    kills.compare(alone, killed)


@pytest.mark.parametrize("when", MOMENTS)
def test_a_run_goes_on_with_the_samples_and_to_the_weights_it_would_have_had(
    when: str, train: Callable
) -> None:
    assert_resumes_exactly(train, DEMO, MOMENTS[when])


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.recipe)
def test_so_does_one_of_another_recipe_that_is_killed_at_epochs_ends_and_within_them(
    case: Case, train: Callable
) -> None:
    assert_resumes_exactly(
        train, case, [("train", 7, KILL), ("train", 7, TERM), ("train", 10, KILL)]
    )


def test_a_step_tells_which_samples_it_trained_on(train: Callable, streets: Path) -> None:
    """Each epoch every image once, in an order of its own."""
    _, told = train(DEMO, [])
    images = sorted(path.stem for path in (streets / "images" / "train").iterdir())
    epochs = [[name for _, names in told[k : k + 3] for name in names] for k in (0, 3)]
    assert epochs[0] != epochs[1]
    assert [sorted(names) for names in epochs] == [images, images]
