"""briskseg check: findings in text or JSON, and an exit status for programs."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from briskseg.core.errors import DataError


@pytest.fixture
def check(command):
    """Runs the command -> (exit status, standard output, standard error)."""
    return lambda *words: command("check", *words)


@pytest.fixture
def data(tmp_path):
    """A sound set of two classes in the folder layout."""
    (tmp_path / "classes.txt").write_text("road\n[bold]car\n")
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        noise = np.random.default_rng(len(split)).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "images" / split / "a.png")
        Image.fromarray(noise[..., 0] % 2).save(tmp_path / "labels" / split / "a.png")
    return tmp_path


def test_a_sound_set(check, data):
    status, text, _ = check(data)
    assert status == 0
    # a long path before it breaks the line
    assert "kind folder, 2 classes, pairs: train 1, val 1" in " ".join(text.split())
    assert "8x8 (2)" in text
    assert "[bold]car" in text
    assert "0 errors, 0 warnings, 0 notes: fit to train on" in text


def test_an_error_fails_and_is_named_within_100_columns(check, data):
    for number in range(40):
        name = f"a_rather_long_name_that_fills_the_line_{number:03d}.png"
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(data / "labels" / "train" / name)
    Image.fromarray(np.full((8, 9), 7, np.uint8)).save(data / "labels" / "train" / "a.png")
    status, text, _ = check(data)
    assert status == 1
    assert "error: label-without-image (40): label files without an image of their name" in text
    assert "error: sizes-differ (1)" in text
    assert "error: unknown-values (1): label values of no class: 7 (72 pixels)" in text
    assert "cure: " in text
    assert "3 errors, 1 warning, 0 notes: not fit to train on" in text
    assert max(map(len, text.splitlines())) <= 100


def test_json_to_a_file_or_standard_output(check, data):
    (data / "images" / "val" / "a.png").write_bytes(b"")
    file = data.parent / "report.json"
    assert check(data, "--json", file)[0] == 1
    status, text, _ = check(data, "--json", "-")
    assert status == 1
    report = json.loads(text)
    assert report == json.loads(file.read_text())
    assert not report["fit"]
    assert report["splits"]["train"]["pairs"] == 1
    (finding,) = report["findings"]
    assert (finding["kind"], finding["severity"]) == ("empty-file", "error")
    assert finding["files"] == ["images/val/a.png"]


def test_wrong_requests(check, tmp_path):
    status, _, error = check(tmp_path)
    assert status == 2
    assert "no data set of a known layout; found an empty folder" in error
    status, _, error = check(tmp_path, "--json", tmp_path / "gone" / "report.json")
    assert status == 2
    assert "is not there; make it" in error


def spoil(data):
    """A lossy label file, and an image twice."""
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(data / "labels" / "train" / "a.png")
    for kind in ("images", "labels"):
        (data / kind / "train" / "b.png").write_bytes((data / kind / "val" / "a.png").read_bytes())


def test_a_repaired_copy(check, data, tmp_path_factory):
    spoil(data)
    out = tmp_path_factory.mktemp("copies") / "mended"
    report = out.parent / "report.json"
    status, text, _ = check(data, "--fix", out, "--json", report)
    assert status == 1  # nothing is left to train on
    assert "left out: 1 file, unknown-values (labels/train/a.png)" in text
    assert "left out: 1 file, val-in-train (images/train/b.png)" in text
    assert "error split-empty (1); not fit to train on" in text
    assert json.loads(report.read_text())["fix"]["pairs"] == 1
    Image.fromarray(np.arange(64).reshape(8, 8) % 2 == 1).save(data / "labels" / "train" / "a.png")
    status, text, _ = check(data, "--fix", out.with_name("second"))
    assert status == 0
    assert "second: 2 pairs" in text
    assert "the copy, checked: no finding; fit to train on" in text
    status, _, error = check(data, "--fix", out)
    assert (status, "nothing is overwritten" in error) == (2, True)
    assert check(data, "--fix", out)[1] == ""  # before anything is read
    status, _, error = check(data, "--fix", data / "inside")
    assert (status, "lie in one another" in error) == (2, True)


def test_nothing_that_can_be_kept(check, data, tmp_path_factory):
    for path in data.glob("labels/*/*"):
        path.write_bytes(b"")
    out = tmp_path_factory.mktemp("copies") / "mended"
    status, text, _ = check(data, "--fix", out)
    assert status == 1
    assert "no pair could be kept" in text
    assert not out.exists()


def test_a_copy_of_which_every_pair_fails_says_why(check, data, tmp_path_factory):
    rng = np.random.default_rng(0)
    (data / "classes.txt").write_text("a 0 0 0\nb 255 255 255\n")
    for path in data.glob("labels/*/*"):
        noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path.with_suffix(".jpg"))
        path.unlink()
    out = tmp_path_factory.mktemp("copies") / "mended"
    status, text, _ = check(data, "--fix", out)
    assert (status, out.exists()) == (1, False)
    assert "no pair could be kept, nothing was written" in text
    assert "too many pixels are far from every class's color" in " ".join(text.split())


def test_the_picture_of_a_set(check, data, tmp_path_factory):
    pytest.importorskip("matplotlib")
    picture = tmp_path_factory.mktemp("pictures") / "data.png"
    status, text, _ = check(data, "--picture", picture)
    assert (status, f"picture: {picture}" in text) == (0, True)
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 24)) > 100
    drawn = picture.with_suffix(".svg")
    assert check(data, "--picture", drawn)[0] == 0
    assert drawn.read_text().startswith("<?xml")
    status, text, error = check(data, "--picture", picture.with_suffix(".xyz"))
    assert (status, text, "no kind of picture" in error) == (2, "", True)
    status, _, error = check(data, "--picture", data / "gone" / "data.png")
    assert (status, "is not there; make it" in error) == (2, True)


# --- before a training --------------------------------------------------------------------------


def test_training_is_refused_on_unfit_data(command, data, tmp_path):
    spoil(data)
    words = ("train", "demo", "--data", data, "--out", tmp_path / "run")
    status, _, error = command(*words)
    assert status == 1
    assert "is not fit to train on: 2 errors (unknown-values (1), val-in-train (1))" in error
    assert "labels/train/a.png first: label values of no class: 9 (64 pixels)" in error
    assert f"`briskseg check {data}` names every file and the cure" in error
    assert not (tmp_path / "run").exists()
    status, _, error = command(*words, "--no-check")  # then training finds it on reading
    assert status == 1
    assert "not fit" not in error


def test_of_several_processes_only_the_first_checks(data, tmp_path):
    from briskseg.cli.before_training import refuse_training as refuse
    from briskseg.recipe import load_recipe
    from briskseg.training.processes import Processes

    spoil(data)
    recipe = load_recipe("demo", [f"data.root={data}"])
    second, first = (Processes(rank=rank, world=2) for rank in (1, 0))
    refuse(recipe, tmp_path / "run", second, None, None, resume=False, is_unchecked=False)
    with pytest.raises(DataError, match="not fit"):
        refuse(recipe, tmp_path / "run", first, None, None, resume=False, is_unchecked=False)


def test_warnings_are_one_line_before_training(data, capsys):
    from briskseg.cli.before_training import refuse_unfit
    from briskseg.recipe import load_recipe

    recipe = load_recipe("demo", [f"data.root={json.dumps(str(data))}"])
    refuse_unfit(recipe)
    assert capsys.readouterr() == ("", "")
    for kind in ("images", "labels"):
        (data / kind / "test").mkdir()
        (data / kind / "test" / "b.png").write_bytes((data / kind / "val" / "a.png").read_bytes())
    refuse_unfit(recipe)
    _, said = capsys.readouterr()
    assert said.count("\n") == 1
    assert f"1 warning (duplicates (2)) in {data}; `briskseg check {data}` says more" in said


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("photos/x.png drawn/a.png", "label-without-image", "'photos/x.png', the image of 'drawn"),
        ("photos/a.png drawn/x.png", "image-without-label", "'drawn/x.png', the label of 'photos"),
        ("photos/x.png drawn/x.png", "missing-file", "neither 'photos/x.png' nor its label"),
        ("photos/b.png drawn/b.png", "name-used-twice", "'photos/b.png' stands in a line before"),
    ],
)
def test_a_line_of_a_list_that_makes_no_pair_is_told(check, command, data, line, kind, said):
    for split, name in (("train", "b"), ("val", "c")):
        for kind_of_file, folder in (("images", "photos"), ("labels", "drawn")):
            (data / folder).mkdir(exist_ok=True)
            (data / kind_of_file / split / "a.png").rename(data / folder / f"{name}.png")
        (data / f"{split}.txt").write_text(f"photos/{name}.png drawn/{name}.png\n")
    for folder in ("photos", "drawn"):
        (data / folder / "a.png").write_bytes((data / folder / "b.png").read_bytes())
    assert check(data)[0] == 0
    with (data / "train.txt").open("a") as file:
        file.write(f"\n{line}\n")
    status, text, _ = check(data)
    assert status == 1
    assert f"error: {kind} (1): train.txt, line 3: {said}" in " ".join(text.split())
    assert f"(train.txt, line 3: {said}" in command("data", "show", data).err


@pytest.mark.parametrize("is_there", [True, False])
def test_a_name_in_a_list_without_a_pair_is_told(check, data, is_there):
    (data / "images" / "b.png").write_bytes((data / "images" / "train" / "a.png").read_bytes())
    for split, name in (("train", "c"), ("val", "d")):
        for part in ("images", "labels"):
            (data / part / split / "a.png").rename(data / part / f"{name}.png")
            (data / part / split).rmdir()
        (data / f"{split}.txt").write_text(f"{name}\n")
    assert check(data)[0] == 0
    (data / "val.txt").write_text("d\nb.png\n" if is_there else "d\nx\n")
    text = " ".join(check(data)[1].split())
    named = "image-without-label (1): val.txt, line 2: 'b.png': image without label (images/b.png)"
    unknown = "missing-file (1): val.txt, line 2: 'x' is no image of the data set"
    assert (named if is_there else unknown) in text


@pytest.mark.parametrize("layout", ["flat", "csv"])
def test_a_split_that_was_drawn_is_said(check, data, layout):
    assert "split:" not in check(data)[1]
    assert json.loads(check(data, "--json", "-")[1])["split_seed"] is None
    rows = ["image,label"]
    for split in ("train", "val"):
        for part in ("images", "labels"):
            file = data / part / split / "a.png"
            file.rename(data / part / f"{split}x.png")
            file.parent.rmdir()
        rows.append(f"images/{split}x.png,labels/{split}x.png")
    if layout == "csv":
        (data / "pairs.csv").write_text("\n".join(rows))
    text = " ".join(check(data, "--seed", 5)[1].split())
    assert "split: drawn by seed 5 (--seed): no list and no folder says which" in text
    assert json.loads(check(data, "--seed", 5, "--json", "-")[1])["split_seed"] == 5
    (data / "pairs.csv").unlink(missing_ok=True)
    (data / "val.txt").write_text("valx\n")
    assert "split:" not in check(data)[1]


def test_one_of_a_thing_is_said_in_the_singular(check, data):
    for path in (data / "images" / "val" / "a.png", data / "labels" / "val" / "a.png"):
        path.unlink()
    (data / "classes.txt").write_text("road\n")
    text = " ".join(check(data)[1].split())
    assert "kind folder, 1 class, pairs: train 1" in text
    assert "3 files: 3 read (1 image, 1 label file, 1 list)" in text


def test_the_offer_of_a_copy_says_what_stays(check, data):
    shutil.rmtree(data / "images" / "val")
    shutil.rmtree(data / "labels" / "val")
    (data / "images" / "train" / "b.png").write_bytes(b"")
    status, text, _ = check(data)
    assert status == 1
    assert "a copy without what is wrong but for split-empty, repaired where it can be" in text


def test_a_folder_without_rights_is_no_defect_of_ours(
    check, streets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(root: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(root))

    monkeypatch.setattr("briskseg.data.formats.recognize", refused)  # root may read everything
    status, _, said = check(streets)
    assert status == 1
    assert said == (
        f"briskseg: {streets}: Permission denied; see to its rights and its disk, or name another\n"
    )
