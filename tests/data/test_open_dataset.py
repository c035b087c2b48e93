"""Data is recognized by what lies in its folder, and every image must have its labels."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.conftest import stripes, write_image, write_mask

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import CAMVID11, CAMVID32, CITYSCAPES, IGNORED
from briskseg.data import open_dataset, synthetic

SHARED_CAMVID = Path(__file__).parents[3] / "shared" / "camvid"


def names(dataset):
    return {split: [pair.name for pair in pairs] for split, pairs in dataset.splits.items()}


def test_folder_with_splits(write_folder):
    root = write_folder(("train", "val", "test"), classes="road 1 2 3\ncar\nsky\nignore 9\n")
    (root / "images" / "train" / ".DS_Store").write_text("")
    (root / "images" / "train" / "notes.txt").write_text("")
    dataset = open_dataset(root)
    assert dataset.kind == "folder"
    assert names(dataset) == {split: ["000", "001", "002"] for split in ("train", "val", "test")}
    assert (dataset.labels.names, dataset.labels.ignored) == (("road", "car", "sky"), (9,))
    pair = dataset.pairs("val")[1]
    assert pair.image == root / "images" / "val" / "001.jpg"
    image, labels = dataset.read(pair)
    np.testing.assert_array_equal(image, cv2.imread(str(pair.image))[..., ::-1])
    np.testing.assert_array_equal(labels, stripes())
    with pytest.raises(RequestError, match=r"no split 'vali'; did you mean 'val'\? choices: train"):
        dataset.pairs("vali")


def test_flat_folder_is_split_by_seed_and_names_alone(write_folder, tmp_path):
    root = write_folder((".",), images=20)
    first = names(open_dataset(root))
    assert (len(first["train"]), len(first["val"])) == (16, 4)
    assert sorted(first["train"] + first["val"]) == [f"{number:03d}" for number in range(20)]
    moved = root.rename(tmp_path / "elsewhere")
    assert names(open_dataset(moved)) == first
    assert names(open_dataset(moved, seed=1)) != first


def test_folder_files_without_counterpart_are_named(write_folder):
    root = write_folder()
    (root / "labels" / "train" / "001.png").unlink()
    (root / "images" / "val" / "002.jpg").unlink()
    write_image(root / "images" / "val" / "000.png", 7)
    with pytest.raises(DataError) as caught:
        open_dataset(root)
    for part in (
        "1 x image without label (images/train/001.jpg)",
        "1 x label without image (labels/val/002.png)",
        "1 x name used twice (images/val/000.png)",
        f"`briskseg check {root}` lists all",
    ):
        assert part in str(caught.value)


def test_folder_mistakes(write_folder):
    root = write_folder()
    with pytest.raises(RequestError, match=r"the classes are those of the folder.s classes.txt"):
        open_dataset(root, classes="camvid11")
    (root / "classes.txt").rename(root / "class.txt")
    with pytest.raises(RequestError, match=r"but no classes.txt; write one: a class name a line"):
        open_dataset(root)
    (root / "class.txt").rename(root / "classes.txt")
    write_image(root / "images" / "stray.png", 1)
    with pytest.raises(RequestError, match=r"1 file lies beside the split folders \(stray.png"):
        open_dataset(root)
    (root / "images" / "stray.png").unlink()
    (root / "images" / "val").rename(root / "images" / "vall")
    with pytest.raises(RequestError, match=r"'vall' is no split; did you mean 'val'\?"):
        open_dataset(root)


def test_an_empty_set_is_an_error(write_folder):
    root = write_folder(images=0)
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="a folder data set without a single image"):
        open_dataset(root)


def test_reading_names_what_does_not_fit(write_folder):
    root = write_folder()
    write_mask(root / "labels" / "train" / "000.png", stripes(3, (12, 15)))
    write_mask(root / "labels" / "train" / "001.png", stripes(3) + 2)
    dataset = open_dataset(root)
    first, second, _ = dataset.pairs("train")
    message = f"{first.image} is 16x12 and its labels {first.label} are 15x12 (width x height)"
    with pytest.raises(DataError, match=re.escape(message)):
        dataset.read(first)
    with pytest.raises(DataError, match=r"001.png: values 3 \(64 pixels\), 4 \(64 pixels\)"):
        dataset.read(second)


def test_camvid_in_segnets_layout(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        write_image(tmp_path / split / "0001TP_1.png", number)
        write_mask(tmp_path / f"{split}annot" / "0001TP_1.png", stripes(12))
    (tmp_path / "train.txt").write_text("/SegNet/CamVid/train/0001TP_1.png /SegNet/...\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.labels) == ("camvid", CAMVID11)
    assert names(dataset) == {split: ["0001TP_1"] for split in ("train", "val", "test")}
    _, labels = dataset.read(dataset.pairs("test")[0])
    assert labels[:, 0].tolist() == [*range(11), IGNORED]
    with pytest.raises(RequestError, match=r"'camvid32' was asked for, but these label files"):
        open_dataset(tmp_path, classes="camvid32")
    with pytest.raises(RequestError, match=r"no class set 'camvid12'; did you mean 'camvid"):
        open_dataset(tmp_path, classes="camvid12")


def published_camvid(root: Path, images: int) -> None:
    colors = CAMVID32.colorize(np.arange(32, dtype=np.uint8)[None])
    for number in range(images):
        write_image(root / "701_StillsRaw_full" / f"f{number:03d}.png", number, (1, 32))
        write_mask(root / "LabeledApproved_full" / f"f{number:03d}_L.png", colors)


def test_camvid_as_published(tmp_path):
    published_camvid(tmp_path, 14)
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.labels) == ("camvid", CAMVID32)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 11, "val": 3}
    _, labels = dataset.read(dataset.pairs("train")[0])
    assert labels[0].tolist() == list(range(32))
    merged = open_dataset(tmp_path, classes="camvid11")
    assert names(merged) == names(dataset)
    assert merged.read(merged.pairs("val")[0])[1].max() == IGNORED


def test_all_of_camvid_as_published_splits_as_in_the_write_up(tmp_path):
    for kind, ending in (("701_StillsRaw_full", ""), ("LabeledApproved_full", "_L")):
        (tmp_path / kind).mkdir()
        for number in range(701):
            (tmp_path / kind / f"f{number:03d}{ending}.png").touch()
    splits = open_dataset(tmp_path, seed=3).splits
    assert (len(splits["train"]), len(splits["val"])) == (573, 128)


def test_camvid_as_published_with_lists(tmp_path):
    published_camvid(tmp_path, 5)
    (tmp_path / "train.txt").write_text("f003\n701_StillsRaw_full/f001.png x\n\n")
    assert names(open_dataset(tmp_path))["val"] == ["f000", "f002", "f004"]  # the rest
    (tmp_path / "val.txt").write_text("f000.png\n")
    assert names(open_dataset(tmp_path)) == {"train": ["f001", "f003"], "val": ["f000"]}
    (tmp_path / "val.txt").write_text("f000\nf999\n")
    with pytest.raises(DataError, match=r"val.txt, line 2: 'f999' is no image of the data set"):
        open_dataset(tmp_path)


def cityscapes(root: Path, truth: str, content: str, mask: np.ndarray) -> None:
    for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "lindau")):
        stem = f"{city}_000000_000019"
        write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", 1, mask.shape)
        folder = root / truth / split / city
        write_mask(folder / f"{stem}_{truth}_{content}.png", mask)
        write_mask(folder / f"{stem}_{truth}_instanceIds.png", mask)


@pytest.mark.parametrize("truth", ["gtFine", "gtCoarse"])
@pytest.mark.parametrize("content", ["labelIds", "labelTrainIds"])
def test_cityscapes(tmp_path, truth, content):
    mask = {"labelIds": np.uint8([[7, 0, 33]]), "labelTrainIds": np.uint8([[0, 255, 18]])}[content]
    cityscapes(tmp_path, truth, content, mask)
    dataset = open_dataset(tmp_path)
    assert dataset.kind == "cityscapes"
    assert dataset.labels.names == CITYSCAPES.names
    assert names(dataset) == {
        "train": ["aachen_000000_000019", "ulm_000000_000019"],
        "val": ["lindau_000000_000019"],
    }
    assert dataset.read(dataset.pairs("val")[0])[1].tolist() == [[0, 255, 18]]
    with pytest.raises(
        RequestError, match="'camvid11' was asked for, but the classes are those of Cityscapes"
    ):
        open_dataset(tmp_path, classes="camvid11")


def test_cityscapes_with_files_missing(tmp_path):
    cityscapes(tmp_path, "gtFine", "labelIds", np.uint8([[7]]))
    next(tmp_path.glob("gtFine/train/ulm/*_labelIds.png")).unlink()
    with pytest.raises(DataError, match=r"1 x image without label \(leftImg8bit/train/ulm/ulm_"):
        open_dataset(tmp_path)
    (tmp_path / "gtFine").rename(tmp_path / "gt")
    with pytest.raises(RequestError, match="leftImg8bit is there, but no labels"):
        open_dataset(tmp_path)


def test_unknown_folders_say_what_is_there_and_what_is_known(write_folder, tmp_path):
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(RequestError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path}: no data set of a known layout; found notes.md." in message
    for layout in ("images/SPLIT/NAME.ext", "trainannot/", "LabeledApproved_full", "gtFine"):
        assert layout in message
    write_folder()
    with pytest.raises(RequestError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path}: no data set of a known layout; found notes.md, set/." in message
    assert f"Did you mean {tmp_path / 'set'}?" in message
    assert "Recognized are" not in message  # the way out is known
    with pytest.raises(RequestError, match=re.escape(f"Did you mean {tmp_path / 'set'}?")):
        open_dataset(tmp_path / "set" / "images")
    with pytest.raises(RequestError, match="the data folder does not exist"):
        open_dataset(tmp_path / "gone")
    with pytest.raises(RequestError, match="the data folder is a file"):
        open_dataset(tmp_path / "notes.md")


@pytest.mark.parametrize("named", [".", "up", "up/set/images/train", "up/set/labels"])
def test_the_data_set_around_or_inside_is_named(write_folder, tmp_path, command, named):
    (tmp_path / "up").mkdir()
    write_folder().rename(tmp_path / "up" / "set")
    done = command("check", tmp_path / named)
    (meant,) = re.findall(r"Did you mean (\S+)\?", done.err)
    assert "mv " not in done.err
    assert command("check", meant).status == 0
    assert Path(meant).samefile(tmp_path / "up" / "set")
    write_image(tmp_path / "up" / "more" / "a.png", 1)  # is of no data set around
    assert "Did you mean" not in command("check", tmp_path / "up" / "more").err


def test_a_split_of_a_data_set_is_told_from_one_without_a_class_list(write_folder, command):
    root = write_folder()
    for split in ("train", "val"):
        for part in ("images", "labels"):
            (root / split / part).parent.mkdir(exist_ok=True)
            (root / part / split).rename(root / split / part)
    done = command("check", root / "train")
    assert (done.status, f"did you mean {root}? By itself" in done.err) == (2, True)
    assert f"Did you mean {root}?" in command("check", root / "train" / "images").err
    assert command("check", root).status == 0


def test_of_several_data_sets_inside_one_is_to_be_named(write_folder, tmp_path, command):
    for name in ("one", "two"):
        write_folder().rename(tmp_path / name)
    done = command("check", tmp_path)
    said = f"Name one of the data sets in it: {tmp_path / 'one'}, {tmp_path / 'two'}."
    assert (done.status, said in done.err) == (2, True)
    (tmp_path / "two" / "classes.txt").unlink()
    assert f"Did you mean {tmp_path / 'one'}?" in command("check", tmp_path).err


def test_streets_are_drawn_once_into_the_cache(tmp_path, monkeypatch):
    drawings = []
    draw = synthetic.draw_dataset

    def draw_few(folder, progress=None):
        drawings.append(folder)
        draw(folder, train=2, val=1, size_hw=(40, 60), progress=progress)
        if len(drawings) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "draw_dataset", draw_few)
    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        open_dataset("streets")
    assert list((tmp_path / "cache").iterdir()) == []
    told = []
    dataset = open_dataset("streets", progress=lambda done, total: told.append((done, total)))
    assert (dataset.kind, len(drawings), told[-1]) == ("streets", 2, (3, 3))
    assert (dataset.labels.names, dataset.labels.colors) == (CAMVID11.names, CAMVID11.colors)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 2, "val": 1}
    assert open_dataset("streets", "camvid11") == dataset
    assert len(drawings) == 2
    with pytest.raises(RequestError, match=r"those of drawn streets; ask for .camvid11."):
        open_dataset("streets", "camvid32")


@pytest.mark.skipif(not SHARED_CAMVID.is_dir(), reason=f"CamVid itself is not at {SHARED_CAMVID}")
def test_camvid_itself():
    dataset = open_dataset(SHARED_CAMVID)
    assert {s: len(pairs) for s, pairs in dataset.splits.items()} == {"train": 367, "val": 101}
    assert len(dataset.labels.names) == 11
    image, labels = dataset.read(dataset.pairs("train")[0])
    assert (image.shape, labels.shape) == ((360, 480, 3), (360, 480))
    ignored = [np.mean(dataset.read(pair)[1] == IGNORED) for pair in dataset.pairs("val")]
    assert np.mean(ignored) == pytest.approx(0.0170, abs=5e-5)


def test_importing_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, briskseg.core.labels, briskseg.core.images, briskseg.data.check\n"
        "import briskseg.data.frequencies\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
