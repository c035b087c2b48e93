"""A network as one HTML page, which runs it on a camera, pictures and videos, with no server.

The page holds the ONNX file, cut to its logits, ONNX Runtime Web (`web_runtime.py`) and the scripts
of `web/`; the two large ones in gzip and base64, unpacked by the browser. It opens from a file, and
its content security policy forbids it to ask anything of any host.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from briskseg.core.card import Card
from briskseg.core.errors import RequestError
from briskseg.core.exported import NETWORK_IMAGES, Exported, read_exported
from briskseg.core.files.atomic import write_whole
from briskseg.core.onnx_pruning import prune
from briskseg.export import web_runtime
from briskseg.runtime.model_files import find_files

if TYPE_CHECKING:
    from briskseg.export import Export

INPUT, LOGITS = "images", "logits"  # of an ONNX file of ours
MOST_THREADS = 4  # more take each other's cache, and a phone has seldom more fast cores

# In the page that a server gives, with the network and without.
_PLACES = (
    """<label class="setting" for="place">Labels from <select id="place">{}</select></label>"""
)
_OPTIONS = {"browser": "this browser", "server": "the server"}
_HERE = "Everything is computed in this page; no picture leaves this device"
_NOWHERE = f"{_HERE}, and the page asks nothing of any server."
_SERVED = (
    "With labels from this browser no picture leaves this device; with labels from the server "
    "pictures go to the server that this page came from, and nowhere else."
)

_IN_PAGE = ("support.js", "sources.js", "view.js", "saving.js", "page.js", "controls.js")
_IN_WORKER = ("resize.js", "decode.js", "smoothing.js", "worker.js")


def pack_web(out: Path, kind: str = "web") -> Callable[[Export, bytes], None]:
    """What writes the page around an ONNX file. kind: which of RUNTIMES runs it.

    Raises RequestError where the package was built without ONNX Runtime Web.
    """
    if wrong := web_runtime.fault():
        raise RequestError(
            "a page needs ONNX Runtime Web, which npm fetches when briskseg is built, but "
            f"{wrong}; install Node.js with npm, then run: {web_runtime.COMMAND}"
        )

    def write(done: Export, model: bytes) -> None:
        write_whole(done.file, page(model, done.card, done.exported, kind))

    return write


pack_webgpu = functools.partial(pack_web, kind="webgpu")


def page(model: bytes, card: Card, exported: Exported, kind: str) -> str:
    """The whole page, for a serialized ONNX file of ours."""
    config = {**_config(card, exported), "webgpu": kind == "webgpu"}
    return _page(card, config, _content(model, kind), {"places": "", "footer": _NOWHERE})


def served_page(model: Path | None, card: Card) -> str:
    """The page that a server of ours gives: its user chooses whether the browser labels, or the
    server.

    model: what is served. Where it has no ONNX file, or this package no ONNX Runtime Web, or with
    None, the server alone labels.
    """
    files = find_files(model) if model is not None and not web_runtime.fault() else []
    onnx = next((file for file in files if file.suffix.lower() == ".onnx"), None)
    config: dict[str, object] = {"labels": _labels(card), "size": card.input.size}
    content, places = dict.fromkeys(("module", "wasm", "network"), ""), ["server"]
    if onnx is not None:
        config = _config(card, read_exported(onnx)[1])
        content, places = _content(onnx.read_bytes(), "web"), ["browser", "server"]
    options = "".join(f'<option value="{place}">{_OPTIONS[place]}</option>' for place in places)
    texts = {"places": _PLACES.format(options), "footer": _SERVED}
    return _page(card, config, content, texts, is_served=True)


def _page(
    card: Card,
    config: Mapping[str, object],
    content: Mapping[str, str],
    texts: Mapping[str, str],
    is_served: bool = False,
) -> str:
    """content: of the runtime and the network; texts: those that depend on who gives the page."""
    style, script = _source("page.css"), _scripts(_IN_PAGE)
    size = card.input.size
    seen = "of any size" if size is None else f"at {size[0]}x{size[1]}"
    return _filled(
        _source("page.html"),
        {
            "policy": _policy(style, script, is_served),
            "title": escape(f"{card.network.name}, {card.network.classes} classes"),
            "summary": escape(f"Every pixel's class, from pictures seen {seen}"),
            "about": _about(card),
            "style": style,
            "licence": _source("onnxruntime-web.LICENSE"),
            "config": json.dumps(config).replace("<", "\\u003c"),
            "worker": _scripts((*_IN_WORKER, "server.js") if is_served else _IN_WORKER),
            "script": script,
            **content,
            **texts,
        },
    )


def _content(model: bytes, kind: str) -> dict[str, str]:
    module, wasm = web_runtime.RUNTIMES[kind]
    return {
        "module": _packed((web_runtime.FOLDER / module).read_bytes()),
        "wasm": _packed((web_runtime.FOLDER / wasm).read_bytes()),
        "network": _packed(prune(model, LOGITS, NETWORK_IMAGES)),
    }


def _about(card: Card) -> str:
    """What the card says of the network, as the rows of a list."""
    rows = {
        "network": f"{card.network.name}, {card.network.classes} classes",
        "from": card.source,
        "licence": card.license,
        "runs with": f"{web_runtime.PACKAGE} {web_runtime.VERSION}, MIT licence",
    }
    return "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows.items() if text)


def _config(card: Card, exported: Exported) -> dict[str, object]:
    resizes = card.input.size is not None and exported.size is None
    return {
        "labels": _labels(card),
        "size": card.input.size,
        "enlargement": {"factor": exported.factor, "alignCorners": exported.align_corners},
        "input": NETWORK_IMAGES if resizes else INPUT,
        "output": LOGITS,
        "mostThreads": MOST_THREADS,
    }


def _labels(card: Card) -> dict[str, object]:
    return {"names": card.labels.names, "colors": card.labels.colors}


def _policy(style: str, script: str, is_served: bool) -> str:
    """What the page may do: run this script and what it makes itself, and ask nobody anything; one
    that is served, its server."""
    own = f"'{_hash(script)}'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {own} blob: 'wasm-unsafe-eval'",
            "worker-src blob:",
            *(["connect-src 'self'"] if is_served else []),
            f"style-src '{_hash(style)}'",
            "img-src blob: data:",
            "media-src blob: mediastream:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _filled(template: str, values: Mapping[str, str]) -> str:
    """`template` with each {{name}} replaced, at once: what is put in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _scripts(names: tuple[str, ...]) -> str:
    text = '"use strict";\n' + "\n".join(map(_source, names))
    assert "</script" not in text
    return text


def _source(name: str) -> str:
    return files("briskseg.export").joinpath("web", name).read_text("utf-8")
