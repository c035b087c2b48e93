"""Compiling the network: the same numbers where it works, one sentence where it does not."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from briskseg.core.errors import Interrupted
from briskseg.training.compiling import LEAST_STEPS, compile_network, pays
from briskseg.training.stopping import Stop

CPU, SHAPE = torch.device("cpu"), (2, 3, 64, 64)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward_train(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = torch.relu(self.norm(self.conv(x)))
        return {"logits": y, "half": y[..., ::2]}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_a_compiled_network_gives_the_same_and_its_trial_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    net, other = Small(), Small()
    forms = compile_network(net, ("forward_train",), SHAPE, CPU, nullcontext())
    assert set(forms) == {"forward_train"}
    assert all(a.equal(b) for a, b in zip(net.buffers(), other.buffers(), strict=True))
    assert all(p.grad is None for p in net.parameters())
    images = torch.randn(SHAPE).to(memory_format=torch.channels_last)
    for name, output in forms["forward_train"](images).items():
        torch.testing.assert_close(output, other.forward_train(images)[name])


STAGES = "[{output: encoder}, {output: logits}]"


@pytest.mark.parametrize(
    ("changes", "called"),
    [
        ([], ["forward_train"] * 2),
        (["training.loss.auxiliary=0"], ["forward"] * 2),
        (["training.compile=false"], []),
        (["training.compile=null"], []),  # only a GPU is worth it unasked
        (
            ["model.name=erfnet", f"training.stages={STAGES}", "training.loss.class_weights=none"],
            ["forward_encoder"] * 2 + ["forward_train"] * 2,
        ),
    ],
    ids=["auxiliary", "main", "false", "null", "stages"],
)
def test_training_goes_through_the_compiled_forms(
    changes: list[str],
    called: list[str],
    streets: Path,
    tmp_path: Path,
    command: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []

    def recording(network: nn.Module, names: Sequence[str], *_: object) -> dict:
        with warnings.catch_warnings():  # which the compiler's parts give on import
            warnings.simplefilter("ignore")
            torch.compiler.cudagraph_mark_step_begin()

        def form(name: str) -> Callable:
            def run(images: torch.Tensor) -> object:
                taken.append(name)
                return getattr(network, name)(images)

            return run

        return {name: form(name) for name in names}

    monkeypatch.setattr("briskseg.training.segmentation_task.compile_network", recording)
    brief = ["data.size=null", "training.epochs=null", "training.steps=2", "training.batch=2"]
    brief += ["training.compile=true", "training.precision=float32", *changes]
    words = [f"--set={change}" for change in brief]
    done = command("train", "demo", "--data", streets, "--out", tmp_path / "run", *words)
    assert done.status == 0, done.err
    assert taken == called


@pytest.mark.parametrize("compiles", [True, False])
def test_what_is_compiled_runs_in_no_mode_that_would_have_it_compiled_anew(
    compiles: bool,
    streets: Path,
    tmp_path: Path,
    command: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered = []

    class Mode(contextlib.AbstractContextManager):
        def __exit__(self, *_: object) -> None:
            entered.append(True)

    def forms(network: nn.Module, names: Sequence[str], *_: object) -> dict:
        with warnings.catch_warnings():  # which the compiler's parts give on import
            warnings.simplefilter("ignore")
            torch.compiler.cudagraph_mark_step_begin()
        return {name: getattr(network, name) for name in names} if compiles else {}

    monkeypatch.setattr("briskseg.training.segmentation_task.compile_network", forms)
    monkeypatch.setattr("briskseg.training.train_step.fast_depthwise_gradients", lambda *_: Mode())
    changes = ["data.size=null", "training.epochs=null", "training.steps=2", "training.batch=2"]
    changes += ["training.compile=true", "training.precision=float32"]
    words = [f"--set={change}" for change in changes]
    done = command("train", "demo", "--data", streets, "--out", tmp_path / "run", *words)
    assert done.status == 0, done.err
    assert bool(entered) != compiles


def test_where_compiling_fails_the_network_stays_as_it_is_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/no/such/compiler",))
    torch._dynamo.reset()
    net, other = Small(), Small()
    with caplog.at_level(logging.WARNING):
        assert compile_network(net, ("forward_train",), SHAPE, CPU, nullcontext()) == {}
    (message,) = caplog.messages
    assert "/no/such/compiler" in message
    assert "the network is trained uncompiled" in message
    assert len(message.splitlines()) == 1
    assert all(a.equal(b) for a, b in zip(net.buffers(), other.buffers(), strict=True))


@pytest.mark.parametrize("hears", [True, False], ids=["a run", "a call"])
def test_an_interrupt_while_compiling_interrupts(
    hears: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C within torch's compiler, which wraps what is raised there in an error of its own."""

    def compiler(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda form, **_: real(form, backend=compiler))
    caplog.set_level(logging.WARNING)
    torch._dynamo.reset()
    net, other = Small(), Small()
    expected = pytest.raises(Interrupted if hears else KeyboardInterrupt)
    with expected as stopped, Stop() if hears else contextlib.nullcontext():
        compile_network(net, ("forward_train",), SHAPE, CPU, contextlib.nullcontext())
    assert caplog.messages == []
    assert not hears or str(stopped.value).startswith("interrupted; what was saved before is kept")
    assert all(a.equal(b) for a, b in zip(net.buffers(), other.buffers(), strict=True))


def test_only_a_long_run_on_a_gpu_is_compiled_unasked() -> None:
    gpu = torch.device("cuda")
    assert [pays(None, gpu, steps) for steps in (LEAST_STEPS - 1, LEAST_STEPS)] == [False, True]
    assert not pays(None, CPU, LEAST_STEPS)
    assert pays(True, CPU, 1)
    assert not pays(False, gpu, LEAST_STEPS)


def test_a_signal_while_compiling_stops_the_run_though_the_compiler_wraps_it(
    streets: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(method: Callable, **_: object) -> Callable:
        def run(images: torch.Tensor) -> object:
            try:
                signal.raise_signal(signal.SIGTERM)
            except Exception as error:
                raise RuntimeError("backend compiler failed") from error
            return method(images)

        return run

    monkeypatch.setattr("torch.compile", compiled)
    brief = ["data.size=null", "training.steps=2", "training.batch=2", "training.compile=true"]
    words = [f"--set={change}" for change in brief]
    done = command("train", "demo", "--data", streets, "--out", tmp_path / "run", *words)
    assert done.status == 75, done.err
    assert "stopped by SIGTERM" in done.err
    assert "does not work here" not in done.err
