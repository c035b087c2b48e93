"""The time and peak memory of `briskseg check` on COCO: 640x480 JPEG images of 10 polygons each.

    python benchmarks/coco.py [--images N] [FOLDER]

10,000 images without `--images`. Cold: nothing is in the cache. Cached: again. Processor seconds
are those of all cores: on a machine that does other things too, half of them is about what two free
cores take. 50 pictures are made, and each is written many times with its brightness changed; in
FOLDER they are left for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

SIZE, PICTURES, POLYGONS, CORNERS, CLASSES = (480, 640), 50, 10, 24, 20


def draw(root: Path, images: int) -> None:
    """Every fifth image is in val; outlines are stars of 24 corners, of COCO's usual sizes."""
    rng = np.random.default_rng(0)
    fields = rng.integers(0, 256, (PICTURES, 12, 16, 3), dtype=np.uint8)
    pictures = [cv2.resize(field, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for field in fields]
    contents = {split: _content(rng, images, split) for split in ("train", "val")}
    for split in contents:
        (root / f"{split}2017").mkdir(parents=True)

    def write(number: int) -> None:
        picture = cv2.add(pictures[number % PICTURES], (number // PICTURES % 60,) * 4)
        cv2.imwrite(str(root / f"{_split(number)}2017" / f"{number:012d}.jpg"), picture)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(images)))
    (root / "annotations").mkdir()
    for split, content in contents.items():
        path = root / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(content))


def _split(number: int) -> str:
    return "val" if number % 5 == 0 else "train"


def _content(rng: np.random.Generator, images: int, split: str) -> dict[str, object]:
    listed, annotations = [], []
    for number in (n for n in range(images) if _split(n) == split):
        name = f"{number:012d}.jpg"
        listed.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for _ in range(POLYGONS):
            angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
            around = np.c_[np.cos(angles), np.sin(angles)] * rng.uniform(0.6, 1, (CORNERS, 1))
            outline = rng.uniform(0, SIZE[::-1]) + around * np.exp(rng.uniform(2, 5))
            outline = np.clip(outline, 0, SIZE[::-1]).round(2)
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
    return {"images": listed, "annotations": annotations, "categories": categories}


def check(root: Path, cache: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds of all cores, and peak MiB of the command."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:],"
        " capture_output=True); used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        " print(used.ru_utime + used.ru_stime, used.ru_maxrss);"
        " sys.stderr.buffer.write(done.stderr); sys.exit(done.returncode)"
    )
    command = [sys.executable, "-c", "from briskseg.cli import main; main()", "check", str(root)]
    environment = {**os.environ, "BRISKSEG_CACHE": str(cache)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"the check failed: {done.stderr}")
    processor, peak = map(float, done.stdout.split())
    return seconds, processor, peak / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = given.folder or Path(scratch) / "coco"
        if not root.exists():
            draw(root, given.images)
        files = sorted(root.glob("annotations/*.json"))
        print(f"annotations: {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")
        for what in ("cold", "cached"):
            seconds, processor, peak = check(root, Path(scratch) / "cache")
            print(f"{what}: {seconds:.1f} s, {processor:.1f} processor s, {peak:.0f} MiB")


if __name__ == "__main__":
    main()
