"""Pictures inside the page: read by Pillow, small enough to embed, as `data:` addresses."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from briskseg.core.files.pictures import opened

_WIDEST_PX = 640  # in the page a picture is shown at most half as wide
MOST_TALL = 8  # times as tall as wide; what is taller is squeezed


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """The picture, decoded; DataError naming the file where it is damaged or too large."""
    with opened(path, "a picture", "train on, or remove it") as picture:
        picture.load()
        yield picture


def photo_address(path: Path) -> str:
    """A photograph as a JPEG `data:` address, shrunk to the page's size."""
    written = io.BytesIO()
    with open_picture(path) as picture:
        _fit(picture.convert("RGB"), Image.Resampling.LANCZOS).save(
            written, format="JPEG", quality=88
        )
    return data_address("image/jpeg", written.getvalue())


def mask_address(path: Path) -> str:
    """A palette picture of classes as a PNG `data:` address; its colors stay unmixed."""
    written = io.BytesIO()
    with open_picture(path) as picture:
        _fit(picture, Image.Resampling.NEAREST).save(written, format="PNG", optimize=True)
    return data_address("image/png", written.getvalue())


def data_address(kind: str, data: bytes) -> str:
    """`data:KIND;base64,...`, so that the page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _fit(picture: Image.Image, method: Image.Resampling) -> Image.Image:
    if picture.width <= _WIDEST_PX and picture.height <= MOST_TALL * _WIDEST_PX:
        return picture
    width = min(picture.width, _WIDEST_PX)
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, min(height, MOST_TALL * _WIDEST_PX)), method)
