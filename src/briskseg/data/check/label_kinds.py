"""The kinds of findings on what label files hold, with classes, and with images that repeat."""

from __future__ import annotations

from briskseg.data.check.file_kinds import Kind, error, note, warning

_REPAINT = "add what is missing to the class list, or repaint the pixels"
_AGAIN = "make it again with nearest-neighbor resizing and hard borders, as PNG"

LABEL_KINDS: dict[str, Kind] = {
    # what label files hold
    "lossy-labels": error(
        "repaired",
        "label files are JPEG (or lossy WebP), which changes values. Colors and 0/255 masks can "
        "be repaired, but for a pixel along borders; other indices cannot and are left out",
        "make them again as PNG, from what they were made of",
    ),
    "label-mode": error(
        "left out",
        "a label file holds no whole numbers or RGB (floating point, CMYK ...)",
        "save it as an 8-bit PNG of class indices",
    ),
    "transparent-labels": error(
        "repaired",
        "pixels of a label file are transparent, which says nothing about their class; repaired, "
        "they are ignored",
        "fill them, and save the file without an alpha channel",
    ),
    "alpha-labels": note(
        "repaired", "label files have an alpha channel, opaque throughout", "no harm"
    ),
    "sixteen-bit-labels": note(
        "repaired", "label files have 16 or 32 bits; the values are classes", "no harm"
    ),
    "palette-labels": note(
        "repaired",
        "palette files are read by their indices, because their colors are not the classes'",
        "no harm if the indices are the classes' numbers",
    ),
    "shapes-left-out": note(
        "unchanged",
        "annotation files hold shapes that are no areas (points, boxes without an outline ...)",
        "no harm if they were not meant to be labels; else draw them as polygons",
    ),
    "crowds-only": warning(
        "unchanged",
        "every object of a class is marked as a crowd (`iscrowd`, `is_crowd`), and crowds are "
        "ignored; CVAT and Datumaro mark all brush masks so",
        "where these are single objects set `iscrowd` (Datumaro: `is_crowd`) to 0 in the "
        "annotation files, or export them as CVAT for images",
    ),
    "wrong-annotation": error(
        "left out",
        "an annotation file holds what cannot be drawn: a class that was not declared, a box "
        "among outlines, points outside the image ...",
        "correct what the message names, in the other files too, or remove the pairs",
    ),
    "class-not-listed": error(
        "left out",
        "shapes have a class that classes.txt (or labels.txt) beside them lacks",
        "add it to the list, or correct the shapes",
    ),
    "binary-masks": error(
        "repaired",
        "masks of two classes hold 0 and 255, where 1 was meant",
        "write 1 instead of 255: `mask // 255`",
    ),
    "mixed-binary-masks": warning(
        "unchanged",
        "of two classes' masks some hold 0 and 1, others 0 and 255, which is read as ignored",
        "if 255 means the second class there, write 1 instead: `mask // 255`",
    ),
    "label-ids": error(
        "repaired",
        "files hold Cityscapes' label ids (0..33) where train ids (0..18) were expected",
        "convert them to train ids, or keep Cityscapes' own layout",
    ),
    "instance-ids": error(
        "repaired",
        "files hold Cityscapes' instance ids (1000 * label id + number)",
        "divide by 1000 and convert to train ids, or use the `_labelIds` files",
    ),
    "numbered-from-one": error(
        "repaired",
        "the classes are numbered from 1",
        "subtract 1 from every value that is not ignored",
    ),
    "stretched-values": error(
        "repaired",
        "indices are multiplied so that the eye can tell them apart (0, 85, 170 ...)",
        "divide the values by their step, but for what is ignored",
    ),
    "ambiguous-labels": error(
        "left out",
        "labels fit the classes as they are, but files beside them are numbered otherwise or have "
        "their channels swapped, so they may mean other classes",
        "renumber or swap all files alike, or none; look at one of them beside its image",
    ),
    "blended-values": error(
        "left out",
        "values between the classes' lie along borders: the mask was resized with interpolation. "
        "A blend may also be another class's index, so it cannot be repaired",
        _AGAIN,
    ),
    "blended-labels": warning(
        "unchanged",
        "thin lines of other classes lie along most borders, and their values between those of the "
        "areas: the mask was resized with interpolation, which made other classes of blends",
        _AGAIN,
    ),
    "unknown-values": error("left out", "values are no class and not ignored", _REPAINT),
    "index-as-rgb": error(
        "repaired",
        "masks of indices are saved as three equal channels",
        "keep one channel",
    ),
    "channels-swapped": error(
        "repaired",
        "the classes' colors lie in the file as blue, green, red",
        "swap the first and the last channel",
    ),
    "blended-colors": error(
        "repaired",
        "borders are anti-aliased: their colors lie between two classes'. Repaired, a pixel gets "
        "the nearest class of its neighbors",
        _AGAIN,
    ),
    "inexact-colors": error(
        "repaired",
        "colors are nearly the classes' (a color profile, another program's palette)",
        "give the class list the files' exact colors, or repaint each pixel with the nearest",
    ),
    "unknown-colors": error(
        "left out", "colors are no class's: another palette, or a class more", _REPAINT
    ),
    "photo-as-labels": error(
        "left out",
        "a label file is a photo",
        "put the label file in its place",
    ),
    # classes
    "all-ignored": warning(
        "left out",
        "every pixel of a label file is ignored: it teaches and scores nothing",
        "label the pixels, or remove the pair",
    ),
    "nothing-labeled": error(
        "unchanged",
        "every label file of train or val is ignored throughout",
        "look whether the ignored value is a class's",
    ),
    "single-class": error(
        "unchanged",
        "the class list has one class, and one class cannot be learned: nothing is there to "
        "tell it from",
        "make the background the first line of the class list",
    ),
    "one-class": error(
        "unchanged",
        "every labeled pixel is of one class, though there are several: nothing can be learned",
        "look whether the masks were filled, and how they are numbered",
    ),
    "class-absent": warning(
        "unchanged",
        "a class occurs in no file",
        "no harm where it is only rare: leave it in the list. Else look whether the labels are "
        "numbered otherwise; without its line, the classes after it would have other numbers",
    ),
    "class-untrained": warning(
        "unchanged",
        "a class occurs in val or test but not in train: it cannot be learned",
        "move some of its images to train",
    ),
    "class-unmeasured": note(
        "unchanged",
        "a class occurs in train but not in val or test: its score says nothing",
        "move some of its images there",
    ),
    # copies
    "val-in-train": error(
        "repaired",
        "5 % or more of val's images lie in train too, pixel for pixel, so the score means "
        "nothing; repaired, the copies in train are dropped",
        "remove these images from train, or split anew: a network is scored on images that it has "
        "not seen",
    ),
    "duplicates": warning(
        "repaired",
        "an image lies in more than one split, pixel for pixel (of val's in train: fewer than "
        "5 %), so the score is too high; repaired, the copies in train (or val, if the other is in "
        "test) are dropped",
        "keep each in one split",
    ),
    "near-duplicates": warning(
        "unchanged",
        "an image lies in more than one split, resized, re-encoded or brightened",
        "keep each in one split",
    ),
    "video-neighbors": warning(
        "unchanged",
        "neighboring frames of one video lie in different splits, so the score is too high",
        "split by drive and not by frame",
    ),
    "repeated-images": note(
        "unchanged",
        "an image occurs several times in one split, pixel for pixel",
        "no harm in train, where it weighs more; in val it counts twice",
    ),
    "conflicting-labels": warning(
        "unchanged",
        "one image occurs several times with different labels",
        "keep the right one",
    ),
}
