"""The contract of a data set, held by every format: what checking, training and scoring rely on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.trees import TREES

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import IGNORED
from briskseg.core.labels.cityscapes_table import LABELS
from briskseg.data import FORMATS, Dataset, open_dataset
from briskseg.data.check import check_dataset
from briskseg.data.frequencies import count_labels, count_pixels
from briskseg.data.synthetic import draw_dataset

SIZE = (40, 48)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def image(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def indices(classes: int, ignored: int) -> np.ndarray:
    mask = (np.arange(SIZE[0] * SIZE[1]) % classes).astype(np.uint8).reshape(SIZE)
    mask[0] = ignored
    return mask


def folder(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write(root / "images" / split / "a.jpg", image(number))
        write(root / "labels" / split / "a.png", indices(3, 255))
    (root / "classes.txt").write_text("road\ncar\nsky\n")


def camvid(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        write(root / split / "a.png", image(number))
        write(root / f"{split}annot" / "a.png", indices(11, 11))


def cityscapes(root: Path) -> None:
    for number, split in enumerate(("train", "val")):
        stem = f"{split}/ulm/ulm_00000{number}_000019"
        write(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", image(number))
        write(root / "gtFine" / f"{stem}_gtFine_labelIds.png", indices(len(LABELS), 0))


def streets(root: Path) -> None:
    draw_dataset(root, train=1, val=1, size_hw=SIZE, seed=0)


WRITE: dict[str, Callable[[Path], None]] = {
    "streets": streets,
    "cityscapes": cityscapes,
    "camvid": camvid,
    "folder": folder,
    **TREES,
}


@pytest.fixture(params=FORMATS)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    WRITE[request.param](tmp_path / "set")
    found = open_dataset(tmp_path / "set")
    assert found.kind == request.param
    return found


def test_a_pair_becomes_arrays(dataset: Dataset) -> None:
    assert dataset.names == dataset.labels.names
    assert [*dataset.splits][:2] == ["train", "val"]
    pair = dataset.pairs("val")[0]
    image_hwc, labels_hw = dataset.read_image(pair), dataset.read_labels(pair)
    assert image_hwc.shape == (*SIZE, 3)
    assert labels_hw.shape == SIZE == dataset.size(pair)
    assert image_hwc.dtype == labels_hw.dtype == np.uint8
    known = {*range(len(dataset.names)), IGNORED}
    assert 3 <= len(known & {*np.unique(labels_hw).tolist()}) == len(np.unique(labels_hw))
    both = dataset.read(pair)
    assert np.array_equal(both[0], image_hwc)
    assert np.array_equal(both[1], labels_hw)
    with pytest.raises(RequestError, match="no split 'vali'"):
        dataset.pairs("vali")


def test_check_counts_what_training_reads(dataset: Dataset) -> None:
    report = check_dataset(dataset.root)
    assert report.fit
    by_check = count_pixels(dataset, "train")  # from the check's numbers
    counts = sum(count_labels(dataset.read_labels(pair)) for pair in dataset.pairs("train"))
    assert report.splits["train"].pixels == tuple(counts[: len(dataset.names)].tolist())
    assert by_check.totals.tolist() == counts[: len(dataset.names)].tolist()
    assert by_check.ignored.sum() == report.splits["train"].ignored == counts[IGNORED]


def test_true_labels_score_1(dataset: Dataset) -> None:
    scorer = dataset.scorer("val")
    for pair in dataset.pairs("val"):
        sample = scorer.read(pair)
        predicted = np.where(sample.labels_hw == IGNORED, 0, sample.labels_hw).astype(np.uint8)
        one = scorer.count(sample, predicted)
    assert one.miou == scorer.confusion.miou == 1
    assert scorer.benchmark().keys() == ({"cityscapes"} & {dataset.kind})


def test_a_damaged_label_file_is_named(dataset: Dataset) -> None:
    path = dataset.pairs("train")[0].label
    path.write_bytes(b"")
    with pytest.raises(DataError, match=path.name):
        dataset.read_labels(dataset.pairs("train")[0])
    report = check_dataset(dataset.root)
    assert path.relative_to(dataset.root) in report.findings[0].files
