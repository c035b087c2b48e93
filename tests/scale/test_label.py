"""briskseg label: images in, labels and a manifest out, the same whoever labels what."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.scale.conftest import contents, draw, write_tar

import briskseg
from briskseg.core.images import read_image, write_png
from briskseg.scale.sources import find_shards

pq = pytest.importorskip("pyarrow.parquet")


def manifest(out: Path) -> dict[str, dict]:
    """The rows by image, as any reader of Parquet sees the folder."""
    rows = pq.read_table(out / "manifest").to_pylist()
    assert len({row["image"] for row in rows}) == len(rows)
    return {row["image"]: row for row in rows}


def test_a_folder_gives_masks_of_its_names_and_a_manifest(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("label", photos, "--model", weights_file, "--out", out, "--workers", 1, "--json", "-")
    done = command(*words)
    assert done.status == 1
    assert done.err.startswith(f"briskseg: 1 of 23 images failed, and {out}/manifest says why")
    said = json.loads(done.out)
    assert (said["images"], said["labeled"], said["failed"]) == (23, 22, 1)
    assert said["failures"][0]["image"] == "sub/broken.jpg"
    assert said["ran"]["backend"] == "torch"

    rows = manifest(out)
    predictor = briskseg.load(weights_file)
    names = {path.relative_to(photos).as_posix() for path in photos.rglob("*.*")}
    assert rows.keys() == names
    broken = rows.pop("sub/broken.jpg")
    assert "cannot be read as an image" in broken["error"]
    assert broken["file"] is broken["histogram"] is broken["confidence"] is None
    for name, row in rows.items():
        image = read_image(photos / name)
        assert row["file"] == name  # these are .png already
        with Image.open(out / row["file"]) as mask:
            assert mask.mode == "L"
            labels = np.asarray(mask)
        np.testing.assert_array_equal(labels, predictor(image))
        assert (row["height"], row["width"]) == labels.shape
        assert row["histogram"] == [int(np.sum(labels == index)) for index in range(3)]
        logits = predictor.backend.run(image, True).astype(np.float64)
        height, width = (-(-side // 8) for side in labels.shape)
        shares = np.exp(logits[:, :height, :width])
        confidence = (shares / shares.sum(axis=0)).max(axis=0).mean()
        assert row["confidence"] == pytest.approx(confidence, abs=1e-5)
        assert (row["error"], row["member"]) == (None, None)
        assert row["source"] == str(photos / name)
    assert {path.name for path in out.iterdir()} == {
        *("job.json", "manifest", "sub"),
        *(name for name in names if "/" not in name),
    }


def test_the_number_of_workers_and_parts_changes_no_byte(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    options = (photos, "--model", weights_file, "--shard-size", 5)

    def labeled(name: str, *more: object) -> Path:
        done = command("label", *options, "--out", tmp_path / name, *more)
        assert done.status == 0, done.err
        return tmp_path / name

    one = contents(labeled("one", "--workers", 1))
    assert len([name for name in one if name.startswith("manifest/")]) == 5
    assert contents(labeled("two", "--workers", 2)) == one
    labeled("parts", "--part", "2/2", "--workers", 1)
    assert 0 < len(contents(tmp_path / "parts")) < len(one)
    assert contents(labeled("parts", "--part", "1/2", "--workers", 1)) == one
    for number in range(3):  # counted from 0, as array jobs may
        labeled("from-0", "--part", f"{number}/3", "--workers", 1)
    assert contents(tmp_path / "from-0") == one
    more = command("label", *options, "--out", tmp_path / "one", "--part", "6/9")
    assert (more.status, more.out[:29]) == (0, "this part has nothing to do: ")


def test_equal_names_do_not_overwrite_each_other(
    command, weights_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("a.bmp", "a.png", "A.ppm", "b.c.png")):
        Image.fromarray(draw(number)).save(folder / name)
    out = tmp_path / "out"
    assert command("label", folder, "--model", weights_file, "--out", out).status == 0
    rows = manifest(out)
    assert len({row["file"].casefold() for row in rows.values()}) == 4
    predictor = briskseg.load(weights_file)
    for name, row in rows.items():
        labels = np.asarray(Image.open(out / row["file"]))
        np.testing.assert_array_equal(labels, predictor(read_image(folder / name)))


def test_tar_shards_hold_masks_and_facts_by_key(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    write_png(photos / "x.1.png", draw(5))
    write_png(photos / "x.2.png", draw(6))
    out = tmp_path / "out"
    words = ("label", photos, "--model", weights_file, "--out", out, "--to", "tar")
    assert command(*words, "--shard-size", 8, "--workers", 1).status == 1
    rows, predictor = manifest(out), briskseg.load(weights_file)
    assert {path.name for path in out.glob("*.tar")} == {
        "00000.tar",
        "00001.tar",
        "00002.tar",
        "00003.tar",
    }
    found = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")  # as WebDataset reads names
                found.setdefault((path.name, key), {})[ending] = tar.extractfile(member).read()
                assert member.mtime == 0
    assert len(found) == 24
    for row in rows.values():
        if row["error"] is not None:
            assert row["image"] == "sub/broken.jpg"
            continue
        sample = found[row["file"], row["member"].removesuffix(".png")]
        assert sample.keys() == {"png", "json"}
        (tmp_path / "mask.png").write_bytes(sample["png"])
        labels = np.asarray(Image.open(tmp_path / "mask.png"))
        np.testing.assert_array_equal(labels, predictor(read_image(photos / row["image"])))
        facts = json.loads(sample["json"])
        assert facts["histogram"] == row["histogram"]
        assert facts["confidence"] == pytest.approx(row["confidence"])


def test_parquet_shards_hold_run_lengths(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("label", photos, "--model", weights_file, "--out", out, "--to", "parquet")
    assert command(*words, "--shard-size", 9, "--workers", 1).status == 1
    rows, predictor = manifest(out), briskseg.load(weights_file)
    stored = pq.read_table(out / "labels").to_pylist()
    assert len(stored) == 22
    for each in stored:
        labels = np.repeat(each["values"], each["lengths"]).reshape(each["height"], each["width"])
        np.testing.assert_array_equal(labels, predictor(read_image(photos / each["image"])))
        row = rows[each["image"]]
        assert (row["histogram"], row["confidence"]) == (each["histogram"], each["confidence"])
        assert (out / row["file"]).is_file()
    facts = json.loads(pq.read_schema(out / "manifest/part-00000.parquet").metadata[b"briskseg"])
    assert facts["classes"] == ["sky", "road", "car"]
    assert (facts["file"], facts["backend"]) == ("model.safetensors", "torch")


def test_lists_and_patterns_name_the_same_images(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    chosen = sorted((photos / "sub" / "deep").iterdir())
    lines = [f"photos/sub/deep/{path.name}" for path in chosen[1:]]
    listed.write_text("\n".join(["# chosen", str(chosen[0]), "", *lines, lines[0]]) + "\n")
    (tmp_path / "link").symlink_to(photos)
    patterns = [("b", photos / "sub/**/*.png"), ("c", tmp_path / "link/sub/**/*.png")]
    for name, source in (("a", listed), *patterns):
        out = tmp_path / name
        done = command("label", source, "--model", weights_file, "--out", out, "--workers", 1)
        assert done.status == 0, done.err
        masks = out.rglob("*.png")
        assert {path.name for path in masks} == {path.name for path in chosen}
    assert (tmp_path / "a" / chosen[0].name).is_file()  # below the folder that holds all
    for name in "bc":  # below where the pattern begins
        assert (tmp_path / name / "deep" / chosen[0].name).is_file()


def test_output_within_the_source_is_no_source(command, weights_file: Path, photos: Path) -> None:
    words = ("label", photos, "--model", weights_file, "--out", photos / "labels", "--workers", 1)
    assert command(*words).status == 1  # one is broken
    done = command(*words)
    assert done.out.startswith("22 of 23 images labeled")
    assert "23 of them were done before" in done.out
    done = command("label", photos, "--model", weights_file, "--out", photos)
    assert done.status == 2
    assert "holds 01.png, 02.png, 04.png ... and no job of `label`" in done.err
    assert read_image(photos / "01.png").shape == draw(1).shape


def test_pictures_that_predict_wrote_are_no_source(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    words = ("label", photos, "--model", weights_file, "--workers", 1, "--out")
    assert command(*words, tmp_path / "before").status == 0
    assert command("predict", weights_file, photos, "--out", photos / "results").status == 0
    assert command(*words, tmp_path / "after").status == 0
    labeled = [
        {path.relative_to(out) for path in out.rglob("*.png")}
        for out in (tmp_path / "before", tmp_path / "after")
    ]
    assert labeled[0] == labeled[1] != set()


def test_what_is_mended_is_labeled_with_retry(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("label", photos, "--model", weights_file, "--out", out, "--workers", 1)
    assert command(*words).status == 1
    Image.fromarray(draw(3)).save(photos / "sub" / "broken.jpg")
    assert command(*words).status == 1  # what is done is not looked at again
    assert command(*words, "--retry").status == 0
    assert (out / "sub" / "broken.png").is_file()
    assert command(*words).out.startswith("23 of 23 images labeled")


def test_another_job_in_the_same_folder_is_refused(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    out = tmp_path / "out"
    words = ("label", photos, "--out", out, "--workers", 1)
    assert command(*words, "--model", weights_file).status == 0
    before = contents(out)
    other = command(*words, "--model", "fast-scnn-camvid11")
    assert other.status == 2
    assert f"{out} was begun with model.safetensors on torch" in other.err
    other = command(*words, "--model", weights_file, "--to", "tar")
    assert (other.status, "was begun with --to png, not tar" in other.err) == (2, True)
    write_png(photos / "new.png", draw(1))
    other = command(*words, "--model", weights_file)
    assert (other.status, "and" in other.err, "holds others now" in other.err) == (2, True, True)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not there, expected a folder, a pattern, a list file"),
        (["empty"], "empty holds no image and no .tar"),
        (["photos", "--part", "5/4"], "--part 5/4 is no part, expected K/N as in 3/64"),
        (["photos", "--part", "1of4"], "--part 1of4 is no part"),
        (["photos", "--to", "jpg"], "--to jpg, expected png or tar or parquet"),
        (["photos", "--ray", "auto", "--part", "1/2"], "--ray auto with --part"),
        (["{7..3}.tar"], "7 to 3 is no range"),
        (["{a,b}.tar"], "in braces stand numbers alone, as in 'DIR/{000..063}.tar'"),
        (["{00..03}.tar"], "00.tar is not there, the first that {00..03}.tar stands for"),
        (["words.txt"], "words.txt: line 2: 'b.doc' is no image and no .tar by name"),
        (["taken"], "would lie in 'manifest', where the manifest goes"),
        (["nosuch://bucket/a"], "nosuch://bucket/a cannot be reached"),
    ],
)
def test_wrong_requests_are_said_in_a_sentence(
    command, weights_file: Path, photos: Path, monkeypatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(photos.parent)
    Path("empty").mkdir()
    Path("words.txt").write_text("photos/01.png\nb.doc\n")
    Path("taken/manifest").mkdir(parents=True)
    write_png(Path("taken/manifest/a.png"), draw(1))
    done = command("label", *words, "--model", weights_file, "--out", "out")
    assert done.status == 2
    assert said in done.err
    assert not Path("out").exists()


def test_a_file_where_the_output_should_be_is_said(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out.txt"
    file.write_text("mine")
    done = command("label", photos, "--model", weights_file, "--out", file, "--workers", 1)
    assert done.status == 2
    assert "is a file or lies below one, expected a folder; name another" in done.err
    assert file.read_text() == "mine"


def test_images_at_addresses_are_named_below_their_common_folder(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("http://host:1/a/b/1.png\nhttp://host:1/a/2.png\n")
    (shard,) = find_shards(str(listed), str(tmp_path / "out"), None)
    assert [(image.location, image.name) for image in shard.images] == [
        ("http://host:1/a/2.png", "2.png"),
        ("http://host:1/a/b/1.png", "b/1.png"),
    ]


def test_a_model_that_gives_labels_alone_has_no_confidence(
    command, weights_file: Path, photos: Path, tmp_path: Path, monkeypatch
) -> None:
    """As exported files of some networks do at the size that they run at."""
    from briskseg.runtime.backends.torch_backend import TorchBackend

    def labels(self: TorchBackend, image_hwc: np.ndarray, at_own_size: bool) -> np.ndarray:
        return image_hwc[..., 0] % 3

    monkeypatch.setattr(TorchBackend, "run", labels)
    out = tmp_path / "out"
    done = command("label", photos, "--model", weights_file, "--out", out, "--workers", 1)
    assert "note: 22 have no confidence: model.safetensors with torch in float32 gives" in done.err
    rows = manifest(out)
    assert {row["confidence"] for row in rows.values()} == {None}
    image = read_image(photos / "01.png")
    assert rows["01.png"]["histogram"] == np.bincount((image[..., 0] % 3).ravel()).tolist()


def test_images_of_a_12_bit_camera_are_warned_of_whoever_reads_them(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    """Their high bytes, which are what is read, hold next to nothing: the labels are of black."""
    (photos / "sub" / "broken.jpg").unlink()
    names = ["01.png", "02.png", "04.tif"]  # whose 4095 OpenCV rounds up to 16
    for name in ("01.png", "02.png", "04.png"):
        deep = 16 * cv2.imread(str(photos / name)).astype(np.uint16)
        deep[:2] = 4095
        cv2.imwrite(str(photos / name), deep)
        if name == "04.png":
            cv2.imwrite(str(photos / "04.tif"), deep)
            (photos / name).unlink()
    tar = [(path.name, path.read_bytes()) for path in sorted(photos.glob("*.*"))]
    write_tar(tmp_path / "tars" / "a.tar", tar)
    for source, images in ((photos, 22), (tmp_path / "tars", len(tar))):
        out, file = tmp_path / f"of-{source.name}", tmp_path / f"{source.name}.json"
        words = "label", source, "--model", weights_file, "--out", out, "--json", file
        done = command(*words)
        assert f"warning: 3 of {images} images: 16-bit images whose highest value is" in done.err
        assert f"are read as black, the first: {names[0]}; scale the values to" in done.err
        found = json.loads(file.read_text())
        assert (found["warned"], found["labeled"], found["failed"]) == (3, images, 0)
        assert [one["image"] for one in found["warnings"]] == names
        rows = manifest(out)
        assert sorted(name for name in rows if rows[name]["warning"]) == names
        assert f"warning: 3 of {images} images" in command(*words).err  # nothing is left to do


def test_a_job_of_before_goes_on_without_warnings(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    words = "label", photos, "--model", weights_file, "--out", tmp_path / "out"
    assert command(*words).status == 0
    for file in (tmp_path / "out" / "manifest").iterdir():
        pq.write_table(pq.read_table(file).drop_columns("warning"), file)
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    assert "22 of 22 images labeled" in done.out


def test_the_image_at_which_the_network_fails_is_named(
    command, weights_file: Path, photos: Path, tmp_path: Path, monkeypatch
) -> None:
    from briskseg.core.errors import WeightsError
    from briskseg.runtime.backends.torch_backend import TorchBackend

    run = TorchBackend.run

    def failing(self: TorchBackend, image_hwc: np.ndarray, at_own_size: bool) -> np.ndarray:
        if np.array_equal(image_hwc, draw(5)):
            raise WeightsError("model.safetensors cannot be run: no such luck")
        return run(self, image_hwc, at_own_size)

    monkeypatch.setattr(TorchBackend, "run", failing)
    words = ("label", photos, "--model", weights_file, "--out", tmp_path / "out", "--workers", 1)
    done = command(*words)
    assert done.status == 1
    assert "05.png: model.safetensors cannot be run: no such luck" in done.err


def test_a_full_disk_is_said_and_nothing_is_lost(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"
    words = ("label", photos, "--model", weights_file, "--out", out, "--workers", 1)
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, allowed[1]))  # a manifest has more
    try:
        done = command(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert done.status == 1
    assert "File too large; make room, and give the same command again" in done.err
    assert not any(out.glob("manifest/*"))
    assert command(*words).out.startswith("22 of 23 images labeled")


def test_a_package_that_is_not_installed_is_named(
    weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from briskseg.cli import main; main()"
    words = ["label", str(photos), "--model", str(weights_file), "--out", str(tmp_path / "out")]
    line = [sys.executable, "-c", code, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "briskseg: briskseg label needs the package 'pyarrow', which is not installed; install it "
        "with: pip install 'briskseg[label]'\n"
    )


def test_what_programs_leave_beside_images_is_none(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    count = sum(path.is_file() for path in photos.rglob("*"))
    (photos / "._photo.jpg").write_bytes(b"Mac OS X")
    words = (photos, "--out", tmp_path / "out", "--json", "-")
    done = command("label", *words, "--model", weights_file)
    assert (done.status, json.loads(done.out)["images"]) == (0, count)
    assert command("predict", weights_file, photos, "--out", tmp_path / "masks").status == 0


def test_shards_keep_the_size_that_a_job_was_begun_with(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "sub" / "broken.jpg").unlink()
    words = ("label", photos, "--model", weights_file, "--out", tmp_path / "out", "--workers", 1)
    assert command(*words, "--shard-size", 4).status == 0
    done = command(*words)
    assert (done.status, "22 of them were done before" in done.out) == (0, True)
    done = command(*words, "--shard-size", 5)
    assert done.status == 2
    assert "was begun with --shard-size 4, not 5; leave --shard-size out" in done.err


def test_two_at_one_shard_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As where a command is given twice, or a node thought dead goes on."""
    from briskseg.scale import storage

    first, second = storage.LocalStorage(tmp_path), storage.LocalStorage(tmp_path)
    with first.scratch(0) as mine:
        (mine / "made").write_bytes(b"1")
        theirs = subprocess.run(
            [sys.executable, "-c", _SCRATCH, str(tmp_path)], check=False, capture_output=True
        )
        assert theirs.returncode == 9, theirs.stderr
        assert len([*(tmp_path / ".work").iterdir()]) == 2
        second.finish()  # takes away what the dead process left, and nothing else
        first.put(mine / "made", "labels")
    first.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


_SCRATCH = """
import os, sys
from pathlib import Path
from briskseg.scale.storage import LocalStorage
with LocalStorage(Path(sys.argv[1])).scratch(0):
    os._exit(9)
"""


def test_labels_do_not_depend_on_which_sizes_came_before(
    weights_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    from briskseg.export import export
    from briskseg.scale import shard_work

    file = export(weights_file, "openvino", tmp_path / "model.xml").out
    predictor = shard_work._predictor.__wrapped__(str(file), "openvino", 1)
    predictor.with_confidence(draw(1))
    sizes = [size for _, size in predictor.backend._networks]
    assert sizes == [None]
