"""Images are read upright and in RGB; files that cannot be read are named."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from briskseg.core.errors import BriskError, ContentError, DataError, Interrupted, PixelsError
from briskseg.core.files.in_memory import InMemory
from briskseg.core.files.pictures import opened
from briskseg.core.images import (
    image_size,
    read_image,
    resize_image,
    resize_labels,
    write_jpeg,
    write_png,
)


@pytest.fixture
def picture():
    """A smooth color picture that JPEG keeps well, of a shape that a transposition changes."""
    y, x = np.mgrid[0:40, 0:64]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y], -1).astype(np.uint8)


@pytest.mark.parametrize("header", [b"P3 2 1 100\n", b"P6 2 1 100\n"])
def test_white_of_a_ppm_is_what_its_header_says(tmp_path: Path, header: bytes) -> None:
    values = [0, 50, 100, 100, 20, 0]
    plain = " ".join(map(str, values)).encode()  # and no line ends there
    (tmp_path / "a.ppm").write_bytes(header + (plain if header[1:2] == b"3" else bytes(values)))
    expected = np.array(values).reshape(1, 2, 3) * 2.55
    np.testing.assert_allclose(read_image(tmp_path / "a.ppm"), expected, atol=1)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm"])
def test_lossless_files_read_as_rgb(tmp_path, picture, ending):
    Image.fromarray(picture).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}"), picture)
    assert image_size(tmp_path / f"a.{ending}") == (40, 64)


def test_gray_alpha_and_16_bits_become_rgb_bytes(tmp_path, picture):
    gray = picture[..., 0]
    for name, array in (("gray", gray), ("deep", gray.astype(np.uint16) * 257)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), array)
        read = read_image(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read, np.stack([gray] * 3, -1))
    Image.fromarray(np.dstack([picture, gray])).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), picture)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_exif_orientation_is_applied_as_pillow_does(tmp_path, picture, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(picture).save(path, exif=exif, quality=95, subsampling=0)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    image = read_image(path)
    assert image.flags["C_CONTIGUOUS"]
    assert image.shape == upright.shape
    assert np.abs(image - upright).max() <= 3  # two JPEG decoders may round differently
    assert image_size(path) == image.shape[:2]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_damaged_files_are_named(tmp_path, picture, ending):
    good, bad = tmp_path / f"good.{ending}", tmp_path / f"bad.{ending}"
    Image.fromarray(picture).save(good)
    bad.write_bytes(good.read_bytes()[: good.stat().st_size * 9 // 10])
    with pytest.raises(DataError, match=rf"bad.{ending} is damaged or cut off; restore"):
        read_image(bad)
    bad.write_bytes(b"")
    with pytest.raises(DataError, match=rf"bad.{ending}: the file is empty"):
        read_image(bad)
    bad.write_bytes(b"hello")
    with pytest.raises(DataError, match=rf"bad.{ending}: cannot be read as an image"):
        read_image(bad)
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        read_image(tmp_path / "gone.png")


def test_oversized_files_are_refused_before_decoding(tmp_path, picture, monkeypatch):
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "2559")
    write_png(tmp_path / "big.png", picture)
    with pytest.raises(DataError, match=r"big.png: 64x40 is 2560 pixels, more than the 2559"):
        read_image(tmp_path / "big.png")


def test_the_size_of_a_cut_off_file_is_still_known(tmp_path, picture):
    write_png(tmp_path / "whole.png", picture)
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:100])
    assert image_size(tmp_path / "cut.png") == (40, 64)


def test_resizing(picture):
    small = resize_image(picture, (20, 32))
    blocks = picture.reshape(20, 2, 32, 2, 3).mean((1, 3))
    assert small.shape == (20, 32, 3)
    assert np.abs(small - blocks).max() <= 0.5
    assert resize_image(picture, (80, 100)).shape == (80, 100, 3)
    labels = np.uint8([[0, 1], [2, 255]])
    np.testing.assert_array_equal(resize_labels(labels, (4, 4)), np.kron(labels, np.ones((2, 2))))
    tripled = np.kron(labels, np.ones((3, 3), np.uint8))
    np.testing.assert_array_equal(resize_labels(tripled, (2, 2)), labels)


def test_written_png_reads_alike_elsewhere(tmp_path, picture):
    write_png(tmp_path / "rgb.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "rgb.png")), picture)
    labels = np.uint8([[0, 1], [2, 255]])
    palette = np.arange(768, dtype=np.int64).reshape(256, 3).astype(np.uint8)
    write_png(tmp_path / "palette.png", labels, palette)
    with Image.open(tmp_path / "palette.png") as stored:
        assert stored.mode == "P"
        np.testing.assert_array_equal(np.asarray(stored), labels)
        np.testing.assert_array_equal(np.asarray(stored.convert("RGB")), palette[labels])


PALETTE = np.arange(768, dtype=np.uint8).reshape(256, 3)
WRITERS = {
    "png": lambda path, array: write_png(path, array),
    "palette": lambda path, array: write_png(path, array[..., 0], palette=PALETTE),
    "jpeg": lambda path, array: write_jpeg(path, array),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_picture_is_written_whole_or_is_as_it_was(tmp_path, picture, write, monkeypatch):
    path = tmp_path / "a.png"
    write(path, picture)
    whole = path.read_bytes()

    def fails(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "replace", fails)
        with pytest.raises(BriskError, match=r"a\.png cannot be written: No space left.*make room"):
            write(path, picture // 2)
    assert path.read_bytes() == whole
    with pytest.raises(BriskError, match=r"a\.png cannot be written: a picture of .*, expected"):
        write(path, np.zeros((0, 4, 3), np.uint8))
    assert path.read_bytes() == whole
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(BriskError, match=r"none/a\.png cannot be written: No such file"):
        write(tmp_path / "none" / "a.png", picture)


def test_an_encoder_that_fails_is_told(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, np.zeros(0, np.uint8)))
    for write in (WRITERS["png"], WRITERS["jpeg"]):
        with pytest.raises(BriskError, match=r"a\.png cannot be written: .*\(40, 64, 3\) uint8"):
            write(tmp_path / "a.png", picture)
    assert [*tmp_path.iterdir()] == []


def test_a_link_is_replaced_and_what_it_leads_to_is_kept(tmp_path, picture):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "a.png").symlink_to(tmp_path / "mine")
    write_png(tmp_path / "a.png", picture)
    assert (tmp_path / "mine").read_text() == "mine"
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


def test_an_interrupt_while_reading_is_not_taken_for_damage(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(Interrupted, match="stop"), opened(tmp_path / "a.png"):
        raise Interrupted("stop")  # as the handler of a signal does, wherever the thread is


def test_bytes_are_read_as_their_file_is(tmp_path):
    """Of every kind, turned ones and such with alpha among them; what is refused is refused."""
    rng = np.random.default_rng(2)
    photo = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [(photo, kind, {"exif": exif}) for kind in ("PNG", "JPEG", "TIFF", "WEBP")]
    made += [(photo, kind, {}) for kind in ("BMP", "PPM")]
    made += [(photo.convert(mode), "PNG", {}) for mode in ("L", "LA", "RGBA", "P", "I;16")]
    made += [(photo.convert("CMYK"), "JPEG", {}), (photo.convert("LA"), "TIFF", {})]
    for number, (picture, kind, how) in enumerate(made):
        file = tmp_path / f"{number}.{kind.lower()}"
        picture.save(file, kind, **how)
        found = read_image(held := InMemory.of(Path("it"), file.read_bytes()))
        assert np.array_equal(found, read_image(file)), (kind, picture.mode)
        assert np.array_equal(found, read_image(pickle.loads(pickle.dumps(held))))
        too_many = pytest.raises(PixelsError, match=r"^it: .*more than the 116 ")
        with too_many, opened(held, bound=116):
            pass
    floats = tmp_path / "floats.tif"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(floats)
    with pytest.raises(ContentError, match=r"^it: stores floating-point"):
        read_image(InMemory.of(Path("it"), floats.read_bytes()))
