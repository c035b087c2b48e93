"""Cityscapes' labels: ids, train ids, categories, and what its benchmark counts and ignores.

The *label ids* are what the `_labelIds` files hold and the evaluation server takes; the *train ids*
number the 19 classes that count, 255 for the rest, and are what networks learn: our labels_hw.
Cordts et al., "The Cityscapes dataset", 2016, and the tables of cityscapesScripts (`helpers/
labels.py`; for the mean sizes `evaluation/evalPixelLevelSemanticLabeling.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from briskseg.core.labels.class_list import IGNORED
from briskseg.core.types import RGB, Array


class CityscapesLabel(NamedTuple):
    """One row of the table; its label id is its index in `LABELS`.

    scored: whether pixels of it count; those that do not are ignored, whatever was predicted.
    instances: whether the data tells its objects apart.
    mean_pixels: the mean size of an object of it in 2048x1024 images, for scored ones.
    """

    name: str
    category: str
    color: RGB = (0, 0, 0)
    scored: bool = True
    instances: bool = False
    mean_pixels: float | None = None


LABELS: tuple[CityscapesLabel, ...] = (
    CityscapesLabel("unlabeled", "void", scored=False),
    CityscapesLabel("ego vehicle", "void", scored=False),
    CityscapesLabel("rectification border", "void", scored=False),
    CityscapesLabel("out of roi", "void", scored=False),
    CityscapesLabel("static", "void", scored=False),
    CityscapesLabel("dynamic", "void", scored=False),
    CityscapesLabel("ground", "void", scored=False),
    CityscapesLabel("road", "flat", (128, 64, 128)),
    CityscapesLabel("sidewalk", "flat", (244, 35, 232)),
    CityscapesLabel("parking", "flat", scored=False),
    CityscapesLabel("rail track", "flat", scored=False),
    CityscapesLabel("building", "construction", (70, 70, 70)),
    CityscapesLabel("wall", "construction", (102, 102, 156)),
    CityscapesLabel("fence", "construction", (190, 153, 153)),
    CityscapesLabel("guard rail", "construction", scored=False),
    CityscapesLabel("bridge", "construction", scored=False),
    CityscapesLabel("tunnel", "construction", scored=False),
    CityscapesLabel("pole", "object", (153, 153, 153)),
    CityscapesLabel("polegroup", "object", scored=False),
    CityscapesLabel("traffic light", "object", (250, 170, 30)),
    CityscapesLabel("traffic sign", "object", (220, 220, 0)),
    CityscapesLabel("vegetation", "nature", (107, 142, 35)),
    CityscapesLabel("terrain", "nature", (152, 251, 152)),
    CityscapesLabel("sky", "sky", (70, 130, 180)),
    CityscapesLabel("person", "human", (220, 20, 60), True, True, 3462.4756337644),
    CityscapesLabel("rider", "human", (255, 0, 0), True, True, 3930.4788056518),
    CityscapesLabel("car", "vehicle", (0, 0, 142), True, True, 12794.0202738185),
    CityscapesLabel("truck", "vehicle", (0, 0, 70), True, True, 27855.1264367816),
    CityscapesLabel("bus", "vehicle", (0, 60, 100), True, True, 35732.1511111111),
    CityscapesLabel("caravan", "vehicle", scored=False, instances=True),
    CityscapesLabel("trailer", "vehicle", scored=False, instances=True),
    CityscapesLabel("train", "vehicle", (0, 80, 100), True, True, 67583.7075812274),
    CityscapesLabel("motorcycle", "vehicle", (0, 0, 230), True, True, 6298.7200839748),
    CityscapesLabel("bicycle", "vehicle", (119, 11, 32), True, True, 4672.3249222261),
)

# The label id of each train id, in the order of the train ids.
SCORED_IDS: tuple[int, ...] = tuple(i for i, label in enumerate(LABELS) if label.scored)

UNLABELED = 0  # the label id that ignored pixels are given where one is needed

_LABEL_ID = np.full(256, len(LABELS), np.uint8)
_LABEL_ID[: len(SCORED_IDS)] = SCORED_IDS
_LABEL_ID[IGNORED] = UNLABELED


def to_label_ids(labels_hw: Array) -> Array:
    """Train ids (H, W) uint8, 0..18 and 255, to label ids (H, W) uint8; 255 becomes 0, unlabeled.

    Raises ValueError for what is no train id.
    """
    ids_hw: Array = _LABEL_ID[labels_hw]
    if (ids_hw == len(LABELS)).any():
        value = int(labels_hw[ids_hw == len(LABELS)].flat[0])
        raise ValueError(f"the labels hold {value}, expected train ids 0..18 or {IGNORED}")
    return ids_hw
