"""What labeling tools write is read as it lies: each format's own turns, by `open_dataset`."""

from __future__ import annotations

import base64
import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.data.conftest import write_image
from tests.data.conftest import write_json as put

from briskseg.core.errors import DataError, RequestError
from briskseg.core.images import write_png
from briskseg.data import Dataset, open_dataset
from briskseg.data.check import check_dataset
from briskseg.data.formats import recognize
from briskseg.data.shapes import LINE_WIDTH

H, W = 40, 60
BOTH = [[2, 2], [22, 2], [22, 22], [2, 22]], [[10, 10], [30, 10], [30, 30], [10, 30]]


def picture(path: Path) -> None:
    write_image(path, len(str(path)), (H, W))


def labels(root: Path, name: str = "a", **how: Any) -> tuple[Dataset, np.ndarray]:
    """The data set, and the labels of the image of this stem."""
    dataset = open_dataset(root, **how)
    pairs = [pair for split in dataset.splits for pair in dataset.pairs(split)]
    return dataset, dataset.read_labels(next(p for p in pairs if p.image.stem == name))


def areas(dataset: Dataset, labels_hw: np.ndarray) -> dict[str, int]:
    """The pixels of each class."""
    names = {**dict(enumerate(dataset.names)), 255: "(ignored)"}
    values, counts = np.unique(labels_hw, return_counts=True)
    return {names[value]: n for value, n in zip(values.tolist(), counts.tolist(), strict=True)}


def png(mask: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(mask).save(written, "PNG")
    return written.getvalue()


# --- labelme


def labelme_file(*shapes: dict[str, Any], image: str = "a.png", **more: Any) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": None,
        "imageHeight": H,
        "imageWidth": W,
    } | more


def shape(label: str, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind} | more


def test_labelme_shapes(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:6] = True
    coded = base64.b64encode(png(mask)).decode()
    embedded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    shapes = [
        shape("car", BOTH[0], flags={"hard": True}, group_id=3),
        shape("tree", BOTH[1]),
        shape("pole", [[40, 20], [45, 20]], "circle"),
        shape("lane", [[5, 35], [35, 35]], "line"),
        shape("sign", [[50, 1], [56, 5]], "mask", mask=coded),
        shape("bush", [[40, 2], [44, 2], [44, 6], [40, 6]], "oriented_rectangle"),
        shape("void", [[55, 35], [60, 40]], "rectangle"),
        shape("nose", [[3, 3]], "point"),
    ]
    put(tmp_path / "a.json", labelme_file(*shapes, imageData=embedded))
    put(tmp_path / "b.json", labelme_file(shape("car", BOTH[0]), image="b.png"))
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "bush", "car", "lane", "pole", "sign", "tree")
    found = areas(dataset, labels_hw)
    assert found["tree"] == 20 * 20  # the later one lies on top
    assert found["car"] == 20 * 20 - 12 * 12
    assert found["lane"] == 30 * LINE_WIDTH
    assert abs(found["pole"] - np.pi * 25) < 5
    assert (found["sign"], found["bush"], found["(ignored)"]) == (12, 16, 25)
    assert (labels_hw[2:5, 52:56] == dataset.names.index("sign")).all()
    report = check_dataset(tmp_path)
    left_out = next(f for f in report.findings if f.kind == "shapes-left-out")
    assert "point (1)" in left_out.message
    assert left_out.files == (Path("a.json"),)


@pytest.mark.parametrize(
    "stated", ["..\\images\\a.png", "../images/a.png", "C:\\work\\a.png", "/etc/a.png", "gone.png"]
)
def test_labelme_finds_the_image_within_the_root_only(tmp_path: Path, stated: str) -> None:
    picture(tmp_path / "a.png")  # outside of the data
    root = tmp_path / "set"
    for name in "ab":
        picture(root / "images" / f"{name}.png")
        put(root / "json" / f"{name}.json", labelme_file(shape("car", BOTH[0])))
    put(root / "json" / "a.json", labelme_file(shape("car", BOTH[0]), image=stated))
    put(root / "json" / "b.json", labelme_file(shape("car", BOTH[0]), image="b.png"))
    dataset = open_dataset(root)
    pairs = {pair for split in dataset.splits for pair in dataset.pairs(split)}
    assert {pair.image for pair in pairs} == {root / "images" / f"{n}.png" for n in "ab"}
    put(root / "json" / "c.json", labelme_file(shape("car", BOTH[0]), image="../../a.png"))
    picture(tmp_path / "c.png")
    put(root / "json" / "c.json", labelme_file(shape("car", BOTH[0]), image="../../c.png"))
    with pytest.raises(DataError, match=r"label without image \(json/c\.json\)"):
        open_dataset(root)


def test_labels_of_train_do_not_take_an_image_of_val(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("val", "b")):
        picture(tmp_path / split / f"{name}.png")
        drawn = labelme_file(shape("car", BOTH[0]), image=f"{name}.png")
        put(tmp_path / split / f"{name}.json", drawn)
    picture(tmp_path / "val" / "c.png")
    put(tmp_path / "train" / "c.json", labelme_file(shape("car", BOTH[0]), image="c.png"))
    with pytest.raises(DataError, match=r"label without image \(train/c\.json\)"):
        open_dataset(tmp_path)


def test_a_damaged_labelme_shape_keeps_its_image(tmp_path: Path) -> None:
    for name in ("a", "b", "other"):
        picture(tmp_path / f"{name}.png")
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    (tmp_path / "other.json").unlink()
    put(tmp_path / "c.json", labelme_file({"points": BOTH[0]}, image="other.png"))
    with pytest.raises(DataError, match=r"c\.json: shapes\[0\]\.label is missing"):
        labels(tmp_path, "other")


