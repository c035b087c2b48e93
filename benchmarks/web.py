"""Frames a second of an exported page in Chromium: in one thread, and with threads.

    python benchmarks/web.py [MODEL]

The camera shows a drawn street of 360x480 at 60 frames/s; what the page itself says is printed,
after the browser has had time to optimize what it runs. Chromium, websocket-client and ONNX Runtime
Web must be there, as for the tests.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.web.browser import Browser
from tests.web.servers import serve

from briskseg.data.synthetic import draw_scene
from briskseg.export import export

WARM_UP, READINGS = 20, 5  # s; how often it is read, a second apart


def main() -> None:
    model = Path(sys.argv[1] if len(sys.argv) > 1 else "fast-scnn-camvid11")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        page, camera = export(model, "web", root / "page").out, root / "street.y4m"
        write_camera(camera)
        for isolated in (False, True):
            options = (
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            )
            with (
                serve(page, isolated) as address,
                Browser(root / f"browser-{isolated}", *options) as browser,
            ):
                browser.open(address)
                print(browser.wait_ready())
                browser.press("c")
                time.sleep(WARM_UP)
                print(*best(browser), sep="\n")


def best(browser: Browser) -> tuple[str, str]:
    """The highest frame rate of some readings, and the times of each stage then."""
    found = []
    for _ in range(READINGS):
        time.sleep(1)
        times = browser.run("document.getElementById('times').innerText").replace("\t", " ")
        found.append((float(browser.text("rate")), times.replace("\n", " ms, ")))
    rate, times = max(found)
    return f"  {rate:.1f} frames/s", f"  {times} ms"


def write_camera(file: Path) -> None:
    """YUV4MPEG2, 4:2:0."""
    wide = draw_scene(3, (400, 540))[0]
    with file.open("wb") as written:
        written.write(b"YUV4MPEG2 W480 H360 F60:1 Ip A1:1 C420jpeg\n")
        for at in range(40):
            frame = np.ascontiguousarray(wide[at : at + 360, at : at + 480])
            yuv = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420))
            written.write(b"FRAME\n" + yuv.tobytes())


if __name__ == "__main__":
    main()
