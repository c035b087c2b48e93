"""What goes wrong around a run, each as a sentence that says what is kept and how to go on."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from briskseg.core.errors import (
    BriskError,
    DataError,
    Interrupted,
    RequestError,
    TrainingError,
)
from briskseg.core.files.atomic import write_whole
from briskseg.runs.run_folder import RunFolder
from briskseg.training.checkpoint_files import read_checkpoint, step_of
from briskseg.training.log import Diverged
from briskseg.training.processes import ProcessLost

T = TypeVar("T")

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

# Each loading process that was killed is reported by torch from a signal's handler, wherever the
# program is then.
_IS_A_SIGNALS = "DataLoader worker"


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
    except Diverged as error:
        found = {"step": error.step, "found": str(error)}
        write_whole(folder.diverged, json.dumps(found) + "\n")
        saved = _despite_signals(partial(_saved, folder))
        raise TrainingError(
            f"{error}; {saved}: look at the images and go on, more gently, with: "
            f"{how_to_resume} --set training.clip=1 (or a lower training.optimizer.lr, or "
            "training.precision=float32)"
        ) from None
    except Exception as error:
        sentence = _despite_signals(partial(_sentence, error, folder, how_to_resume))
        if sentence is None:
            raise
        raise sentence from error


def _despite_signals(call: Callable[[], T]) -> T:
    """What it gives; it is called again where torch reports a killed loading process meanwhile."""
    while True:
        try:
            return call()
        except Exception as error:
            if _IS_A_SIGNALS not in str(error):
                raise


def _sentence(error: Exception, folder: RunFolder, how_to_resume: str) -> BriskError | None:
    """What to say of an error; None where it is a sentence already, or our own mistake."""
    raised = _IN_A_WORKER.search(str(error))
    message = raised[2].strip() if raised else str(error)
    if isinstance(error, RequestError) or (raised and raised[1] == "RequestError"):
        return RequestError(message) if raised else None
    if isinstance(error, ProcessLost) and error.is_whole:
        return None
    if raised or isinstance(error, BriskError):
        is_data = isinstance(error, DataError) or not isinstance(error, BriskError)
        kind = DataError if is_data else TrainingError
        return kind(f"{message}; {_saved(folder)}; go on with: {how_to_resume}")
    known = _recognized(error, folder)
    if known is None:
        return None
    what, advice = known
    return TrainingError(f"{what}; {_saved(folder)}: {advice}, and go on with: {how_to_resume}")


def _recognized(error: Exception, folder: RunFolder) -> tuple[str, str] | None:
    """What happened to the machine, and what to do about it; None where it is not known."""
    text = str(error)
    # What is met first of a loading process that is gone: its batch was to come through a socket.
    nameless = isinstance(error, FileNotFoundError) and error.filename is None
    is_lost = nameless or isinstance(error, ConnectionError | EOFError)
    if "shared memory" in text or "Bus error" in text:
        return (
            "the loading processes ran out of shared memory",
            "give /dev/shm more (docker run --shm-size=8g), or set training.workers=0",
        )
    if _IS_A_SIGNALS in text or is_lost:
        killed = re.search(r"killed by signal: (\w+)", text)
        by = f" ({killed[1]})" if killed else ""
        return (
            f"the system ended a loading process{by}, most often because memory ran out",
            "free memory, or set fewer training.workers or a lower data.cache_gb",
        )
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        what = text.splitlines()[0] if text else "of the machine"
        return f"memory ran out ({what})", "free memory; a smaller training.batch needs a new run"
    if isinstance(error, OSError):
        where = f"{error.filename or folder.path}: {error.strerror or error}"
        return where, _ADVICE.get(error.errno or 0, "see to it")
    return None


def _saved(folder: RunFolder) -> str:
    try:
        folder.path.stat()
    except FileNotFoundError:  # of several machines the first has it
        return "what was saved is kept where the first process runs"
    except OSError:
        pass  # there, and not to be read: said below
    unreadable = False
    for path in (folder.last_checkpoint, folder.previous_checkpoint):
        try:
            return f"the run is kept up to step {step_of(read_checkpoint(path))}"
        except FileNotFoundError:
            continue
        except Exception as error:
            if _IS_A_SIGNALS in str(error):
                raise  # which says nothing of the file
            unreadable = True
    return "its checkpoints cannot be read now" if unreadable else "no checkpoint was due yet"