def stored(form: str, number: int) -> bytes:
    """A picture's file, which differs from those of all other numbers."""
    pixels = np.random.default_rng(number).integers(0, 256, (H, W, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, form, quality=95)
    return written.getvalue()


def test_an_image_that_is_embedded_alone(tmp_path: Path, command: Any) -> None:
    root, files = tmp_path / "set", {"a": stored("PNG", 1), "b": stored("JPEG", 2)}
    for (name, data), split in zip(files.items(), ("train", "val"), strict=True):
        coded = base64.b64encode(data).decode()
        content = labelme_file(shape("car", BOTH[0]), image="..\\gone.png", imageData=coded)
        put(root / split / f"{name}.json", content)
        (tmp_path / name).write_bytes(data)
    dataset = open_dataset(root)
    for split, name in (("train", "a"), ("val", "b")):
        (pair,) = dataset.pairs(split)
        image_hwc, labels_hw = dataset.read(pair)
        with Image.open(tmp_path / name) as picture:  # of a JPEG decoders differ by a little
            assert np.abs(image_hwc.astype(int) - np.asarray(picture.convert("RGB"))).max() <= 2
        assert dataset.size(pair) == (H, W)
        assert areas(dataset, labels_hw)["car"] == 20 * 20
    code, out, _ = command("check", root)
    assert code == 0
    assert "2 label files, 2 of them with an image inside), none left over" in out
    assert "wrong-suffix" not in out
    assert command("data", "show", root, "--out", tmp_path / "shown")[0] == 0
    for to, folder in (("folder", "images/{}"), ("labelme", "{}"), ("coco", "images/{}")):
        assert command("data", "convert", root, tmp_path / to, "--to", to)[0] == 0
        a, b = (tmp_path / to / folder.format(split) for split in ("train", "val"))
        assert (a / "a.png").read_bytes() == files["a"]
        assert (b / "b.jpg").read_bytes() == files["b"]
    assert command("check", root, "--fix", tmp_path / "fixed")[0] == 0
    assert (tmp_path / "fixed" / "images" / "train" / "a.png").read_bytes() == files["a"]


def test_an_image_beside_goes_before_the_embedded_one(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        coded = base64.b64encode(stored("PNG", number)).decode()
        picture(tmp_path / f"{name}.png")
        content = labelme_file(shape("car", BOTH[0]), image="gone.png", imageData=coded)
        put(tmp_path / f"{name}.json", content)
    found = open_dataset(tmp_path)
    pairs = [pair for split in found.splits for pair in found.pairs(split)]
    assert {pair.image.name for pair in pairs} == {"a.png", "b.png"}
    for pair in pairs:
        with Image.open(pair.image) as beside:
            assert np.array_equal(found.read_image(pair), np.asarray(beside))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("no base64!", "imageData is no base64"),
        (b"nothing", "damaged, or of no kind that is read"),
        (stored("PNG", 1)[:900], "damaged or cut off"),
    ],
)
def test_a_damaged_embedded_image_is_named(tmp_path: Path, data: str | bytes, said: str) -> None:
    coded = data if isinstance(data, str) else base64.b64encode(data).decode()
    for number, split in enumerate(("train", "val")):
        whole = base64.b64encode(stored("PNG", number)).decode()
        for name, text in (("a", whole), ("b", coded if split == "train" else whole)):
            content = labelme_file(shape("car", BOTH[0]), image="gone.png", imageData=text)
            put(tmp_path / split / f"{name}.json", content)
    found = open_dataset(tmp_path)
    pair = next(pair for pair in found.pairs("train") if pair.name == "b")
    with pytest.raises(DataError, match=rf"b\.json.*{said}"):
        found.read_image(pair)
    finding = next(f for f in check_dataset(tmp_path).findings if f.kind == "damaged-file")
    assert finding.files == (Path("train/b.json"),)
    assert said in finding.message


def test_an_embedded_image_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coded = base64.b64encode(stored("PNG", 1)).decode()
    content = labelme_file(shape("car", BOTH[0]), image="gone.png", imageData=coded)
    put(tmp_path / "a.json", content | {"imageHeight": None})
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", str(H * W - 1))
    with pytest.raises(DataError, match=rf"a\.json: {W}x{H} is {H * W} pixels, more than"):
        labels(tmp_path)


def test_damage_is_told_where_the_image_has_another_name(tmp_path: Path) -> None:
    picture(tmp_path / "frame.png")
    for name in "ab":
        picture(tmp_path / f"{name}.png")
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    whole = json.dumps(labelme_file(shape("car", BOTH[0]), image="frame.png"))
    put(tmp_path / "c.json", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"\(c\.json: is cut off or damaged .*export it again\)"):
        open_dataset(tmp_path)
    findings = {finding.kind: finding for finding in check_dataset(tmp_path).findings}
    assert findings["damaged-file"].files == (Path("c.json"),)
    assert "c.json: is cut off or damaged" in findings["damaged-file"].message
    assert findings["image-without-label"].files == (Path("frame.png"),)
    assert "label-without-image" not in findings


@pytest.mark.parametrize("content", [{}, [], {"imagePath": "b.png", "imageHeight": H}])
def test_a_file_that_is_not_labelmes_is_told_where_it_has_an_images_name(
    content: Any, tmp_path: Path, command: Any
) -> None:
    for number, name in enumerate("abc"):
        write_image(tmp_path / f"{name}.png", number, (H, W))
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    put(tmp_path / "index.json", {"files": ["a.png", "b.png", "c.png"]})  # no image's name
    put(tmp_path / "meta" / "a.json", {"taken": "at noon"})  # a has its labels
    before = json.loads(command("check", tmp_path, "--json", "-").out)["findings"]
    put(tmp_path / "b.json", content)
    after = json.loads(command("check", tmp_path, "--json", "-").out)["findings"]
    assert before == []
    told = [(finding["kind"], finding["files"]) for finding in after]
    assert told == [("wrong-annotation", ["b.json"])]
    assert 'b.json: is not labelme\'s: it has no "shapes"; save it' in after[0]["message"]


def test_names_that_differ_in_case_or_space_only_are_told(tmp_path: Path, command: Any) -> None:
    said = "classes whose names differ in case or space only: 'Car' and 'car' and 'car '"
    for names, is_said in ((["car", "Car", "car ", "sky"], True), (["car"] * 3 + ["sky"], False)):
        for name, label in zip("abcd", names, strict=True):
            picture(tmp_path / f"{name}.png")
            shapes = [shape(label, BOTH[0]), shape(label, BOTH[1])]
            put(tmp_path / f"{name}.json", labelme_file(*shapes, image=f"{name}.png"))
        done = command("check", tmp_path)
        assert (said in " ".join(done.out.split())) == is_said, done.out


