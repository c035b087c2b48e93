"""What a server is sent: images, forms and tensors, as bodies to one in this process."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.card import Card
from briskseg.core.errors import BriskError
from briskseg.runtime.backends import Backend
from briskseg.runtime.predictor import Predictor

BOUNDARY = b"e9b1"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
INFER = "/v2/models/fuzzed/infer"
HEADER_LENGTH = "Inference-Header-Content-Length"
WORDS = [b"--" + BOUNDARY, b"\r\n", b"--", b"filename=", b"Content-Disposition: ", b"\r\n\r\n"]


def forms(images: list[bytes]) -> list[bytes]:
    """Forms of one file, and of two with a field between them."""

    def part(name: str, content: bytes, file: str = "") -> bytes:
        named = f'; filename="{file}"' if file else ""
        head = f'Content-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        return b"--" + BOUNDARY + b"\r\n" + head.encode() + content + b"\r\n"

    end = b"--" + BOUNDARY + b"--\r\n"
    two = part("image", images[0], "a.png") + part("x", b"y") + part("image", images[1], "b")
    return [*(part("image", image, "a.png") + end for image in images[:6]), two + end]


def tensors() -> list[bytes]:
    """KServe's requests: the values in JSON, and in binary behind it."""
    values = np.arange(2 * 4 * 5 * 3, dtype=np.uint8)
    tensor: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [2, 4, 5, 3]}
    outputs = [{"name": "labels", "parameters": {"binary_data": False}}]
    flat = {"id": "a", "inputs": [{**tensor, "data": values.tolist()}], "outputs": outputs}
    nested = {"inputs": [{**tensor, "data": values.reshape(2, 4, 5, 3).tolist()}]}
    behind = {"inputs": [{**tensor, "parameters": {"binary_data_size": values.size}}]}
    return [*(json.dumps(each).encode() for each in (flat, nested, behind)), joined(behind, values)]


def joined(asked: dict[str, Any], values: np.ndarray) -> bytes:
    """A request in two lines: the length of its JSON, and what the body is."""
    header = json.dumps(asked).encode()
    return f"{len(header)}\n".encode() + header + values.tobytes()


@functools.cache
def client_of(make_card: Callable[[], Card]) -> Any:
    from starlette.testclient import TestClient

    from briskseg.serving.app import create_app
    from briskseg.serving.engine import Engine
    from briskseg.serving.settings import Settings

    class Brightest(Backend):
        """A network of three classes: which of the three channels is the brightest."""

        def infer(self, image_hwc: np.ndarray) -> np.ndarray:
            return np.moveaxis(image_hwc, -1, 0).astype(np.float32)

    engine = Engine(Predictor(Brightest(), make_card()), "fuzzed", Settings(workers=1))
    client = TestClient(create_app(engine, str))
    client.__enter__()  # one event loop for all cases; it ends with the process
    return client


def request_of(kind: str, data: bytes) -> tuple[str, dict[str, str], bytes]:
    """The path, headers and body of a case."""
    if kind == "image":
        return "/segment?as=" + ("runs" if len(data) % 2 else "overlay"), {}, data
    if kind == "form":
        path = "/segment/batch" if len(data) % 2 else "/segment"
        return path, {"Content-Type": FORM}, data
    length, _, body = data.partition(b"\n")
    if length.isdigit():
        return INFER, {HEADER_LENGTH: length.decode()}, body
    return INFER, {}, data


def read(kind: str, make_card: Callable[[], Card], path: Path) -> object:
    """Send a case; the answer, or the server's error as ours."""
    where, headers, body = request_of(kind, path.read_bytes())
    return checked(client_of(make_card).post(where, headers=headers, content=body))


def checked(answer: Any) -> bytes:
    """A good answer's content. Raises BriskError for a refusal, RuntimeError for a defect."""
    if answer.status_code == 200:
        return bytes(answer.content)
    if answer.status_code >= 500 and answer.status_code != 503:
        raise RuntimeError(f"{answer.status_code}: {answer.text[:200]}")
    said = answer.json()["error"]
    if "Traceback" in said or " at 0x" in said:
        raise RuntimeError(said)
    raise BriskError(said)
