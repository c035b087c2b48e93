"""Every kind of wrong data set that `check` tells apart, each made from a sound drawn one.

`CASES` is the table: how to spoil the set, what else is found then, and what the copy must hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from briskseg.core.labels import CAMVID11, CAMVID32, CITYSCAPES
from briskseg.data.synthetic import draw_scene

SIZE = (48, 64)
CLASSES = {"built": (128, 0, 0), "ground": (128, 64, 128), "sky": (70, 130, 180)}
COLORS = np.array([*CLASSES.values()], np.uint8)
PAIRS = {"train": 5, "val": 3}
CITYSCAPES_IDS = (11, 7, 23)  # label ids of building, road, sky


def draw_sound(root: Path) -> Path:
    """A set of three classes, all of them in every image, a few pixels ignored."""
    merged = np.full(256, 0, np.uint8)
    merged[[CAMVID11.names.index(name) for name in ("Road", "Pavement")]] = 1
    merged[CAMVID11.names.index("Sky")] = 2
    write_classes(root, CLASSES)
    for split, pairs in PAIRS.items():
        for number in range(pairs):
            image, labels = draw_scene(100 * len(split) + number, SIZE)
            labels = merged[labels]
            labels[:2], labels[-2:], labels[20:22, :9] = 2, 1, 255
            labels[22:24, :9] = 0
            for part, array in (("images", image), ("labels", labels)):
                (root / part / split).mkdir(parents=True, exist_ok=True)
                save(array, root / part / split / f"{split}-street{number}x.png")
    return root


def write_classes(root: Path, classes: dict[str, tuple[int, int, int] | None]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lines = [" ".join([name, *map(str, color or ())]) for name, color in classes.items()]
    (root / "classes.txt").write_text("\n".join(lines) + "\n")


def save(array: np.ndarray, path: Path, form: str = "PNG", **how: object) -> None:
    Image.fromarray(array).save(path, form, **how)


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).copy()


def part(root: Path, name: str = "labels", split: str = "*") -> list[Path]:
    return sorted(root.glob(f"{name}/{split}/*"))


def change(paths: list[Path], how: Callable[[np.ndarray], np.ndarray], **save_as: object) -> None:
    for path in paths:
        save(how(load(path)), path, **save_as)


def paint(labels: np.ndarray) -> np.ndarray:
    """Labels in their classes' colors, ignored black."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = COLORS
    return palette[labels]


def rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def turned(path: Path, orientation: int, pixels: np.ndarray) -> None:
    """Store pixels as they are with an EXIF note that turns them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.unlink()
    Image.fromarray(pixels).save(path.with_suffix(".jpg"), quality=95, exif=exif)


def remap(*values: int) -> Callable[[np.ndarray], np.ndarray]:
    """The classes 0, 1, 2 as these values; 255 stays."""
    table = np.arange(256)
    table[:3] = values
    return lambda labels: table[labels].astype(np.uint8 if max(values) < 256 else np.uint16)


def two_classes(root: Path) -> None:
    """Only ground and the rest, nothing ignored: masks of 0 and 1."""
    write_classes(root, {"rest": None, "ground": None})
    change(part(root), lambda labels: (labels == 1).astype(np.uint8))


def _cityscapes(root: Path, *values: int) -> None:
    write_classes(root, dict.fromkeys(CITYSCAPES.names))
    change(part(root), remap(*values))


def _many(root: Path, names: int) -> None:
    write_classes(root, dict.fromkeys([f"class{i}" for i in range(names)]))


# --- one function a kind ------------------------------------------------------------------------


def image_without_label(root: Path) -> None:
    part(root)[1].unlink()


def label_without_image(root: Path) -> None:
    part(root, "images")[1].unlink()


def names_differ(root: Path) -> None:
    for path in part(root):
        rename(path, f"{path.stem.upper()}_mask.png")


def names_differ_on_both_sides(root: Path) -> None:
    for kind in ("images", "labels"):
        for path in part(root, kind):
            rename(path, f"{kind}_{path.stem.removesuffix('x')}.png")


def names_differ_in_a_flat_folder(root: Path) -> None:
    for kind in ("images", "labels"):
        for path in part(root, kind):
            path.rename(root / kind / f"{path.stem}{'_SEG' if kind == 'labels' else ''}.PNG")
        for split in PAIRS:
            (root / kind / split).rmdir()


def name_used_twice(root: Path) -> None:
    path = part(root, "images")[0]
    save(load(path), path.with_suffix(".bmp"), "BMP")


def name_used_twice_in_camvid(root: Path) -> None:
    """As CamVid is published: the names of its masks end in _L, and its splits are drawn."""
    folders = [root / name for name in ("701_StillsRaw_full", "LabeledApproved_full")]
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = [CAMVID32.colors[CAMVID32.names.index(n)] for n in ("Building", "Road", "Sky")]
    for folder, kind, end in zip(folders, ("images", "labels"), ("", "_L"), strict=True):
        folder.mkdir()
        for path in part(root, kind):
            pixels = load(path)
            save(pixels if kind == "images" else palette[pixels], folder / f"{path.stem}{end}.png")
        shutil.rmtree(root / kind)
    (root / "classes.txt").unlink()
    mask = min(folders[1].iterdir())
    save(load(mask)[::-1].copy(), mask.with_suffix(".bmp"), "BMP")


def split_empty(root: Path) -> None:
    shutil.rmtree(root / "images" / "val")
    shutil.rmtree(root / "labels" / "val")


def unread_files(root: Path) -> None:
    np.save(root / "labels" / "train" / "more.npy", np.zeros(3))


def unread_data(root: Path) -> None:
    for path in part(root):
        np.save(path.with_suffix(".npy"), load(path))
        path.unlink()


def known_flaw(root: Path) -> None:
    """Kaggle's CamVid, whose split others have found to leak."""
    for split in PAIRS:
        (root / "images" / split).rename(root / split)
        (root / "labels" / split).rename(root / f"{split}_labels")
        for path in (root / f"{split}_labels").iterdir():
            rename(path, f"{path.stem}_L.png")
    shutil.rmtree(root / "images")
    shutil.rmtree(root / "labels")
    classes = dict(zip(("Building", "Road", "Sky"), CLASSES.values(), strict=True))
    rows = [f"{name},{','.join(map(str, color))}\n" for name, color in classes.items()]
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "".join(rows))
    (root / "classes.txt").unlink()


