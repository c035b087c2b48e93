"""What comes in: a request's body, bounded in bytes and time, and the files of a form."""

from __future__ import annotations

import asyncio
import itertools

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from briskseg.serving.refusals import Refused
from briskseg.serving.settings import Settings

_MAX_PARTS = 64  # of a form, files and fields


def stated_length(request: Request, settings: Settings) -> int | None:
    """The body's bytes by its header, None without one.

    Raises Refused where the body is too large or packed; nothing of it is read.
    """
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise Refused(415, "the body is packed by Content-Encoding; send it as it is", "body")
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "Content-Length is no number of bytes; send the body's", "body")
    if len(text) > 18 or int(text) > settings.body:
        raise _too_large(settings)
    return int(text)


async def read_body(request: Request, settings: Settings) -> bytes:
    """The body. Raises Refused where it is too large or comes too slowly."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.timeout):
            async for piece in request.stream():
                size += len(piece)
                if size > settings.body:
                    raise _too_large(settings)
                pieces.append(piece)
    except TimeoutError:
        raise Refused(
            408,
            f"{size} bytes of the body came in {settings.timeout:g} s, and the rest did not; send "
            "a smaller image",
            "slow",
        ) from None
    except ClientDisconnect:
        raise Refused(400, "the body ended early; send all of it", "gone") from None
    return b"".join(pieces)


def _too_large(settings: Settings) -> Refused:
    return Refused(
        413,
        f"the body is larger than the {settings.body} bytes that are taken; send a smaller image, "
        "or pack it as JPEG or WebP",
        "body",
    )


def is_form(content_type: str) -> bool:
    """Whether the body is a form with files."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def form_files(content: bytes, content_type: str, most: int) -> list[bytes]:
    """The contents of a form's files, in their order.

    Raises Refused for what is no form, and for no file or more than `most`.
    """
    files, parts, ends = list[bytes](), itertools.count(1), list[bool]()

    def take(part: Field | File) -> None:
        if next(parts) > _MAX_PARTS:
            raise FormParserError("too many parts")
        if isinstance(part, File):
            part.file_object.seek(0)
            files.append(part.file_object.read())

    boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary")
    try:
        parser = FormParser(
            "multipart/form-data",
            take,
            take,
            on_end=lambda: ends.append(True),
            boundary=boundary or None,
            config={"MAX_MEMORY_FILE_SIZE": len(content)},  # none to the disk
        )
        parser.write(content)
        parser.finalize()
    except (FormParserError, ValueError):
        raise Refused(
            400,
            "the body is no whole form (multipart/form-data); send one, as `curl -F image=@FILE` "
            "does",
            "form",
        ) from None
    if not ends:
        raise Refused(400, "the form is cut off; send all of it", "form")
    if not 1 <= len(files) <= most:
        wanted = "one" if most == 1 else f"1 to {most}"
        raise Refused(
            400,
            f"the form has {len(files)} files, expected {wanted}; give each image's part a "
            "filename",
            "form",
        )
    return files