def test_labelme_classes_are_those_of_the_list(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    put(tmp_path / "labels.txt", "__ignore__\n_background_\ntree\ncar\n")
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "tree", "car")
    assert areas(dataset, labels_hw) == {"background": H * W - 400, "car": 400}
    dataset, labels_hw = labels(tmp_path, unlabeled="ignored")
    assert areas(dataset, labels_hw) == {"(ignored)": H * W - 400, "car": 400}
    put(tmp_path / "labels.txt", "tree\ncart\n")
    with pytest.raises(
        DataError, match=r"class 'car', which is not in .*labels\.txt; did you mean 'cart'"
    ):
        labels(tmp_path)


@pytest.mark.parametrize(
    ("listed", "drawn", "said", "cure"),
    [
        (["cra", "tree"], ["car", "tree", "car"], " and has 'cra', which is no", "list instead of"),
        (["cra"], ["car"] * 3, " and has 'cra', which is no shape's", "write 'car' in the list"),
        (["tree"], ["car", "tree", "tree"], "", "add 'car' to the list"),
        (["tree", "cart"], ["cart", "tree", "car"], "", "correct 'car' to 'cart' in the shapes"),
    ],
)
def test_a_class_that_the_list_lacks_is_the_lists_fault(
    listed: list[str], drawn: list[str], said: str, cure: str, tmp_path: Path, command: Any
) -> None:
    for number, name in enumerate(drawn):
        write_image(tmp_path / f"{number}.png", number, (H, W))
        drawing = labelme_file(shape(name, BOTH[0]), image=f"{number}.png")
        put(tmp_path / f"{number}.json", drawing)
    put(tmp_path / "classes.txt", "".join(f"{name}\n" for name in listed))
    report = json.loads(command("check", tmp_path, "--json", "-").out)
    (found,) = (f for f in report["findings"] if f["severity"] == "error")
    files = drawn.count("car")
    assert (found["kind"], found["count"]) == ("class-not-listed", files)
    counted = "1 file" if files == 1 else f"{files} files"
    assert f"classes.txt lacks the class 'car' ({counted}){said}" in found["message"]
    assert cure in found["cure"]
    offers = "with --fix OUT" in command("check", tmp_path).out
    assert offers == (files < len(drawn))  # else the copy would be empty
    ignored = json.loads(command("check", tmp_path, "--unlabeled", "ignored", "--json", "-").out)
    assert "class-not-listed" in {found["kind"] for found in ignored["findings"]}


def test_unlabeled_pixels_are_ignored_where_that_is_asked(tmp_path: Path, command: Any) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    dataset, labels_hw = labels(tmp_path, unlabeled="ignored")
    assert dataset.names == ("car",)
    assert areas(dataset, labels_hw) == {"(ignored)": H * W - 400, "car": 400}
    done = command("check", tmp_path, "--unlabeled", "ignored", "--json", "-")
    assert json.loads(done.out)["classes"] == ["car"]
    assert json.loads(done.out)["split_seed"] == 0  # no folder says what is val
    done = command("check", tmp_path, "--json", "-")
    assert json.loads(done.out)["classes"] == ["background", "car"]
    assert command("check", tmp_path, "--unlabeled", "ignore").status == 2


# --- COCO


def coco_file(annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    numbered = [{"id": n, "image_id": 5, "iscrowd": 0} | a for n, a in enumerate(annotations)]
    return {
        "images": [{"id": 5, "file_name": "a.png", "height": H, "width": W}],
        "annotations": numbered,
        "categories": [{"id": 44, "name": "tree"}, {"id": 7, "name": "car"}],
    } | more


def flat(*rings: Any) -> list[list[float]]:
    return [[c for point in ring for c in point] for ring in rings]


def test_coco_outlines_runs_and_crowds(tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    picture(tmp_path / "val2017" / "a.png")
    picture(tmp_path / "train2017" / "a.png")
    picture(tmp_path / "train2017" / "beside.png")
    mask = np.zeros((H, W), np.uint8)
    mask[30:36, 50:58] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    counts = [40 * 40 + 2, 4, H * W - 40 * 40 - 6]
    content = coco_file(
        [
            {"category_id": 7, "segmentation": flat(BOTH[0], [[50, 2], [55, 2], [55, 6], [50, 6]])},
            {"category_id": 44, "segmentation": flat([[4, 4], [8, 4], [8, 8], [4, 8]])},
            {"category_id": 44, "segmentation": {"size": [H, W], "counts": packed}},
            {"category_id": 7, "segmentation": {"size": [H, W], "counts": counts}, "iscrowd": 1},
            {"category_id": 7, "bbox": [0, 0, 5, 5]},
        ]
    )
    content["annotations"].reverse()
    for split in ("train", "val"):
        put(tmp_path / "annotations" / f"instances_{split}2017.json", content)
        put(tmp_path / "annotations" / f"captions_{split}2017.json", content)
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "car", "tree")  # in the order of the ids
    found = areas(dataset, labels_hw)
    assert found["tree"] == 16 + 48  # the smaller lies over the larger, whatever comes later
    assert found["car"] == 400 - 16 + 20
    assert (labels_hw[2:6, 40] == 255).all()
    assert found["(ignored)"] == 4
    findings = {f.kind: f for f in check_dataset(tmp_path).findings}
    assert "box (2)" in findings["shapes-left-out"].message
    assert findings["unlisted-images"].files == (Path("train2017/beside.png"),)


@pytest.mark.parametrize("form", ["coco", "datumaro"])
def test_classes_of_crowds_alone_are_named_with_a_cure(tmp_path: Path, form: str) -> None:
    """As CVAT writes brush masks: the tree's objects are all marked as crowds."""
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "a.png")
        if form == "coco":
            cars = [
                {"category_id": 7, "segmentation": flat(outline), "iscrowd": n}
                for n, outline in enumerate(BOTH)
            ]
            trees = {"category_id": 44, "segmentation": flat([[50, 2], [55, 2], [55, 6]])}
            content = coco_file([*cars, trees | {"iscrowd": 1}])
            content["images"][0]["file_name"] = "a.png"
        else:
            content = datumaro_file(
                [
                    {"type": "bbox", "label_id": 0, "bbox": [0, 0, 9, 9]},
                    {"type": "bbox", "label_id": 1, "bbox": [20, 0, 9, 9]}
                    | {"attributes": {"is_crowd": True}},
                ]
            )
        name = f"instances_{split}" if form == "coco" else split
        put(tmp_path / "annotations" / f"{name}.json", content)
    (found,) = (f for f in check_dataset(tmp_path).findings if f.severity != "note")
    assert (found.kind, found.count) == ("crowds-only", 2)
    assert "every object is marked as a crowd, and so ignored: tree (2 objects)" in found.message
    assert "to 0 in the annotation files" in found.fix_hint
    for path in (tmp_path / "annotations").iterdir():
        text = path.read_text().replace('"iscrowd": 1', '"iscrowd": 0')
        path.write_text(text.replace('"is_crowd": true', '"is_crowd": 0'))
    report = check_dataset(tmp_path)
    assert "crowds-only" not in {f.kind for f in report.findings}
    assert report.splits["train"].pixels[report.classes.index("tree")] > 0