def missing_file(root: Path) -> None:
    path = part(root, "images")[0]
    path.unlink()
    path.symlink_to(root / "nowhere.png")


def empty_file(root: Path) -> None:
    part(root)[0].write_bytes(b"")


def damaged_file(root: Path) -> None:
    path = part(root, "images")[0]
    path.write_bytes(path.read_bytes()[:-300])


def damaged_label(root: Path) -> None:
    path = part(root)[0]
    path.write_bytes(path.read_bytes()[:-30])


def not_an_image(root: Path) -> None:
    part(root)[0].write_text("<!DOCTYPE html><title>404</title>")


def lfs_pointer(root: Path) -> None:
    part(root, "images")[0].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def too_large(root: Path) -> None:
    path = part(root, "images")[0]
    data = bytearray(path.read_bytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2  # the header's width and height
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def image_mode(root: Path) -> None:
    path = part(root, "images")[0]
    Image.fromarray(load(path)[..., 0].astype(np.float32) / 255).save(path.with_suffix(".tif"))
    path.unlink()


def wrong_suffix(root: Path) -> None:
    path = part(root, "images")[0]
    save(load(path), path, "JPEG", quality=95)


def gif_as_png(root: Path) -> None:
    path = part(root, "images")[0]
    Image.fromarray(load(path)).save(path, "GIF")


def exif_rotated(root: Path) -> None:
    path = part(root, "images")[0]
    turned(path, 6, np.rot90(load(path)).copy())


def labels_unrotated(root: Path) -> None:
    image, label = part(root, "images")[0], part(root)[0]
    turned(image, 6, np.rot90(load(image)).copy())
    save(np.rot90(load(label)).copy(), label)


def sixteen_bit_images(root: Path) -> None:
    path = part(root, "images")[0]
    assert cv2.imwrite(str(path), load(path)[..., ::-1].astype(np.uint16) * 257)


def dark_images(root: Path) -> None:
    path = part(root, "images")[0]
    assert cv2.imwrite(str(path), load(path)[..., ::-1].astype(np.uint16) * 4)


def alpha_images(root: Path) -> None:
    path = part(root, "images")[0]
    save(np.dstack([load(path), np.full(SIZE, 255, np.uint8)]), path)


def palette_images(root: Path) -> None:
    path = part(root, "images")[0]
    Image.fromarray(load(path)).quantize(256).save(path)


def cmyk_images(root: Path) -> None:
    path = part(root, "images")[0]
    image = Image.fromarray(load(path)).convert("CMYK")
    path.unlink()
    image.save(path.with_suffix(".jpg"), quality=95)


def gray_images(root: Path) -> None:
    path = part(root, "images")[0]
    Image.fromarray(load(path)).convert("L").save(path)


def blank_images(root: Path) -> None:
    change(part(root, "images")[:1], lambda image: np.zeros_like(image))


def sizes_differ(root: Path) -> None:
    change(part(root)[:1], lambda labels: labels[:, 5:])


def labels_scaled(root: Path) -> None:
    change(part(root)[:2], lambda labels: labels.repeat(2, 0).repeat(2, 1))


def labels_turned(root: Path) -> None:
    change(part(root)[:1], lambda labels: labels.T.copy())


def sizes_vary(root: Path) -> None:
    image, label = part(root, "images")[0], part(root)[0]
    change([image, label], lambda array: array[:40].copy())


def lossy_labels(root: Path) -> None:
    change(part(root)[:2], paint, form="JPEG", quality=90, subsampling=0)


def lossy_binary(root: Path) -> None:
    two_classes(root)
    change(part(root), lambda labels: labels * 255, form="JPEG", quality=90)


def lossy_indices(root: Path) -> None:
    change(part(root)[:1], lambda labels: labels, form="JPEG", quality=90)


def label_mode(root: Path) -> None:
    path = part(root)[0]
    Image.fromarray(load(path).astype(np.float32)).save(path.with_suffix(".tif"))
    path.unlink()


def transparent_labels(root: Path) -> None:
    def with_alpha(labels: np.ndarray) -> np.ndarray:
        return np.dstack([paint(labels), np.where(labels == 255, 0, 255).astype(np.uint8)])

    change(part(root)[:1], with_alpha)


def alpha_labels(root: Path) -> None:
    change(part(root)[:1], lambda labels: np.dstack([paint(labels), np.full(SIZE, 255, np.uint8)]))


def sixteen_bit_labels(root: Path) -> None:
    change(part(root)[:1], lambda labels: labels.astype(np.uint16))


def palette_labels(root: Path) -> None:
    path = part(root)[0]
    image = Image.fromarray(load(path))
    image.putpalette([3, 200, 90] * 256)
    image.save(path)


def binary_masks(root: Path) -> None:
    two_classes(root)
    change(part(root), lambda labels: labels * 255)


def binary_masks_in_rgb(root: Path) -> None:
    two_classes(root)
    change(part(root), lambda labels: np.dstack([labels * 255] * 3))


def unlisted_values(root: Path) -> None:
    write_classes(root, {"rest": None, "ground": None})
    values = np.array([0, 128, 0, 255], np.uint8)
    change(part(root), lambda labels: values[np.minimum(labels, 3)])


def mixed_binary_masks(root: Path) -> None:
    two_classes(root)
    change(part(root)[:2], lambda labels: labels * 255)


def label_ids(root: Path) -> None:
    _cityscapes(root, *CITYSCAPES_IDS)


def instance_ids(root: Path) -> None:
    _cityscapes(root, CITYSCAPES_IDS[0], CITYSCAPES_IDS[1] * 1000 + 3, CITYSCAPES_IDS[2])


def numbered_from_one(root: Path) -> None:
    change(part(root), remap(1, 2, 3))


def ambiguous_labels(root: Path) -> None:
    """Numbered from 1, and in one file the last class, which shows that, does not occur."""
    numbered_from_one(root)
    change(part(root)[:1], lambda labels: np.where(labels == 3, 1, labels).astype(np.uint8))


def stretched_values(root: Path) -> None:
    change(part(root), remap(0, 60, 120))


def blended_values(root: Path) -> None:
    _many(root, 3)
    change(part(root), remap(0, 2, 1))  # with 255 for ignored, blends reach far beyond the classes
    change(part(root)[:1], lambda labels: cv2.GaussianBlur(labels, (5, 5), 1))


def blended_labels(root: Path) -> None:
    write_classes(root, dict(zip(CAMVID11.names, CAMVID11.colors, strict=True)))
    for number, path in enumerate(part(root)):
        image, labels = draw_scene(300 + number, (150, 200) if number == 0 else (240, 320))
        labels[labels == 255] = 0
        save(cv2.resize(image, (320, 240)), root / "images" / path.relative_to(root / "labels"))
        save(cv2.resize(labels, (320, 240)), path)  # bilinearly; those of this size are unchanged


def unknown_values(root: Path) -> None:
    change(part(root)[:1], remap(0, 1, 9))


def index_as_rgb(root: Path) -> None:
    change(part(root), lambda labels: np.dstack([labels] * 3))


def channels_swapped(root: Path) -> None:
    change(part(root), lambda labels: paint(labels)[..., ::-1].copy())


def blended_colors(root: Path) -> None:
    def smooth(labels: np.ndarray) -> np.ndarray:
        large = paint(labels).repeat(4, 0).repeat(4, 1)
        soft = cv2.GaussianBlur(large, (5, 5), 0.8)
        return cv2.resize(soft, (SIZE[1] * 2, SIZE[0] * 2), interpolation=cv2.INTER_AREA)

    change(part(root)[:2], smooth)
    for path in part(root, "images")[:2]:
        save(load(path).repeat(2, 0).repeat(2, 1), path)


def inexact_colors(root: Path) -> None:
    change(part(root), lambda labels: np.clip(paint(labels).astype(int) + 4, 0, 255).astype("u1"))


def unknown_colors(root: Path) -> None:
    table = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200]], np.uint8)
    change(part(root)[:1], lambda labels: table[np.minimum(labels, 2)])


