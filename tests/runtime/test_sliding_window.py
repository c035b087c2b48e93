"""Windows against a plain loop that holds everything, and the memory that they save."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import card_of

import briskseg
from briskseg.core.errors import RequestError
from briskseg.core.images import read_image, resize_image
from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor
from briskseg.runtime.sliding_window import WindowPredictor

torch = pytest.importorskip("torch")


class Waves(Backend):
    """A backend whose logits depend on the colors and on the place in the window."""

    def __init__(self, classes: int, shrink: int = 1) -> None:
        self.classes, self.shrink = classes, shrink
        self.sizes: set[tuple[int, int]] = set()

    def infer(self, image_hwc: np.ndarray) -> np.ndarray:
        height, width = image_hwc.shape[:2]
        self.sizes.add((height, width))
        place = np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)
        color = image_hwc[..., 0] / 40
        waves = [np.cos(color + index * place) for index in range(self.classes)]
        return np.stack(waves).astype(np.float32)[:, :: self.shrink, :: self.shrink]


def predictor(classes: int = 5, size: tuple[int, int] | None = None, shrink: int = 1) -> Predictor:
    card = card_of("waves", classes)
    expects = card.input.model_copy(update={"size": size})
    card = card.model_copy(update={"input": expects})
    return Predictor(Waves(classes, shrink), card)


def image_of(size_hw: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def plain_loop(
    whole: Predictor,
    image_hwc: np.ndarray,
    network_hw: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
) -> torch.Tensor:
    """Averaged probabilities of the image's size."""
    resized = resize_image(image_hwc, network_hw)
    total, hits = torch.zeros(1, 5, *network_hw), torch.zeros(network_hw)
    for top in range(0, max(1, network_hw[0] - window[0] + stride[0]), stride[0]):
        for left in range(0, max(1, network_hw[1] - window[1] + stride[1]), stride[1]):
            y = max(0, min(top, network_hw[0] - window[0]))
            x = max(0, min(left, network_hw[1] - window[1]))
            area = (..., slice(y, y + window[0]), slice(x, x + window[1]))
            seen = resized[area[1:]]
            logits = torch.from_numpy(whole.backend.infer(seen).copy())[None]
            full = torch.nn.functional.interpolate(logits, seen.shape[:2], mode="bilinear")
            total[area] += full.softmax(dim=1)
            hits[area[1:]] += 1
    assert hits.min() >= 1
    return torch.nn.functional.interpolate(total / hits, image_hwc.shape[:2], mode="bilinear")[0]


