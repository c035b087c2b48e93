"""briskseg serve: a network behind HTTP."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from briskseg.cli import app, console, options
from briskseg.core.wording import counted

_SILENCE_S = 2.0

_Host = Annotated[
    str, typer.Option(help="The address to listen on; 0.0.0.0 is all of this machine's.")
]
_Port = Annotated[
    int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")
]
_TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Answer only requests with the token in this file (Authorization: Bearer).",
    ),
]
_Workers = Annotated[
    int, typer.Option(min=1, max=256, help="The number of threads that decode, label and encode.")
]
_Queue = Annotated[
    int, typer.Option(min=0, max=65536, help="How many requests may wait; others get a 503.")
]
_MaxBody = Annotated[
    int,
    typer.Option(min=1, max=1024, metavar="MB", help="The largest request body, in 2^20 bytes."),
]
_MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1 << 30,
        metavar="N",
        help="The largest image; by default 33 million pixels, or 8 million if the network takes "
        "images at their own size.",
    ),
]
_Timeout = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=3600,
        metavar="S",
        help="Seconds within which a body must arrive, a worker become free, and the answer be "
        "read.",
    ),
]


@app.command()
def serve(
    model: options.ModelArgument,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    token_file: _TokenFile = None,
    workers: _Workers = 2,
    queue: _Queue = 64,
    max_body: _MaxBody = 32,
    max_pixels: _MaxPixels = None,
    timeout: _Timeout = 30.0,
    window: options.WindowOption = None,
    stride: options.StrideOption = None,
    backend: options.BackendOption = "auto",
    threads: options.ThreadsOption = None,
) -> None:
    """Label images over HTTP.

    POST /segment takes an image and returns its class indices as a PNG of the same size; ?as=color,
    overlay or runs returns another form. /segment/batch takes several images, and the websocket
    /segment/frames a camera's frames. /v2/models/NAME/infer speaks KServe's protocol, which
    Triton's clients use. / is a page that labels pictures and a camera; /openapi.json lists the
    rest.

    SIGTERM and Ctrl-C end the server after accepted requests are answered.

    Examples: briskseg serve fast-scnn-camvid11

    curl --data-binary @street.jpg localhost:8000/segment > labels.png
    """
    from briskseg.core.process_settings import opencv_silenced
    from briskseg.runtime.model_files import model_name
    from briskseg.serving.server import bind
    from briskseg.serving.server import serve as serve_predictor
    from briskseg.serving.settings import Settings, Token, default_pixels

    token = None if token_file is None else Token.read(token_file)
    with bind(host, port) as bound:
        name, model = model_name(model), options.fetched_model(model, backend)
        with _said_when_late():
            predictor = options.load_model(model, backend, threads, window, stride, workers)
        has_windows = window is not None
        settings = Settings(
            workers=workers,
            queue=queue,
            body=max_body << 20,
            pixels=max_pixels or default_pixels(predictor.card, has_windows),
            timeout=timeout,
            token=token,
        )
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}/"

        def begun() -> None:
            print(f"serving {predictor.ran} at {address}", flush=True)
            if token is None and not _is_local(host):
                console.note(
                    "whoever reaches this machine can ask; --token-file lets in only who knows "
                    "the token"
                )

        def page() -> str:
            from briskseg.export.web_page import served_page

            return served_page(None if has_windows else model, predictor.card)

        # Whoever sends damaged images would fill the log with what is said of them here.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        with opencv_silenced():
            answered = serve_predictor(predictor, name, settings, bound, page, begun)
    print(f"ended; {counted(answered, 'request')} answered")


@contextmanager
def _said_when_late() -> Iterator[None]:
    """A line for whoever reads the log, where loading takes long; a terminal shows it anyway."""
    late = threading.Timer(
        _SILENCE_S, print, [options.LOADING], {"file": sys.stderr, "flush": True}
    )
    if not sys.stderr.isatty():
        late.start()
    try:
        yield
    finally:
        late.cancel()


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
