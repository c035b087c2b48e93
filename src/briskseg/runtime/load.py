"""`briskseg.load`: from what a user names to a predictor, on the fastest backend there is."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.files import as_path
from briskseg.runtime.backends import BACKENDS, check_backend
from briskseg.runtime.backends.autotune import autotune
from briskseg.runtime.model_files import find_files
from briskseg.runtime.predictor import Predictor, Ran

MOST_THREADS = 1024  # with tens of thousands of threads backends crash or hang


def load(
    path: str | Path, backend: str = "auto", threads: int | None = None, callers: int = 1
) -> Predictor:
    """The predictor of a run folder, a weights or exported file, a shipped name, or a repository on
    the Hub (hf://OWNER/NAME or hf://OWNER/NAME@REVISION), of which one file is downloaded.

    Exported files that lie beside the weights, were made of them and take images of the same size
    are candidates too; the predictor's `ran` says what was taken.
    backend: a name (torch, onnx, openvino, openvino-bf16, litert, ncnn), or "auto": of the files
    and the backends that are installed the fastest whose labels are right on this machine, measured
    once and remembered in the user's cache folder. That may compute in bf16 or int8; torch and onnx
    compute weights in float32. threads: how many CPU threads the backend may use, of torch in the
    whole process; None has that measured too. callers: how many threads will call the predictor at
    once: OpenVINO, ncnn and torch then divide the CPU threads among them, which get more done
    together, and each waits longer; ONNX Runtime's share them anyway, and LiteRT's wait for each
    other.
    Raises RequestError for what is not there or not known, WeightsError for a damaged file or one
    without a card, MissingExtraError where nothing that is installed runs the file.
    """
    check_backend(backend)
    for name, number in (("threads", threads), ("callers", callers)):
        is_whole = isinstance(number, Integral) and not isinstance(number, bool)
        if number is not None and not (is_whole and 1 <= number <= MOST_THREADS):
            raise RequestError(f"{name} is {number!r}, expected a whole number from 1 to 1024")
    config = autotune(find_files(as_path(path), backend), backend, threads)
    return open_file(config.file, config.backend, config.threads, callers)


def open_file(file: Path, backend: str, threads: int | None = None, callers: int = 1) -> Predictor:
    """The predictor of this file on this backend. Raises as `BackendKind.open`."""
    kind = BACKENDS[backend]
    opened, card = kind.open(file, threads, callers)
    return Predictor(opened, card, Ran(str(file), backend, kind.precision_of(file)))
