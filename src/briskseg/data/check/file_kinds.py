"""What a kind of finding is; the kinds that concern files as such, images and sizes.

A row is the severity, what `--fix` does, what the kind means, and what to do.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

from briskseg.core.images import DARK_HINT

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# What `--fix` does with the files of a finding: they are right in the copy, they are not in the
# copy, or they are in it as they were.
Fix = Literal["repaired", "left out", "unchanged"]


class Kind(NamedTuple):
    """severity: an "error" keeps training from starting or makes its result wrong, a "warning" may,
    a "note" is good to know."""

    severity: Severity
    fix: Fix
    meaning: str
    fix_hint: str


error, warning, note = (partial(Kind, severity) for severity in SEVERITIES)
_RESTORE = "restore it from the source, or remove the pair"

FILE_KINDS: dict[str, Kind] = {
    # files and pairs
    "image-without-label": error(
        "left out",
        "an image has no label file of its name",
        "restore the label files, or remove the images; names must match exactly",
    ),
    "label-without-image": error(
        "left out",
        "a label file has no image of its name",
        "restore the images, or remove what labels them; names must match exactly",
    ),
    "names-differ": error(
        "repaired",
        "label files are named as their images and something more, as `a_mask.png` for `a.jpg`",
        "rename the label files to their images' names",
    ),
    "name-used-twice": error(
        "left out",
        "two files of a split have one name and differ in the suffix only",
        "keep one of each",
    ),
    "split-empty": error(
        "unchanged", "train or val has no pair; training needs both", "put pairs into it"
    ),
    "unread-data": error(
        "left out",
        "no image or no label file is of a type that is read (.heic, .jp2, .npy, .mat, .gif ...)",
        "convert them to PNG or JPEG, labels to PNG",
    ),
    "unread-files": warning(
        "left out",
        "files below the folder are not read: of another type, in no split list, lists of splits "
        "while the seed draws these, or pictures outside the folders of images and labels",
        "no harm if they are something else; images must be PNG or JPEG and labels PNG, in the "
        "layout's folders",
    ),
    "known-flaw": warning(
        "unchanged",
        "the published set has a flaw that others have found",
        "split anew, by drive and not by frame",
    ),
    "unlisted-images": note(
        "left out",
        "images lie beside the annotation files (COCO, CVAT ...) and none of these names them",
        "no harm if nobody labeled them; else export the annotations again",
    ),
    "missing-file": error("left out", "a link, or a line of a list, leads to no file", _RESTORE),
    "empty-file": error("left out", "a file has no byte in it", _RESTORE),
    "damaged-file": error("left out", "a file is cut off or damaged", _RESTORE),
    "not-an-image": error(
        "left out",
        "a file is named as an image and is something else (a web page, an archive ...)",
        "download or export it again",
    ),
    "lfs-pointer": error(
        "left out",
        "a file holds what Git LFS leaves in place of an image that was not fetched",
        "run `git lfs pull` in the repository the data comes from",
    ),
    "too-large": error(
        "left out",
        "an image has more pixels than are read at once",
        "cut it into tiles, or make it smaller, its labels likewise",
    ),
    "image-mode": error(
        "left out",
        "an image stores floating-point numbers (a depth map, a scan), which have no scale, or 2, "
        "5 or more bands, of which 3 are taken",
        "save it with 8 or 16 bits a channel, as gray or RGB",
    ),
    "wrong-suffix": note(
        "repaired",
        "a file is of another type than its suffix says (a JPEG named .png)",
        "no harm here, it is read by its content; other programs may stumble: rename it",
    ),
    # images
    "exif-rotated": note(
        "repaired",
        "photos lie on their side in the file and are turned upright by their EXIF note",
        "no harm here: they are read upright, and their labels fit that; other programs may not",
    ),
    "labels-unrotated": error(
        "repaired",
        "labels fit the photo as it is stored, not upright as its EXIF note says and viewers show",
        "turn the labels likewise, or save the photo without the note",
    ),
    "sixteen-bit-images": note(
        "repaired", "images have 16 bits a channel; the high 8 are read", "no harm"
    ),
    "dark-images": warning(
        "repaired",
        "16-bit images use the low bits only (a 10- or 12-bit camera), so they are read as black",
        DARK_HINT,
    ),
    "alpha-images": note(
        "repaired",
        "images have a fourth channel (alpha, infrared); it is dropped, and what lies under it is "
        "used",
        "no harm, unless something shows where the image should be transparent, or the fourth "
        "channel matters",
    ),
    "palette-images": note("repaired", "images have a palette; they are read as RGB", "no harm"),
    "cmyk-images": note(
        "repaired",
        "images are in print colors (CMYK) and are converted to RGB",
        "no harm, but convert them with their color profile if colors matter",
    ),
    "gray-images": note(
        "unchanged",
        "some images are gray and others in color",
        "no harm, if the camera in use gives both",
    ),
    "blank-images": warning(
        "left out",
        "every pixel of an image is the same: the camera gave nothing",
        "remove the pairs",
    ),
    # sizes
    "sizes-differ": error(
        "left out",
        "an image and its labels differ in size",
        "make the labels the image's size, with nearest-neighbor resizing",
    ),
    "labels-scaled": error(
        "repaired",
        "labels are larger or smaller than the image, in the same proportions",
        "resize the labels to the image's size, with nearest neighbor",
    ),
    "labels-turned": error(
        "left out",
        "labels are as high as the image is wide: turned, or rows and columns swapped",
        "turn or transpose the labels",
    ),
    "sizes-vary": note(
        "unchanged",
        "images have several sizes",
        "no harm: training resizes or crops; the recipe's size decides",
    ),
}