def test_roboflows_coco(tmp_path: Path) -> None:
    content = coco_file([{"category_id": 1, "segmentation": flat(BOTH[0])}])
    content["categories"] = [
        {"id": 0, "name": "things", "supercategory": "none"},
        {"id": 1, "name": "car", "supercategory": "things"},
    ]
    for split in ("train", "valid", "test"):
        picture(tmp_path / split / "a.png")
        put(tmp_path / split / "_annotations.coco.json", content)
    dataset, labels_hw = labels(tmp_path)
    assert [*dataset.splits] == ["train", "val", "test"]
    assert areas(dataset, labels_hw) == {"background": H * W - 400, "car": 400}


def test_a_single_coco_file_is_split_by_the_seed(tmp_path: Path) -> None:
    content = coco_file([])
    content["images"] = []
    for n in range(10):
        picture(tmp_path / "images" / f"{n}.png")
        content["images"].append({"id": n, "file_name": f"{n}.png", "height": H, "width": W})
        content["annotations"].append(
            {"id": n, "image_id": n, "category_id": 7, "segmentation": flat(BOTH[0])}
        )
    put(tmp_path / "labels.json", content)
    dataset = open_dataset(tmp_path)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 8, "val": 2}


def test_coco_boxes_are_said_to_be_detection(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    put(tmp_path / "coco.json", coco_file([{"category_id": 7, "bbox": [0, 0, 5, 5]}]))
    with pytest.raises(DataError, match=r"coco\.json: no annotation has a `segmentation`"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        (
            "images",
            {"file_name": "b.png", "height": H, "width": W},
            r"images\[1\]\.id 5 is that of",
        ),
        ("categories", {"name": "bus"}, r"categories\[\d\]\.id \d is 'bus', and '\w+' has it too"),
    ],
)
def test_a_number_given_twice_is_told(tmp_path: Path, key: str, entry: Any, said: str) -> None:
    """As in files that were merged without numbering anew."""
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    content = coco_file([{"category_id": 7, "segmentation": flat(BOTH[0])}])
    content[key].append({**entry, "id": content[key][-1]["id"]})
    put(tmp_path / "coco.json", content)
    with pytest.raises(DataError, match=rf"coco\.json: {said}"):
        labels(tmp_path)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"category_id": 9, "segmentation": flat(BOTH[0])}, r"annotations\[0\]\.category_id is 9"),
        (
            {"category_id": 7, "segmentation": [[1, 2, 3, 4, "x", 6]]},
            r"segmentation\[0\]\[4\] is 'x'",
        ),
        ({"category_id": 7, "segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "as many numbers for y"),
        (
            {"category_id": 7, "segmentation": {"size": [9, 9], "counts": [81]}},
            r"size is \[9, 9\], expected the image's \[40, 60\]",
        ),
        ({"category_id": 7, "segmentation": {"size": [H, W], "counts": [5]}}, "add up to 5"),
        ({"category_id": 7, "segmentation": {"size": [H, W], "counts": "\x7f"}}, "run lengths"),
    ],
)
def test_a_wrong_coco_annotation_is_named(tmp_path: Path, annotation: Any, said: str) -> None:
    picture(tmp_path / "a.png")
    put(tmp_path / "coco.json", coco_file([annotation]))
    with pytest.raises(DataError, match=rf"coco\.json: .*{said}"):
        labels(tmp_path)
    damaged = [f for f in check_dataset(tmp_path).findings if f.kind == "wrong-annotation"]
    assert damaged[0].files == (Path("a.png"),)  # the file that holds it is that of all images


def test_coco_panoptic(tmp_path: Path) -> None:
    ids = np.zeros((H, W), np.int64)
    ids[:10], ids[10:20], ids[20:30] = 70000, 256, 3
    colors = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)
    content = coco_file([])
    segments = [
        {"id": 70000, "category_id": 44, "iscrowd": 0},
        {"id": 256, "category_id": 7, "iscrowd": 0},
        {"id": 3, "category_id": 7, "iscrowd": 1},
    ]
    content["annotations"] = [{"image_id": 5, "file_name": "a.png", "segments_info": segments}]
    for split in ("train", "val"):
        picture(tmp_path / f"{split}2017" / "a.png")
        put(tmp_path / "annotations" / f"panoptic_{split}2017.json", content)
        (tmp_path / "annotations" / f"panoptic_{split}2017").mkdir()
        write_png(tmp_path / "annotations" / f"panoptic_{split}2017" / "a.png", colors)
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("car", "tree")
    tenth = 10 * W
    assert areas(dataset, labels_hw) == {"car": tenth, "tree": tenth, "(ignored)": 2 * tenth}
    assert {pair.image.parent.name for pair in dataset.pairs("val")} == {"val2017"}


def test_run_lengths_of_more_than_a_million_pixels(tmp_path: Path) -> None:
    height, width = 1100, 1000
    picture(tmp_path / "a.png")
    counts = [height * width - 7, 7]
    content = coco_file([{"category_id": 7, "segmentation": {"counts": counts}}])
    content["annotations"][0]["segmentation"]["size"] = [height, width]
    content["images"][0] |= {"height": height, "width": width}
    put(tmp_path / "coco.json", content)
    assert areas(*labels(tmp_path))["car"] == 7


