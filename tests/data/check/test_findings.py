"""`check` tells every kind of wrong data set apart, and its repaired copy is what it says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.check.wrong_sets import (
    CASES,
    CITYSCAPES_IDS,
    CLASSES,
    PAIRS,
    SIZE,
    binary_masks,
    blended_colors,
    change,
    dark_images,
    draw_sound,
    label_ids,
    load,
    lossy_binary,
    lossy_labels,
    mostly_ignored,
    names_differ_in_a_flat_folder,
    paint,
    part,
    remap,
    save,
    two_classes,
    write_classes,
)

from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import read_image
from briskseg.core.labels import CITYSCAPES
from briskseg.data import open_dataset
from briskseg.data.check import KINDS, check_dataset, report_on
from briskseg.data.check.fixed_copy import write_repaired
from briskseg.data.check.scan import scan_files
from briskseg.data.file_stats import look_of, looks_array
from briskseg.data.formats import find_dataset
from briskseg.data.synthetic import draw_scene

# Errors that training would not notice by itself: nothing in the files is unreadable.
SILENT = {
    "single-class",
    "unread-data",
    "binary-masks",
    "nothing-labeled",
    "one-class",
    "split-empty",
    "val-in-train",
}
OF_SHAPES = {
    "unlisted-images",
    "shapes-left-out",
    "crowds-only",
    "wrong-annotation",
    "class-not-listed",
}  # tests/data/test_shape_formats.py
ONE_OF_MANY = re.compile(r"(?<![\d.,:])1 (images|files|label files|pixels|objects|shapes|pairs)\b")
DOCS = Path(__file__).parents[3] / "docs" / "check.md"


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    return draw_sound(tmp_path_factory.mktemp("check") / "sound")


@pytest.fixture
def root(sound, tmp_path):
    """A copy of the sound set, to be spoiled."""
    return shutil.copytree(sound, tmp_path / "set")


def kinds(report):
    return {finding.kind for finding in report.findings}


def contents(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in files}


def fixed(root, out):
    scan = scan_files(find_dataset(root))
    return write_repaired(scan, report_on(scan), out)


def training_reads(root):
    try:
        dataset = open_dataset(root)
        for split in dataset.splits:
            for pair in dataset.pairs(split):
                dataset.read(pair)
    except DataError:
        return False
    return True


def test_the_sound_set_has_no_finding(sound):
    assert check_dataset(sound).findings == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spoil.__name__)
def test_a_wrong_set(case, root, sound, tmp_path):
    case.spoil(root)
    before = contents(root)
    scan = scan_files(find_dataset(root))
    report = report_on(scan)
    found = {finding.kind: finding for finding in report.findings}
    assert found.keys() == {case.kind, *case.also}
    assert all(finding.count >= 1 and finding.fix_hint for finding in found.values())
    assert not any(ONE_OF_MANY.search(finding.message) for finding in found.values())
    assert report.fit == all(KINDS[kind].severity != "error" for kind in found)
    if case.kind not in SILENT:  # training refuses what is an error, and nothing else
        assert training_reads(root) == report.fit
    repair = write_repaired(scan, report, tmp_path / "out")
    assert contents(root) == before
    assert len(scan.pairs) - repair.pairs == case.lost
    if not repair.pairs:
        assert case.kind in {"unread-data", "unlisted-values"}  # nothing is left to check
        return
    after = check_dataset(tmp_path / "out")
    kept = {kind for kind in found if KINDS[kind].fix == "unchanged"}
    assert kinds(after) == (kept if case.then is None else set(case.then))
    for path in part(tmp_path / "out"):
        original = sound / path.relative_to(tmp_path / "out")
        if case.keeps and original.exists():
            assert np.array_equal(load(path), load(original)), path


def test_every_kind_is_recognized_and_in_the_documentation():
    assert {case.kind for case in CASES} | OF_SHAPES == KINDS.keys()
    assert len(KINDS) >= 25
    text = DOCS.read_text("utf-8")
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    rows = [[f"| `{n}`", k.severity, k.fix_hint, f"{k.fix} |"] for n, k in KINDS.items()]
    assert [row[:2] + row[3:] for row in table] == rows
    assert all(len(row[2]) > 15 for row in table)  # what it means


@pytest.mark.parametrize("spoil", [blended_colors, lossy_labels, lossy_binary])
def test_soft_borders_become_the_classes_beside_them(spoil, root, sound, tmp_path):
    reference = shutil.copytree(sound, tmp_path / "reference")
    if spoil is lossy_binary:
        two_classes(reference)
    spoil(root)
    fixed(root, tmp_path / "out")
    for path in part(tmp_path / "out"):
        labels, truth = load(path), load(reference / path.relative_to(tmp_path / "out"))
        factor = labels.shape[0] // truth.shape[0]
        truth = truth.repeat(factor, 0).repeat(factor, 1)
        assert np.mean(labels == truth) > 0.985
        for value in np.unique(labels):  # no class appears where it is not near
            near = cv2.dilate((truth == value).astype(np.uint8), np.ones((9, 9)))
            assert near[labels == value].all()


def test_the_copy_of_label_ids_holds_train_ids(root, sound, tmp_path):
    label_ids(root)
    fixed(root, tmp_path / "out")
    expected = {0: "building", 1: "road", 2: "sky"}
    for path in part(tmp_path / "out"):
        truth = load(sound / path.relative_to(tmp_path / "out"))
        for index, name in expected.items():
            assert set(load(path)[truth == index]) == {CITYSCAPES.names.index(name)}
        assert set(load(path)[truth == 255]) <= {255}


# --- guesses: what fits as it is stays, and what does not is left out where it may be two things --


def nineteen_of_another_field(root):
    """Values 0..18, and in one file a 19."""
    write_classes(root, dict.fromkeys([f"tissue{i}" for i in range(19)]))
    change(part(root), lambda labels: np.where(labels == 255, 18, labels).astype(np.uint8))
    change(part(root)[:1], remap(0, 19, 2))


def train_ids_and_19_for_ignored(root):
    write_classes(root, dict.fromkeys(CITYSCAPES.names))
    change(part(root)[:1], remap(0, 1, 19))


def five_classes_and_a_binary_mask(root):
    with (root / "classes.txt").open("a") as file:
        file.write("fourth\nfifth\nignore 200\n")
    change(part(root), lambda labels: np.where(labels == 255, 200, labels).astype(np.uint8))
    change(part(root)[:1], lambda labels: np.where(labels == 1, 255, 0).astype(np.uint8))


def nothing_but_binary_masks_of_five_classes(root):
    with (root / "classes.txt").open("a") as file:
        file.write("fourth\nfifth\nignore 200\n")
    change(part(root)[1:], lambda labels: np.where(labels == 2, 200, 0).astype(np.uint8))
    change(part(root)[:1], lambda labels: np.where(labels == 1, 255, 0).astype(np.uint8))


def one_file_numbered_from_one(root):
    change(part(root)[:1], remap(1, 2, 3))


def one_stretched_file(root):
    change(part(root)[:1], remap(0, 60, 120))


def one_lossy_mask_of_two_classes(root):
    two_classes(root)
    change(part(root)[:1], lambda labels: labels * 255, form="JPEG", quality=90)


def a_class_forgotten_among_soft_borders(root):
    def smooth(labels):
        large = paint(labels)
        large[20:26, 20:30] = 20, 240, 20
        return cv2.resize(large, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)

    change(part(root)[:1], smooth)
    save(load(part(root, "images")[0]).repeat(2, 0).repeat(2, 1), part(root, "images")[0])


def a_class_forgotten_in_a_palette_of_small_steps(root):
    write_classes(root, {"a": (10, 0, 0), "b": (20, 0, 0), "c": (40, 0, 0)})
    palette = np.zeros((256, 3), np.uint8)
    palette[:3, 0] = 10, 20, 40
    change(part(root), lambda labels: palette[labels])
    palette[:3, 0] = 10, 30, 40
    change(part(root)[:1], lambda pixels: palette[np.searchsorted([10, 20, 40], pixels[..., 0])])


@pytest.mark.parametrize(
    "spoil",
    [
        nineteen_of_another_field,
        train_ids_and_19_for_ignored,
        five_classes_and_a_binary_mask,
        nothing_but_binary_masks_of_five_classes,
        one_file_numbered_from_one,
        one_stretched_file,
        one_lossy_mask_of_two_classes,
        a_class_forgotten_among_soft_borders,
        a_class_forgotten_in_a_palette_of_small_steps,
    ],
)
def test_one_strange_file_is_left_out_and_the_others_are_as_they_were(spoil, root, tmp_path):
    spoil(root)
    strange, *others = part(root)
    before = {path.name: open_dataset(root).labels.read(path) for path in others}
    repair = fixed(root, tmp_path / "out")
    after = {path.name: load(path) for path in part(tmp_path / "out")}
    assert repair.pairs == len(others)
    assert strange.name not in after
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_files_that_fit_are_not_renumbered_with_the_fewer_that_do_not(root, tmp_path):
    change(part(root), remap(1, 2, 2))
    change(part(root)[:2], lambda labels: np.where(labels == 2, 3, labels).astype(np.uint8))
    report = check_dataset(root)
    assert {"ambiguous-labels", "unknown-values"} <= kinds(report)
    assert fixed(root, tmp_path / "out").pairs == 0


def test_label_ids_become_the_classes_of_their_names_in_any_order(root, tmp_path):
    label_ids(root)
    names = [name.title().replace(" ", "_") for name in reversed(CITYSCAPES.names)]
    (root / "classes.txt").write_text("\n".join(names) + "\n")
    before = {path.name: load(path) for path in part(root)}
    fixed(root, tmp_path / "out")
    for path in part(tmp_path / "out"):
        for label_id, name in zip(CITYSCAPES_IDS, ("Building", "Road", "Sky"), strict=True):
            assert set(load(path)[before[path.name] == label_id]) == {names.index(name)}


def test_colors_that_are_classes_in_either_order_of_channels_are_left_out(root, tmp_path):
    write_classes(root, {"a": (128, 0, 0), "b": (0, 0, 128), "c": (192, 128, 0)})
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = (0, 0, 128), (128, 0, 0), (0, 128, 192)  # as blue, green, red
    change(part(root), lambda labels: palette[labels])
    change(part(root)[:1], lambda pixels: np.where(pixels[..., 1:2] > 0, palette[0], pixels))
    assert kinds(check_dataset(root)) >= {"ambiguous-labels", "channels-swapped"}
    assert fixed(root, tmp_path / "out").pairs == sum(PAIRS.values()) - 1


def test_black_masks_beside_one_of_indices_stay_ignored_where_the_others_are_colored(root):
    change(part(root), paint)
    change(part(root)[:1], lambda pixels: pixels // 100 * 0 + 1)
    change(part(root)[1:3], np.zeros_like)
    found = {finding.kind: finding.count for finding in check_dataset(root).findings}
    assert found["index-as-rgb"] == 1
    assert found["all-ignored"] == 2


def a_third_ignored(root):
    change(part(root), lambda labels: np.where(np.arange(SIZE[1]) % 3, labels, 255).astype("u1"))


def mostly_black(root):
    """By color, with black that the list names."""
    mostly_ignored(root)
    write_classes(root, CLASSES | {"black": (0, 0, 0)})
    change(part(root), paint)


def mostly_the_object(root):
    """255, in some masks without the second class."""
    of_two_classes(root)
    change(part(root)[:2], lambda labels: np.where(labels == 1, 0, labels))


def of_two_classes(root):
    write_classes(root, {"rest": None, "ground": None})
    kept = np.arange(SIZE[1]) % 16 == 0
    change(part(root), lambda labels: np.where(kept, labels == 1, 255).astype("u1"))


def test_mostly_ignored_masks_of_two_classes(root):
    of_two_classes(root)
    (found,) = check_dataset(root).findings
    assert found.kind == "mostly-ignored"
    assert "make the class list `0 rest`, `1 ground`, `255 background`; if" in found.fix_hint


@pytest.mark.parametrize("spoil", [a_third_ignored, mostly_black, mostly_the_object])
def test_ignored_pixels_are_no_finding_where_they_are_few_or_something_else(spoil, root):
    spoil(root)
    assert "mostly-ignored" not in kinds(check_dataset(root))


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (("Background", "other", "sky"), "`0 Background`, `1 other`, `2 sky`, `255 rest`"),
        (('"a, b"', "ground", "sky"), "add it to the class list"),
        (("road 255 0 0", "ground", "sky"), "add it to the class list"),
        (("built", "ground", "sky", "sea"), "add it to the class list"),  # one never occurs
    ],
)
def test_the_list_that_is_printed_is_one_that_reads_so(names, listed, root):
    mostly_ignored(root)
    (root / "classes.txt").write_text("\n".join(names) + "\n")
    found = {finding.kind: finding for finding in check_dataset(root).findings}
    assert listed in found["mostly-ignored"].fix_hint


def test_lines_of_one_color_more_are_ignored_by_the_line_that_is_printed(root):
    change(part(root), paint)

    def draw_lines(pixels):
        pixels[::12] = 255
        return pixels

    change(part(root), draw_lines)
    (found,) = check_dataset(root).findings
    assert found.kind == "unknown-colors"
    (line,) = re.findall("say so .`(ignore [^`]+)` in the list", found.fix_hint)
    with (root / "classes.txt").open("a") as file:
        file.write(f"{line}\n")
    report = check_dataset(root)
    assert (report.fit, kinds(report)) == (True, set())


def test_a_dark_image_is_bright_in_the_copy(root, sound, tmp_path):
    dark_images(root)
    fixed(root, tmp_path / "out")
    path = part(sound, "images")[0].relative_to(sound)
    assert np.array_equal(read_image(tmp_path / "out" / path), read_image(sound / path))
    assert read_image(root / path).max() < 4


def test_dark_images_are_told_apart_by_what_they_hold(root, tmp_path):
    """Not by their high bytes, which are 0 in all of them."""
    for path in part(root, "images"):
        assert cv2.imwrite(str(path), load(path)[..., ::-1].astype(np.uint16))
    assert kinds(check_dataset(root)) == {"dark-images"}
    assert fixed(root, tmp_path / "out").pairs == len(part(root, "images"))


def test_the_seed_draws_the_split_of_labels_that_are_named_otherwise(root):
    names_differ_in_a_flat_folder(root)
    drawn = [tuple(check_dataset(root, seed=seed).splits["val"].pixels) for seed in range(4)]
    assert len({*drawn}) > 1
    assert drawn[1] == tuple(check_dataset(root, seed=1).splits["val"].pixels)


def test_the_remedy_of_binary_masks_is_one_line(root):
    binary_masks(root)
    (found,) = check_dataset(root).findings
    assert "np.where(mask == 255, 1, mask)" in found.fix_hint
    for path in part(root):
        save(load(path) // 255, path)
    assert check_dataset(root).findings == ()


def test_a_wrong_palette_is_not_taken_for_soft_borders(root):
    palette = np.random.default_rng(2).integers(0, 256, (12, 3)).astype(np.uint8)
    rows = np.arange(SIZE[0])[:, None] * 12 // SIZE[0] + np.zeros(SIZE[1], int)
    change(part(root)[:1], lambda labels: palette[rows])
    (found,) = check_dataset(root).findings
    assert found.kind == "unknown-colors"
    assert "add the missing colors" in found.fix_hint


def test_a_copy_that_would_touch_the_original_is_refused(root, tmp_path):
    for out in (root / "repaired", root, tmp_path):
        with pytest.raises(RequestError, match="--fix"):
            fixed(root, out)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RequestError, match="is a file"):
        fixed(root, tmp_path / "file")


def test_the_list_of_changes_names_every_file(root, tmp_path):
    part(root)[0].write_bytes(b"")
    two = [path.relative_to(root).as_posix() for path in part(root)[1:3]]
    change(part(root)[1:3], lambda labels: labels.astype(np.uint16))
    fixed(root, tmp_path / "out")
    lines = (tmp_path / "out" / "changes.txt").read_text().splitlines()
    first = part(root)[0].relative_to(root).as_posix()
    assert sorted(lines) == sorted(
        [
            f"left out\t{first}\tempty-file",
            *(f"repaired\t{path}\tsixteen-bit-labels" for path in two),
        ]
    )


def test_the_list_of_changes_names_the_image_where_that_is_written_anew(root, tmp_path):
    image = part(root, "images")[0]
    assert cv2.imwrite(str(image), load(image)[..., ::-1].astype(np.uint16) * 4)
    fixed(root, tmp_path / "out")
    line = f"repaired\t{image.relative_to(root).as_posix()}\tdark-images\n"
    assert (tmp_path / "out" / "changes.txt").read_text() == line


def test_val_stays_where_a_list_names_it_in_train_too(root, tmp_path):
    names = {split: [p.stem for p in part(root, "images", split)] for split in ("train", "val")}
    for kind in ("images", "labels"):
        for path in part(root, kind):
            path.rename(root / kind / path.name)
        for split in names:
            (root / kind / split).rmdir()
    every = [name for some in names.values() for name in some]
    (root / "train.txt").write_text("\n".join(every))
    (root / "val.txt").write_text("\n".join(names["val"]))
    report = check_dataset(root)
    (found,) = (finding for finding in report.findings if finding.kind == "val-in-train")
    assert [path.stem for path in found.files] == sorted(names["val"])
    fixed(root, tmp_path / "out")
    for split, some in names.items():
        assert sorted(p.stem for p in part(tmp_path / "out", "images", split)) == sorted(some)


# --- the cache ----------------------------------------------------------------------------------


def reads(monkeypatch):
    """The files that are read from now on."""
    from briskseg.data import dataset

    seen: list[Path] = []
    for name in ("image_stats", "mask_stats"):
        real = getattr(dataset, name)

        def counted(path, *data, real=real):
            seen.append(path)
            return real(path, *data)

        monkeypatch.setattr(dataset, name, counted)
    return seen


def test_only_what_changed_is_read_again(root, monkeypatch):
    seen = reads(monkeypatch)
    first = check_dataset(root)
    assert len(seen) == 2 * sum(PAIRS.values())
    seen.clear()
    assert check_dataset(root) == first
    assert seen == []
    changed = part(root)[2]
    save(np.full(SIZE, 7, np.uint8), changed)
    assert kinds(check_dataset(root)) == {"unknown-values"}
    assert seen == [changed]
    (root / "classes.txt").write_text("".join(f"class{i}\n" for i in range(8)))
    assert "class-absent" in kinds(check_dataset(root))
    assert seen == [changed]  # other classes need no file read again


def test_what_could_not_be_read_is_tried_again(root, monkeypatch):
    whole = part(root)[0].read_bytes()
    part(root)[0].write_bytes(b"")
    assert kinds(check_dataset(root)) == {"empty-file"}
    seen = reads(monkeypatch)
    assert kinds(check_dataset(root)) == {"empty-file"}
    assert seen == [part(root)[0]]
    part(root)[0].write_bytes(whole)
    assert check_dataset(root).findings == ()


@pytest.mark.parametrize("rubbish", ["", "{}", '{"version": 1, "files": {"a": 1}}', "[]"])
def test_a_damaged_cache_is_no_harm(root, rubbish, monkeypatch, tmp_path):
    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path / "cache"))
    before = check_dataset(root)
    (kept,) = (tmp_path / "cache" / "check").iterdir()
    whole = json.loads(kept.read_text())
    kept.write_text(rubbish)
    assert check_dataset(root) == before
    assert json.loads(kept.read_text()) == whole


def test_a_cache_that_cannot_be_written_is_no_harm(root, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    monkeypatch.setenv("BRISKSEG_CACHE", str(tmp_path / "cache"))
    assert check_dataset(root).findings == ()


# --- looks --------------------------------------------------------------------------------------


def test_looks_tell_a_new_scene_from_an_altered_one():
    scenes = [draw_scene(seed, (120, 160))[0] for seed in range(6)]
    altered = []
    for scene in scenes:
        small = cv2.resize(scene, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", np.clip(small * 0.8 + 10, 0, 255).astype(np.uint8))
        altered.append(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    cosines = looks_array([*map(look_of, scenes)]) @ looks_array([*map(look_of, altered)]).T
    assert np.diag(cosines).min() > 0.99
    np.fill_diagonal(cosines, 0)
    assert cosines.max() < 0.8


def test_one_video_in_two_splits_is_named_and_not_called_a_copy(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    wide, _ = draw_scene(3, (48, 120))
    for frame in range(10):
        split = "val" if frame % 3 == 0 else "train"
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True, exist_ok=True)
        save(wide[:, frame : frame + 64], tmp_path / "images" / split / f"drive_{frame:04d}.png")
        labels = (np.indices((48, 64)).sum(0) // 20 % 2).astype(np.uint8)
        save(labels, tmp_path / "labels" / split / f"drive_{frame:04d}.png")
    (found,) = check_dataset(tmp_path).findings
    assert found.kind == "video-neighbors"
    assert "6 pairs of neighboring video frames lie in different splits" in found.message
    assert "split by drive" in found.fix_hint


def test_ids_of_the_cases_are_cityscapes_own():
    assert [CITYSCAPES.names[i] for i in (2, 0, 10)] == ["building", "road", "sky"]
    assert CITYSCAPES_IDS == (11, 7, 23)
