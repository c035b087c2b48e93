"""CamVid, in the SegNet tutorial's layout and as published.

SegNet's: `train/` with `trainannot/` and so on, index masks of 11 classes, paired by file name; the
lists train.txt and val.txt only repeat what the folders hold and are not read. A set laid out so
with a class list of its own is none of CamVid's. As published:
`701_StillsRaw_full/NAME.png` with `LabeledApproved_full/NAME_L.png` in 32 colors; there train.txt
and val.txt (and test.txt), a name a line, make the splits where they are given, else the seed.
"""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError, nearest
from briskseg.core.labels import CAMVID11, CAMVID32
from briskseg.data.dataset import Format, Found
from briskseg.data.masks.class_files import own_classes
from briskseg.data.masks.finder import find, recognizes
from briskseg.data.masks.layout import Classes, Layout

# The 32 classes of the published colors, and the 11 that SegNet merges them into.
CLASS_SETS = {"camvid11": CAMVID11, "camvid32": CAMVID32}

_PUBLISHED = Layout(
    name="camvid",
    images="701_StillsRaw_full/{name}",
    labels="LabeledApproved_full/{name}_L",
    text=(
        "701_StillsRaw_full/NAME.png with LabeledApproved_full/NAME_L.png (as published, 32 colors)"
    ),
    classes=lambda _: Classes(CAMVID32),
    lists=("{split}.txt",),
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
    classes=lambda _: Classes(CAMVID11),
    unlabeled_images=True,
)


def _recognizes(root: Path) -> bool:
    if recognizes(_PUBLISHED, root):
        return True
    return recognizes(_SEGNET, root) and not _has_other_classes(root)


def _has_other_classes(root: Path) -> bool:
    """Whether a class list in the folder names others than SegNet's 11, whatever follows these, or
    the published 32."""
    listed = own_classes(root)
    if listed is None:
        return False
    names = [name.casefold() for name in listed.labels.names]
    eleven, all_32 = ([n.casefold() for n in s.names] for s in (CAMVID11, CAMVID32))
    return names[: len(eleven)] != eleven and {*names} != {*all_32}


def _find(root: Path, asked: str | None, seed: int) -> Found:
    layout = _PUBLISHED if recognizes(_PUBLISHED, root) else _SEGNET
    if asked not in (None, *CLASS_SETS):
        raise RequestError(f"{root}: no class set '{asked}'; {nearest(asked, CLASS_SETS)}")
    if asked == "camvid32" and layout is _SEGNET:
        raise RequestError(
            f"{root}: the class set 'camvid32' was asked for, but these label files (SegNet's "
            "layout) hold 11 classes; use camvid11, or the published files (701_StillsRaw_full, "
            "LabeledApproved_full)"
        )
    if asked is not None:
        labels = CLASS_SETS[asked]
        layout = layout._replace(classes=lambda _: Classes(labels))
    return find(layout, root, None, seed)


FORMAT = Format(_recognizes, _find, (_PUBLISHED.text, _SEGNET.text))
