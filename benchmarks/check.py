"""The time and peak memory of `briskseg check` on 10,000 drawn pairs of 480x360, PNG.

    python benchmarks/check.py [FOLDER]

Cold: nothing is in the cache. Cached: again. Processor seconds are those of all cores: on
a machine that does other things too, half of them is about what two free cores take. The same for
the first 1,000 pairs, to see what memory grows by. 200 streets are drawn, and each is varied by
shifting it and its brightness; in FOLDER they are kept for the next time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from briskseg.core.labels import CAMVID11
from briskseg.data.synthetic import draw_scene

SIZE, SCENES, PAIRS = (360, 480), 200, 10_000
FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def draw(root: Path) -> None:
    """Every fifth pair is in val; both splits have scenes of their own."""
    for part in ("images", "labels"):
        for split in ("train", "val"):
            (root / part / split).mkdir(parents=True)

    def vary(scene: int) -> None:
        image, labels = draw_scene(scene, SIZE)
        split = "val" if scene % 5 == 0 else "train"
        for number in range(scene, PAIRS, SCENES):
            turn = number // SCENES
            shifted = np.roll(image[..., ::-1], 9 * turn, axis=1)
            name = f"{split}/{number:05d}.png"
            cv2.imwrite(str(root / "images" / name), cv2.add(shifted, (turn,) * 4), FAST)
            moved = np.roll(labels, 9 * turn, axis=1)
            cv2.imwrite(str(root / "labels" / name), moved, FAST)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(vary, range(SCENES)))
    CAMVID11.write_classes_txt(root / "classes.txt")


def part_of(root: Path, pairs: int, into: Path) -> Path:
    """The first pairs of every kind, as links."""
    for path in sorted(root.glob("*/*/*.png")):
        if int(path.stem) < pairs:
            link = into / path.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    CAMVID11.write_classes_txt(into / "classes.txt")
    return into


def check(root: Path, cache: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds of all cores, and peak MiB of the command."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:],"
        " capture_output=True); used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        " print(used.ru_utime + used.ru_stime, used.ru_maxrss);"
        " sys.exit(done.returncode)"
    )
    briskseg = Path(sys.executable).with_name("briskseg")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, briskseg, "check", root],
        env=os.environ | {"BRISKSEG_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    processor, peak = map(float, done.stdout.split())
    return time.perf_counter() - start, processor, peak / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        root = Path(sys.argv[1]) if len(sys.argv) > 1 else scratch / "streets"
        if not root.exists():
            draw(root)
        few = part_of(root, PAIRS // 10, scratch / "few")
        peaks = []
        for name, data, pairs in (("few", few, PAIRS // 10), ("all", root, PAIRS)):
            for state in ("cold", "cached"):
                seconds, processor, peak = check(data, scratch / f"cache-{name}")
                rate = pairs / seconds
                print(
                    f"{pairs:6} pairs, {state:6}: {seconds:6.1f} s, {rate:6.0f} pairs/s, "
                    f"{processor:6.1f} processor s, peak {peak:5.0f} MiB",
                    flush=True,
                )
                peaks.append(peak)
        print(f"growth for {PAIRS - PAIRS // 10} more: {peaks[2] - peaks[0]:.0f} MiB (cold)")


if __name__ == "__main__":
    main()
