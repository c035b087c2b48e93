"""Predictions as the Cityscapes evaluation server takes them: one PNG of label ids an image.

Its script finds the file of an image by its name, `CITY_000000_000019*.png`, anywhere in what is
handed in, and refuses two that fit; so nothing else may be written beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import writing
from briskseg.core.images import write_png
from briskseg.core.labels import CITYSCAPES
from briskseg.core.labels.cityscapes_table import to_label_ids
from briskseg.core.types import Labels

# City, sequence and frame, by which an image is known.
_IMAGE = re.compile(r"([^_]+_\d{6}_\d{6})(?:_.*)?")


class NamedInput(Protocol):
    """A file to predict on; `name`: its path within what was asked for, without the suffix."""

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    @property
    def is_video(self) -> bool: ...


def server_paths(inputs: Sequence[NamedInput], out: Path) -> list[Path]:
    """Where in `out` each input's label ids go: its folders, and CITY_000000_000019_labelIds.png.

    Raises RequestError for a video, a name that is not Cityscapes', two inputs of one image, and a
    file in `out` that the server would take for one of these.
    """
    paths: dict[str, tuple[Path, Path]] = {}
    for source in inputs:
        image = _image_of(source.path)
        if source.is_video or image is None:
            raise RequestError(
                f"{source.path} is not named as an image of Cityscapes is, expected "
                "CITY_000000_000019_leftImg8bit.png: the server finds files by these names"
            )
        if image in paths:
            raise RequestError(
                f"{paths[image][0]} and {source.path} are both of {image}, and the server takes "
                "one file an image; name the folder leftImg8bit/SPLIT alone"
            )
        folder = (out / source.name).parent
        paths[image] = source.path, folder / f"{image}_labelIds.png"
    for file in sorted(out.rglob("*.png")):
        wanted = paths.get(_image_of(file) or "")
        if wanted is not None and file != wanted[1]:
            raise RequestError(
                f"{file} is there already, and the server takes one file an image; name an empty "
                "folder with --out"
            )
    return [path for _, path in paths.values()]


def write_label_ids(labels_hw: Labels, target: Path) -> None:
    """Write the label ids of an image's labels (H, W) uint8, of its full size, to `target`.

    Raises BriskError where it cannot be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, to_label_ids(labels_hw))


def check_knows_cityscapes(names: Sequence[str]) -> None:
    """RequestError for a network of other classes than Cityscapes', which have no label ids."""
    if tuple(names) != CITYSCAPES.names:
        raise RequestError(
            f"the model knows {len(names)} classes ({', '.join(names)}), expected the "
            f"{len(CITYSCAPES.names)} of Cityscapes in their order, which have label ids"
        )


def _image_of(path: Path) -> str | None:
    found = _IMAGE.fullmatch(path.stem)
    return found[1] if found else None
