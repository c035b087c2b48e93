"""Classes of published sets whose downloads do not name them: values, names, colors.

Each line is as in a classes.txt (`value name r g b`); what a set's benchmark leaves out is ignored.
"""

from __future__ import annotations

from briskseg.core.labels.cityscapes_table import LABELS, SCORED_IDS
from briskseg.core.types import RGB

# Zhou et al., "Scene parsing through ADE20K dataset", 2017: the values 1 to 150 in this order; 0 is
# all else, and is ignored.
ADE20K = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track,
apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket,
waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot,
animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light,
tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass,
clock, flag
"""

# Varma et al., "IDD", 2019: the 26 classes of level 3; of those that stand for several the first.
IDD = """
0 road 128 64 128
1 drivable fallback 81 0 81
2 sidewalk 244 35 232
3 non-drivable fallback 152 251 152
4 person 220 20 60
5 rider 255 0 0
6 motorcycle 0 0 230
7 bicycle 119 11 32
8 autorickshaw 255 204 54
9 car 0 0 142
10 truck 0 0 70
11 bus 0 60 100
12 vehicle fallback 136 143 153
13 curb 220 190 40
14 wall 102 102 156
15 fence 190 153 153
16 guard rail 180 165 180
17 billboard 174 64 67
18 traffic sign 220 220 0
19 traffic light 250 170 30
20 pole 153 153 153
21 obs-str-bar-fallback 169 187 214
22 building 70 70 70
23 bridge 150 100 100
24 vegetation 107 142 35
25 sky 70 130 180
"""
# What else its polygons are named: the class of level 3 of each, and what none of them is.
IDD_MERGED = {
    "parking": "drivable fallback",
    "rail track": "non-drivable fallback",
    "animal": "person",
    "caravan": "vehicle fallback",
    "trailer": "vehicle fallback",
    "train": "vehicle fallback",
    "polegroup": "pole",
    "tunnel": "bridge",
    "fallback background": "sky",
}
IDD_IGNORED = frozenset(
    {"unlabeled", "ego vehicle", "rectification border", "out of roi", "license plate"}
)

# Jiang et al., "RELLIS-3D dataset", 2021: the ids of the masks. The benchmark has void and dirt,
# which hardly occurs, ignored.
RELLIS = """
0 void 0 0 0
1 dirt 108 64 20
3 grass 0 102 0
4 tree 0 255 0
5 pole 0 153 153
6 water 0 128 255
7 sky 0 0 255
8 vehicle 255 255 0
9 object 255 0 127
10 asphalt 64 64 64
12 building 255 0 0
15 log 102 0 0
17 person 204 153 255
18 fence 102 0 204
19 bush 255 153 204
23 concrete 170 170 170
27 barrier 41 121 255
31 puddle 134 255 239
33 mud 99 66 34
34 rubble 110 22 138
ignore 0
ignore 1
"""

# Zendel et al., "Unifying panoptic segmentation for autonomous driving", 2022: the categories that
# its benchmark counts; their ids are Cityscapes', but for trains, and more.
WILDDASH: dict[int, tuple[str, RGB]] = {
    1: ("ego vehicle", (0, 20, 50)),
    **{i: (LABELS[i].name, LABELS[i].color) for i in SCORED_IDS if LABELS[i].name != "train"},
    14: ("guard rail", (180, 165, 180)),
    34: ("pickup", (40, 0, 100)),
    35: ("van", (0, 40, 120)),
    36: ("billboard", (174, 64, 67)),
    37: ("street light", (210, 170, 100)),
    38: ("road marking", (196, 176, 128)),
}

# Wigness et al., "A RUGD dataset", 2019: the sequences of val and test; all others train.
RUGD_VAL = frozenset({"park-8", "trail-5"})
RUGD_TEST = frozenset({"creek", "park-1", "trail-7", "trail-13"})
