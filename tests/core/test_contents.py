"""A file that is not what its name says is called the same by every verb that meets it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 8000000\n"
PAGE = b"\r\n<!-- saved -->\n<!DOCTYPE html>\n<html>Quota exceeded</html>"
CONTENTS = {
    "lfs": (LFS, "holds a pointer of Git LFS, not the file itself", "run `git lfs pull`"),
    "page": (PAGE, "is a web page", "download or export it again, as the file itself"),
    "heic": (b"\x00\x00\x00\x18ftypheic" + bytes(99), "is a HEIC photo", "save it as PNG or JPEG"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(99), "is a numpy file", "save it as PNG or JPEG"),
}


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest) -> tuple[bytes, str, str]:
    return CONTENTS[request.param]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_an_image_is_called_the_same_by_every_verb(
    command, small_data: Path, weights_file: Path, tmp_path: Path, content
) -> None:
    data, found, hint = content
    image = small_data / "images" / "val" / "street1.png"
    image.write_bytes(data)
    checked = command("check", small_data)
    assert checked.status == 1
    assert f"images/val/street1.png: {found}, expected an image" in flat(checked.out)
    assert hint in flat(checked.out)
    for words in (
        ("predict", weights_file, image, "--out", tmp_path / "out"),
        ("evaluate", weights_file, "--data", small_data, "--backend", "torch"),
        (
            "export",
            weights_file,
            "--to",
            "onnx",
            "--data",
            small_data,
            "--out",
            tmp_path / "o.onnx",
        ),
    ):
        done = command(*words)
        assert done.status == 1, done
        assert f"street1.png: {found}, expected an image; {hint}" in flat(done.err), words


def test_labels_are_called_the_same_by_every_verb(
    command, small_data: Path, weights_file: Path, content
) -> None:
    data, found, hint = content
    label = small_data / "labels" / "val" / "street1.png"
    label.write_bytes(data)
    checked = command("check", small_data)
    assert f"labels/val/street1.png: {found}, expected" in flat(checked.out)
    done = command("evaluate", weights_file, "--data", small_data, "--backend", "torch")
    assert f"street1.png: {found}, expected a label image; {hint}" in flat(done.err)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.safetensors", ("predict", "{file}", "{image}", "--out", "{out}")),
        ("m.onnx", ("predict", "{file}", "{image}", "--out", "{out}")),
        ("m.xml", ("predict", "{file}", "{image}", "--out", "{out}")),
        ("m.pth", ("predict", "{file}", "{image}", "--out", "{out}")),
        ("m.pth", ("convert", "{file}", "--labels", "cityscapes")),
        ("m.mp4", ("predict", "{model}", "{file}", "--out", "{out}")),
        ("m.yaml", ("train", "{file}", "--data", "streets", "--out", "{out}")),
    ],
)
@pytest.mark.parametrize("kind", ["lfs", "page"])
def test_models_videos_and_recipes_too(
    command, small_data: Path, weights_file: Path, tmp_path: Path, kind, name, words
) -> None:
    data, found, hint = CONTENTS[kind]
    path = tmp_path / name
    path.write_bytes(data)
    image = small_data / "images" / "val" / "street1.png"
    places = {"file": path, "image": image, "out": tmp_path / "out", "model": weights_file}
    done = command(*(word.format(**places) for word in words))
    assert done.status in (1, 2)
    assert f"{path}: {found}, expected " in flat(done.err)
    assert hint in flat(done.err)


@pytest.fixture
def twelve_bits(small_data: Path) -> Path:
    """A set whose val images are those of a 12-bit camera, in 16-bit files."""
    for path in sorted((small_data / "images" / "val").glob("*.png"))[:2]:
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 16)
    return small_data


def test_twelve_bits_in_sixteen_are_said_by_every_verb(
    command, twelve_bits: Path, weights_file: Path, tmp_path: Path
) -> None:
    said = "16-bit images whose highest value is 4080 of 65535 are read as black"
    hint = "scale the values to the whole range, or save the images with 8 bits"
    checked = flat(command("check", twelve_bits).out)
    assert f"dark-images (2): {said}" in checked
    assert hint in checked
    images = twelve_bits / "images" / "val"
    predicted = command("predict", weights_file, images, "--out", tmp_path / "out")
    scored = command("evaluate", weights_file, "--data", twelve_bits, "--backend", "torch")
    shown = command("data", "show", twelve_bits, "--split", "val", "--out", tmp_path / "shown")
    for done in (predicted, scored, shown):
        assert done.status == 0, done.err
        assert f"2 of 4 images: {said}, the first: {images / 'street0.png'}; {hint}" in flat(
            done.err
        )
        assert done.err.count("read as black") == 1
    done = command("data", "convert", twelve_bits, tmp_path / "converted")
    assert f"2 of 5 images: {said}" in flat(done.err)


def test_sixteen_bits_that_are_used_are_not_spoken_of(
    command, small_data: Path, weights_file: Path, tmp_path: Path
) -> None:
    path = small_data / "images" / "val" / "street0.png"
    cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257)
    done = command("predict", weights_file, path, "--out", tmp_path / "out")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("bands", "dtype", "message"),
    [
        (5, np.uint8, "5 bands, and 3 are taken (red, green, blue; or one, gray)"),
        (13, np.uint16, "13 bands, and 3 are taken (red, green, blue; or one, gray)"),
        (2, np.uint8, "2 bands, and 3 are taken (red, green, blue; or one, gray)"),
        (3, np.float32, "stores 3 bands of 32-bit floating-point numbers, which have no scale"),
        (1, np.float32, "stores floating-point numbers, which have no scale"),
    ],
)
def test_bands_that_are_not_read_are_counted_by_every_verb(
    command, small_data: Path, weights_file: Path, tmp_path: Path, bands, dtype, message
) -> None:
    old = small_data / "images" / "val" / "street1.png"
    height, width = cv2.imread(str(old)).shape[:2]
    old.unlink()
    path = old.with_suffix(".tif")
    write_tiff(path, np.ones((height, width, bands), dtype))
    done = command("check", small_data)
    assert done.err == ""  # no decoder speaks for itself
    assert "image-mode" in done.out
    assert f"images/val/street1.tif: {message}" in flat(done.out)
    done = command("predict", weights_file, path, "--out", tmp_path / "out")
    assert done.status == 1
    assert f"street1.tif: {message}; " in flat(done.err)


def test_a_fourth_band_is_said_to_be_dropped(command, small_data: Path) -> None:
    old = small_data / "images" / "val" / "street1.png"
    image = np.array(Image.open(old))
    old.unlink()
    write_tiff(old.with_suffix(".tif"), np.dstack([image, image[..., :1]]))
    checked = flat(command("check", small_data).out)
    assert (
        "alpha-images (1): images with a fourth channel (alpha, infrared ...), which is" in checked
    )


def write_tiff(path: Path, image_hwc: np.ndarray) -> None:
    """A TIFF of any number of bands, no alpha among them, as other programs write it."""
    import struct

    height, width, bands = image_hwc.shape
    data = image_hwc.tobytes()
    floats = 3 if image_hwc.dtype.kind == "f" else 1
    tags = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [8 * image_hwc.dtype.itemsize] * bands),
        (259, 3, [1]),
        (262, 3, [2 if bands > 2 else 1]),
        (273, 4, [8]),
        (277, 3, [bands]),
        (278, 4, [height]),
        (279, 4, [len(data)]),
        *([(338, 3, [0] * (bands - 3))] if bands > 3 else []),
        (339, 3, [floats] * bands),
    ]
    start = 8 + len(data)
    after = start + 2 + 12 * len(tags) + 4
    entries, more = b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{'HI'[kind - 3]}", *values)
        if len(packed) > 4:
            packed, more = struct.pack("<I", after + len(more)), more + packed
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    header = b"II*\0" + struct.pack("<I", start)
    path.write_bytes(header + data + struct.pack("<H", len(tags)) + entries + bytes(4) + more)
