"""A label file of any kind becomes class indices, and what is no class is named, never dropped."""

import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from briskseg.core.errors import DataError, RequestError, UnknownLabelError
from briskseg.core.images import write_png
from briskseg.core.labels import (
    CAMVID11,
    CAMVID32,
    CITYSCAPES,
    CITYSCAPES_LABEL_IDS,
    IGNORED,
    LABEL_SETS,
    LabelSet,
)
from briskseg.core.labels.class_list import parse_class_list, written_class

ROAD_CAR = LabelSet(("road", "car"), ((128, 64, 128), (64, 0, 128)))


def truth(classes: int, seed: int = 0) -> np.ndarray:
    """Labels of every class, and ignored ones, in an odd size."""
    labels = np.random.default_rng(seed).integers(0, classes + 1, (37, 53)).astype(np.uint8)
    labels[labels == classes] = IGNORED
    return labels


PLAIN = ("sky", "Straße", "it's")
ODD = (
    *("lane 2", "7 up", "person, sitting", "car: red", "a=b", "- dash", "ignore", "ignore zone"),
    *("zone #1", " edge ", "#hash", 'a"b', "'q'", "sky #808080", "x 1 2 3", "name,r,g,b"),
    *("7", "255"),
)


@pytest.mark.parametrize("names", [PLAIN, ODD, ODD[::-1], *((name,) for name in ODD)])
def test_a_written_list_of_classes_reads_as_it_was(tmp_path: Path, names: tuple[str, ...]) -> None:
    file, colors = tmp_path / "classes.txt", tuple((n, 2, 3) for n in range(len(names)))
    LabelSet(names, colors).write_classes_txt(file)
    read = LabelSet.from_classes_txt(file)
    assert (read.names, read.colors, read.ignored) == (names, colors, (IGNORED,))
    if names == PLAIN:
        assert '"' not in file.read_text("utf-8")


def test_a_color_that_classes_share_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    LabelSet(("a", "b", "c"), ((1, 2, 3), (9, 9, 9), (1, 2, 3))).write_classes_txt(file)
    assert LabelSet.from_classes_txt(file).names == ("a", "b", "c")
    assert file.read_text().splitlines()[:3] == ["a", "b 9 9 9", "c"]
    with pytest.raises(DataError, match=r"cannot hold the name .*; rename the class"):
        LabelSet(("a\"b'c",), ((1, 2, 3),)).write_classes_txt(file)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4, unique=True))
def test_any_name_that_a_line_can_hold_comes_back(names: list[str]) -> None:
    for name in names:
        try:
            line = written_class(name, (1, 2, 3))
        except DataError:
            assert {'"', "'"} <= set(name) or not name.isprintable() or not name.strip(" '\"")
            continue
        (read,) = parse_class_list(line, Path("classes.txt")).lines
        assert (read.name, read.color) == (name, (1, 2, 3))


@pytest.mark.parametrize("name", LABEL_SETS)
def test_published_sets_are_consistent(name):
    labels = LABEL_SETS[name]
    assert len(labels.names) == {"camvid11": 11, "camvid32": 32, "cityscapes": 19}[name]
    assert len(set(labels.colors)) == len(labels.names)


