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

from briskseg.core.errors import BriskError, RequestError, TrainingError
from briskseg.core.files.atomic import named, sync, written_whole
from briskseg.runs.run_folder import RunFolder


@dataclass
class Position:
    """Where a run is: optimizer steps done; epoch and batch that come next, from 0 on; and the step
    whose weights were validated last."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    validated: int = 0


Checkpoint = dict[str, Any]  # what `Loop.state_dict` gives


def save_checkpoint(folder: RunFolder, checkpoint: Checkpoint) -> None:
    """Raises OSError naming the file where it cannot be written; both files are as before."""
    last = folder.last_checkpoint
    written = io.BytesIO()
    torch.save(checkpoint, written)
    with written_whole(last) as part:
        part.write_bytes(written.getbuffer())
        sync(part)
        if hasattr(os, "posix_fadvise"):  # else the system's own copy is read, not the disk's
            with part.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if part.read_bytes() != written.getbuffer():
            raise OSError(5, "what was written reads back otherwise")
        if last.exists():
            last.replace(folder.previous_checkpoint)


def find_checkpoint(folder: RunFolder, say: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from, None where there is none yet.

    A damaged last one is said, and set aside under the name damaged.ckpt, so that it never becomes
    the one before.

    Raises:
        RequestError: it was written by a version that trained in another way.
        TrainingError: there are checkpoints, and none is whole.
    """
    last, before = folder.last_checkpoint, folder.previous_checkpoint
    faults = []
    for path in (last, before):
        if not path.is_file():
            continue
        try:
            found = read_checkpoint(path)
        except BriskError:  # it is whole, or a signal came while it was read
            raise
        except Exception as error:  # whatever a damaged file makes torch raise
            faults.append(f"{path} is damaged ({type(error).__name__})")
            continue
        if faults:
            say(f"{faults[0]}; going on from the one before it, of step {step_of(found)}")
            with named(last):
                last.replace(folder.damaged_checkpoint)
        elif path == before:
            say(f"{last} is missing; going on from the one before it, of step {step_of(found)}")
        return found
    if faults:
        raise TrainingError(
            f"{' and '.join(faults)}; restore it from a copy, or train again with another --out"
        )
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Tensors and plain values alone, on the CPU; every checksum is compared, and nothing in the
    file is executed. Raises whatever is wrong with it."""
    with zipfile.ZipFile(path) as parts:  # torch compares no checksums
        damaged = parts.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
    checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if "pytorch-lightning_version" in checkpoint:
        raise RequestError(
            f"{path} was written by briskseg before its training loop was its own, and this "
            "version cannot go on from it; begin a new run with the weights that it has: "
            f"--out DIR --set model.weights={path.parents[1]}"
        )
    return checkpoint


def step_of(checkpoint: Checkpoint | None) -> int:
    """The step that it was saved after; 0 where there is none."""
    return 0 if checkpoint is None else int(checkpoint["position"]["step"])
