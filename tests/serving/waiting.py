"""A network that waits until it is told; run as a program, a server of it, told by a line of input.

python -m tests.serving.waiting '{"workers": 1}'
"""

from __future__ import annotations

import json
import sys
import threading

import numpy as np

from briskseg.runtime.backends import Backend


class Waiting(Backend):
    """A backend of three classes that waits for `go`; `begun` counts the images it has."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Semaphore(0)

    def infer(self, image_hwc: np.ndarray) -> np.ndarray:
        self.begun.release()
        assert self.go.wait(60)
        return np.moveaxis(image_hwc, -1, 0).astype(np.float32)


def main() -> None:
    from tests.conftest import card_of

    from briskseg.runtime.predictor import Predictor
    from briskseg.serving.server import bind, serve
    from briskseg.serving.settings import Settings

    backend = Waiting()
    backend.go.set()  # for the image that is labeled before the first request

    def begun() -> None:
        backend.go.clear()
        print(f"serving at http://127.0.0.1:{bound.getsockname()[1]}/", flush=True)
        threading.Thread(target=wait_for_line, daemon=True).start()

    def wait_for_line() -> None:
        if sys.stdin.readline():
            backend.go.set()

    settings = Settings(**json.loads(sys.argv[1]))
    with bind("127.0.0.1", 0) as bound:
        serve(Predictor(backend, card_of("fast_scnn", 3)), "waiting", settings, bound, str, begun)


if __name__ == "__main__":
    main()