@pytest.mark.parametrize(
    "save",
    [
        lambda path, mask: cv2.imwrite(str(path), mask),
        lambda path, mask: cv2.imwrite(str(path), mask.astype(np.uint16)),
        lambda path, mask: write_png(path, mask, CAMVID11.palette),
        lambda path, mask: Image.fromarray(np.stack([mask, mask * 0 + 255], -1), "LA").save(path),
    ],
    ids=["8 bits", "16 bits", "palette", "gray and alpha"],
)
def test_index_masks_of_every_kind_read_alike(tmp_path, save):
    labels = truth(11)
    save(tmp_path / "mask.png", np.where(labels == IGNORED, 11, labels).astype(np.uint8))
    np.testing.assert_array_equal(CAMVID11.read(tmp_path / "mask.png"), labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_color_masks_read_as_the_painted_labels(tmp_path, mode):
    labels = truth(11)
    picture = Image.fromarray(CAMVID11.colorize(labels))
    # Pillow chooses the palette's order, so a palette file's indices here are not the classes.
    picture = picture.quantize(12, dither=0) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(CAMVID11.read(tmp_path / "mask.png"), labels)


def test_a_palette_of_foreign_colors_is_read_by_its_indices(tmp_path):
    labels = truth(2)
    labels[labels == IGNORED] = 0
    voc = np.uint8([[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    write_png(tmp_path / "mask.png", labels, voc)
    for label_set in (LabelSet(("background", "aeroplane")), ROAD_CAR):
        np.testing.assert_array_equal(label_set.read(tmp_path / "mask.png"), labels)


def test_masks_of_our_own_pictures_read_back(tmp_path):
    labels = truth(11)
    write_png(tmp_path / "truth.png", labels, CAMVID11.palette)
    np.testing.assert_array_equal(CAMVID11.read(tmp_path / "truth.png"), labels)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_a_pixel_are_not_spread_over_the_byte(tmp_path, bits):
    mask = truth(2**bits - 1) % 2**bits
    _write_gray_png(tmp_path / "mask.png", mask, bits)
    read = LabelSet(tuple("abcdefghijklmnop"[: 2**bits])).read(tmp_path / "mask.png")
    np.testing.assert_array_equal(read, mask)


def _write_gray_png(path: Path, mask: np.ndarray, bits: int) -> None:
    """A grayscale PNG of fewer than 8 bits a pixel, which no library at hand writes."""
    rows = b""
    for row in mask:
        bit_rows = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
        rows += b"\0" + np.packbits(bit_rows.astype(np.uint8).ravel()).tobytes()
    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def test_camvids_32_colors_merge_into_11_as_segnet_does():
    wanted = {
        "Sky": ["Sky"],
        "Building": ["Building", "Wall", "Bridge", "Tunnel", "Archway"],
        "Pole": ["Column_Pole", "TrafficCone"],
        "Road": ["Road", "LaneMkgsDriv", "LaneMkgsNonDriv"],
        "Pavement": ["Sidewalk", "ParkingBlock", "RoadShoulder"],
        "Tree": ["Tree", "VegetationMisc"],
        "SignSymbol": ["SignSymbol", "Misc_Text", "TrafficLight"],
        "Fence": ["Fence"],
        "Car": ["Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"],
        "Pedestrian": ["Pedestrian", "Child", "CartLuggagePram", "Animal"],
        "Bicyclist": ["Bicyclist", "MotorcycleScooter"],
    }
    picture = CAMVID32.colorize(np.arange(32, dtype=np.uint8)[None])
    merged = CAMVID11.decode(picture, Path("all.png"))[0]
    found = {name: [] for name in CAMVID11.names}
    for name, index in zip(CAMVID32.names, merged, strict=True):
        if index != IGNORED:
            found[CAMVID11.names[index]].append(name)
    assert {name: set(names) for name, names in found.items()} == {
        name: set(names) for name, names in wanted.items()
    }
    assert merged[CAMVID32.names.index("Void")] == IGNORED


def test_cityscapes_label_ids_become_train_ids_and_train_ids_stay():
    ids = np.arange(34, dtype=np.uint8)[None]
    labels = CITYSCAPES_LABEL_IDS.decode(ids, Path("a.png"))[0]
    trained = [(i, c) for i, c in zip(ids[0].tolist(), labels, strict=True) if c != IGNORED]
    assert {label_id: CITYSCAPES.names[index] for label_id, index in trained} == {
        7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole",
        19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
        24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train",
        32: "motorcycle", 33: "bicycle",
    }  # fmt: skip
    train_ids = np.uint8([[0, 18, 255]])
    np.testing.assert_array_equal(CITYSCAPES.decode(train_ids, Path("a.png")), train_ids)


@given(st.integers(1, 254), st.data())
def test_index_masks_decode_as_a_table_says(classes, data):
    ignored = data.draw(st.integers(classes, 255))
    label_set = LabelSet(tuple(f"c{i}" for i in range(classes)), ignored=(ignored,))
    values = data.draw(st.lists(st.integers(0, 255), min_size=1, max_size=40))
    known = {ignored: 255} | {i: i for i in range(classes)}
    mask = np.uint8([values])
    bad = [value for value in values if value not in known]
    if bad:
        with pytest.raises(UnknownLabelError) as caught:
            label_set.decode(mask, Path("mask.png"))
        assert caught.value.unknown == {value: bad.count(value) for value in bad}
    else:
        assert label_set.decode(mask, Path("mask.png")).tolist() == [[known[v] for v in values]]


@pytest.mark.parametrize(
    ("label_set", "mask", "message"),
    [
        (
            LabelSet(("sky", "road", "car")),
            np.uint8([[0, 3, 3, 7]]),
            "m.png: values 3 (2 pixels), 7 (1 pixel) of no class; expected 0..2 for the classes, "
            "255 for ignored; add the missing classes to the class list, or renumber the masks",
        ),
        (
            LabelSet(("no", "yes"), ignored=()),
            np.uint8([[0, 255]]),
            "m.png: value 255 (1 pixel) of no class; expected 0..1 for the classes, nothing "
            "ignored; this looks like a 0/255 mask: write 1 instead of 255 (`np.where",
        ),
        (
            LabelSet(("no", "yes")),
            np.uint8([[1, 2, 2]]),
            "this looks like classes numbered from 1: subtract 1 from every value",
        ),
        (
            LabelSet(("no", "yes")),
            np.uint8([[0, 1, 2]]),
            "values 0 to 2 are 3 classes, and the list has 2: add the missing one",
        ),
        (CITYSCAPES, np.uint8([[7, 26, 33]]), "this looks like Cityscapes label ids"),
        (LabelSet(("no", "yes")), np.int32([[0, -1]]), "value -1 (1 pixel) of no class"),
        (LabelSet(("no", "yes")), np.int32([[0, 1 << 20]]), "value 1048576 (1 pixel)"),
        (LabelSet(("no", "yes")), np.float32([[0.5]]), "floating-point numbers"),
        (ROAD_CAR, np.uint8([[[128, 64, 129]]]), "color (128, 64, 129) (1 pixel) of no class"),
        (ROAD_CAR, np.uint8([[[128, 0, 64]]]), "in the order blue, green, red"),
        (ROAD_CAR, np.uint8([[[1, 1, 1], [0, 0, 0]]]), "an index mask saved as RGB"),
        (ROAD_CAR, np.zeros((2, 2, 3), np.uint16), "labels of shape (2, 2, 3) and type uint16"),
        (ROAD_CAR, np.full((2, 2, 4), 7, np.uint8), "4 pixels of the labels are transparent"),
    ],
)
def test_what_is_no_class_is_named_with_its_cure(label_set, mask, message):
    with pytest.raises(DataError, match=re.escape(message)):
        label_set.decode(mask, Path("m.png"))


@pytest.mark.parametrize("colored", [False, True])
def test_interpolated_masks_are_recognized(colored):
    labels = np.kron(truth(2), np.ones((8, 8), np.uint8)) % 2
    mask = ROAD_CAR.colorize(labels) if colored else labels * 255
    smooth = cv2.resize(mask, (500, 351), interpolation=cv2.INTER_LINEAR)
    with pytest.raises(UnknownLabelError, match="the mask was resized with interpolation") as got:
        ROAD_CAR.decode(smooth, Path("m.png"))
    assert "and" in str(got.value)
    assert len(str(got.value)) < 500


def test_damaged_label_files_are_named(tmp_path):
    good, path = tmp_path / "good.png", tmp_path / "bad.png"
    cv2.imwrite(str(good), truth(11))
    for content, what in (
        (b"", "the file is empty"),
        (b"not a picture", "cannot be read as a label image"),
        (good.read_bytes()[:200], "cannot be read as a label image"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"bad.png: {what}.*restore it, or remove its pair"):
            CAMVID11.read(path)
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        CAMVID11.read(tmp_path / "gone.png")
    Image.new("F", (3, 3)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float.tif: a label file of mode F"):
        CAMVID11.read(tmp_path / "float.tif")


def test_sets_without_colors_get_distinct_ones_always_the_same():
    names = tuple(f"c{i}" for i in range(255))
    colors = LabelSet(names).colors
    assert len(set(colors)) == 255
    assert colors == LabelSet(names).colors
    assert (0, 0, 0) not in colors


def test_impossible_sets_are_refused():
    with pytest.raises(RequestError, match="256 classes; a label set holds 1 to 255"):
        LabelSet(tuple(map(str, range(256))))
    with pytest.raises(RequestError, match="the class name 'a' twice"):
        LabelSet(("a", "b", "a"))
    with pytest.raises(RequestError, match="1 colors for 2 classes"):
        LabelSet(("a", "b"), ((1, 2, 3),))


def classes_txt(folder: Path, text: str) -> Path:
    path = folder / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_txt(tmp_path):
    text = "\ufeff# my classes\nroad 128 64 128\n\ntraffic light\nc# # sharp\nignore 9\n"
    labels = LabelSet.from_classes_txt(classes_txt(tmp_path, text))
    assert labels.names == ("road", "traffic light", "c#")
    assert labels.colors[0] == (128, 64, 128)
    assert len(set(labels.colors)) == 3
    assert labels.ignored == (9,)
    assert LabelSet.from_classes_txt(classes_txt(tmp_path, "a\nb\n")).ignored == (255,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "classes.txt: no class in it"),
        ("road\ncar\nroad\n", "line 3: the class 'road' again, after line 1"),
        ("road 1 2\n", "line 1: '1 2' after the name 'road' is no color; expected `name` or"),
        ("road 1 2 256\n", "line 1: '1 2 256' after the name 'road' is no color"),
        ("road 1 2 -3\n", "line 1: '1 2 -3' after the name 'road' is no color"),
        ("road 1 2 3\ncar 1 2 3\n", "line 2: the color (1, 2, 3) of 'car' is another class's"),
        ("road\nignore\n", "line 2: 'ignore'; expected `ignore N`"),
        ("road\nignore x\n", "line 2: 'ignore x'; expected `ignore N`"),
        ("\n".join(f"c{i}x" for i in range(256)), "256 classes; at most 255"),
    ],
)
def test_mistakes_in_classes_txt_are_named_by_line(tmp_path, text, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        LabelSet.from_classes_txt(classes_txt(tmp_path, text))
    assert str(tmp_path / "classes.txt") in str(caught.value)


def test_sixteen_bit_ignored_value(tmp_path):
    labels = LabelSet.from_classes_txt(classes_txt(tmp_path, "a\nb\nignore 65535\n"))
    cv2.imwrite(str(tmp_path / "mask.png"), np.uint16([[0, 1, 65535]]))
    assert labels.read(tmp_path / "mask.png").tolist() == [[0, 1, IGNORED]]


@pytest.mark.parametrize(
    "text",
    [
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:0,128,0::\nroad:128,0,0::\n",
        "background,0,0,0\ncar,0,128,0\nroad,128,0,0\n",
        "name,r,g,b\nbackground,0,0,0\ncar,0,128,0\nroad,128,0,0\n",
        "background #000000\ncar #008000\nroad #800000  # with a comment\n",
        "0 background 0 0 0\n1 car 0 128 0\n2 road 128 0 0\n",
        "0 0 0\tbackground\n0 128 0\tcar\n128 0 0\troad\n",
        "\"background\" 0 0 0\n'car' 0 128 0\nroad 128 0 0\n",
    ],
)
def test_class_lists_in_every_dialect(tmp_path, text):
    labels = LabelSet.from_classes_txt(classes_txt(tmp_path, text))
    assert labels.names == ("background", "car", "road")
    assert labels.colors == ((0, 0, 0), (0, 128, 0), (128, 0, 0))
    assert (labels.values, labels.ignored) == ((), (255,))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Pixel Value, Class\n 0, sky\n 1, road\n", {0: 0, 1: 1, 255: 255}),
        ("0: sky\n1: road\n", {0: 0, 1: 1, 255: 255}),
        ("7 sky\n26 road\nignore 0\n", {7: 0, 26: 1, 0: 255}),
        ("0 sky\n255 road\n", {0: 0, 255: 1}),
        ("void\nsky\nroad\nignore void\n", {0: 255, 1: 0, 2: 1, 255: 255}),
        ("void\nsky\nroad\nignore 0 255\n", {0: 255, 1: 0, 2: 1, 255: 255}),
        ("void\nsky\nroad\nignore 0\n", {0: 255, 1: 0, 2: 1}),
        ("sky\nroad\nignore 7\nignore 8,9\n", {0: 0, 1: 1, 7: 255, 8: 255, 9: 255}),
    ],
)
def test_file_values_of_a_class_list(tmp_path, text, values):
    labels = LabelSet.from_classes_txt(classes_txt(tmp_path, text))
    assert labels.names == ("sky", "road")
    assert labels.class_of_value == values


def test_ignored_colors_of_a_class_list(tmp_path):
    text = "sky 1 2 3\nroad 4 5 6\nedge 7 8 9\nignore #ffffff 10,20,30\nignore edge\n"
    labels = LabelSet.from_classes_txt(classes_txt(tmp_path, text))
    mask = np.uint8([[[1, 2, 3], [4, 5, 6], [255, 255, 255], [10, 20, 30], [7, 8, 9]]])
    assert labels.decode(mask, Path("m.png")).tolist() == [[0, 1, 255, 255, 255]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky\n2 wheeler\n", "line 2: begins with the number 2, and line 1 with none"),
        ("names: [sky, road]\n", "line 1: 'names: [sky, road]' is no plain name"),
        ("- sky\n", "line 1: '- sky' is no plain name"),
        ('{"sky": 1}\n', "is no plain name"),
        ("sky = 0\n", "line 1: 'sky =' is no plain name"),
        ("#808080 sky\n", "line 1: '#808080 sky' begins with a color or is a comment"),
        ("road, big 1 2 3\n", "line 1: 'road, big 1 2 3' is no plain name"),
        ("0 sky\n0 road\n", "line 2: the value 0 of 'road' is that of line 1 too"),
        ("name,r,g,b\nsky,1,2\n", "line 2: 3 columns, fewer than the header has"),
        ("sky\nignore 0 1 2\n", "can be read in two ways: for the values 0, 1 and 2"),
        ("sky\nignore road\n", "line 2: 'ignore road'; expected `ignore N`"),
        ("sky\nignore 0\n", "no class in it"),
        ("sky\nvoid\nignore 7,void\n", "line 3: 'ignore 7,void'; expected `ignore N`"),
    ],
)
def test_what_is_no_class_list_is_an_error_at_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=re.escape(message)):
        LabelSet.from_classes_txt(classes_txt(tmp_path, text))


def palette_mask(path: Path, values: list[int], colors: dict[int, tuple[int, int, int]]) -> Path:
    picture = Image.fromarray(np.uint8([values]))
    palette = np.zeros((256, 3), np.uint8)
    for index, color in colors.items():
        palette[index] = color
    picture.putpalette(palette.tobytes())
    picture.save(path)
    return path


VOC = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}