@pytest.mark.parametrize(
    ("size", "network", "window", "stride"),
    [
        ((50, 70), None, (16, 24), (10, 16)),
        ((50, 70), None, (16, 24), (16, 24)),  # side by side; the last ones overlap
        ((48, 72), None, (16, 24), (1, 9)),
        ((50, 70), None, (200, 24), (10, 10)),  # higher than the image
        ((50, 70), None, (99, 99), (99, 99)),  # one window
        ((50, 70), (37, 51), (16, 24), (11, 7)),  # the network's size is another
        ((50, 70), (80, 90), (16, 24), (8, 24)),
        ((7, 3), (300, 200), (13, 200), (13, 1)),  # rows at the end that nothing needs
        ((400, 5), (30, 5), (7, 2), (7, 2)),
    ],
)
def test_labels_are_those_of_a_plain_loop(
    size: tuple[int, int],
    network: tuple[int, int] | None,
    window: tuple[int, int],
    stride: tuple[int, int],
) -> None:
    image = image_of(size)
    whole = predictor(size=network)
    windows = WindowPredictor(whole, window, stride)
    bands = list(windows.bands(image, network or size, size))
    tops = np.cumsum([0, *(band.shape[1] for _, band in bands)])
    assert [top for top, _ in bands] == tops[:-1].tolist()
    found = np.concatenate([band for _, band in bands], axis=1)
    assert isinstance(whole.backend, Waves)
    sides = zip(window, network or size, strict=True)
    assert whole.backend.sizes == {tuple(min(side) for side in sides)}
    expected = plain_loop(whole, image, network or size, window, stride).numpy()
    np.testing.assert_allclose(found, expected, atol=3e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    labels = windows(image)
    clear = np.sort(expected, axis=0)[-2:]
    differs = labels != expected.argmax(axis=0)
    assert not (differs & (clear[1] - clear[0] > 1e-5)).any()


def test_one_window_gives_the_labels_of_the_whole() -> None:
    image = image_of((40, 60))
    whole = predictor()
    np.testing.assert_array_equal(WindowPredictor(whole, (40, 60))(image), whole(image))


def test_a_backend_may_give_logits_of_a_lower_size() -> None:
    image = image_of((40, 60))
    whole = predictor(shrink=4)
    found = next(iter(WindowPredictor(whole, (40, 60)).bands(image, (40, 60), (40, 60))))[1]
    expected = plain_loop(whole, image, (40, 60), (40, 60), (40, 60)).numpy()
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("network", [None, (2000, 48)])
def test_memory_does_not_grow_with_the_height(network: tuple[int, int] | None) -> None:
    """The probabilities of the whole would be 19 x 4000 x 64 x 4 bytes: 19 MB."""
    image = image_of((4000, 64))
    windows = WindowPredictor(predictor(19, size=network), (64, 64), (48, 48))
    tracemalloc.start()
    labels = windows(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.shape == (4000, 64)
    assert peak < 4e6


def test_impossible_windows_are_refused() -> None:
    for window, stride, message in (
        ((0, 5), None, "the window is 0x5, expected at least 1x1"),
        ((8, 9), (8, 10), "the stride is 8x10, expected 1x1 to the window's 8x9"),
        ((8, 9), (0, 3), "the stride is 0x3, expected 1x1 to the window's 8x9"),
    ):
        with pytest.raises(RequestError, match=message):
            WindowPredictor(predictor(), window, stride)
    assert WindowPredictor(predictor(), (769, 1)).stride_hw == (512, 1)
    for wrong, message in (
        (np.zeros((4, 4), np.uint8), r"the image is \(4, 4\) uint8, expected \(H, W, 3\)"),
        ("photo.png", "the image is a str, expected a numpy array"),
    ):
        with pytest.raises(RequestError, match=message):
            WindowPredictor(predictor(), (2, 2)).labels_at(wrong, (4, 4))


@pytest.mark.parametrize("network", [None, (37, 51)])
def test_labels_of_another_size_come_through_the_windows_too(
    network: tuple[int, int] | None,
) -> None:
    image = image_of((50, 70))
    windows = WindowPredictor(predictor(size=network), (16, 24), (10, 16))
    np.testing.assert_array_equal(windows.labels_at(image, (50, 70)), windows(image))
    bands = [band for _, band in windows.bands(image, network or (50, 70), (20, 90))]
    averaged = np.concatenate(bands, axis=1)
    clear = np.sort(averaged, axis=0)[-2:]
    differs = windows.labels_at(image, (20, 90)) != averaged.argmax(axis=0)
    assert not (differs & (clear[1] - clear[0] > 1e-5)).any()
    assert isinstance(windows.backend, Waves)
    assert windows.backend.sizes == {(16, 24)}


def test_windows_on_the_command_line(
    command, weights_file: Path, small_data: Path, tmp_path: Path
) -> None:
    how = ("--window", "48x48", "--stride", "48x40")
    windows = WindowPredictor(briskseg.load(weights_file), (48, 48), (48, 40))
    image = small_data / "images/val/street3.png"
    assert command("predict", weights_file, image, "--out", tmp_path, *how).status == 0
    labels = read_image(tmp_path / "street3_labels.png")[..., 0]
    np.testing.assert_array_equal(labels, windows(read_image(image)))
    file = tmp_path / "scores.json"
    done = command("evaluate", weights_file, "--data", small_data, *how, "--json", file)
    scores = json.loads(file.read_text())
    assert (scores["window"], scores["stride"]) == ([48, 48], [48, 40])
    truth = read_image(small_data / "labels/val/street3.png")[..., 0]
    right = (labels == truth)[truth != 255].mean()
    assert scores["images"][3]["pixel_accuracy"] == pytest.approx(right)
    table = " ".join(done.out.split())
    assert "through windows of 48x48 every 48x40, probabilities averaged." in table
    for wrong, message in (
        (("--window", "32"), "--window 32 is no size, expected HxW as in 512x1024"),
        (("--window", "0x9"), "--window 0x9 is no size"),
        (("--stride", "9x9"), "--stride 9x9 without --window; name the windows' size too"),
        (("--window", "8x8", "--stride", "9x9"), "the stride is 9x9, expected 1x1 to the"),
    ):
        done = command("evaluate", weights_file, "--data", small_data, *wrong)
        assert (done.status, done.out) == (2, "")
        assert message in done.err


def test_stages_end_once_for_each_row_of_windows(weights_file: Path) -> None:
    windows = WindowPredictor(briskseg.load(weights_file), (32, 32), (32, 32))
    ended: list[str] = []
    windows.on_stage_end = ended.append
    windows(np.zeros((64, 40, 3), np.uint8))
    assert ended == ["resize", *["inference", "decode"] * 2]
