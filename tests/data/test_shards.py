"""Pairs in tar archives: as others write them, as we do, and what is refused of strangers'."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.training.conftest import rows

from briskseg.core.errors import DataError
from briskseg.core.files import tar_members
from briskseg.core.files.tar_members import TarMember, read_members
from briskseg.data import Dataset, open_dataset
from briskseg.data.conversion import convert_dataset

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6) % 3


def png(pixels: np.ndarray = PIXELS) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def jpg(value: int = 90) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((4, 6, 3), value, np.uint8))[1])


def archive(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "classes.txt").write_text("a\nb\nc\n")
    return tmp_path / "set"


def pairs(dataset: Dataset) -> list[str]:
    return [f"{split}/{pair.name}" for split, some in dataset.splits.items() for pair in some]


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("jpg", "png"),
        ("jpg", "labels.png"),
        ("png", "seg.png"),
        ("image.png", "mask.png"),
        ("webp", "gt.tif"),
    ],
)
def test_endings_say_which_is_which(root: Path, image: str, labels: str) -> None:
    suffix = image.rpartition(".")[2]
    as_image = bytes(cv2.imencode(f".{suffix}", np.full((4, 6, 3), 90, np.uint8))[1])
    as_labels = bytes(cv2.imencode(f".{labels.rpartition('.')[2]}", PIXELS)[1])
    for split in ("train", "val"):
        files = {f"a.{image}": as_image, f"a.{labels}": as_labels, "a.json": b"{}"}
        archive(root / f"{split}-000000.tar", files)
    found = open_dataset(root)
    pair = found.pairs("val")[0]
    assert np.array_equal(found.read_labels(pair), PIXELS)
    assert abs(int(found.read_image(pair).mean()) - 90) < 3


def test_splits_come_from_names_or_folders_or_a_seed(root: Path) -> None:
    for number in range(2):
        files = {f"x/{number}{n}.{kind}": data for n in range(3) for kind, data in (("jpg", jpg()), ("png", png()))}  # fmt: skip  # noqa: E501
        archive(root / "train" / f"{number:05d}.tar", files)
        archive(root / "validation" / f"city-{number:05d}.tar", files)
    found = open_dataset(root)
    assert {split: len(some) for split, some in found.splits.items()} == {"train": 6, "val": 6}
    assert found.pairs("train")[0].name == "x/00"
    for file in root.rglob("*.tar"):
        if "train" in str(file.parent):
            file.rename(root / file.name)
        else:
            file.unlink()
    found = open_dataset(root)
    assert found.split_seed == 0
    assert {split: len(some) for split, some in found.splits.items()} == {"train": 5, "val": 1}


def test_what_is_converted_is_what_it_was_and_the_same_bytes(streets: Path, tmp_path: Path) -> None:
    source = open_dataset(streets)
    for name in ("one", "two"):
        written = convert_dataset(source, tmp_path / name, "shards")
        assert {split: len(some) for split, some in written.items()} == {"train": 12, "val": 4}
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    found = open_dataset(tmp_path / "one")
    assert found.labels == source.labels
    assert pairs(found) == pairs(source)
    for split in source.splits:
        for before, after in zip(source.pairs(split), found.pairs(split), strict=True):
            for was, now in zip(source.read(before), found.read(after), strict=True):
                np.testing.assert_array_equal(was, now)
    written = convert_dataset(found, tmp_path / "back")
    assert {split: len(some) for split, some in written.items()} == {"train": 12, "val": 4}
    first = source.pairs("train")[0]
    back = open_dataset(tmp_path / "back").pairs("train")[0]
    assert back.image.read_bytes() == first.image.read_bytes()


def test_shards_end_where_they_are_full(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from briskseg.data import shard_writer

    monkeypatch.setattr(shard_writer, "SHARD_BYTES", 30_000)
    convert_dataset(open_dataset(streets), tmp_path / "out", "shards")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.tar"))
    assert names == [*(f"train-{n:06d}.tar" for n in range(4)), "val-000000.tar"]
    assert pairs(open_dataset(tmp_path / "out")) == pairs(open_dataset(streets))


def test_training_from_shards_is_training_from_files(
    streets: Path, tmp_path: Path, command: Callable
) -> None:
    """With loading processes, and nothing kept in memory: every sample is read where it lies."""
    convert_dataset(open_dataset(streets), tmp_path / "shards", "shards")
    words = ["train", "demo", "--set", "training.epochs=1", "--set", "data.cache_gb=0"]
    words += ["--set", "training.workers=1", "--set", "training.batch=4"]
    for name, data in (("files", streets), ("shards", tmp_path / "shards")):
        done = command(*words, "--data", data, "--out", tmp_path / "runs" / name)
        assert done.status == 0, done.err
    logs = [
        [
            {k: v for k, v in row.items() if k not in ("seconds", "images_per_s", "waiting")}
            for row in rows(tmp_path / "runs" / name)
        ]
        for name in ("files", "shards")
    ]
    assert logs[0] == logs[1]
    scores = [
        json.loads((tmp_path / "runs" / name / "scores.json").read_text())
        for name in ("files", "shards")
    ]
    assert [scored.pop("dataset") for scored in scores] == ["streets", "shards"]
    assert scores[0] == scores[1]


def test_the_index_is_made_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from briskseg.data import shards

    read: list[str] = []

    def counted(path: Path) -> object:
        read.append(path.name)
        return read_members(path)

    monkeypatch.setattr(shards, "read_members", counted)
    for split in ("train", "val"):
        archive(root / f"{split}-000000.tar", {"a.jpg": jpg(), "a.png": png()})
    for _ in range(2):
        open_dataset(root)
    assert sorted(read) == ["train-000000.tar", "val-000000.tar"]
    archive(
        root / "val-000000.tar", {"a.jpg": jpg(), "a.png": png(), "b.jpg": jpg(), "b.png": png()}
    )
    os.utime(root / "val-000000.tar", ns=(1, 1))
    assert len(open_dataset(root).pairs("val")) == 2
    assert read[2:] == ["val-000000.tar"]


def test_a_member_is_a_path_that_can_only_be_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "x-000.tar", {"a/b.txt": b"one\ntwo", "c": b"three"})
    first, second = (TarMember.of(path, member) for member in read_members(path))
    assert str(first) == str(path / "a" / "b.txt")
    assert (first.read_bytes(), second.read_bytes()) == (b"one\ntwo", b"three")
    with first.open("rb") as file:
        file.seek(-3, 2)
        assert (file.tell(), file.read(), file.read()) == (4, b"two", b"")
        with pytest.raises(OSError, match="fileno"):
            file.fileno()
    assert first.stat().st_size == 7
    assert first.stat().st_mtime_ns == path.stat().st_mtime_ns
    assert first.is_file()
    with pytest.raises(OSError, match="can only be read"):
        first.open("wb")
    again = pickle.loads(pickle.dumps(first))
    assert again == first
    assert again.read_bytes() == b"one\ntwo"
    assert not first.parent.exists()
    assert not first.with_suffix(".png").exists()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (link("b.png", "/etc/passwd"), "'b.png' is a link, which is not followed"),
        (link("b.png", "a.png", tarfile.LNKTYPE), "'b.png' is a link"),
        (link("b.png", "", tarfile.FIFOTYPE), "'b.png' is no plain file"),
        (tarfile.TarInfo("../b.png"), r"'\.\./b.png' has a name that leads out of the archive"),
        (tarfile.TarInfo("/b.png"), "leads out of the archive"),
        (tarfile.TarInfo("x\\..\\b.png"), "leads out of the archive"),
        (tarfile.TarInfo("b\x1b[2J.png"), r"'b\\x1b\[2J.png' has a name with characters"),
    ],
)
def test_hostile_members_are_refused(root: Path, info: tarfile.TarInfo, message: str) -> None:
    archive(root / "train-000000.tar", {"a.jpg": jpg(), "a.png": png()}, info)
    with pytest.raises(DataError, match=message):
        open_dataset(root)


def test_damaged_archives_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(root / "train-000000.tar", {"a.jpg": jpg(), "a.png": png()})
    whole = path.read_bytes()
    for damaged, message in (
        (whole[: 512 + 100], "is cut off|damaged"),
        (b"", "is damaged or no uncompressed"),
        (b"\x1f\x8b" + bytes(600), "is an archive, expected an uncompressed .tar archive"),
        (b"garbage" * 200, "is damaged or no uncompressed .tar archive"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            open_dataset(root)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.jpg")
        info.pax_headers = {"comment": "x" * (2 << 20)}
        tar.addfile(info)
    with pytest.raises(DataError, match="a header of 2"):
        open_dataset(root)
    path.write_bytes(whole)
    monkeypatch.setattr(tar_members, "MAX_TAR_MEMBERS", 1)
    with pytest.raises(DataError, match="more than 1 files; write several archives"):
        open_dataset(root)


def test_halves_and_riddles_are_named(root: Path) -> None:
    path = archive(root / "train-000000.tar", {"a.jpg": jpg(), "a.png": png(), "b.jpg": jpg()})
    with pytest.raises(DataError, match=r"1 x image without label \(train-000000.tar/b.jpg\)"):
        open_dataset(root)
    archive(path, {"a.jpg": jpg(), "a.png": png(), "a.left.png": png()})
    with pytest.raises(DataError, match=r"which of a\{\.jpg, \.png, \.left\.png\} is the image"):
        open_dataset(root)
    archive(path, {"a.jpg": jpg(), "a.png": png()})
    archive(root / "other-000000.tar", {"c.jpg": jpg(), "c.png": png()})
    with pytest.raises(DataError, match=r"other-000000\.tar: its name says no split"):
        open_dataset(root)


def test_a_folder_that_is_named_as_a_split_says_nothing_of_its_archives(tmp_path: Path) -> None:
    root = tmp_path / "train"
    root.mkdir()
    (root / "classes.txt").write_text("road\ncar\n")
    for name in ("train", "other"):
        archive(root / f"{name}-000000.tar", {"a.jpg": jpg(), "a.png": png()})
    with pytest.raises(DataError, match=r"other-000000\.tar: its name says no split"):
        open_dataset(root)


def test_an_archive_is_not_judged_by_its_first_name(root: Path) -> None:
    archive(root / "train-000000.tar", {"MATLAB_1.jpg": jpg(), "MATLAB_1.png": png()})
    assert len(open_dataset(root).pairs("train")) == 1
