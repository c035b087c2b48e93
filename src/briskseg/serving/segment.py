"""POST /segment and /segment/batch: labels of the images in a request's body."""

from __future__ import annotations

import io
import zipfile

from starlette.requests import Request
from starlette.responses import Response

from briskseg.core.files.safe_names import printable
from briskseg.serving.bodies import form_files, is_form
from briskseg.serving.engine import Engine, Stopwatch
from briskseg.serving.refusals import Refused
from briskseg.serving.site import accepted, run
from briskseg.serving.views import (
    JSON,
    VIEWS,
    ZIP,
    chosen_view,
    json_bytes,
    picture,
    runs,
)

# Of several images: runs first, so that they are the answer to whoever asks for nothing.
BATCH_VIEWS = {"runs": JSON, "labels": ZIP, "color": ZIP, "overlay": ZIP}


async def segment(request: Request) -> Response:
    """The labels of one image, which is the body or a form's one file."""
    view = chosen_view(request.query_params, _accept(request), VIEWS)
    kind = request.headers.get("content-type", "")

    def work(engine: Engine, watch: Stopwatch) -> bytes:
        content = form_files(body, kind, 1)[0] if is_form(kind) else body
        image_hwc = engine.read(content)
        watch.lap("read")
        if view == "runs":
            return json_bytes(runs(engine, watch, image_hwc))
        return picture(engine, watch, image_hwc, view)

    body, watch = await accepted(request)
    content = await run(request, work, watch)
    return _answer(content, VIEWS[view], watch)


async def segment_batch(request: Request) -> Response:
    """The labels of a form's images, one after the other, in their order."""
    view = chosen_view(request.query_params, _accept(request), BATCH_VIEWS)
    kind = request.headers.get("content-type", "")
    if not is_form(kind):
        raise Refused(
            415,
            f"Content-Type: {printable(kind[:100])}, expected multipart/form-data with a file for "
            "each image",
            "form",
        )

    def work(engine: Engine, watch: Stopwatch) -> bytes:
        files = form_files(body, kind, engine.settings.batch)
        watch.lap("read")
        if view == "runs":
            return json_bytes({"images": [_runs(engine, watch, *file) for file in numbered(files)]})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # PNG files are compressed already
            for index, (name, content) in enumerate(numbered(files)):
                image_hwc = engine.read(content, name)
                watch.lap("read")
                archive.writestr(f"{index}.png", picture(engine, watch, image_hwc, view))
        return packed.getvalue()

    body, watch = await accepted(request)
    content = await run(request, work, watch)
    return _answer(content, BATCH_VIEWS[view], watch)


def numbered(files: list[bytes]) -> list[tuple[str, bytes]]:
    """Each file with what messages call it."""
    return [(f"image {n} of {len(files)}", content) for n, content in enumerate(files, 1)]


def _runs(engine: Engine, watch: Stopwatch, name: str, content: bytes) -> dict[str, object]:
    image_hwc = engine.read(content, name)
    watch.lap("read")
    return runs(engine, watch, image_hwc)


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _answer(content: bytes, media_type: str, watch: Stopwatch) -> Response:
    """With each stage's milliseconds, as browsers' tools show them."""
    timing = ", ".join(f"{stage};dur={ms:.2f}" for stage, ms in watch.ms.items())
    return Response(content, media_type=media_type, headers={"Server-Timing": timing})
