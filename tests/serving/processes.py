"""`briskseg serve` as a process of its own, at a port of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MODEL = "fast-scnn-camvid11"
COMMAND = (sys.executable, "-c", "from briskseg.cli import main; main()", "serve")
PATIENCE = 120  # s


class Server:
    """A server that takes requests. address: of its root, without the slash."""

    def __init__(self, process: subprocess.Popen[str], address: str, said: IO[str]) -> None:
        """said: its standard error, as a file: what decoders say would fill a pipe."""
        self.process, self.address, self._said = process, address, said
        self.port = int(address.rpartition(":")[2] or 0)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def go(self) -> None:
        """Let the network that waits label."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def ended(self) -> tuple[int, str, str]:
        """Its exit status, and what it printed since it began, once it has ended."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        self._said.seek(0)
        return self.process.returncode, out, self._said.read()

    def open_files(self) -> int:
        """How many files it has open, connections among them."""
        return len([*Path(f"/proc/{self.process.pid}/fd").iterdir()])

    def memory_mb(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(*options: object, model: object = MODEL) -> Iterator[Server]:
    """A server of the shipped network in ONNX Runtime, with one thread."""
    words = [*COMMAND, model, "--port", 0, "--backend", "onnx", "--threads", 1, *options]
    with _started([*map(str, words)]) as server:
        yield server


@contextmanager
def waiting_server(**settings: Any) -> Iterator[Server]:
    """A server of a network that waits until `go`."""
    with _started([sys.executable, "-m", "tests.serving.waiting", json.dumps(settings)]) as server:
        yield server


@contextmanager
def _started(words: list[str]) -> Iterator[Server]:
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            words,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        try:
            line = process.stdout.readline()
            late.cancel()
            server = Server(process, line.strip().rpartition(" at ")[2].rstrip("/"), said)
            assert server.address, server.ended()
            yield server
        finally:
            late.cancel()
            if process.poll() is None:
                process.kill()