def photo_as_labels(root: Path) -> None:
    shutil.copy(part(root, "images")[0], part(root)[0])


def all_ignored(root: Path) -> None:
    change(part(root)[:1], lambda labels: np.full_like(labels, 255))


def black_ignored(root: Path) -> None:
    """Black where the list has another color."""
    colors = np.array([(0, 0, 0), *COLORS[1:]], np.uint8)
    change(part(root), lambda labels: np.vstack([colors, np.zeros((253, 3), "u1")])[labels])


def mostly_ignored(root: Path) -> None:
    """All that is not ground but for a few columns."""
    write_classes(root, dict.fromkeys(CLASSES))
    kept = np.arange(SIZE[1]) % 16 == 0
    change(part(root), lambda labels: np.where(kept | (labels == 1), labels, 255).astype("u1"))


def nothing_labeled(root: Path) -> None:
    change(part(root, "labels", "val"), lambda labels: np.full_like(labels, 255))


def one_class(root: Path) -> None:
    change(part(root), lambda labels: np.where(labels == 255, 255, 0).astype(np.uint8))


def single_class(root: Path) -> None:
    write_classes(root, {"ground": None})
    change(part(root), lambda labels: np.where(labels == 1, 255, 0).astype(np.uint8))


def names_alike(root: Path) -> None:
    write_classes(root, {"Ground": None, "ground": None, "sky": None})


