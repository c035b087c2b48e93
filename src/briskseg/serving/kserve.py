"""KServe's Open Inference Protocol, version 2, over REST: what Triton's and KServe's clients speak.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, with Triton's
extension for tensors in binary behind the JSON. The model takes `images`, (N, H, W, 3) uint8 RGB of
any size, and gives `labels`, (N, H, W) uint8: names and types of the files that `export` writes.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from briskseg import __version__
from briskseg.core.files.limits import parse_json
from briskseg.core.files.safe_names import printable
from briskseg.core.types import Image, Labels
from briskseg.serving.engine import Engine, Stopwatch
from briskseg.serving.gate import shutting_down
from briskseg.serving.refusals import Refused
from briskseg.serving.settings import MAX_SIDE, Settings
from briskseg.serving.site import Site, accept, run
from briskseg.serving.views import BINARY, JSON, json_bytes

IMAGES, LABELS, UINT8, VERSION = "images", "labels", "UINT8", "1"
HEADER_LENGTH = "Inference-Header-Content-Length"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    parameters: dict[str, Any] = {}


class _Input(_Part):
    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=8)]
    data: list[Any] | None = None


class _Output(_Part):
    name: str


class _Inference(_Part):
    id: str | None = None
    inputs: Annotated[list[_Input], Field(max_length=8)]
    outputs: Annotated[list[_Output], Field(max_length=8)] | None = None


async def server(request: Request) -> Response:
    """The server's name, version and extensions."""
    extensions = ["binary_tensor_data"]
    return JSONResponse({"name": "briskseg", "version": __version__, "extensions": extensions})


async def live(request: Request) -> Response:
    """That the server answers."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """That the server takes requests, or 503."""
    if Site.of(request).gate.draining.is_set():
        raise shutting_down()
    return JSONResponse({"ready": True})


async def model_ready(request: Request) -> Response:
    """That the model takes requests, or 503."""
    name = _checked_name(request)
    await ready(request)
    return JSONResponse({"name": name, "ready": True})


async def model(request: Request) -> Response:
    """What the model takes and gives."""
    name = _checked_name(request)
    backend = Site.of(request).engine.predictor.ran.backend
    return JSONResponse(
        {
            "name": name,
            "versions": [VERSION],
            "platform": f"briskseg_{backend}",
            "inputs": [{"name": IMAGES, "datatype": UINT8, "shape": [-1, -1, -1, 3]}],
            "outputs": [{"name": LABELS, "datatype": UINT8, "shape": [-1, -1, -1]}],
        }
    )


async def infer(request: Request) -> Response:
    """The labels of a tensor of images."""
    name = _checked_name(request)
    length = request.headers.get(HEADER_LENGTH)

    def work(engine: Engine, watch: Stopwatch) -> tuple[bytes, int | None]:
        asked, binary = _split(body, length)
        images_nhwc = _images(asked, binary, engine.settings)
        watch.end_stage("read")
        labels_nhw = np.stack([engine.labels(image_hwc) for image_hwc in images_nhwc])
        answer = _answer(asked, name, labels_nhw)
        watch.end_stage("write")
        return answer

    body, watch = await accept(request)
    content, header = await run(request, work, watch)
    if header is None:
        return Response(content, media_type=JSON)
    return Response(content, media_type=BINARY, headers={HEADER_LENGTH: str(header)})


def _checked_name(request: Request) -> str:
    """The model's name in the path. Raises Refused (404) for any other, or another version."""
    name, version = (request.path_params.get(key) for key in ("name", "version"))
    own = Site.of(request).engine.name
    if name != own:
        shown = printable(str(name)[:100])
        raise Refused(404, f"no model '{shown}' is served here; the one that is: {own}", "model")
    if version not in (None, VERSION):
        shown = printable(str(version)[:100])
        raise Refused(404, f"no version '{shown}' of {own}; the one there is: {VERSION}", "model")
    return own


def _split(body: bytes, length: str | None) -> tuple[_Inference, bytes]:
    """The JSON of a request's body, and the tensors behind it."""
    if length is None:
        size = len(body)
    elif length.isascii() and length.isdigit() and len(length) < 18 and int(length) <= len(body):
        size = int(length)
    else:
        raise _wrong(
            f"{HEADER_LENGTH}: {printable(length[:20])}, expected the JSON's bytes, at most the "
            f"body's {len(body)}"
        )
    try:
        return _Inference.model_validate(parse_json(body[:size])), body[size:]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = printable(".".join(str(part)[:100] for part in first["loc"]))
        said = f"{place}: {first['msg']}" if place else "the request is no JSON object"
        raise _wrong(f"{said}; see /openapi.json") from None
    except ValueError:
        raise _wrong(
            "the body begins with no JSON object of an inference; see /openapi.json"
        ) from None