def test_every_coco_file_is_read_however_many_there_are(tmp_path: Path) -> None:
    for n in range(60):
        picture(tmp_path / f"{n}.png")
        content = coco_file([{"category_id": 7, "segmentation": flat(BOTH[0])}])
        content["images"][0]["file_name"] = f"{n}.png"
        put(tmp_path / f"{n}.json", content)
    assert sum(map(len, open_dataset(tmp_path).splits.values())) == 60


# --- YOLO


def yolo(root: Path, rows: str, names: str = "names: [car, tree]") -> None:
    for split in ("train", "valid"):
        picture(root / split / "images" / "a.png")
        put(root / split / "labels" / "a.txt", rows)
    put(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\n{names}\n")


def row(number: int, points: Any) -> str:
    return f"{number} " + " ".join(f"{x / W} {y / H}" for x, y in points) + "\n"


def test_yolo_outlines(tmp_path: Path) -> None:
    inner = [[4, 4], [8, 4], [8, 8], [4, 8]]
    yolo(tmp_path, row(1, inner) + row(0, BOTH[0]), "names: {0: car, 1: tree}")
    picture(tmp_path / "train" / "images" / "empty.png")
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "car", "tree")
    assert areas(dataset, labels_hw) == {"background": H * W - 400, "car": 384, "tree": 16}
    _, empty = labels(tmp_path, "empty")
    assert not empty.any()  # an image without labels is all background
    report = check_dataset(tmp_path)
    assert report.splits["train"].pairs == 2
    assert not [f for f in report.findings if "file" in f.kind or "label" in f.kind]


def test_yolo_without_the_test_images_that_its_list_names(tmp_path: Path) -> None:
    """As Roboflow writes it where nothing was put into test."""
    yolo(tmp_path, row(0, BOTH[0]), "test: ../test/images\nnames: {0: car, 1: tree}")
    assert {*open_dataset(tmp_path).splits} == {"train", "val"}


def test_masks_with_their_class_list_go_before_an_old_export(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / f"{split}.png")
        mask = tmp_path / "labels" / split / f"{split}.png"
        mask.parent.mkdir(parents=True)
        write_png(mask, np.ones((H, W), np.uint8))
    put(tmp_path / "old_export.json", coco_file([]))
    assert recognize(tmp_path) == "coco"
    put(tmp_path / "classes.txt", "road\nsky\n")
    assert recognize(tmp_path) == "folder"


def test_yolo_lists_of_images(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
        put(tmp_path / "labels" / f"{name}.txt", row(0, BOTH[0]))
    put(tmp_path / "train.txt", "./images/a.png\n/elsewhere/set/images/b.png\n")
    put(tmp_path / "val.txt", "images/c.png\n")
    put(
        tmp_path / "my.yaml", "path: /elsewhere/set\ntrain: train.txt\nval: val.txt\nnames: [car]\n"
    )
    dataset = open_dataset(tmp_path)
    stems = {s: [pair.image.stem for pair in pairs] for s, pairs in dataset.splits.items()}
    assert stems == {"train": ["a", "b"], "val": ["c"]}
    put(tmp_path / "val.txt", "images/c.png\nimages/d.png\n")
    with pytest.raises(DataError, match=r"val\.txt: 'images/d\.png' is no image in"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0 0.5 0.5 0.1 0.1\n", "a box: these are labels of detection"),
        (row(0, BOTH[0]) + "0 0.5 0.5 0.1 0.1\n", r"a\.txt, row 2: .*a box, among outlines"),
        ("0 0.1 0.2 0.3 0.4 0.5\n", r"a\.txt, row 1: 5 numbers"),
        ("0 0.1 0.2 0.3 0.4 0.5 a\n", "is no row of numbers"),
        ("7 0.1 0.2 0.3 0.4 0.5 0.6\n", "the class 7 has no name"),
        ("0 10 20 30 40 50 60\n", "coordinates outside 0 to 1; divide them by the image's"),
        ("0 0.1 0.2 1.04 0.2 1.04 0.6\n", "the outline leaves the image: limit them to 0 and 1"),
        ("0 nan 0.2 0.3 0.4 0.5 0.6\n", "coordinates outside 0 to 1"),
    ],
)
def test_a_wrong_yolo_row_is_named(tmp_path: Path, rows: str, said: str) -> None:
    yolo(tmp_path, rows)
    with pytest.raises(DataError, match=said):
        labels(tmp_path)


def test_an_outline_without_end_is_named(tmp_path: Path) -> None:
    yolo(tmp_path, "0 " + "0 0 1 1 " * 900_000 + "\n")  # crosses 40 rows 1.8 million times
    with pytest.raises(DataError, match=r"a\.txt, row 1: an outline that crosses rows"):
        labels(tmp_path)


def test_labels_in_shares_of_an_image_follow_its_size(tmp_path: Path) -> None:
    yolo(tmp_path, row(0, BOTH[0]))
    assert check_dataset(tmp_path).splits["train"].pixels[1] == 400
    image = tmp_path / "train" / "images" / "a.png"
    write_png(image, np.kron(np.array(Image.open(image)), np.ones((2, 2, 1), np.uint8)))
    report = check_dataset(tmp_path)
    assert report.splits["train"].pixels[1] == 1600
    assert not {"labels-scaled", "sizes-differ"} & {f.kind for f in report.findings}


# --- CVAT


def cvat_file(shapes: str, labels_of: str = "") -> str:
    names = labels_of or "".join(
        f"<label><name>{n}</name><color>{c}</color></label>"
        for n, c in (("car", "#ff0000"), ("tree", "#00ff00"), ("ignore", "#0000ff"))
    )
    images = "".join(
        f'<image id="{n}" name="{name}.png" width="{W}" height="{H}">{shapes}</image>'
        for n, name in enumerate("ab")
    )
    meta = f"<meta><job><labels>{names}</labels></job></meta>"
    return f'<?xml version="1.0"?><annotations><version>1.1</version>{meta}{images}</annotations>'


def cvat(root: Path, shapes: str) -> None:
    for name in "ab":
        picture(root / "images" / f"{name}.png")
    put(root / "annotations.xml", cvat_file(shapes))


