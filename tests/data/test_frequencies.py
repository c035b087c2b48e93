"""Class pixels are counted once, and weights follow the published formulas."""

import math
import os
import shutil

import numpy as np
import pytest
from tests.data.conftest import stripes, write_mask

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import LabelSet
from briskseg.data import open_dataset
from briskseg.data.check import check_dataset
from briskseg.data.frequencies import PixelCounts, class_weights, count_labels, count_pixels

# The weights 1 / ln(1.10 + p) that the write-up on CamVid's 32 classes prints, Animal to Wall.
PUBLISHED_32 = [
    10.487, 10.436, 9.999, 10.437, 3.478, 7.951, 10.461, 10.463, 9.606, 9.266, 9.083, 10.476,
    9.941, 10.484, 10.126, 10.158, 9.884, 3.157, 10.234, 6.589, 10.375, 4.372, 9.793, 10.488,
    10.148, 10.492, 5.436, 10.019, 10.492, 9.778, 8.196, 9.323,
]  # fmt: skip


def pixel_counts(counts, ignored=None):
    table = np.array(counts, np.int64)
    ignored = np.zeros(len(table), np.int64) if ignored is None else np.array(ignored)
    classes = tuple(f"c{index}" for index in range(table.shape[1]))
    return PixelCounts(classes, tuple(map(str, range(len(table)))), table, ignored)


def test_counting(write_folder):
    root = write_folder(images=2)
    mask = np.zeros((12, 16), np.uint8)
    mask[0, :5], mask[1, :7] = 2, 255
    write_mask(root / "labels" / "train" / "001.png", mask)
    told = []
    counts = count_pixels(open_dataset(root), "train", progress=lambda *both: told.append(both))
    assert (counts.classes, counts.images) == (("road", "car", "sky"), ("000", "001"))
    assert counts.counts.tolist() == [[64, 64, 64], [180, 0, 5]]
    assert counts.ignored.tolist() == [0, 7]
    assert counts.totals.tolist() == [244, 64, 69]
    assert told == [(1, 2), (2, 2)]


def test_files_that_a_check_has_read_are_not_read_again(write_folder, monkeypatch):
    root, read = write_folder(), []
    check_dataset(root)
    real = LabelSet.read
    monkeypatch.setattr(LabelSet, "read", lambda self, path: read.append(path) or real(self, path))

    def count():
        read.clear()
        return count_pixels(open_dataset(root), "train").totals.tolist()

    assert count() == [192, 192, 192]
    assert read == []
    changed = root / "labels" / "train" / "001.png"
    write_mask(changed, stripes(2))
    os.utime(changed, ns=(1, 1))
    assert count() == [224, 224, 128]
    assert read == [changed]
    (root / "classes.txt").write_text("road\ncar\nsky\nroof\n")
    assert count() == [224, 224, 128, 0]


def test_counts_that_are_known_are_taken(write_folder):
    dataset = open_dataset(write_folder())
    known = {pair.name: count_labels(dataset.read_labels(pair)) for pair in dataset.pairs("train")}
    for path in dataset.root.glob("labels/train/*.png"):
        path.unlink()
    counts = count_pixels(dataset, "train", known=known)
    assert counts.to_json()["images"]["001"] == {"counts": [64, 64, 64], "ignored": 0}


def test_damaged_label_files_are_named(write_folder):
    root = write_folder()
    dataset = open_dataset(root)
    (root / "labels" / "train" / "001.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"001.png: the file is empty"):
        count_pixels(dataset, "train")
    shutil.rmtree(root / "labels")
    with pytest.raises(DataError, match=r"000.png: no such file"):
        count_pixels(dataset, "train")


def test_binary_masks_of_0_and_255_do_not_pass_as_ignored(write_folder):
    root = write_folder(classes="background\nroad\n")
    for path in root.glob("labels/*/*.png"):
        write_mask(path, stripes(2) * 255)
    with pytest.raises(DataError, match=r"000.png: 0/255 masks: of the two classes only 'backgrou"):
        count_pixels(open_dataset(root), "train")


def test_enet_weights_are_those_of_the_write_up():
    shares = np.exp(1 / np.array(PUBLISHED_32)) - 1.10
    assert shares.sum() == pytest.approx(1, abs=2e-3)  # so the formula is theirs
    counts = pixel_counts([np.round(shares.clip(0) * 1e9)])
    np.testing.assert_allclose(class_weights("enet", counts), PUBLISHED_32, atol=0.015)
    assert class_weights("enet", pixel_counts([[1, 0]]))[1] == pytest.approx(1 / math.log(1.1))
    assert class_weights("enet", pixel_counts([[1, 0]]))[1] == pytest.approx(10.492, abs=5e-4)


def test_ignored_pixels_have_no_share():
    with_ignored = pixel_counts([[30, 10], [0, 60]], ignored=[1000, 7])
    without = pixel_counts([[30, 10], [0, 60]])
    np.testing.assert_array_equal(
        class_weights("enet", with_ignored), class_weights("enet", without)
    )


def test_median_frequency_by_hand():
    # c0: 30 of 100 pixels where it occurs; c1: 70 of 200; c2: 80 of 100; c3: nowhere.
    counts = pixel_counts([[30, 50, 0, 0], [0, 20, 80, 0]], ignored=[20, 0])
    weights = class_weights("median_frequency", counts)
    np.testing.assert_allclose(weights, [0.35 / 0.30, 1, 0.35 / 0.80, 0], rtol=1e-6)
    assert weights.dtype == np.float32


def test_lists_and_mistakes():
    counts = pixel_counts([[1, 2]])
    assert class_weights("none", counts).tolist() == [1, 1]
    assert class_weights([0.5, 2], counts).tolist() == [0.5, 2]
    with pytest.raises(RequestError, match="no class weights 'enett'; did you mean 'enet'"):
        class_weights("enett", counts)
    with pytest.raises(RequestError, match=r"3 class weights for 2 classes \(c0, c1\)"):
        class_weights([1, 2, 3], counts)
    for bad in ([1, -1], [0, 0], [1, math.inf]):
        with pytest.raises(RequestError, match="expected finite numbers, none below 0"):
            class_weights(bad, counts)
