"""WebDataset shards as a source: images by their key, and nothing followed, escaped or believed."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.scale.conftest import contents, draw, png_bytes, write_tar

import briskseg
from briskseg.core.errors import DataError

pq = pytest.importorskip("pyarrow.parquet")


def rows_of(out: Path) -> list[dict]:
    return pq.read_table(out / "manifest").to_pylist()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three tars of WebDataset samples: an image, its class, and its depth, which is no image."""
    folder = tmp_path / "shards"
    for shard in range(3):
        members = []
        for number in range(4 * shard, 4 * shard + 4):
            key = f"{number:04d}"
            members += [(f"{key}.cls", b"1"), (f"{key}.png", png_bytes(draw(number)))]
            members += [(f"{key}.depth.png", png_bytes(draw(0)))]
        write_tar(folder / f"{shard:03d}.tar", members)
    return folder


@pytest.mark.parametrize("source", ["shards", "shards/{000..002}.tar", "shards/*.tar", "list.txt"])
def test_each_tar_gives_a_tar_of_its_name_and_keys(
    command, weights_file: Path, shards: Path, tmp_path: Path, monkeypatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("".join(f"shards/{n:03d}.tar\n" for n in range(3)))
    words = ("label", source, "--model", weights_file, "--out", "out", "--to", "tar")
    done = command(*words, "--workers", 1)
    assert (done.status, done.out[:24]) == (0, "12 of 12 images labeled,")
    predictor = briskseg.load(weights_file)
    for shard in range(3):
        with tarfile.open(f"out/{shard:03d}.tar") as tar:
            keys = [name.partition(".")[0] for name in tar.getnames()[::2]]
            assert keys == [f"{n:04d}" for n in range(4 * shard, 4 * shard + 4)]
            for key in keys:
                labels = np.asarray(Image.open(tar.extractfile(f"{key}.png")))
                np.testing.assert_array_equal(labels, predictor(draw(int(key))))
    rows = rows_of(Path("out"))
    assert [row["image"] for row in rows] == [f"{n:04d}.png" for n in range(12)]
    assert {row["source"] for row in rows} == {str(path) for path in shards.iterdir()}


def test_masks_of_tars_lie_in_folders_of_their_names(
    command, weights_file: Path, shards: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "one"
    words = ("label", shards, "--model", weights_file, "--out")
    assert command(*words, whole, "--workers", 1).status == 0
    assert command(*words, tmp_path / "two", "--workers", 2).status == 0
    assert contents(whole) == contents(tmp_path / "two")
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*.png"))
    assert names == [f"{n // 4:03d}/{n:04d}.png" for n in range(12)]


def test_what_is_hostile_or_damaged_is_a_row_and_the_rest_is_done(
    command, weights_file: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png_bytes(draw(9)))
    good = png_bytes(draw(1))
    folder = tmp_path / "shards"
    write_tar(
        folder / "a.tar",
        [
            ("good.png", good),
            ("../../up.png", good),
            ("/abs.png", good),
            ("x\\up.png", good),
            link("soft.png", str(secret)),
            link("hard.png", "good.png", tarfile.LNKTYPE),
            link("device.png", "", tarfile.CHRTYPE),
            ("evil\x1b[2J.png", good),
            ("half.png", good[: len(good) // 2]),
            ("GOOD.png", good),
            ("sub/good.JPG", good),
        ],
    )
    cut = write_tar(folder / "b.tar", [("first.png", good), ("second.png", good)])
    cut.write_bytes(cut.read_bytes()[: 512 + 1024 * (len(good) // 1024)])
    (folder / "c.tar").write_bytes(b"\x1f\x8b no tar at all" * 99)
    write_tar(folder / "d.tar", [("notes.txt", b"hello")])
    huge = tarfile.TarInfo("x" * 150 + ".png").tobuf(tarfile.GNU_FORMAT)
    huge = huge[:124] + b"77777777777\0" + huge[136:]  # a name of 8 GiB
    total = sum(huge[:512]) - sum(huge[148:156]) + 8 * 32
    (folder / "e.tar").write_bytes(huge[:148] + f"{total:06o}\0 ".encode() + huge[156:])
    out = tmp_path / "out"
    before = contents(tmp_path)
    done = command("label", folder, "--model", weights_file, "--out", out, "--workers", 1)
    assert done.status == 1
    assert "\x1b" not in done.err
    rows = rows_of(out)
    files = {row["file"] for row in rows if row["file"]}
    assert files == {"a/good.png", "a/GOOD-2.png", "a/sub/good.png"} | (files & {"b/first.png"})
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.png")} == files
    errors = {row["image"]: row["error"] for row in rows if row["error"]}
    for name, said in {
        "../../up.png": "has a name that leads out of the archive",
        "/abs.png": "has a name that leads out of the archive",
        "x\\up.png": "has a name that leads out of the archive",
        "soft.png": "is a link, which is not followed",
        "hard.png": "is a link, which is not followed",
        "device.png": "is no plain file",
        r"evil\x1b[2J.png": "characters that no terminal shows",
        "half.png": "half.png is damaged",
        "b.tar": "is cut off); copy it again; 0 images before that",
        "c.tar": "is an archive, expected an uncompressed .tar archive",
        "d.tar": "holds no image, expected members KEY.jpg",
        "e.tar": "a header of 8589934592 bytes",
    }.items():
        assert said in errors.pop(name), name
    assert errors.keys() <= {"first.png"}
    after = {n: data for n, data in contents(tmp_path).items() if not n.startswith("out/")}
    assert after == before  # nothing is written beside the output


def damaged(kind: str, whole: bytes) -> bytes:
    """An archive of three members of 8,192 bytes' content each, spoiled behind the second."""
    third = 2 * (512 + 8192)
    return {
        "a header": whole[:third] + b"?" + whole[third + 1 :],
        "zeros": whole[:third] + bytes(512) + whole[third + 512 :],
        "cut between members": whole[:third],
        "cut in a header": whole[: third + 100],
    }[kind]


@pytest.mark.parametrize("kind", ["a header", "zeros", "cut between members", "cut in a header"])
def test_what_tarfile_takes_for_the_end_is_told(
    command, weights_file: Path, tmp_path: Path, kind: str
) -> None:
    photo = png_bytes(draw(1))
    photo += bytes(8192 - len(photo))
    tar = write_tar(tmp_path / "a.tar", [(f"{n}.png", photo) for n in range(3)])
    tar.write_bytes(damaged(kind, tar.read_bytes()))
    out = tmp_path / "out"
    done = command("label", tar, "--model", weights_file, "--out", out, "--workers", 1)
    assert done.status == 1
    rows = rows_of(out)
    assert [row["file"] for row in rows] == ["a/0.png", "a/1.png", None]
    assert "2 of 2 images labeled" in done.out
    assert done.err.startswith("briskseg: 1 tar could not be read to its end, and ")
    assert "is damaged or no uncompressed .tar archive" in rows[2]["error"]
    set_ = tmp_path / "set"
    set_.mkdir()
    (set_ / "classes.txt").write_text("road\ncar\n")
    shutil.copy(tar, set_ / "train-000000.tar")
    with pytest.raises(DataError, match=r"train-000000\.tar: is damaged"):
        briskseg.open_dataset(set_)


def test_names_that_are_dots_or_the_manifests_lead_nowhere(
    command, weights_file: Path, tmp_path: Path
) -> None:
    write_tar(tmp_path / "...tar", [("0.png", png_bytes(draw(1)))])
    (tmp_path / "list.txt").write_text("...tar\n")
    out = tmp_path / "deep" / "out"
    words = ("label", tmp_path / "list.txt", "--model", weights_file, "--workers", 1)
    assert command(*words, "--out", out).status == 0
    assert [row["file"] for row in rows_of(out)] == ["_/0.png"]
    assert (out / "_" / "0.png").is_file()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    manifest = write_tar(tmp_path / "manifest.tar", [("0.png", png_bytes(draw(1)))])
    done = command("label", manifest, "--model", weights_file, "--out", tmp_path / "other")
    assert done.status == 2
    assert "would lie in 'manifest', where the manifest goes" in done.err


def test_a_tar_that_is_not_there_is_no_image(command, weights_file: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("0.png", png_bytes(draw(1))), ("1.png", b"no image")])
    (tmp_path / "list.txt").write_text("a.tar\nb.TAR\n")
    out, said = tmp_path / "out", tmp_path / "said.json"
    words = ("label", tmp_path / "list.txt", "--model", weights_file, "--out", out, "--json", said)
    done = command(*words)
    assert done.status == 1
    assert "1 of 2 images labeled" in done.out
    assert "1 tar could not be read to its end and 1 of 2 images failed" in done.err
    found = json.loads(said.read_text())
    counts = {key: found[key] for key in ("images", "labeled", "failed", "broken_tars")}
    assert counts == {"images": 2, "labeled": 1, "failed": 1, "broken_tars": 1}
    # as the same command finds it in the manifest, and after mending
    assert "1 of 2 images labeled" in command(*words).out
    write_tar(tmp_path / "a.tar", [("0.png", png_bytes(draw(1))), ("1.png", png_bytes(draw(2)))])
    write_tar(tmp_path / "b.TAR", [("2.png", png_bytes(draw(3)))])
    assert "3 of 3 images labeled" in command(*words, "--retry").out


def test_a_tar_of_too_many_members_is_refused(
    command, weights_file: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("briskseg.scale.shard_work.MAX_SHARD_MEMBERS", 2)
    good = png_bytes(draw(1))
    tar = write_tar(tmp_path / "a.tar", [(f"{n}.png", good) for n in range(3)])
    out = tmp_path / "out"
    done = command("label", tar, "--model", weights_file, "--out", out, "--workers", 1)
    assert (done.status, "more than 2 files; write several archives" in done.err) == (1, True)


def test_tars_of_equal_names_in_folders_stay_apart(
    command, weights_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    for number, name in enumerate(("a/b.tar", "a_b.tar", "b.tar")):
        write_tar(folder / name, [("0.png", png_bytes(draw(number)))])
    out = tmp_path / "out"
    words = ("label", folder, "--model", weights_file, "--out", out, "--workers", 1)
    assert command(*words).status == 0
    assert len(rows_of(out)) == 3
    assert {row["file"] for row in rows_of(out)} == {"a/b/0.png", "a_b/0.png", "b/0.png"}
    write_tar(folder / "0.tar", [])
    Image.fromarray(draw(1)).save(folder / "photo.png")
    done = command("label", folder, "--model", weights_file, "--out", tmp_path / "other")
    assert (done.status, "holds 1 images and 4 tars, expected one of both" in done.err) == (2, True)
