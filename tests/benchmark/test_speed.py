"""What a speed measurement is made of: stages of a frame, sums, spread, and the machine's peaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from briskseg.benchmark import roofline, speed
from briskseg.benchmark.speed import Candidate, Timing
from briskseg.benchmark.worker import STAGES, Stopwatch, open_predictor, serve
from briskseg.core.errors import BriskError
from briskseg.core.images import write_png


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
    return path


def test_a_frame_has_every_stage_and_runs_at_the_size_asked(
    weights_file: Path, image: Path
) -> None:
    stopwatch = Stopwatch(str(weights_file), "torch", None, (32, 48), str(image))
    frame = stopwatch.frame()
    assert tuple(frame) == STAGES
    assert all(milliseconds >= 0 for milliseconds in frame.values())
    predictor = open_predictor(weights_file, "torch", None, (32, 48))
    seen = predictor.logits(np.zeros((40, 64, 3), np.uint8)).shape
    assert seen == (3, 32, 48)


def test_requests_are_answered_and_a_damaged_file_is_a_sentence(
    weights_file: Path, image: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights_file.read_bytes()[:5000])
    answers: list[dict] = []
    opening = {"do": "open", "backend": "torch", "threads": None, "image": str(image)}
    requests = [
        {**opening, "path": str(damaged), "size_hw": [32, 48]},
        {**opening, "path": str(weights_file), "size_hw": [32, 48]},
        {"do": "frames", "seconds": 0, "least": 3},
    ]
    serve(map(json.dumps, requests), answers.append)
    failed, opened, measured = answers
    assert "damaged.safetensors" in failed["error"]
    assert opened == {}
    assert len(measured["frames"]) == 3
    assert measured["memory"] > weights_file.stat().st_size


def test_sums_percentiles_and_spread() -> None:
    candidate = Candidate("m", Path("m.onnx"), "onnx", "float32", None, (8, 8))

    def frame(inference: float) -> dict[str, float]:
        return {"read": 1, "resize": 2, "inference": inference, "decode": 3, "overlay": 10}

    timing = Timing(candidate, 1, [[frame(4), frame(6)], [frame(14), frame(14)]])
    assert timing.median("inference") == 10
    assert timing.median("labels") == 16
    assert timing.median("whole") == 26
    assert timing.frames_per_s == pytest.approx(1000 / 16)
    assert timing.percentile("labels", 100) == 20
    assert timing.spread == pytest.approx((20 - 11) / 15.5)


@pytest.mark.parametrize("kind", [np.float32, np.int8])
def test_what_the_peak_is_measured_with_is_a_matrix_product(kind: type) -> None:
    onnx = pytest.importorskip("onnx")
    import onnxruntime

    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (24, 24)).astype(np.uint8 if kind is np.int8 else kind)
    b = rng.integers(-63, 64, (24, 24)).astype(kind)  # two products fit in 16 bits, as on AVX2
    model = roofline.product_model(b)
    onnx.checker.check_model(onnx.load_from_string(model))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": a})
    assert (product == a.astype(np.int64) @ b.astype(np.int64)).all()


def test_peaks_are_measured_and_the_best_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "SIDES", (32,))
    monkeypatch.setattr(roofline, "COPIED_BYTES", 4096)
    peaks = roofline.measure_peaks(threads=1)
    assert peaks.float32 > 0
    assert peaks.copy > 0
    assert peaks.of("int8") == peaks.int8 > 0
    assert peaks.of("bf16") is None
    other = roofline.Peaks(float32=2 * peaks.float32, int8=0.5 * peaks.int8, copy=0.5 * peaks.copy)
    assert peaks.best(other) == roofline.Peaks(2 * peaks.float32, peaks.int8, peaks.copy)


class Measured:
    """In a worker's place: the file `bad` cannot be run a second time."""

    def __init__(self) -> None:
        self.rounds = 0

    def __enter__(self) -> Measured:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, do: str, **request: object) -> dict:
        if do == "open":
            self.name = Path(str(request["path"])).name
        if do == "peaks":
            return {"float32": 1, "int8": 1, "copy": 1}
        self.rounds += do == "frames"
        if (self.name, self.rounds) == ("bad", 2):
            raise BriskError("it broke")
        return {"frames": [dict.fromkeys(STAGES, 1.0)], "memory": None}


def test_a_candidate_that_fails_is_told_and_the_progress_still_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "Worker", Measured)
    candidates = []
    for name in ("bad", "good"):
        (tmp_path / name).write_bytes(b"")
        candidates.append(Candidate(name, tmp_path / name, "onnx", "float32", 1, (8, 8)))
    seen: list[tuple[int, int]] = []
    found = speed.measure(candidates, {(8, 8): tmp_path}, progress=lambda *at: seen.append(at))
    assert [timing.candidate.model for timing in found.timings] == ["good"]
    assert [(one.model, why) for one, why in found.failures] == [("bad", "it broke")]
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)


def test_a_stopwatch_whose_asker_is_gone_ends_without_a_word() -> None:
    words = [sys.executable, "-m", "briskseg.benchmark.worker"]
    read, write = os.pipe()
    os.close(read)
    asked = b'{"do": "open", "path": "none"}\n'
    process = subprocess.run(words, input=asked, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (process.returncode, process.stderr) == (0, b"")
