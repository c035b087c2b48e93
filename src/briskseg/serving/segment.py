"""POST /segment and /segment/batch: labels of the images in a request's body."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from briskseg.core.files.safe_names import printable
from briskseg.serving.bodies import form_files, is_form
from briskseg.serving.engine import Engine, Stopwatch
from briskseg.serving.refusals import Refused
from briskseg.serving.site import accept, run
from briskseg.serving.views import (
    JSON,
    MAX_RUNS,
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
        image_hwc = engine.read(content, watch)
        if view == "runs":
            return json_bytes(runs(engine, watch, image_hwc))
        return picture(engine, watch, image_hwc, view)

    body, watch = await accept(request)
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
        images, left = list[dict[str, Any]](), MAX_RUNS
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # PNG files are compressed already
            for index, content in enumerate(files):
                image_hwc = engine.read(content, watch, f"image {index + 1} of {len(files)}")
                if view == "runs":
                    images.append(runs(engine, watch, image_hwc, left))
                    left -= len(images[-1]["labels"])
                else:
                    archive.writestr(f"{index}.png", picture(engine, watch, image_hwc, view))
        return json_bytes({"images": images}) if view == "runs" else packed.getvalue()

    body, watch = await accept(request)
    content = await run(request, work, watch)
    return _answer(content, BATCH_VIEWS[view], watch)


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))


def _answer(content: bytes, media_type: str, watch: Stopwatch) -> Response:
    """With each stage's milliseconds, as browsers' tools show them, and what HTTP calls a
    miscellaneous warning."""
    timing = ", ".join(f"{stage};dur={ms:.2f}" for stage, ms in watch.ms.items())
    warning = {"Warning": f'199 briskseg "{watch.warning}"'} if watch.warning else {}
    return Response(content, media_type=media_type, headers={"Server-Timing": timing, **warning})
