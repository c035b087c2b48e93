"""`evaluate` against a plain loop, and against what a perfect predictor must score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard
from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import read_image, write_png
from briskseg.data import open_dataset
from briskseg.evaluation.accuracy import Evaluation, evaluate
from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor

torch = pytest.importorskip("torch")


class ReadsColors(Backend):
    """A backend that sees a class where the image has its color; `doubt` shrinks its logits."""

    def __init__(self, colors: list[tuple[int, int, int]]) -> None:
        self.colors = np.array(colors, np.float32)
        self.sizes: list[tuple[int, int]] = []

    def infer(self, image_hwc: np.ndarray) -> np.ndarray:
        self.sizes.append(image_hwc.shape[:2])
        distance = np.abs(image_hwc[None].astype(np.float32) - self.colors[:, None, None]).sum(-1)
        return -distance / 20


def reader(names: tuple[str, ...] = ("sky", "road", "car")) -> Predictor:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)][: len(names)]
    card = Card(
        network=NetworkCard(name="reads_colors", classes=len(names)),
        labels=LabelsCard(names=names, colors=tuple(colors)),
        input=InputCard(),
    )
    return Predictor(ReadsColors(colors), card)


@pytest.fixture
def colored(small_data: Path) -> Path:
    """The small data with images that show their labels: sky red, road green, car blue."""
    for path in (small_data / "labels").rglob("*.png"):
        labels = np.repeat(np.repeat(read_image(path)[:10, :12, 0], 4, axis=0), 4, axis=1)
        image = np.zeros((*labels.shape, 3), np.uint8)
        for index in range(3):
            image[labels == index, index] = 255
        write_png(path, labels)
        write_png(small_data / "images" / path.relative_to(small_data / "labels"), image)
    return small_data


def test_scores_equal_a_plain_loop(weights_file: Path, small_data: Path) -> None:
    predictor, dataset = briskseg.load(weights_file), open_dataset(small_data)
    seen: list[tuple[int, int]] = []
    result = evaluate(predictor, dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    counts = np.zeros((3, 3), np.int64)
    for index in range(4):
        image = read_image(small_data / f"images/val/street{index}.png")
        truth = read_image(small_data / f"labels/val/street{index}.png")[..., 0]
        labels = predictor(image)
        one = np.array([[((truth == t) & (labels == p)).sum() for p in range(3)] for t in range(3)])
        assert result.per_image[index].name == f"street{index}"
        assert result.per_image[index].pixel_accuracy == pytest.approx(one.trace() / one.sum())
        pixels = result.to_json()["images"][index]
        assert pixels["intersection"] == one.diagonal().tolist()
        assert pixels["truth"] == one.sum(axis=1).tolist()
        assert pixels["predicted"] == one.sum(axis=0).tolist()
        counts += one
    assert result.confusion.counts.tolist() == counts.tolist()
    written = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert written["confusion"] == counts.tolist()
    assert written["pixel_accuracy"] == pytest.approx(counts.trace() / counts.sum())
    road = counts[1, 1] / (counts[1].sum() + counts[:, 1].sum() - counts[1, 1])
    assert written["classes"]["road"]["iou"] == pytest.approx(road)
    assert [image["name"] for image in written["images"]] == [f"street{i}" for i in range(4)]
    assert (written["split"], written["scales"], written["flip"]) == ("val", [1.0], False)


def test_a_predictor_that_knows_the_truth_scores_one(colored: Path) -> None:
    result = evaluate(reader(), open_dataset(colored))
    assert result.miou == 1
    assert all(image.miou == 1 == image.pixel_accuracy for image in result.per_image)


def test_scales_and_flip_average_probabilities(weights_file: Path, small_data: Path) -> None:
    predictor, dataset = briskseg.load(weights_file), open_dataset(small_data)
    counts = np.zeros((3, 3), np.int64)
    for index in range(4):
        image = read_image(small_data / f"images/val/street{index}.png")
        truth = read_image(small_data / f"labels/val/street{index}.png")[..., 0]
        height, width = truth.shape
        total = torch.zeros(3, height, width)
        for scale in (0.5, 1.25):
            size = (round(height * scale), round(width * scale))
            for mirrored in (False, True):
                view = image[:, ::-1] if mirrored else image
                logits = torch.from_numpy(predictor.logits(view, size))[None]
                up = torch.nn.functional.interpolate(logits, (height, width), mode="bilinear")[0]
                total += (up.flip(2) if mirrored else up).softmax(dim=0)
        labels = total.argmax(dim=0).numpy()
        counts += [[((truth == t) & (labels == p)).sum() for p in range(3)] for t in range(3)]
    found = evaluate(predictor, dataset, scales=(0.5, 1.25), flip=True).confusion.counts
    assert np.abs(found - counts).sum() <= 4  # cv2's and torch's rounding at exact borders


def test_scales_are_of_the_size_the_network_takes(colored: Path) -> None:
    predictor = reader()
    sized = Predictor(
        predictor.backend,
        predictor.card.model_copy(update={"input": InputCard(size=(20, 24))}),
    )
    result = evaluate(sized, open_dataset(colored), scales=(0.5, 1, 2), flip=True)
    assert isinstance(predictor.backend, ReadsColors)
    assert set(predictor.backend.sizes) == {(10, 12), (20, 24), (40, 48)}
    assert len(predictor.backend.sizes) == 4 * 3 * 2
    assert result.miou > 0.9


def test_an_image_without_a_scored_pixel_has_no_score(colored: Path) -> None:
    file = colored / "labels/val/street2.png"
    write_png(file, np.full(read_image(file).shape[:2], 255, np.uint8))
    result = evaluate(reader(), open_dataset(colored))
    assert result.miou == 1
    assert result.to_json()["images"][2] == {
        "name": "street2",
        "miou": None,
        "pixel_accuracy": None,
        "intersection": [0, 0, 0],
        "truth": [0, 0, 0],
        "predicted": [0, 0, 0],
    }


def run(data: Path, names: tuple[str, ...] = ("sky", "road", "car"), **how: object) -> Evaluation:
    return evaluate(reader(names), open_dataset(data), **how)  # type: ignore[arg-type]


def test_what_cannot_be_scored_is_refused(colored: Path) -> None:
    with pytest.raises(
        RequestError,
        match=r"model knows 3 classes \(sky, car, bus\), the data has 3 \(sky, road, car\): "
        r"the data lacks 'bus' and the model lacks 'road'; choose",
    ):
        run(colored, ("sky", "car", "bus"))
    with pytest.raises(RequestError, match="the data lacks 'more'; list"):
        run(colored, ("sky", "road", "car", "more"))
    for scales in ((), (0,), (-1.0,), (float("nan"),), (99,)):
        with pytest.raises(RequestError, match="expected numbers above 0 and up to 16"):
            run(colored, scales=scales)
    with pytest.raises(RequestError, match="no split 'vla'; did you mean 'val'"):
        run(colored, split="vla")


def test_a_damaged_pair_is_named(colored: Path) -> None:
    (colored / "images/val/street1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"street1\.png"):
        run(colored)


def test_masks_of_0_and_255_are_not_scored_as_one_class(colored: Path) -> None:
    (colored / "classes.txt").write_text("sky\nroad\n")
    for file in (colored / "labels").rglob("*.png"):
        write_png(file, np.where(read_image(file)[..., 0] == 1, 255, 0).astype(np.uint8))
    with pytest.raises(DataError, match=r"0/255 masks: of the two classes only 'sky' occurs"):
        run(colored, ("sky", "road"))
    for file in (colored / "labels").rglob("*.png"):  # the cure that it names
        write_png(file, read_image(file)[..., 0] // 255)
    assert run(colored, ("sky", "road")).confusion.counts.any(axis=1).all()


def test_a_split_without_a_scored_pixel_is_an_error(colored: Path) -> None:
    for file in (colored / "labels/val").iterdir():
        write_png(file, np.full(read_image(file).shape[:2], 255, np.uint8))
    with pytest.raises(DataError, match="every pixel of 4 images of 'val' is ignored"):
        run(colored)


def test_a_result_says_which_file_and_backend_predicted(
    weights_file: Path, small_data: Path
) -> None:
    result = evaluate(briskseg.load(weights_file), open_dataset(small_data))
    ran = {"file": str(weights_file), "backend": "torch", "precision": "float32"}
    assert result.to_json()["ran"] == ran
