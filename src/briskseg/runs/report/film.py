"""The film of a run: fixed images above their truth above the predictions, epoch by epoch, a GIF.

All frames share one palette, whose first entries are exactly the classes' colors, so that masks do
not flicker and only what changes is stored.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from briskseg.runs.report.run_content import Run, open_picture
from briskseg.runs.run_folder import Film

MOST_FRAMES = 48
MOST_TALL = 8  # times as tall as wide; what is taller is squeezed
_TILE_PX = 200  # the width of one image
_GAP_PX = 4
_STRIP_PX = 34  # the height of the line that the epoch is written in
_FRAME_MS, _LAST_MS = 250, 2500
_PAPER, _INK, _BAR = (17, 24, 39), (249, 250, 251), (59, 130, 246)
_MOST_MASK_COLORS = 160  # of the palette's 256, so that the photographs keep some

Indices = npt.NDArray[np.uint8]
Colors = npt.NDArray[np.uint8]


def film_gif(run: Run) -> bytes | None:
    """The run's film as an animated GIF, or None where it has none.

    At most MOST_FRAMES epochs, evenly spread, the first and the last among them. Raises DataError
    naming a damaged picture.
    """
    if run.film is None:
        return None
    epochs = _spread(sorted(run.film.shots))
    palette = _Palette(run.film, epochs)
    frames = [_frame(run, run.film, palette, epoch, epochs) for epoch in epochs]
    written = io.BytesIO()
    frames[0].save(
        written,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[_FRAME_MS] * (len(frames) - 1) + [_LAST_MS],
        loop=0,
        optimize=False,  # would drop the shared palette
        disposal=1,
    )
    return written.getvalue()


def _spread(epochs: list[int]) -> list[int]:
    chosen = np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_FRAMES)).round().astype(int)
    return [epochs[index] for index in chosen]


class _Palette:
    """256 colors: those of the masks, those of the writing, and the best for the photographs."""

    def __init__(self, film: Film, epochs: list[int]) -> None:
        masks = [*film.truths.values(), *(p for e in epochs for p in film.shots[e].values())]
        used = np.concatenate([np.unique(_rgb(path).reshape(-1, 3), axis=0) for path in masks])
        colors, counts = np.unique(used, axis=0, return_counts=True)
        common = colors[np.argsort(-counts, kind="stable")][:_MOST_MASK_COLORS]
        self.fixed: Colors = np.concatenate([common, [_PAPER, _INK, _BAR]]).astype(np.uint8)
        photos = np.concatenate([_rgb(path).reshape(-1, 3) for path in film.images.values()])
        picture = Image.fromarray(photos[None])
        self._photos = picture.quantize(256 - len(self.fixed), dither=Image.Dither.NONE)
        own = np.array(self._photos.getpalette(), dtype=np.uint8).reshape(-1, 3)
        self.colors: Colors = np.concatenate([self.fixed, own])

    def of(self, color: tuple[int, int, int]) -> int:
        """The index of one of the fixed colors."""
        return int(np.flatnonzero((self.fixed == color).all(axis=1))[0])

    def mask(self, path: Path) -> Indices:
        rgb = _rgb(path)
        colors, where = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
        distance = np.abs(colors[:, None].astype(int) - self.fixed.astype(int)).sum(axis=2)
        indices: Indices = distance.argmin(axis=1).astype(np.uint8)[where.reshape(rgb.shape[:2])]
        return indices

    def photo(self, path: Path) -> Indices:
        picture = Image.fromarray(_rgb(path)).quantize(palette=self._photos)
        return np.asarray(picture, dtype=np.uint8) + np.uint8(len(self.fixed))


def _rgb(path: Path) -> Colors:
    """The picture at the tile's width: (H, W, 3) uint8; masks keep their colors unmixed."""
    with open_picture(path) as picture:
        is_mask = picture.mode == "P"
        height = max(1, round(picture.height * _TILE_PX / picture.width))
        height = min(height, MOST_TALL * _TILE_PX)
        method = Image.Resampling.NEAREST if is_mask else Image.Resampling.LANCZOS
        return np.asarray(picture.convert("RGB").resize((_TILE_PX, height), method))


def _frame(run: Run, film: Film, palette: _Palette, epoch: int, epochs: list[int]) -> Image.Image:
    columns = []
    for image in film.images:
        column = [palette.photo(film.images[image]), palette.mask(film.truths[image])]
        columns.append([*column, palette.mask(film.shots[epoch][image])])
    heights = [max(tiles[row].shape[0] for tiles in columns) for row in range(3)]
    width = len(columns) * (_TILE_PX + _GAP_PX) + _GAP_PX
    height = sum(heights) + 4 * _GAP_PX + _STRIP_PX
    canvas: Indices = np.full((height, width), palette.of(_PAPER), np.uint8)
    for number, tiles in enumerate(columns):
        left, top = _GAP_PX + number * (_TILE_PX + _GAP_PX), _GAP_PX
        for tile, row_height in zip(tiles, heights, strict=True):
            canvas[top : top + tile.shape[0], left : left + _TILE_PX] = tile
            top += row_height + _GAP_PX
    picture = Image.fromarray(canvas)
    picture.putpalette(palette.colors.tobytes())
    _write_epoch(picture, run, palette, epoch, epochs)
    return picture


def _write_epoch(
    picture: Image.Image, run: Run, palette: _Palette, epoch: int, epochs: list[int]
) -> None:
    """The epoch and its mIoU in the strip at the bottom, and how far it is as a bar."""
    draw: Any = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # no blending: an index between two colors is any color
    font = ImageFont.load_default(size=22)
    score = next((r["val_miou"] for r in run.validations if r.get("epoch") == epoch), None)
    text = f"epoch {epoch} of {epochs[-1]}"
    if score is not None and score == score:
        text += f"   mIoU {100 * score:.1f} %"
    bottom = picture.height
    draw.text((_GAP_PX + 2, bottom - _STRIP_PX), text, fill=palette.of(_INK), font=font)
    share = epoch / epochs[-1] if epochs[-1] else 1
    end = round(share * (picture.width - 1))
    draw.rectangle((0, bottom - 4, end, bottom - 1), fill=palette.of(_BAR))