def test_cvat_shapes_lie_by_their_z_order(tmp_path: Path) -> None:
    cvat(
        tmp_path,
        '<polygon label="car" points="2,2;22,2;22,22;2,22" z_order="1"/>'
        '<box label="tree" xtl="10" ytl="10" xbr="30" ybr="30" z_order="0"/>'
        '<ellipse label="tree" cx="45" cy="10" rx="8" ry="4" z_order="0"/>'
        '<mask label="car" rle="3, 2, 1, 4" left="50" top="30" width="5" height="2" z_order="0"/>'
        '<polyline label="tree" points="5,35;35,35" z_order="0"/>'
        '<box label="ignore" xtl="40" ytl="30" xbr="44" ybr="32" rotation="90" z_order="0"/>'
        '<points label="car" points="3,3" z_order="0"/>',
    )
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "car", "tree")
    assert dataset.labels.colors[1:] == ((255, 0, 0), (0, 255, 0))
    found = areas(dataset, labels_hw)
    assert found["car"] == 400 + 6
    assert (labels_hw[30, 53:55] == 1).all()
    assert (labels_hw[31, 51:55] == 1).all()
    assert abs(found["tree"] - (400 - 144 + 30 * LINE_WIDTH + np.pi * 32)) < 5
    assert np.argwhere(labels_hw == 255).min(axis=0).tolist() == [29, 41]
    assert found["(ignored)"] == 8
    kinds = {f.kind: f for f in check_dataset(tmp_path).findings}
    assert "points (2)" in kinds["shapes-left-out"].message


def test_images_of_one_name_and_size_in_two_splits_keep_their_own_numbers(tmp_path: Path) -> None:
    """One file holds the labels of both, so only the images tell them apart."""
    images = ""
    for number, (split, label) in enumerate((("train", "car"), ("val", "tree"))):
        path = tmp_path / "images" / split / "a.bmp"  # all of one size in bytes
        path.parent.mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (H, W, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        box = f'<box label="{label}" xtl="0" ytl="0" xbr="20" ybr="20"/>'
        size = f'width="{W}" height="{H}"'
        images += f'<image id="{number}" name="a.bmp" subset="{split}" {size}>{box}</image>'
    names = "".join(f"<label><name>{name}</name></label>" for name in ("car", "tree"))
    meta = f"<meta><job><labels>{names}</labels></job></meta>"
    put(tmp_path / "annotations.xml", f"<annotations>{meta}{images}</annotations>")
    for path in tmp_path.rglob("*.bmp"):
        os.utime(path, (1, 1))
    for _ in range(2):  # the second time from what was remembered
        splits = check_dataset(tmp_path).splits
        assert splits["train"].pixels == (H * W - 400, 400, 0)
        assert splits["val"].pixels == (H * W - 400, 0, 400)


def test_a_label_without_a_color_is_not_black(tmp_path: Path) -> None:
    cvat(tmp_path, '<box label="car" xtl="1" ytl="1" xbr="3" ybr="3"/>')
    text = (tmp_path / "annotations.xml").read_text()
    put(tmp_path / "annotations.xml", text.replace("<color>#ff0000</color>", ""))
    assert (0, 0, 0) not in open_dataset(tmp_path).labels.colors  # which is shown for ignored


def test_cvat_for_video_says_what_to_export(tmp_path: Path) -> None:
    cvat(tmp_path, "")
    text = (tmp_path / "annotations.xml").read_text().partition("<image")[0]
    put(tmp_path / "annotations.xml", f'{text}<track id="0" label="car"/></annotations>')
    with pytest.raises(DataError, match="export the task as CVAT for images"):
        open_dataset(tmp_path)


def test_cvat_xml_with_entities_is_refused(tmp_path: Path) -> None:
    cvat(tmp_path, "")
    text = cvat_file('<box label="&x;" xtl="1" ytl="1" xbr="3" ybr="3"/>')
    declared = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    put(tmp_path / "annotations.xml", text.replace("?>", f"?>{declared}", 1))
    with pytest.raises(DataError, match=r"annotations\.xml: .*a document type"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ('<polygon label="car" points="1,2;x,4;5,6"/>', "line 1: points of <polygon> is 'x'"),
        ('<box label="car" xtl="1" ytl="1" xbr="3"/>', "ybr of <box> is missing"),
        ('<box xtl="1" ytl="1" xbr="3" ybr="3"/>', "label of <box> is missing"),
        ('<box label="cat" xtl="1" ytl="1" xbr="3" ybr="3"/>', "the class 'cat', which is none"),
        ('<mask label="car" rle="3" left="0" top="0" width="9" height="9"/>', "add up to 3"),
        (
            '<mask label="car" rle="9, -72" left="0" top="0" width="9" height="9"/>',
            "rle of <mask> is .* expected a list of whole numbers",
        ),
    ],
)
def test_a_wrong_cvat_shape_is_named(tmp_path: Path, shapes: str, said: str) -> None:
    cvat(tmp_path, shapes)
    with pytest.raises(DataError, match=said):
        labels(tmp_path)


# --- Label Studio


def studio_regions() -> list[dict[str, Any]]:
    brush = np.zeros((H, W, 4), np.uint8)
    brush[30:36, 50:58] = 255
    size = {"original_width": W, "original_height": H, "image_rotation": 0}
    box = {"x": 10 / W * 100, "y": 10 / H * 100, "width": 2000 / W, "height": 2000 / H}
    regions = [
        {"type": "polygonlabels", "id": "p", **size}
        | {"value": {"points": [[200 / W, 200 / H], [2200 / W, 200 / H], [2200 / W, 2200 / H]]}},
        {"type": "rectanglelabels", "id": "r", **size, "value": {**box, "rotation": 0}},
        {"type": "ellipselabels", "id": "e", **size}
        | {"value": {"x": 75, "y": 25, "radiusX": 800 / W, "radiusY": 400 / H, "rotation": 0}},
        {"type": "brushlabels", "id": "b", **size}
        | {"value": {"format": "rle", "rle": brush_bytes(brush.ravel())}},
        {"type": "keypointlabels", "id": "k", **size, "value": {"x": 1, "y": 1, "width": 1}},
    ]
    for region, name in zip(regions, ("car", "tree", "bush", "sign", "nose"), strict=True):
        region["value"][region["type"]] = [name]
    return regions


