"""`briskseg serve` under load, against the predictor alone in a loop, in the same run.

    python benchmarks/serve.py [MODEL] [--clients 64] [--seconds 60] [--sends jpeg|pixels]

Each client sends one drawn street over loopback, waits for its labels and sends it again: a JPEG
for a PNG, or by KServe's protocol pixels for pixels. Told 503 it waits as long as Retry-After says.
Any other answer than these two, and any connection that breaks, is an error, and the exit status
is 1. The clients share the machine with the server. The loop is measured before and after: the
predictor with the pixels at hand, and with the decoding and encoding that a JPEG costs besides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

import briskseg
from briskseg.core.images import png_bytes, read_image
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.model_files import model_name
from briskseg.runtime.predictor import Predictor

LOOP_S, WARM_UP_S = 5.0, 2.0
LIMIT_BYTES = 1 << 22  # of an answer's that a client holds before it reads on
COMMAND = (sys.executable, "-c", "from briskseg.cli import main; main()", "serve")


@dataclass
class Load:
    """What became of the requests that were answered after the warm-up."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="fast-scnn-camvid11")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sends", choices=("jpeg", "pixels"), default="jpeg")
    parser.add_argument("--size", default="360x480", help="HxW of the image")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--backend", default="auto")
    asked = parser.parse_args()
    height, width = map(int, asked.size.split("x"))
    image = draw_scene(0, (height, width))[0]
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    predictor = briskseg.load(asked.model, asked.backend, asked.threads)
    print(f"{predictor.ran}; an image of {height}x{width}, {len(jpeg)} bytes as JPEG")
    loops = [measure_loops(predictor, image, jpeg)]
    load, seconds = measure_server(asked, request_of(asked, image, jpeg))
    loops.append(measure_loops(predictor, image, jpeg))
    report(load, seconds, *np.mean(loops, axis=0))
    return 1 if load.errors or set(load.statuses) - {200, 503} else 0


def measure_loops(predictor: Predictor, image: np.ndarray, jpeg: bytes) -> tuple[float, float]:
    """Images a second of the predictor alone, and with decoding and encoding."""

    def whole() -> None:
        png_bytes(predictor(read_image(Path("it.jpg"), jpeg)))

    rates = []
    for work in (lambda: predictor(image), whole):
        work()
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < LOOP_S:
            work()
            done += 1
        rates.append(done / (time.perf_counter() - began))
    return rates[0], rates[1]


def request_of(asked: argparse.Namespace, image: np.ndarray, jpeg: bytes) -> bytes:
    """What each client sends, as it goes over the line."""
    path, headers, body = "/segment", {}, jpeg
    if asked.sends == "pixels":
        sizes = {"binary_data_size": image.nbytes}
        tensor = {"name": "images", "datatype": "UINT8", "shape": [1, *image.shape]}
        output = {"name": "labels", "parameters": {"binary_data": True}}
        about = {"inputs": [{**tensor, "parameters": sizes}], "outputs": [output]}
        begin = json.dumps(about).encode()
        path, body = f"/v2/models/{model_name(Path(asked.model))}/infer", begin + image.tobytes()
        headers["Inference-Header-Content-Length"] = len(begin)
    headers |= {"Host": "localhost", "Content-Length": len(body)}
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


def measure_server(asked: argparse.Namespace, request: bytes) -> tuple[Load, float]:
    """The load, and for how many seconds it was measured."""
    words = [*COMMAND, asked.model, "--port", 0, "--workers", asked.workers]
    words += ["--backend", asked.backend]
    words += ["--threads", asked.threads] if asked.threads else []
    server = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(re.search(r":(\d+)/$", server.stdout.readline().strip())[1])
        load = asyncio.run(send(asked, port, request))
        memory = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
        print(f"server memory {int(memory[1]) / 1024:.0f} MB at its peak")
    finally:
        server.send_signal(signal.SIGTERM)
        print(server.communicate()[0].strip())
    return load, asked.seconds


async def send(asked: argparse.Namespace, port: int, request: bytes) -> Load:
    load = Load()
    begin = time.perf_counter() + WARM_UP_S
    end = begin + asked.seconds
    clients = [client(load, port, request, begin, end) for _ in range(asked.clients)]
    await asyncio.gather(*clients)
    return load


async def client(load: Load, port: int, request: bytes, begin: float, end: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT_BYTES)
    while (asked_at := time.perf_counter()) < end:
        try:
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(re.search(r"\ncontent-length: (\d+)", answer)[1]))
        except (OSError, asyncio.IncompleteReadError) as error:
            load.errors.append(repr(error))
            return
        status, now = int(answer.split()[1]), time.perf_counter()
        if asked_at >= begin:
            load.statuses[status] += 1
            if status == 200 and now <= end:
                load.seconds.append(now - asked_at)
        if status == 503:
            await asyncio.sleep(float(re.search(r"retry-after: (\d+)", answer)[1]))
    writer.close()


def report(load: Load, seconds: float, alone: float, whole: float) -> None:
    rate = len(load.seconds) / seconds
    middle, late = np.percentile(load.seconds, [50, 99])
    print(f"alone      {alone:7.1f} images/s, the predictor in a loop")
    print(f"           {whole:7.1f} images/s, with decoding and encoding")
    print(f"served     {rate:7.1f} images/s, {rate / alone:.2f} and {rate / whole:.2f} of these")
    print(f"latency    {1e3 * middle:7.0f} ms, 99 % under {1e3 * late:.0f} ms")
    print(f"answers    {dict(load.statuses)}, {len(load.errors)} broken connections")
    for error in load.errors[:5]:
        print(f"           {error}")


if __name__ == "__main__":
    sys.exit(main())