def class_absent(root: Path) -> None:
    write_classes(root, CLASSES | {"lake": None})


def class_untrained(root: Path) -> None:
    change(part(root, "labels", "train"), lambda labels: np.where(labels == 2, 255, labels))


def class_unmeasured(root: Path) -> None:
    change(part(root, "labels", "val"), lambda labels: np.where(labels == 2, 255, labels))


def _copy_pair(root: Path, name: str, into: str) -> tuple[Path, Path]:
    new = []
    for kind in ("images", "labels"):
        path = part(root, kind, "train")[0]
        new.append(root / kind / into / f"{name}.png")
        shutil.copy(path, new[-1])
    return new[0], new[1]


def val_in_train(root: Path) -> None:
    _copy_pair(root, "copy", "val")


def duplicates(root: Path) -> None:
    for kind in ("images", "labels"):
        (root / kind / "test").mkdir()
    _copy_pair(root, "copy", "test")


def near_duplicates(root: Path) -> None:
    image, _ = _copy_pair(root, "copy", "val")
    brighter = np.clip(load(image) * 0.9 + 12, 0, 255).astype(np.uint8)
    image.unlink()
    save(brighter, image.with_suffix(".jpg"), "JPEG", quality=70)


def video_neighbors(root: Path) -> None:
    for number, path in enumerate(part(root, "images", "train")):
        rename(path, f"drive_{100 + number}.png")
        rename(root / "labels" / "train" / path.name, f"drive_{100 + number}.png")
    image, label = _copy_pair(root, "drive_99", "val")
    change([image, label], lambda array: np.roll(array, 1, axis=1))


def repeated_images(root: Path) -> None:
    _copy_pair(root, "copy", "train")


def conflicting_labels(root: Path) -> None:
    _, label = _copy_pair(root, "copy", "train")
    change([label], remap(0, 1, 1))


class Case(NamedTuple):
    """How a set is spoiled. also: what else is found then. lost: pairs that the copy lacks. then:
    what is found in the copy, where it is not what `--fix` keeps of these. keeps: whether the
    copy's labels are those of the sound set, pixel for pixel; not where they differed before."""

    kind: str
    spoil: Callable[[Path], None]
    also: tuple[str, ...] = ()
    lost: int = 0
    then: tuple[str, ...] | None = None
    keeps: bool = True


