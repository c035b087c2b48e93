"""Streets drawn by us from a seed: CamVid's 11 classes with no download.

`draw_scene` paints one street as a camera behind a windscreen sees it, with exact labels;
`draw_dataset` writes train and val scenes in the folder layout. The labels follow the habits of
people who outline: what shows between the bars of a railing, the spokes of a wheel or the twigs of
a bare tree belongs to them, grass and bushes are *Tree*, shadows change nothing, and our own bonnet
is ignored.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from briskseg.core.errors import RequestError
from briskseg.core.images import write_png
from briskseg.core.labels import CAMVID11
from briskseg.core.types import Array, Progress
from briskseg.core.wording import hxw
from briskseg.data.streets.photograph import photograph
from briskseg.data.streets.street import Street, draw_camera, fill

VERSION = 2  # of the drawing: the same seed and version give the same pixels
SMALLEST = 32  # px a side
SPLITS = ("train", "val")


def draw_scene(seed: int, size_hw: tuple[int, int] = (240, 320)) -> tuple[Array, Array]:
    """Draw one street; the same seed gives the same street at every size.

    Returns image_hwc, (H, W, 3) uint8 RGB, and labels_hw, (H, W) uint8 with CAMVID11's classes
    0..10 and 255 where ignored.

    Raises:
        RequestError: a side is shorter than 32 pixels, or the seed is negative.
    """
    refuse(size_hw, seed)
    # Every part has random numbers of its own: how many one takes changes nothing in another.
    course, things, view, lens = np.random.default_rng(seed).spawn(4)
    street = Street(course)
    return photograph(draw_camera(view, size_hw), street.flat, fill(street, things), lens)


def draw_dataset(
    folder: Path,
    train: int = 200,
    val: int = 40,
    size_hw: tuple[int, int] = (240, 320),
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write drawn streets as a data set in the folder layout, and return its folder.

    Writes images/SPLIT/NNNNN.png, labels/SPLIT/NNNNN.png (class indices), classes.txt, and last
    streets.json, which marks a finished set. `progress` is called with (scenes done, scenes
    wanted) after each. No scene's seed occurs in both splits.

    Raises:
        RequestError: a count is below 1, or the size or seed is one `draw_scene` refuses.
    """
    refuse(size_hw, seed)
    counts = {"train": train, "val": val}
    for split, count in counts.items():
        if count < 1:
            raise RequestError(f"{split} is {count}; ask for at least 1 scene a split")
    folder = Path(folder)
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True, exist_ok=True)

    for done, (split, index) in enumerate(jobs, 1):
        image, labels = draw_scene(scene_seed(seed, split, index), size_hw)
        name = f"{split}/{index:05d}.png"
        write_png(folder / "images" / name, image)
        write_png(folder / "labels" / name, labels)
        if progress is not None:
            progress(done, len(jobs))
    CAMVID11.write_classes_txt(folder / "classes.txt")
    facts = {"seed": seed, "size": list(size_hw), "train": train, "val": val, "version": VERSION}
    (folder / "streets.json").write_text(json.dumps(facts) + "\n")
    return folder


def refuse(size_hw: tuple[int, int], seed: int) -> None:
    """Raise a RequestError where a street of that size or seed cannot be drawn."""
    if min(size_hw) < SMALLEST:
        raise RequestError(
            f"a street of {hxw(size_hw)} pixels was asked for; "
            f"ask for at least {SMALLEST} pixels a side"
        )
    if seed < 0:
        raise RequestError(f"the seed is {seed}; give 0 or a greater number")


def scene_seed(seed: int, split: str, index: int) -> int:
    """The seed of a scene, which no other (seed, split, index) has but by a 2**-63 chance."""
    state = np.random.SeedSequence((seed, SPLITS.index(split), index)).generate_state(2)
    return int(state[0]) << 31 | int(state[1]) >> 1
