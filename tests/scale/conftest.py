"""Photographs to label, and folders of labels to compare."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from briskseg.core.images import write_png


def draw(number: int) -> np.ndarray:
    """An image of its own size and content."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (33 + number % 7, 24 + number % 5), interpolation=cv2.INTER_CUBIC)


def png_bytes(image_hwc: np.ndarray) -> bytes:
    return cv2.imencode(".png", image_hwc[..., ::-1])[1].tobytes()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """23 images, some in a folder of their own, and one of them no image."""
    folder = tmp_path / "photos"
    for number in range(22):
        path = folder / ("" if number % 3 else "sub/deep") / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, draw(number))
    (folder / "sub" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, and its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def write_tar(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
