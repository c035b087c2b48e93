"""Labels: the label set, and the sets of the data that the field compares itself on."""

from __future__ import annotations

from dataclasses import replace

from briskseg.core.labels.cityscapes_table import LABELS, SCORED_IDS
from briskseg.core.labels.class_list import IGNORED
from briskseg.core.labels.label_set import LabelSet
from briskseg.core.types import RGB

__all__ = [
    "CAMVID11",
    "CAMVID32",
    "CITYSCAPES",
    "CITYSCAPES_LABEL_IDS",
    "IGNORED",
    "LABEL_SETS",
    "RGB",
    "LabelSet",
]

# Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009: the 32 names and colors, in
# alphabetical order; Void is a class like the others, nothing is ignored. The number is the class
# of the 11 that SegNet (Badrinarayanan, Kendall, Cipolla, 2017) merges it into, as MathWorks'
# example "Semantic Segmentation Using Deep Learning" lists it; SegNet ignores Void.
_CAMVID: dict[str, tuple[RGB, int]] = {
    "Animal": ((64, 128, 64), 9),
    "Archway": ((192, 0, 128), 1),
    "Bicyclist": ((0, 128, 192), 10),
    "Bridge": ((0, 128, 64), 1),
    "Building": ((128, 0, 0), 1),
    "Car": ((64, 0, 128), 8),
    "CartLuggagePram": ((64, 0, 192), 9),
    "Child": ((192, 128, 64), 9),
    "Column_Pole": ((192, 192, 128), 2),
    "Fence": ((64, 64, 128), 7),
    "LaneMkgsDriv": ((128, 0, 192), 3),
    "LaneMkgsNonDriv": ((192, 0, 64), 3),
    "Misc_Text": ((128, 128, 64), 6),
    "MotorcycleScooter": ((192, 0, 192), 10),
    "OtherMoving": ((128, 64, 64), 8),
    "ParkingBlock": ((64, 192, 128), 4),
    "Pedestrian": ((64, 64, 0), 9),
    "Road": ((128, 64, 128), 3),
    "RoadShoulder": ((128, 128, 192), 4),
    "Sidewalk": ((0, 0, 192), 4),
    "SignSymbol": ((192, 128, 128), 6),
    "Sky": ((128, 128, 128), 0),
    "SUVPickupTruck": ((64, 128, 192), 8),
    "TrafficCone": ((0, 0, 64), 2),
    "TrafficLight": ((0, 64, 64), 6),
    "Train": ((192, 64, 128), 8),
    "Tree": ((128, 128, 0), 5),
    "Truck_Bus": ((192, 128, 192), 8),
    "Tunnel": ((64, 0, 64), 1),
    "VegetationMisc": ((192, 192, 0), 5),
    "Void": ((0, 0, 0), IGNORED),
    "Wall": ((64, 192, 0), 1),
}

CAMVID32 = LabelSet(
    names=tuple(_CAMVID), colors=tuple(color for color, _ in _CAMVID.values()), ignored=()
)

# The classes and colors of the SegNet tutorial, whose files hold 11 for unlabeled pixels.
_CAMVID11: dict[str, RGB] = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
CAMVID11 = LabelSet(
    names=tuple(_CAMVID11),
    colors=tuple(_CAMVID11.values()),
    ignored=(11,),
    merged_colors=tuple(_CAMVID.values()),
)

# As the `_labelTrainIds` files hold it, and as the `_labelIds` files of the download do, in which
# label ids that are no class (0..33 and the license plate's -1, here 255) are ignored.
CITYSCAPES = LabelSet(
    names=tuple(LABELS[label_id].name for label_id in SCORED_IDS),
    colors=tuple(LABELS[label_id].color for label_id in SCORED_IDS),
)
CITYSCAPES_LABEL_IDS = replace(
    CITYSCAPES,
    values=tuple(
        (label_id, SCORED_IDS.index(label_id) if label.scored else IGNORED)
        for label_id, label in enumerate(LABELS)
    ),
)

LABEL_SETS: dict[str, LabelSet] = {
    "camvid11": CAMVID11,
    "camvid32": CAMVID32,
    "cityscapes": CITYSCAPES,
}