def _images(asked: _Inference, binary: bytes, settings: Settings) -> list[Image]:
    """The images of the one input, each (H, W, 3) uint8."""
    for output in asked.outputs or ():
        if output.name != LABELS:
            shown = printable(output.name[:100])
            raise _wrong(f"no output '{shown}', expected '{LABELS}'")
        for key in output.parameters.keys() - {"binary_data"}:  # with which it would be another
            shown = printable(key[:100])
            raise _wrong(
                f"'{LABELS}' is not given with the parameter '{shown}', expected binary_data at "
                "most; leave it out"
            )
    if [each.name for each in asked.inputs] != [IMAGES]:
        named = ", ".join(f"'{printable(each.name[:100])}'" for each in asked.inputs[:10])
        raise _wrong(f"inputs named {named or 'nothing'}, expected one, '{IMAGES}'")
    tensor = asked.inputs[0]
    if tensor.datatype != UINT8 or len(tensor.shape) != 4 or tensor.shape[3] != 3:
        found = f"{printable(tensor.datatype[:20])} of shape {tensor.shape}"
        raise _wrong(f"'{IMAGES}' is {found}, expected UINT8 of [N, H, W, 3], in RGB order")
    number, height, width, _ = tensor.shape
    if number > settings.batch:
        raise Refused(413, f"{number} images, expected at most {settings.batch}", "tensor")
    if height * width > settings.pixels or max(height, width) > MAX_SIDE:
        raise Refused(
            413,
            f"images of {width}x{height}, expected at most {settings.pixels} pixels and sides of "
            f"at most {MAX_SIDE}; send smaller ones",
            "pixels",
        )
    values = _values(tensor, binary)
    if len(values) != math.prod(tensor.shape):
        raise _wrong(
            f"'{IMAGES}' of shape {tensor.shape} has {len(values)} values, expected "
            f"{math.prod(tensor.shape)}"
        )
    return [*np.frombuffer(values, np.uint8).reshape(tensor.shape)]


def _wrong(message: str) -> Refused:
    """The answer to what is no inference of the model's."""
    return Refused(400, message, "tensor")


def _values(tensor: _Input, binary: bytes) -> bytes:
    """A tensor's bytes, from behind the JSON or from its lists."""
    size = tensor.parameters.get("binary_data_size")
    if size is not None:
        if tensor.data is not None or size != len(binary) or isinstance(size, bool):
            raise _wrong(
                f"{len(binary)} bytes lie behind the JSON, expected the binary_data_size of "
                f"'{IMAGES}', and no data in the JSON"
            )
        return binary
    if tensor.data is None or binary:
        raise _wrong(
            f"'{IMAGES}' has no data, or bytes lie behind the JSON without a binary_data_size; "
            "send one of both (memory that is shared is not read)"
        )
    values: Any = tensor.data
    try:
        while values and isinstance(values[0], list):
            values = [*chain.from_iterable(values)]
        if {*map(type, values)} - {int}:  # bytes() would take true for 1
            raise ValueError
        return bytes(values)
    except (TypeError, ValueError):
        raise _wrong(f"the data of '{IMAGES}' are not all whole numbers from 0 to 255") from None


def _answer(asked: _Inference, name: str, labels_nhw: Labels) -> tuple[bytes, int | None]:
    """The answer's body, and the bytes of its JSON where the labels lie behind it."""
    is_binary = asked.parameters.get("binary_data_output", False)
    for output in asked.outputs or ():
        is_binary = output.parameters.get("binary_data", is_binary)
    tensor = {"name": LABELS, "datatype": UINT8, "shape": list(labels_nhw.shape)}
    answer: dict[str, Any] = {"model_name": name, "model_version": VERSION}
    if asked.id is not None:
        answer["id"] = asked.id
    if not is_binary:
        answer["outputs"] = [{**tensor, "data": labels_nhw.ravel().tolist()}]
        return json_bytes(answer), None
    binary = labels_nhw.tobytes()
    answer["outputs"] = [{**tensor, "parameters": {"binary_data_size": len(binary)}}]
    header = json_bytes(answer)
    return header + binary, len(header)
