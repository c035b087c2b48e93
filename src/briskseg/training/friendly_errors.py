"""What goes wrong around a run, each as a sentence that says what is kept and how to go on."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from briskseg.core.errors import (
    BriskError,
    DataError,
    Interrupted,
    RequestError,
    TrainingError,
)
from briskseg.runs.run_folder import RunFolder
from briskseg.training.checkpoint_files import read_resume_point
from briskseg.training.divergence import Diverged, mark
from briskseg.training.processes import ProcessLost

_ADVICE = {
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
def friendly_errors(folder: RunFolder, how_to_resume: str) -> Iterator[None]:
    """What goes wrong with the run reaches the user as one sentence.

    Raises:
        RequestError, Interrupted: as they come, a loading process's without its traceback.
        TrainingError, DataError: what was found, what is kept, how to go on.
    """
    try:
        yield
    except Interrupted:
        raise
    except ProcessLost as error:
        if error.is_whole:
            raise
        raise _resumable(TrainingError, str(error), folder, how_to_resume) from error
    except RequestError as error:
        raised = _IN_A_WORKER.search(str(error))
        if raised is None:
            raise
        raise RequestError(raised[2].strip()) from None
    except Diverged as error:
        mark(folder, error)
        raise TrainingError(
            f"{error}; {_saved(folder)}: look at the images and go on, more gently, with: "
            f"{how_to_resume} --set training.clip=1 (or a lower training.optimizer.lr, or "
            "training.precision=float32)"
        ) from None
    except BriskError as error:
        kind = DataError if isinstance(error, DataError) else TrainingError
        raise _resumable(kind, str(error), folder, how_to_resume) from error
    except OSError as error:
        lost = _recognized(error, folder, how_to_resume)
        advice = _ADVICE.get(error.errno or 0, "see to it")
        found = f"{error.filename or folder.path}: {error.strerror or error}; {_saved(folder)}"
        raise lost or TrainingError(
            f"{found}: {advice}, and go on with: {how_to_resume}"
        ) from error
    except Exception as error:
        known = _recognized(error, folder, how_to_resume)
        if known is None:
            raise
        raise known from error


def _recognized(error: BaseException, folder: RunFolder, how_to_resume: str) -> BriskError | None:
    """A fault that torch reports as text; None where it is not known, and so our own mistake."""
    text = str(error)
    raised = _IN_A_WORKER.search(text)
    if raised is not None and raised[1] == "RequestError":
        return RequestError(raised[2].strip())
    if raised is not None:
        return _resumable(DataError, raised[2].strip(), folder, how_to_resume)
    if "more than 1 value per channel" in text:
        return TrainingError(
            "batch normalization needs more than one value a channel, and with this size and "
            "training.batch a step has one; set training.batch=2 or more"
        )
    if "shared memory" in text or "Bus error" in text:
        what = "the loading processes ran out of shared memory"
        advice = "give /dev/shm more (docker run --shm-size=8g), or set training.workers=0"
    elif "DataLoader worker" in text or _is_lost_connection(error):
        killed = re.search(r"killed by signal: (\w+)", text)
        by = f" ({killed[1]})" if killed else ""
        what = f"the system ended a loading process{by}, most often because memory ran out"
        advice = "free memory, or set fewer training.workers or a lower data.cache_gb"
    elif isinstance(error, torch.OutOfMemoryError | MemoryError):
        what = f"memory ran out ({text.splitlines()[0] if text else 'of the machine'})"
        advice = "free memory; a smaller training.batch needs a new run"
    else:
        return None
    return TrainingError(f"{what}; {_saved(folder)}: {advice}, and go on with: {how_to_resume}")


def _is_lost_connection(error: BaseException) -> bool:
    """What the training process meets first, of a loading process that is gone: its batch was still
    to be fetched through a socket."""
    nameless = isinstance(error, FileNotFoundError) and error.filename is None
    return nameless or isinstance(error, ConnectionError | EOFError)


def _resumable(
    kind: type[BriskError], message: str, folder: RunFolder, how_to_resume: str
) -> BriskError:
    """The same error with how to go on, a loading process's without its traceback."""
    raised = _IN_A_WORKER.search(message)
    if raised is not None:
        message = raised[2].strip()
    return kind(f"{message}; {_saved(folder)}; then go on with: {how_to_resume}")


def _saved(folder: RunFolder) -> str:
    unreadable = False
    for path in (folder.last_checkpoint, folder.previous_checkpoint):
        try:
            step = read_resume_point(path).step
        except FileNotFoundError:
            continue
        except Exception:
            unreadable = True
            continue
        return f"the run is kept up to step {step}"
    return "its checkpoints cannot be read now" if unreadable else "no checkpoint was due yet"
