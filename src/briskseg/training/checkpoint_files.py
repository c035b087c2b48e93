"""A run's two checkpoint files: last.ckpt, and previous.ckpt, the one before it.

A new one is written under another name, synced and read back from the disk; only then the last one
becomes the one before, and it the last. Every part of the file carries a checksum, so damage is
found when a run is resumed, and the one before is used.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from briskseg.core.errors import BriskError, TrainingError
from briskseg.core.files.atomic import named, sync, written_whole


@dataclass(frozen=True)
class ResumePoint:
    """A whole checkpoint, and the place in the run that it knows: the next batch of which epoch,
    after how many steps. images, processes: what the steps were cut from, None where it is older
    than this."""

    path: Path
    epoch: int
    batch: int
    step: int
    images: int | None
    processes: int | None


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning writes checkpoints here."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Raises OSError naming the file where it cannot be written; both files are as before."""
        last = Path(path)
        written = io.BytesIO()
        torch.save(checkpoint, written)
        with written_whole(last) as part:
            part.write_bytes(written.getbuffer())
            sync(part)
            if _read_from_disk(part) != written.getbuffer():
                raise OSError(5, "what was written reads back otherwise")
            if last.exists():
                last.replace(last.with_name("previous.ckpt"))


def _read_from_disk(path: Path) -> bytes:
    """A synced file's bytes, as the disk has them where the system can forget its own copy."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path.read_bytes()


def find_checkpoint(run: Path, say: Callable[[str], None]) -> ResumePoint | None:
    """The checkpoint to go on from, None where there is none yet.

    A damaged last one is said, and set aside under the name damaged.ckpt, so that it never becomes
    the one before.

    Raises:
        TrainingError: there are checkpoints, and none is whole.
    """
    last, before = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    faults = []
    for path in (last, before):
        if not path.is_file():
            continue
        try:
            kept = read_place(path)
        except BriskError:  # a signal came while it was read, which says nothing about the file
            raise
        except Exception as error:  # whatever a damaged file makes torch raise
            faults.append(f"{path} is damaged ({type(error).__name__})")
            continue
        if faults:
            say(f"{faults[0]}; going on from the one before it, of step {kept.step}")
            with named(last):
                last.replace(last.with_name("damaged.ckpt"))
        elif path == before:
            say(f"{last} is missing; going on from the one before it, of step {kept.step}")
        return kept
    if faults:
        raise TrainingError(
            f"{' and '.join(faults)}; restore it from a copy, or train again with another --out"
        )
    return None


def read_place(path: Path) -> ResumePoint:
    """Read a checkpoint wholly, every checksum compared; raises whatever is wrong with it."""
    with zipfile.ZipFile(path) as parts:  # torch compares no checksums
        damaged = parts.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
    held = torch.load(path, map_location="cpu", weights_only=True)
    place = held["place"]
    return ResumePoint(
        path,
        int(place["epoch"]),
        int(place["batch"]),
        int(held["global_step"]),
        place.get("images"),
        place.get("processes"),
    )