def test_label_studio_regions(tmp_path: Path) -> None:
    tasks, regions = [], studio_regions()
    for n, name in enumerate("ab"):
        picture(tmp_path / "upload" / f"{name}.png")
        cancelled = {"result": [], "was_cancelled": True}
        stated = {"image": f"/data/upload/4/0a1b2c3d-{name}.png"}
        annotations = [{"result": regions, "was_cancelled": False}, cancelled]
        tasks.append({"id": n, "data": stated, "annotations": annotations, "predictions": []})
    put(tmp_path / "export.json", tasks)
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "bush", "car", "sign", "tree")
    found = areas(dataset, labels_hw)
    assert found["tree"] == 400
    assert abs(found["car"] - (200 - 78)) <= 20
    assert found["sign"] == 48
    assert abs(found["bush"] - np.pi * 32) < 5
    kinds = {f.kind: f for f in check_dataset(tmp_path).findings}
    assert "keypoint (2)" in kinds["shapes-left-out"].message


@pytest.mark.parametrize("has_labels_apart", [False, True])
def test_label_studios_json_min(tmp_path: Path, has_labels_apart: bool) -> None:
    """A record as its converter makes it: each control's values, with the image's size."""
    regions, records = studio_regions(), []
    controls: dict[str, list[dict[str, Any]]] = {}
    for region in regions:
        kind, value = region["type"], dict(region["value"])
        value |= {"original_width": W, "original_height": H}
        if has_labels_apart:
            label = value.pop(kind)
            controls.setdefault("label", []).append(value | {"labels": label})
        controls.setdefault(kind.removesuffix("labels"), []).append(value)
    tasks = []
    for n, name in enumerate("ab"):
        picture(tmp_path / "upload" / f"{name}.png")
        about = {"image": f"/data/upload/4/0a1b2c3d-{name}.png", "id": n, "annotator": 1}
        made = {"updated_at": "2024-05-02T09:00:00Z", "lead_time": 4.5}
        old = {"annotation_id": 8, "created_at": "2024-05-01T09:00:00Z"}
        records.append(about | {"polygon": controls["polygon"]} | old | made)
        new = {"annotation_id": 9, "created_at": "2024-05-02T09:00:00Z", "quality": "good"}
        records.append(about | controls | new | made)
        tasks.append({"data": {"image": about["image"]}, "annotations": [{"result": regions}]})
    about = {"image": "/data/upload/4/0a1b2c3d-c.png", "annotation_id": None}
    put(tmp_path / "export.json", [*records, about])  # and one that nobody has labeled
    dataset, labels_hw = labels(tmp_path)
    assert dataset.kind == "label-studio"
    left_out = next(f for f in check_dataset(tmp_path).findings if f.kind == "shapes-left-out")
    assert "keypoint (2)" in left_out.message
    put(tmp_path / "export.json", tasks)
    other, expected = labels(tmp_path)
    assert dataset.names == other.names == ("background", "bush", "car", "sign", "tree")
    assert np.array_equal(labels_hw, expected)


def test_label_studio_regions_without_ids_keep_their_labels(tmp_path: Path) -> None:
    size = {"original_width": W, "original_height": H}
    regions = [
        {"type": "rectanglelabels", **size}
        | {"value": {"x": x, "y": 0, "width": 10, "height": 50, "rectanglelabels": [name]}}
        for x, name in ((0, "car"), (50, "tree"))
    ]
    picture(tmp_path / "a.png")
    data = {"image": "a.png"}
    put(tmp_path / "export.json", [{"data": data, "annotations": [{"result": regions}]}])
    found = areas(*labels(tmp_path))
    assert (found["car"], found["tree"]) == (120, 120)


def brush_bytes(values: np.ndarray) -> list[int]:
    """As Label Studio packs a brush: runs of 8-bit values, lengths of 4, 8, 12 or 16 bits."""
    sizes = (4, 8, 12, 16)
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    for start, end in zip(starts, np.r_[starts[1:], len(values)], strict=True):
        kind = next(i for i, size in enumerate(sizes) if end - start - 1 < 1 << size)
        bits += f"1{kind:02b}{end - start - 1:0{sizes[kind]}b}{values[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_label_studios_brush_is_its_own_decoders() -> None:
    brush = pytest.importorskip("label_studio_converter.brush")
    from briskseg.data.label_studio import brush_values

    values = np.repeat(np.random.default_rng(1).integers(0, 2, 300), 4).astype(np.uint8) * 255
    for packed in (brush.encode_rle(values), brush_bytes(values)):
        assert np.array_equal(brush_values(bytes(packed), len(values)), values)
        assert np.array_equal(brush.decode_rle(packed), values)


# --- Supervisely


def test_supervisely_objects(tmp_path: Path) -> None:
    mask = np.zeros((6, 8, 4), np.uint8)
    mask[1:5, 2:6] = 255
    data = base64.b64encode(zlib.compress(png(mask))).decode()
    objects = [
        {"classTitle": "car", "geometryType": "polygon"}
        | {"points": {"exterior": [[2, 2], [21, 2], [21, 21], [2, 21]]}}
        | {"bitmap": None},
        {
            "classTitle": "tree",
            "geometryType": "bitmap",
            "bitmap": {"data": data, "origin": [40, 5]},
        },
        {"classTitle": "tree", "geometryType": "rectangle"}
        | {"points": {"exterior": [[30, 30], [33, 35]], "interior": []}},
        {"classTitle": "car", "geometryType": "point", "points": {"exterior": [[1, 1]]}},
    ]
    objects[0]["points"]["interior"] = [[[6, 6], [9, 6], [9, 9], [6, 9]]]
    classes = [{"title": "car", "shape": "any", "color": "#AA00FF"}]
    classes += [{"title": "tree", "shape": "bitmap", "color": "#00FF00"}]
    put(tmp_path / "meta.json", {"classes": classes, "tags": []})
    for name in "ab":
        picture(tmp_path / "ds0" / "img" / f"{name}.png")
        content = {"size": {"height": H, "width": W}, "objects": objects}
        put(tmp_path / "ds0" / "ann" / f"{name}.png.json", content)
    dataset, labels_hw = labels(tmp_path)
    assert dataset.names == ("background", "car", "tree")
    assert dataset.labels.colors[1] == (170, 0, 255)
    found = areas(dataset, labels_hw)
    assert found["car"] == 20 * 20 - 4 * 4  # outlines are part of both, as the tool draws them
    assert found["tree"] == 16 + 4 * 6
    assert (labels_hw[6:10, 42:46] == 2).all()
    objects[1]["bitmap"]["data"] = base64.b64encode(b"\x89PNG no picture").decode()
    put(tmp_path / "ds0" / "ann" / "a.png.json", content)
    said = r"bitmap\.data: cannot be read as a PNG \(damaged, or of no kind that is read\)"
    with pytest.raises(DataError, match=said):
        labels(tmp_path)
    lossy = zlib.compress(stored("JPEG", 0))
    objects[1]["bitmap"]["data"] = base64.b64encode(lossy).decode()
    put(tmp_path / "ds0" / "ann" / "a.png.json", content)
    with pytest.raises(DataError, match=r"bitmap\.data is a JPEG, expected a PNG"):
        labels(tmp_path)