_DEEP = "sixteen-bit-labels"
CASES = (
    Case("image-without-label", image_without_label),
    Case("label-without-image", label_without_image),
    Case("names-differ", names_differ),
    Case("names-differ", names_differ_on_both_sides, keeps=False),
    Case("names-differ", names_differ_in_a_flat_folder),
    Case("name-used-twice", name_used_twice, lost=1),
    Case("name-used-twice", name_used_twice_in_camvid, ("class-absent",), lost=1, keeps=False),
    Case("split-empty", split_empty),
    Case("unread-files", unread_files),
    Case("unread-data", unread_data),
    Case("known-flaw", known_flaw, then=(), keeps=False),
    Case("missing-file", missing_file, lost=1),
    Case("empty-file", empty_file, lost=1),
    Case("damaged-file", damaged_file, lost=1),
    Case("damaged-file", damaged_label, lost=1),
    Case("not-an-image", not_an_image, lost=1),
    Case("lfs-pointer", lfs_pointer, lost=1),
    Case("too-large", too_large, lost=1),
    Case("image-mode", image_mode, lost=1),
    Case("wrong-suffix", wrong_suffix),
    Case("wrong-suffix", gif_as_png, ("palette-images",)),
    Case("exif-rotated", exif_rotated),
    Case("labels-unrotated", labels_unrotated),
    Case("sixteen-bit-images", sixteen_bit_images),
    Case("dark-images", dark_images),
    Case("alpha-images", alpha_images),
    Case("palette-images", palette_images),
    Case("cmyk-images", cmyk_images),
    Case("gray-images", gray_images),
    Case("blank-images", blank_images, lost=1),
    Case("sizes-differ", sizes_differ, lost=1),
    Case("labels-scaled", labels_scaled),
    Case("labels-turned", labels_turned, lost=1),
    Case("sizes-vary", sizes_vary, keeps=False),
    Case("lossy-labels", lossy_labels, ("wrong-suffix",), keeps=False),
    Case("lossy-labels", lossy_binary, ("wrong-suffix",), keeps=False),
    Case("lossy-labels", lossy_indices, ("wrong-suffix",), lost=1),
    Case("label-mode", label_mode, lost=1),
    Case("transparent-labels", transparent_labels),
    Case("alpha-labels", alpha_labels),
    Case("sixteen-bit-labels", sixteen_bit_labels),
    Case("palette-labels", palette_labels),
    Case("binary-masks", binary_masks, keeps=False),
    Case("binary-masks", binary_masks_in_rgb, ("index-as-rgb",), keeps=False),
    Case("unlisted-values", unlisted_values, lost=8),
    Case("mixed-binary-masks", mixed_binary_masks, keeps=False),
    Case("label-ids", label_ids, then=("class-absent",), keeps=False),
    Case(
        "instance-ids", instance_ids, ("sixteen-bit-labels",), then=("class-absent",), keeps=False
    ),
    Case("numbered-from-one", numbered_from_one),
    Case(
        "ambiguous-labels", ambiguous_labels, ("numbered-from-one", "class-absent"), lost=1, then=()
    ),
    Case("stretched-values", stretched_values),
    Case("blended-values", blended_values, lost=1, keeps=False),
    Case("blended-labels", blended_labels, keeps=False),
    Case("unknown-values", unknown_values, lost=1),
    Case("index-as-rgb", index_as_rgb),
    Case("channels-swapped", channels_swapped),
    Case("blended-colors", blended_colors, ("sizes-vary",), keeps=False),
    Case("inexact-colors", inexact_colors),
    Case("unknown-colors", unknown_colors, lost=1),
    Case("photo-as-labels", photo_as_labels, lost=1),
    Case("all-ignored", all_ignored, lost=1),
    Case("black-ignored", black_ignored, ("class-absent",), then=("class-absent",), keeps=False),
    Case("mostly-ignored", mostly_ignored, keeps=False),
    Case("nothing-labeled", nothing_labeled, ("all-ignored",), lost=3, then=("split-empty",)),
    Case("single-class", single_class, keeps=False),
    Case("one-class", one_class, keeps=False),
    Case("names-alike", names_alike),
    Case("class-absent", class_absent),
    Case("class-untrained", class_untrained, keeps=False),
    Case("class-unmeasured", class_unmeasured, keeps=False),
    Case("val-in-train", val_in_train, lost=1),
    Case("duplicates", duplicates, lost=1),
    Case("near-duplicates", near_duplicates),
    Case("video-neighbors", video_neighbors, keeps=False),
    Case("repeated-images", repeated_images),
    Case("conflicting-labels", conflicting_labels, ("repeated-images",)),
)
