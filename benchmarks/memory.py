"""Peak memory of a run whose validation has few images, and of one with thirty times as many.

    python benchmarks/memory.py

Both runs train the same two steps on drawn streets (240x320) and validate; decoded images are not
kept (data.cache_gb=0), so what differs is what validating holds on to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from briskseg.data.synthetic import draw_dataset

SETTINGS = {
    "data.cache_gb": "0",
    "data.size": "[240, 320]",
    "training.steps": "2",
    "training.batch": "4",
    "training.workers": "0",
}


def peak_mib(data: Path, out: Path) -> float:
    """Of `briskseg train`, the largest process, as the system counts it."""
    briskseg = Path(sys.executable).with_name("briskseg")
    words = [briskseg, "train", "demo", "--data", data, "--out", out]
    words += [f"--set={key}={value}" for key, value in SETTINGS.items()]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True,"
        " capture_output=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peaks = []
        for val in (10, 300):
            data = draw_dataset(folder / f"streets-{val}", train=8, val=val, size_hw=(240, 320))
            peaks.append(peak_mib(data, folder / f"run-{val}"))
            print(f"{val:4} validation images: peak {peaks[-1]:7.0f} MiB", flush=True)
        print(f"growth for 290 more:    {peaks[1] - peaks[0]:7.0f} MiB")


if __name__ == "__main__":
    main()
