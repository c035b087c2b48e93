"""The OpenAPI document of a server: what can be asked, and every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from briskseg import __version__
from briskseg.serving.kserve import HEADER_LENGTH, IMAGES, LABELS
from briskseg.serving.segment import BATCH_VIEWS
from briskseg.serving.settings import Settings
from briskseg.serving.views import BINARY, JSON, PNG, VIEWS, ZIP

Node = dict[str, Any]


def document(name: str, settings: Settings) -> Node:
    """OpenAPI 3.1 for the model of this name."""
    paths = {
        "/segment": {"post": _segment()},
        "/segment/batch": {"post": _batch(settings)},
        "/card": {"get": _get("The card: what the network is, and its classes", _json({}))},
        "/healthz": {"get": _get("Whether the server answers", _json({}), is_open=True)},
        "/readyz": {"get": _get("Whether it takes requests", _json({}), 503, is_open=True)},
        "/metrics": {"get": _get("Prometheus' metrics", {"text/plain": {}})},
        "/v2": {"get": _get("KServe: the server", _json({}))},
        "/v2/health/live": {"get": _get("KServe: it answers", _json({}), is_open=True)},
        "/v2/health/ready": {"get": _get("KServe: it is ready", _json({}), 503, is_open=True)},
        f"/v2/models/{name}": {"get": _get("KServe: the model", _json({}))},
        f"/v2/models/{name}/ready": {"get": _get("KServe: it is ready", _json({}), 503)},
        f"/v2/models/{name}/infer": {"post": _infer(settings)},
    }
    whole: Node = {
        "openapi": "3.1.0",
        "info": {
            "title": f"briskseg serve: {name}",
            "version": __version__,
            "description": "Every pixel's class. Beside these paths, the websocket "
            "/segment/frames takes a camera's frames.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR, "Runs": _RUNS}},
    }
    if settings.token is not None:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    else:
        for path in paths.values():
            for operation in path.values():
                operation["responses"].pop("401", None)
    return whole


_ERROR: Node = {
    "type": "object",
    "description": "What was found, what was expected, what to do",
    "required": ["error"],
    "properties": {"error": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
_NUMBERS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_RUNS: Node = {
    "type": "object",
    "description": "Labels as runs of equal ones, row by row from the top left",
    "required": ["height", "width", "classes", "labels", "lengths"],
    "properties": {
        "height": {"type": "integer", "minimum": 1},
        "width": {"type": "integer", "minimum": 1},
        "classes": {"type": "array", "items": {"type": "string"}},
        "labels": {**_NUMBERS, "description": "the class of each run"},
        "lengths": {**_NUMBERS, "description": "its pixels"},
    },
}
_FILE = {"type": "string", "contentMediaType": "image/*"}
_MEANINGS = {
    400: "The request is wrong",
    401: "No token, or a wrong one",
    406: "Accept takes no answer that there is",
    408: "The body came too slowly",
    413: "Too many bytes or pixels",
    415: "The body is of a kind that is not read",
    500: "The server failed: on images of this size, or by a defect",
    503: "Too busy, or ending: ask again after Retry-After",
}


def _answers(good: Node, wrong: Iterable[int]) -> Node:
    error = _json({"$ref": "#/components/schemas/Error"})
    answers: Node = {"200": {"description": "Done", "content": good}}
    for status in sorted({*wrong, 401, 500}):
        answers[str(status)] = {"description": _MEANINGS[status], "content": error}
        if status == 503:
            header = {"schema": {"type": "integer"}, "description": "seconds"}
            answers["503"]["headers"] = {"Retry-After": header}
    return answers


def _json(schema: Node) -> Node:
    return {JSON: {"schema": schema or {"type": "object"}}}


def _get(summary: str, good: Node, *wrong: int, is_open: bool = False) -> Node:
    node: Node = {"summary": summary, "responses": _answers(good, wrong)}
    if is_open:
        node["security"] = []
        del node["responses"]["401"]
    return node


def _as(views: Iterable[str], instead: str) -> Node:
    return {
        "name": "as",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "enum": [*views]},
        "description": f"What is answered; without it, as Accept says, or {instead}.",
    }


def _segment() -> Node:
    image = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "schema": {"type": "object", "required": ["image"], "properties": {"image": _FILE}},
        "encoding": {"image": {"contentType": "image/*"}},
    }
    return {
        "summary": "The labels of one image",
        "description": "The body is the image's file, or a form with it. `labels` is a PNG of one "
        "channel, each pixel its class's number, of the image's size.",
        "parameters": [_as(VIEWS, "labels")],
        "requestBody": {
            "required": True,
            "content": {PNG: image, "image/jpeg": image, "image/webp": image}
            | {BINARY: image, "multipart/form-data": form},
        },
        "responses": _answers(
            {
                PNG: {"schema": {"type": "string", "format": "binary"}},
                **_json({"$ref": "#/components/schemas/Runs"}),
            },
            (400, 406, 408, 413, 415, 503),
        ),
    }


def _batch(settings: Settings) -> Node:
    runs = {"type": "array", "items": {"$ref": "#/components/schemas/Runs"}}
    files = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": settings.batch}
    form = {"schema": {"type": "object", "required": ["image"], "properties": {"image": files}}}
    return {
        "summary": "The labels of several images",
        "description": "Runs in JSON, or a zip of PNG files, 0.png, 1.png ..., in their order.",
        "parameters": [_as(BATCH_VIEWS, "runs")],
        "requestBody": {"required": True, "content": {"multipart/form-data": form}},
        "responses": _answers(
            {
                ZIP: {"schema": {"type": "string", "format": "binary"}},
                **_json({"type": "object", "required": ["images"], "properties": {"images": runs}}),
            },
            (400, 406, 408, 413, 415, 503),
        ),
    }


def _infer(settings: Settings) -> Node:
    size = {"type": "integer", "minimum": 1}
    parameters = {"type": "object"}
    tensor: Node = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": IMAGES},
            "datatype": {"const": "UINT8"},
            "shape": {
                "type": "array",
                "prefixItems": [{**size, "maximum": settings.batch}, size, size, {"const": 3}],
                "minItems": 4,
                "maxItems": 4,
            },
            "parameters": parameters,
            "data": {"type": "array", "description": "whole numbers from 0 to 255"},
        },
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"const": LABELS}, "parameters": parameters},
    }
    asked: Node = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": parameters,
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
            "outputs": {"type": "array", "items": output, "maxItems": 8},
        },
    }
    binary = {"schema": {"type": "string", "format": "binary"}}
    header = {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "minimum": 0},
        "description": "Bytes of the JSON, where tensors in binary follow it.",
    }
    answers = _answers({**_json({}), BINARY: binary}, (400, 408, 413, 415, 503))
    answers["200"]["headers"] = {
        HEADER_LENGTH: {key: header[key] for key in ("required", "schema", "description")}
    }
    return {
        "summary": "KServe: the labels of a tensor of images",
        "parameters": [header],
        "requestBody": {"required": True, "content": {**_json(asked), BINARY: binary}},
        "responses": answers,
    }
