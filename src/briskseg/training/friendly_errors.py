"""What goes wrong around a run, each as a sentence that says what is kept and how to go on."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from briskseg.core.errors import (
    BriskError,
    DataError,
    Interrupted,
    RequestError,
    TrainingError,
)
from briskseg.training.checkpoint_files import read_place
from briskseg.training.divergence import Diverged, mark

_CURES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EFBIG: "lift the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.ENOENT: "somebody deleted or moved it: see that nobody does",
    errno.EIO: "look after the disk",
}
# What a loading process raised is the last line of its traceback, which torch makes the message of
# an error of the same class where that is made from a message alone, else of a RuntimeError.
_IN_A_WORKER = re.compile(r"^briskseg\.core\.errors\.(\w+): (.+)\Z", re.M | re.S)


@contextmanager
def told_faults(run: Path, how_to_resume: str) -> Iterator[None]:
    """Let what goes wrong with the run reach the user as one sentence.

    Raises:
        RequestError, Interrupted: as they come, a loading process's without its traceback.
        TrainingError, DataError: what was found, what is kept, how to go on.
    """
    try:
        yield
    except Interrupted:
        raise
    except RequestError as error:
        raised = _IN_A_WORKER.search(str(error))
        if raised is None:
            raise
        raise RequestError(raised[2].strip()) from None
    except Diverged as error:
        mark(run, error)
        raise TrainingError(
            f"{error}; {_kept(run)}: look at the images and go on, more gently, with: "
            f"{how_to_resume} --set training.clip=1 (or a lower training.optimizer.lr, or "
            "training.precision=float32)"
        ) from None
    except BriskError as error:
        raise _going_on(type(error).__mro__, str(error), run, how_to_resume) from error
    except OSError as error:
        lost = _told(error, run, how_to_resume)
        cure = _CURES.get(error.errno or 0, "see to it")
        told = f"{error.filename or run}: {error.strerror or error}; {_kept(run)}: {cure}"
        raise lost or TrainingError(f"{told}, and go on with: {how_to_resume}") from error
    except Exception as error:
        told_error = _told(error, run, how_to_resume)
        if told_error is None:
            raise
        raise told_error from error


def _told(error: BaseException, run: Path, how_to_resume: str) -> BriskError | None:
    """A fault that torch reports as text; None where it is not known, and so our own mistake."""
    text = str(error)
    raised = _IN_A_WORKER.search(text)
    if raised is not None and raised[1] == "RequestError":
        return RequestError(raised[2].strip())
    if raised is not None:
        return _going_on(DataError.__mro__, raised[2].strip(), run, how_to_resume)
    if "more than 1 value per channel" in text:
        return TrainingError(
            "batch normalization needs more than one value a channel, and with this size and "
            "training.batch a step has one; set training.batch=2 or more"
        )
    if "shared memory" in text or "Bus error" in text:
        what = "the loading processes ran out of shared memory"
        cure = "give /dev/shm more (docker run --shm-size=8g), or set training.workers=0"
    elif "DataLoader worker" in text or _is_lost_connection(error):
        killed = re.search(r"killed by signal: (\w+)", text)
        by = f" ({killed[1]})" if killed else ""
        what = f"the system ended a loading process{by}, most often because memory ran out"
        cure = "free memory, or set fewer training.workers or a lower data.cache_gb"
    elif isinstance(error, torch.OutOfMemoryError | MemoryError):
        what = f"memory ran out ({text.splitlines()[0] if text else 'of the machine'})"
        cure = "free memory; a smaller training.batch needs a new run"
    else:
        return None
    return TrainingError(f"{what}; {_kept(run)}: {cure}, and go on with: {how_to_resume}")


def _is_lost_connection(error: BaseException) -> bool:
    """What the training process meets first, of a loading process that is gone: its batch was still
    to be fetched through a socket."""
    nameless = isinstance(error, FileNotFoundError) and error.filename is None
    return nameless or isinstance(error, ConnectionError | EOFError)


def _going_on(kinds: tuple[type, ...], message: str, run: Path, how_to_resume: str) -> BriskError:
    """The same error with how to go on, of the nearest kind that is made from a message alone."""
    kind = DataError if DataError in kinds else TrainingError
    told = _IN_A_WORKER.search(message)
    if told is not None:
        message = told[2].strip()
    return kind(f"{message}; {_kept(run)}; then go on with: {how_to_resume}")


def _kept(run: Path) -> str:
    unreadable = False
    for name in ("last", "previous"):
        try:
            step = read_place(run / "checkpoints" / f"{name}.ckpt").step
        except FileNotFoundError:
            continue
        except Exception:
            unreadable = True
            continue
        return f"the run is kept up to step {step}"
    return "its checkpoints cannot be read now" if unreadable else "no checkpoint was due yet"
