"""The doctor tells every kind of wrong data set apart, and its repaired copy is what it says."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.wrong_sets import (
    CASES,
    CITYSCAPES_IDS,
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
    part,
    save,
    two_classes,
)

from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import read_image
from briskseg.core.labels import CITYSCAPES
from briskseg.data import open_dataset
from briskseg.data.check import KINDS, check_dataset, examine, report_on
from briskseg.data.check.file_stats import look_of, looks_array
from briskseg.data.check.fixed_copy import copy_mended
from briskseg.data.synthetic import draw_scene

# Errors that training would not notice by itself: nothing in the files is unreadable.
SILENT = {"binary-masks", "nothing-labeled", "one-class", "split-empty"}
DOCS = Path(__file__).parents[2] / "docs" / "check.md"


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    return draw_sound(tmp_path_factory.mktemp("doctor") / "sound")


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
    scan = examine(root)
    return copy_mended(scan, report_on(scan), out)


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
    scan = examine(root)
    report = report_on(scan)
    found = {finding.kind: finding for finding in report.findings}
    assert found.keys() == {case.kind, *case.also}
    assert all(finding.count >= 1 and finding.cure for finding in found.values())
    assert report.fit == all(KINDS[kind].severity != "error" for kind in found)
    if case.kind not in SILENT:  # training refuses what is an error, and nothing else
        assert training_reads(root) == report.fit
    repair = copy_mended(scan, report, tmp_path / "out")
    assert contents(root) == before
    assert len(scan.facts) - repair.pairs == case.lost
    after = check_dataset(tmp_path / "out")
    kept = {kind for kind in found if KINDS[kind].fix == "kept"}
    assert kinds(after) == (kept if case.then is None else set(case.then))
    for path in part(tmp_path / "out"):
        original = sound / path.relative_to(tmp_path / "out")
        if case.keeps and original.exists():
            assert np.array_equal(load(path), load(original)), path


def test_every_kind_is_recognized_and_in_the_documentation():
    assert {case.kind for case in CASES} == KINDS.keys()
    assert len(KINDS) >= 25
    rows = [
        f"| `{name}` | {kind.severity} | {kind.meaning} | {kind.cure} | {kind.fix} |"
        for name, kind in KINDS.items()
    ]
    text = DOCS.read_text("utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert table == rows, "docs/check.md, whose table is:\n" + "\n".join(rows)


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


def test_a_dark_image_is_bright_in_the_copy(root, sound, tmp_path):
    dark_images(root)
    fixed(root, tmp_path / "out")
    path = part(sound, "images")[0].relative_to(sound)
    assert np.array_equal(read_image(tmp_path / "out" / path), read_image(sound / path))
    assert read_image(root / path).max() < 4


def test_the_remedy_of_binary_masks_is_one_line(root):
    binary_masks(root)
    (found,) = check_dataset(root).findings
    assert "mask // 255" in found.cure
    for path in part(root):
        save(load(path) // 255, path)
    assert check_dataset(root).findings == ()


def test_a_wrong_palette_is_not_taken_for_soft_borders(root):
    palette = np.random.default_rng(2).integers(0, 256, (12, 3)).astype(np.uint8)
    rows = np.arange(SIZE[0])[:, None] * 12 // SIZE[0] + np.zeros(SIZE[1], int)
    change(part(root)[:1], lambda labels: palette[rows])
    (found,) = check_dataset(root).findings
    assert found.kind == "unknown-colors"
    assert "add the missing colors" in found.cure


def test_a_copy_that_would_touch_the_original_is_refused(root, tmp_path):
    for out in (root / "mended", root, tmp_path):
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
        [f"left out\t{first}\tempty-file", *(f"mended\t{path}\tsixteen-bit-labels" for path in two)]
    )


# --- the cache ----------------------------------------------------------------------------------


def reads(monkeypatch):
    """The files that are read from now on."""
    from briskseg.data.check import scan

    seen: list[Path] = []
    for name in ("read_image_facts", "read_label_facts"):
        real = getattr(scan, name)

        def counted(path, real=real):
            seen.append(path)
            return real(path)

        monkeypatch.setattr(scan, name, counted)
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
    assert "split by drive" in found.cure


def test_ids_of_the_cases_are_cityscapes_own():
    assert [CITYSCAPES.names[i] for i in (2, 0, 10)] == ["building", "road", "sky"]
    assert CITYSCAPES_IDS == (11, 7, 23)
