"""Findings on images: forms that other programs read amiss, turned photos, sizes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from briskseg.core.files.pictures import is_16_bit
from briskseg.core.images import dark_image
from briskseg.core.wording import counted
from briskseg.data.check.check_report import Finding, finding
from briskseg.data.check.scan import PairStats, Scan
from briskseg.data.file_stats import ImageStats

WITH_ALPHA = ("LA", "RGBA", "PA", "RGBX")


def rotated(scan: Scan) -> Iterator[Finding]:
    """Photos that their EXIF note turns upright, and labels that do not fit the upright image."""
    turned = [f for f in scan.pairs if f.image is not None and f.image.orientation != 1]
    amiss = [item for item in turned if has_unrotated_labels(item)]
    if amiss:
        message = (
            "labels fit the photo as it is stored, but viewers and training show it turned by its "
            "EXIF note"
        )
        yield finding("labels-unrotated", [f.pair.labels_at for f in amiss], message)
    well = [item for item in turned if not has_unrotated_labels(item)]
    if well:
        notes = sorted({f.image.orientation for f in well if f.image is not None})
        listed = ", ".join(map(str, notes))
        message = f"photos are turned upright by their EXIF note (orientation {listed})"
        hint = "" if any(n >= 5 for n in notes) else _LOOK
        yield finding("exif-rotated", [f.pair.image for f in well], message, hint)


_LOOK = (
    "they are read upright; sizes cannot tell whether the labels were drawn so: look at one pair "
    "with `briskseg data show`"
)


def has_unrotated_labels(item: PairStats) -> bool:
    """Whether labels have the size of the photo as stored and not that of the upright one."""
    image, label = item.image, item.label
    if image is None or label is None or image.orientation < 5:
        return False
    return image.height != image.width and (label.width, label.height) == (
        image.height,
        image.width,
    )


def image_forms(scan: Scan) -> Iterator[Finding]:
    """Images that are more, or less, than 8-bit RGB."""
    images = [(item.pair.image, item.image) for item in scan.pairs if item.image is not None]
    dark = [path for path, image in images if is_dark(image)]
    if dark:
        lowest = min(image.lowest for _, image in images if is_dark(image))
        highest = max(image.highest for _, image in images if is_dark(image))
        message = dark_image(lowest, highest)
        yield finding("dark-images", dark, message)
    for kind, message, holds in _FORMS:
        paths = [path for path, image in images if holds(image)]
        if paths and not (kind == "gray-images" and len(paths) == len(images)):
            yield finding(kind, paths, message)


def is_dark(image: ImageStats) -> bool:
    """Whether a 16-bit image uses so few bits that its high bytes are nearly all 0."""
    return is_16_bit(image.mode) and bool(dark_image(image.lowest, image.highest))


def _is_gray(image: ImageStats) -> bool:
    return image.mode.partition(";")[0] in {"1", "L", "LA", "I"}


_FORMS: tuple[tuple[str, str, Callable[[ImageStats], bool]], ...] = (
    (
        "blank-images",
        "images in which every pixel is the same",
        lambda image: image.lowest == image.highest or not image.look,
    ),
    (
        "sixteen-bit-images",
        "images with 16 bits a channel, of which the high 8 are read",
        lambda image: is_16_bit(image.mode) and not is_dark(image),
    ),
    (
        "alpha-images",
        "images with a fourth channel (alpha, infrared ...), which is dropped",
        lambda image: image.mode.partition(";")[0] in WITH_ALPHA,
    ),
    (
        "palette-images",
        "images with a palette, which are read as RGB",
        lambda image: image.mode.partition(";")[0] == "P",
    ),
    (
        "cmyk-images",
        "images in print colors, which are converted to RGB",
        lambda image: image.mode.startswith("CMYK"),
    ),
    ("gray-images", "some images are gray, the others are in color", _is_gray),
)


def sizes(scan: Scan) -> Iterator[Finding]:
    """Labels whose size is not their image's, and images of several sizes."""
    wrong: dict[str, list[PairStats]] = defaultdict(list)
    for item in scan.pairs:
        kind = size_trouble(item)
        if kind:
            wrong[kind].append(item)
    for kind, items in wrong.items():
        image, label = items[0].image, items[0].label
        assert image is not None
        assert label is not None
        message = (
            f"image and labels differ in size; the first: image {image.width}x{image.height}, "
            f"labels {label.width}x{label.height} (width x height)"
        )
        yield finding(kind, [item.pair.labels_at for item in items], message)
    known = Counter((f.image.width, f.image.height) for f in scan.pairs if f.image is not None)
    if len(known) > 1:
        (width, height), most = known.most_common(1)[0]
        these = counted(most, "image is", "images are")
        message = f"{len(known)} image sizes; {these} {width}x{height} (width x height)"
        yield finding("sizes-vary", (), message, count=known.total() - most)


def size_trouble(item: PairStats) -> str:
    """How the sizes of a pair differ, as a kind of finding; "" where they fit."""
    image, label = item.image, item.label
    if image is None or label is None or has_unrotated_labels(item):
        return ""
    size, other = (image.height, image.width), (label.height, label.width)
    if size == other:
        return ""
    if size == other[::-1]:
        return "labels-turned"
    factor = other[0] / size[0]
    is_scaled = abs(size[1] * factor - other[1]) <= max(1.0, factor / 2)
    return "labels-scaled" if is_scaled and abs(factor - 1) > 0.1 else "sizes-differ"
