"""CamVid, in the SegNet tutorial's layout and as published.

SegNet's: `train/` with `trainannot/` and so on, index masks of 11 classes, paired by file name; the
lists train.txt and val.txt only repeat what the folders hold and are not read. As published:
`701_StillsRaw_full/NAME.png` with `LabeledApproved_full/NAME_L.png` in 32 colors; there train.txt
and val.txt (and test.txt), a name a line, make the splits where they are given, else the seed.
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError, nearest
from briskseg.core.labels import CAMVID11, CAMVID32
from briskseg.data.masks.finder import format_of
from briskseg.data.masks.layout import Classes, Layout

CLASS_SETS = {"camvid11": CAMVID11, "camvid32": CAMVID32}


def _classes(root: Path, asked: str | None) -> Classes:
    """The 32 classes of the published colors, or the 11 that SegNet merges them into."""
    name = asked or "camvid32"
    if name not in CLASS_SETS:
        raise RequestError(f"{root}: no class set '{name}'; {nearest(name, CLASS_SETS)}")
    return Classes(CLASS_SETS[name])


def _segnet_classes(root: Path, asked: str | None) -> Classes:
    if asked == "camvid32":
        raise RequestError(
            f"{root}: the class set 'camvid32' was asked for, but these label files (SegNet's "
            "layout) hold 11 classes; use camvid11, or the published files (701_StillsRaw_full, "
            "LabeledApproved_full)"
        )
    return _classes(root, asked or "camvid11")


_PUBLISHED = Layout(
    name="camvid",
    images="701_StillsRaw_full/{name}",
    labels="LabeledApproved_full/{name}_L",
    text=(
        "701_StillsRaw_full/NAME.png with LabeledApproved_full/NAME_L.png (as published, 32 colors)"
    ),
    classes=_classes,
    lists=("{split}.txt",),
    recipe="erfnet-camvid11",
    # 573 of the 701 images train and 128 validate in the write-up of ERFNet on the 32 classes.
    val_share=128 / 701,
)
_SEGNET = Layout(
    name="camvid",
    images="{split}/{name}",
    labels="{split}annot/{name}",
    text=(
        "train/NAME.ext with trainannot/NAME.png, and so on for val and test (SegNet's, 11 classes)"
    ),
    classes=_segnet_classes,
    unlabeled_images=True,
)


FORMAT = format_of(_PUBLISHED, _SEGNET)
