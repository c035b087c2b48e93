"""The time and peak memory of `briskseg check` on many pairs, of masks or of polygons.

    python benchmarks/check.py [--kind streets|coco] [--pairs N] [FOLDER]

streets: 480x360 PNG images with masks; 200 streets are drawn. coco: 640x480 JPEG images of 10
polygons each; 50 pictures are made. Each is written many times, shifted or brighter, 10,000 pairs
without `--pairs`; in FOLDER they are kept for the next time.

Cold: nothing is in the cache. Cached: again. Processor seconds are those of all cores: on a machine
that does other things too, half of them is about what two free cores take. A tenth of the pairs is
checked first, to see what memory grows by.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.labels import CAMVID11
from briskseg.data.synthetic import draw_scene

STREETS, SCENES = (360, 480), 200
FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
COCO, PICTURES, POLYGONS, CORNERS, CLASSES = (480, 640), 50, 10, 24, 20


def draw_streets(root: Path, pairs: int) -> None:
    """Every fifth scene is in val, so both splits have scenes of their own."""
    for part in ("images", "labels"):
        for split in ("train", "val"):
            (root / part / split).mkdir(parents=True)

    def vary(scene: int) -> None:
        image, labels = draw_scene(scene, STREETS)
        for number in range(scene, pairs, SCENES):
            turn = number // SCENES
            shifted = np.roll(image[..., ::-1], 9 * turn, axis=1)
            name = f"{_split(scene)}/{number:05d}.png"
            cv2.imwrite(str(root / "images" / name), cv2.add(shifted, (turn,) * 4), FAST)
            moved = np.roll(labels, 9 * turn, axis=1)
            cv2.imwrite(str(root / "labels" / name), moved, FAST)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(vary, range(SCENES)))
    CAMVID11.write_classes_txt(root / "classes.txt")


def draw_coco(root: Path, pairs: int) -> None:
    """Every fifth image is in val; outlines are stars of 24 corners, of COCO's usual sizes."""
    rng = np.random.default_rng(0)
    fields = rng.integers(0, 256, (PICTURES, 12, 16, 3), dtype=np.uint8)
    pictures = [cv2.resize(field, COCO[::-1], interpolation=cv2.INTER_CUBIC) for field in fields]
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (root / f"{split}2017").mkdir()
        content = _annotations(rng, [n for n in range(pairs) if _split(n) == split])
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))

    def write(number: int) -> None:
        picture = cv2.add(pictures[number % PICTURES], (number // PICTURES % 60,) * 4)
        cv2.imwrite(str(root / f"{_split(number)}2017" / f"{number:012d}.jpg"), picture)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(pairs)))


def _annotations(rng: np.random.Generator, numbers: list[int]) -> dict[str, object]:
    height, width = COCO
    images, annotations = [], []
    for number in numbers:
        name = f"{number:012d}.jpg"
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for _ in range(POLYGONS):
            angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
            around = np.c_[np.cos(angles), np.sin(angles)] * rng.uniform(0.6, 1, (CORNERS, 1))
            outline = rng.uniform(0, (width, height)) + around * np.exp(rng.uniform(2, 5))
            outline = np.clip(outline, 0, (width, height)).round(2)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": int(rng.integers(1, CLASSES + 1)),
                    "iscrowd": 0,
                    "segmentation": [outline.ravel().tolist()],
                }
            )
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _split(number: int) -> str:
    return "val" if number % 5 == 0 else "train"


KINDS: dict[str, Callable[[Path, int], None]] = {"streets": draw_streets, "coco": draw_coco}


def check(root: Path, cache: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds of all cores, and peak MiB of the command."""
    # begun by a small process: a new one's peak is at first that of the one it was begun by
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:],"
        " capture_output=True); used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        " print(used.ru_utime + used.ru_stime, used.ru_maxrss);"
        " sys.stderr.buffer.write(done.stderr); sys.exit(done.returncode)"
    )
    command = [sys.executable, "-c", "from briskseg.cli import main; main()", "check", str(root)]
    environment = os.environ | {"BRISKSEG_CACHE": str(cache)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"the check failed: {done.stderr}")
    processor, peak = map(float, done.stdout.split())
    return seconds, processor, peak / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="streets")
    parser.add_argument("--pairs", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        peaks = []
        for pairs, root in (
            (given.pairs // 10, scratch / "few"),
            (given.pairs, given.folder or scratch / "all"),
        ):
            if not root.exists():
                KINDS[given.kind](root, pairs)
            for state in ("cold", "cached"):
                seconds, processor, peak = check(root, scratch / f"cache-{pairs}")
                print(
                    f"{pairs:6} pairs, {state:6}: {seconds:6.1f} s, {pairs / seconds:6.0f} pairs/s,"
                    f" {processor:6.1f} processor s, peak {peak:5.0f} MiB",
                    flush=True,
                )
                peaks.append(peak)
        few, _, many, _ = peaks
        print(f"growth for {given.pairs - given.pairs // 10} more: {many - few:.0f} MiB (cold)")


if __name__ == "__main__":
    main()