@pytest.mark.parametrize("ignored", [(255,), (9,), ()])
@pytest.mark.parametrize("colors", [(), ((0, 0, 0), (128, 0, 0), (0, 128, 0))])
def test_the_border_of_a_palette_is_ignored_without_being_asked(tmp_path, colors, ignored):
    labels = LabelSet(("background", "plane", "bike"), colors, ignored=ignored)
    path = palette_mask(tmp_path / "m.png", [0, 1, 2, 255, 255], VOC)
    assert labels.read(path).tolist() == [[0, 1, 2, 255, 255]]
    only = palette_mask(tmp_path / "n.png", [255, 255], VOC)
    assert labels.read(only).tolist() == [[255, 255]]


def test_one_odd_color_does_not_make_indices_of_the_others(tmp_path):
    labels = LabelSet(("sky", "car", "road"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    # the palette's order is not the classes'
    colors = {0: (3, 3, 3), 1: (1, 1, 1), 2: (90, 90, 90)}
    with pytest.raises(UnknownLabelError) as caught:
        labels.read(palette_mask(tmp_path / "m.png", [0, 0, 1, 2], colors))
    assert caught.value.unknown == {(90, 90, 90): 1}
    agreeing = {0: (1, 1, 1), 1: (2, 2, 2), 2: (90, 90, 90)}
    path = palette_mask(tmp_path / "n.png", [0, 1, 2], agreeing)
    assert labels.read(path).tolist() == [[0, 1, 2]]