# --- Datumaro


def datumaro_file(shapes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "dm_format_version": "1.0",
        "infos": {},
        "categories": {"label": {"labels": [{"name": "car"}, {"name": "tree"}]}},
        "items": [{"id": "a", "annotations": shapes, "image": {"path": "a.png", "size": [H, W]}}],
    }


def test_datumaro_shapes(tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    mask = np.zeros((H, W), np.uint8)
    mask[30:36, 50:58] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    shapes = [
        {"type": "polygon", "label_id": 0, "points": flat(BOTH[0])[0], "z_order": 2},
        {"type": "bbox", "label_id": 1, "bbox": [10, 10, 20, 20], "z_order": 1},
        {"type": "mask", "label_id": 1, "rle": {"counts": packed, "size": [H, W]}, "z_order": 0},
        {"type": "ellipse", "label_id": 1, "points": [40, 2, 56, 10], "z_order": 0},
        {"type": "bbox", "label_id": 0, "bbox": [0, 38, 2, 2], "z_order": 0}
        | {"attributes": {"is_crowd": True}},
        {"type": "label", "label_id": 1},
    ]
    content = datumaro_file(shapes)
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "a.png")
        put(tmp_path / "annotations" / f"{split}.json", content)
    dataset, labels_hw = labels(tmp_path)
    found = areas(dataset, labels_hw)
    assert found["car"] == 400
    assert abs(found["tree"] - (400 - 144 + 48 + np.pi * 32)) < 5
    assert found["(ignored)"] == 4


# --- what holds for all


# --- IDD


def test_idds_polygons_are_the_masks_of_its_script(tmp_path: Path, command: Any) -> None:
    rng = np.random.default_rng(5)
    # (name, the value that createLabels.py --id-type level3Id writes)
    named = [("road", 0), ("parking", 1), ("rail track", 3), ("animal", 4), ("autorickshaw", 8)]
    named += [("cargroup", 9), ("train", 12), ("polegroup", 20), ("tunnel", 23), ("sky", 25)]
    named += [("fallback background", 25), ("license plate", 255), ("out of roi", 255)]
    expected = {}
    for split in ("train", "val"):
        drawn = Image.new("L", (W, H), 255)
        objects = []
        for name, value in named:
            points = rng.uniform(-5, 60, (rng.integers(3, 9), 2)).round(2).tolist()
            deleted = int(rng.integers(3) == 0)
            objects.append({"label": name, "polygon": points, "deleted": deleted, "draw": True})
            if not deleted:
                ImageDraw.Draw(drawn).polygon([(x, y) for x, y in points], fill=value)
        expected[split] = np.asarray(drawn)
        content = {"imgHeight": H, "imgWidth": W, "objects": objects}
        picture(tmp_path / f"leftImg8bit/{split}/201/frame0029_leftImg8bit.jpg")
        put(tmp_path / f"gtFine/{split}/201/frame0029_gtFine_polygons.json", content)
    picture(tmp_path / "leftImg8bit/test/3/frame0001_leftImg8bit.jpg")
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, len(dataset.names)) == ("idd-polygons", 26)
    for split, mask in expected.items():
        (pair,) = dataset.pairs(split)
        assert pair.name == "201/frame0029"
        assert np.array_equal(dataset.read_labels(pair), mask)
    assert command("check", tmp_path)[0] == 0
    # Cityscapes has the same tree.
    for path in tmp_path.rglob("*_polygons.json"):
        path.write_text(path.read_text().replace("autorickshaw", "car"))
    with pytest.raises(RequestError, match="but no labels; expected gtFine"):
        open_dataset(tmp_path)


def test_a_polygon_that_is_no_class_of_idd_is_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        objects = [{"label": n, "polygon": BOTH[0]} for n in ("autorickshaw", "rickshaw")]
        picture(tmp_path / f"leftImg8bit/{split}/0/a_leftImg8bit.png")
        put(tmp_path / f"gtFine/{split}/0/a_gtFine_polygons.json", {"objects": objects})
    with pytest.raises(DataError, match=r"'rickshaw', which is none; .*'autorickshaw'"):
        labels(tmp_path, "a_leftImg8bit")


def test_masks_refuse_to_ignore_what_nobody_labeled(small_data: Path) -> None:
    with pytest.raises(RequestError, match="a folder data set has masks"):
        open_dataset(small_data, unlabeled="ignored")


def test_a_class_set_is_refused_where_the_files_name_the_classes(tmp_path: Path) -> None:
    cvat(tmp_path, '<box label="car" xtl="1" ytl="1" xbr="3" ybr="3"/>')
    with pytest.raises(RequestError, match=r"those of annotations\.xml"):
        open_dataset(tmp_path, classes="camvid11")


def test_annotations_that_change_are_read_again(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
        put(tmp_path / f"{name}.json", labelme_file(shape("car", BOTH[0]), image=f"{name}.png"))
    assert check_dataset(tmp_path).splits["val"].pixels[1] == 400
    for name in "ab":
        smaller = shape("car", [[2, 2], [4, 2], [4, 4], [2, 4]])
        put(tmp_path / f"{name}.json", labelme_file(smaller, image=f"{name}.png"))
    assert check_dataset(tmp_path).splits["val"].pixels[1] == 4
