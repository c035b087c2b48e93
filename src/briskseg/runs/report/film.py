"""The film of a run: fixed images above their truth above the predictions, epoch by epoch, as an
animated WebP without loss, so that masks keep their colors and only what changes is stored."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from briskseg.core.types import Array
from briskseg.runs.report.run_content import Run, open_picture
from briskseg.runs.run_folder import Film

MOST_FRAMES = 48
MOST_TALL = 8  # times as tall as wide; what is taller is squeezed
_TILE_PX = 200  # the width of one image
_GAP_PX = 4
_STRIP_PX = 34  # the height of the line that the epoch is written in
_FRAME_MS, _LAST_MS = 250, 2500
_PAPER, _INK, _BAR = (17, 24, 39), (249, 250, 251), (59, 130, 246)


def film_webp(run: Run) -> bytes | None:
    """The run's film, or None where it has none.

    At most MOST_FRAMES epochs, evenly spread, the first and the last among them. Raises DataError
    naming a damaged picture.
    """
    if run.film is None:
        return None
    epochs = _spread(sorted(run.film.shots))
    frames = [_frame(run, run.film, epoch, epochs[-1]) for epoch in epochs]
    written = io.BytesIO()
    duration = [_FRAME_MS] * (len(frames) - 1) + [_LAST_MS]
    how: dict[str, Any] = {
        "duration": duration,
        "loop": 0,
        "lossless": True,
        "method": 0,
        "quality": 30,
    }
    frames[0].save(written, format="WEBP", save_all=True, append_images=frames[1:], **how)
    return written.getvalue()


def _spread(epochs: list[int]) -> list[int]:
    chosen = np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_FRAMES)).round().astype(int)
    return [epochs[index] for index in chosen]


def _tile(path: Path, height: int = 0) -> Array:
    """The picture at the tile's width, (H, W, 3) uint8; masks keep their colors unmixed. height:
    that of the image which they belong to, as all frames must have one size."""
    with open_picture(path) as picture:
        own = max(1, round(picture.height * _TILE_PX / picture.width))
        size = _TILE_PX, height or min(own, MOST_TALL * _TILE_PX)
        is_mask = picture.mode == "P"
        method = Image.Resampling.NEAREST if is_mask else Image.Resampling.LANCZOS
        return np.asarray(picture.convert("RGB").resize(size, method))


def _frame(run: Run, film: Film, epoch: int, last: int) -> Image.Image:
    images = {k: _tile(path) for k, path in film.images.items()}
    row = max(len(image) for image in images.values()) + _GAP_PX
    width = len(images) * (_TILE_PX + _GAP_PX) + _GAP_PX
    canvas = np.full((_GAP_PX + 3 * row + _STRIP_PX, width, 3), _PAPER, np.uint8)
    for number, (k, image) in enumerate(images.items()):
        left = _GAP_PX + number * (_TILE_PX + _GAP_PX)
        masks = (_tile(path, len(image)) for path in (film.truths[k], film.shots[epoch][k]))
        for place, tile in enumerate((image, *masks)):
            top = _GAP_PX + place * row
            canvas[top : top + len(tile), left : left + _TILE_PX] = tile
    picture = Image.fromarray(canvas)
    _write_epoch(picture, run, epoch, last)
    return picture


def _write_epoch(picture: Image.Image, run: Run, epoch: int, last: int) -> None:
    """The epoch and its mIoU in the strip at the bottom, and how far it is as a bar."""
    draw = ImageDraw.Draw(picture)
    score = next((r["val_miou"] for r in run.validations if r.get("epoch") == epoch), None)
    text = f"epoch {epoch} of {last}"
    if score is not None and score == score:
        text += f"   mIoU {100 * score:.1f} %"
    bottom = picture.height
    font = ImageFont.load_default(size=22)
    draw.text((_GAP_PX + 2, bottom - _STRIP_PX), text, fill=_INK, font=font)
    share = epoch / last if last else 1
    draw.rectangle((0, bottom - 4, round(share * (picture.width - 1)), bottom - 1), fill=_BAR)
