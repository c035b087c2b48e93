"""Every kind of finding of the check.

A row is the severity, what `--fix` does, and what to do; docs/check.md says what each means.
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
    fix_hint: str


error, warning, note = (partial(Kind, severity) for severity in SEVERITIES)
_RESTORE = "restore it from the source, or remove the pair"
_REPAINT = "add what is missing to the class list, or repaint the pixels"
_AGAIN = "make it again with nearest-neighbor resizing and hard borders, as PNG"

KINDS: dict[str, Kind] = {
    # files and pairs
    "image-without-label": error(
        "left out", "restore the label files, or remove the images; names must match exactly"
    ),
    "label-without-image": error(
        "left out", "restore the images, or remove what labels them; names must match exactly"
    ),
    "names-differ": error("repaired", "rename the label files to their images' names"),
    "name-used-twice": error("left out", "keep one of each"),
    "split-empty": error("unchanged", "put pairs into it"),
    "unread-data": error("left out", "convert them to PNG or JPEG, labels to PNG"),
    "unread-files": warning(
        "left out",
        "no harm if they are something else; images must be PNG or JPEG and labels PNG, in the "
        "layout's folders",
    ),
    "known-flaw": warning("unchanged", "split anew, by drive and not by frame"),
    "unlisted-images": note(
        "left out", "no harm if nobody labeled them; else export the annotations again"
    ),
    "missing-file": error("left out", _RESTORE),
    "empty-file": error("left out", _RESTORE),
    "damaged-file": error("left out", _RESTORE),
    "not-an-image": error("left out", "download or export it again"),
    "lfs-pointer": error("left out", "run `git lfs pull` in the repository the data comes from"),
    "too-large": error("left out", "cut it into tiles, or make it smaller, its labels likewise"),
    "image-mode": error("left out", "save it with 8 or 16 bits a channel, as gray or RGB"),
    "wrong-suffix": note(
        "repaired", "no harm here, it is read by its content; other programs may stumble: rename it"
    ),
    # images
    "exif-rotated": note(
        "repaired",
        "no harm here: they are read upright, and their labels fit that; other programs may not",
    ),
    "labels-unrotated": error(
        "repaired", "turn the labels likewise, or save the photo without the note"
    ),
    "sixteen-bit-images": note("repaired", "no harm"),
    "dark-images": warning("repaired", DARK_HINT),
    "alpha-images": note(
        "repaired",
        "no harm, unless something shows where the image should be transparent, or the fourth "
        "channel matters",
    ),
    "palette-images": note("repaired", "no harm"),
    "cmyk-images": note(
        "repaired", "no harm, but convert them with their color profile if colors matter"
    ),
    "gray-images": note("unchanged", "no harm, if the camera in use gives both"),
    "blank-images": warning("left out", "remove the pairs"),
    # sizes
    "sizes-differ": error(
        "left out", "make the labels the image's size, with nearest-neighbor resizing"
    ),
    "labels-scaled": error(
        "repaired", "resize the labels to the image's size, with nearest neighbor"
    ),
    "labels-turned": error("left out", "turn or transpose the labels"),
    "sizes-vary": note(
        "unchanged", "no harm: training resizes or crops; the recipe's size decides"
    ),
    # what label files hold
    "lossy-labels": error("repaired", "make them again as PNG, from what they were made of"),
    "label-mode": error("left out", "save it as an 8-bit PNG of class indices"),
    "transparent-labels": error(
        "repaired", "fill them, and save the file without an alpha channel"
    ),
    "alpha-labels": note("repaired", "no harm"),
    "sixteen-bit-labels": note("repaired", "no harm"),
    "palette-labels": note("repaired", "no harm if the indices are the classes' numbers"),
    "shapes-left-out": note(
        "unchanged", "no harm if they were not meant to be labels; else draw them as polygons"
    ),
    "crowds-only": warning(
        "unchanged",
        "where these are single objects set `iscrowd` (Datumaro: `is_crowd`) to 0 in the "
        "annotation files, or export them as CVAT for images",
    ),
    "wrong-annotation": error(
        "left out", "correct what the message names, in the other files too, or remove the pairs"
    ),
    "class-not-listed": error("left out", "add it to the list, or correct the shapes"),
    "binary-masks": error("repaired", "write 1 instead of 255: `np.where(mask == 255, 1, mask)`"),
    "unlisted-values": error("left out", "give the class list the values in the files"),
    "mixed-binary-masks": warning(
        "unchanged", "if 255 means the second class there, write 1 instead: `mask // 255`"
    ),
    "label-ids": error("repaired", "convert them to train ids, or keep Cityscapes' own layout"),
    "instance-ids": error(
        "repaired", "divide by 1000 and convert to train ids, or use the `_labelIds` files"
    ),
    "numbered-from-one": error("repaired", "subtract 1 from every value that is not ignored"),
    "stretched-values": error(
        "repaired", "divide the values by their step, but for what is ignored"
    ),
    "ambiguous-labels": error(
        "left out",
        "renumber or swap all files alike, or none; look at one of them beside its image",
    ),
    "blended-values": error("left out", _AGAIN),
    "blended-labels": warning("unchanged", _AGAIN),
    "unknown-values": error("left out", _REPAINT),
    "index-as-rgb": error("repaired", "keep one channel"),
    "channels-swapped": error("repaired", "swap the first and the last channel"),
    "blended-colors": error("repaired", _AGAIN),
    "inexact-colors": error(
        "repaired",
        "give the class list the files' exact colors, or repaint each pixel with the nearest",
    ),
    "unknown-colors": error("left out", _REPAINT),
    "photo-as-labels": error("left out", "put the label file in its place"),
    # classes
    "all-ignored": warning("left out", "label the pixels, or remove the pair"),
    "black-ignored": warning(
        "unchanged",
        "if black is a class, add it to the class list, as `background 0 0 0`; if it means "
        "ignored, say so with `ignore #000000`",
    ),
    "mostly-ignored": warning(
        "unchanged",
        "if 255 is a class, add it to the class list, with the value of every class before its "
        "name; if it is left unlabeled on purpose, say so there with `ignore 255`",
    ),
    "nothing-labeled": error("unchanged", "look whether the ignored value is a class's"),
    "single-class": error("unchanged", "make the background the first line of the class list"),
    "one-class": error(
        "unchanged", "look whether the masks were filled, and how they are numbered"
    ),
    "names-alike": warning(
        "unchanged",
        "no harm where they are several classes. Else write one name in all shapes, or in all "
        "masks one's value for the other's, and take the other out of the class list",
    ),
    "class-absent": warning(
        "unchanged",
        "no harm where it is only rare: leave it in the list. Else look whether the labels are "
        "numbered otherwise; without its line, the classes after it would have other numbers",
    ),
    "class-untrained": warning("unchanged", "move some of its images to train"),
    "class-unmeasured": note("unchanged", "move some of its images there"),
    # copies
    "val-in-train": error(
        "repaired",
        "remove these images from train, or split anew: a network is scored on images that it has "
        "not seen",
    ),
    "duplicates": warning("repaired", "keep each in one split"),
    "near-duplicates": warning("unchanged", "keep each in one split"),
    "video-neighbors": warning("unchanged", "split by drive and not by frame"),
    "repeated-images": note(
        "unchanged", "no harm in train, where it weighs more; in val it counts twice"
    ),
    "conflicting-labels": warning("unchanged", "keep the right one"),
}
