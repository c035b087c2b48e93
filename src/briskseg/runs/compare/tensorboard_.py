"""TensorBoard event files: scalars of one tag, by whichever writer (torch, TensorFlow, Keras)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from briskseg.core.errors import DataError, RequestError, nearest, needs
from briskseg.core.files.limits import MAX_TEXT_BYTES, check_size
from briskseg.core.types import Floats
from briskseg.runs.compare.curve import Axis, Curve


def read_events(path: Path, key: str) -> Curve:
    """The tag `key` of an event file, or of all event files in a folder.

    Time counts from the first event. Raises RequestError for a tag that is not there,
    MissingExtraError without the package tensorboard.
    """
    with needs(f"reading {path}", "train"):
        from tensorboard.backend.event_processing import event_accumulator as events
        from tensorboard.util.tensor_util import make_ndarray
    for file in [path] if path.is_file() else sorted(path.glob("*tfevents*")):
        if file.exists():  # else a link to what is gone, which tells nothing
            check_size(file, MAX_TEXT_BYTES)
    # 0 keeps every event; the default thins them out at random
    every = {events.SCALARS: 0, events.TENSORS: 0}
    found = events.EventAccumulator(str(path), size_guidance=every)
    try:
        found.Reload()
        tags = found.Tags()
        if key in tags["scalars"]:
            rows = [(one.step, one.wall_time, one.value) for one in found.Scalars(key)]
        elif key in tags["tensors"]:
            rows = [
                (one.step, one.wall_time, _scalar(one.tensor_proto, make_ndarray))
                for one in found.Tensors(key)
            ]
        else:
            known = [*tags["scalars"], *tags["tensors"]]
            hint = nearest(key, known) if known else "it holds no scalars at all"
            raise RequestError(f"{path} has no tag '{key}'; {hint}")
        table = np.array(rows, np.float64)
        positions: dict[Axis, Floats] = {
            "step": table[:, 0],
            "time": table[:, 1] - found.FirstEventTimestamp(),
        }
    except RequestError:
        raise
    except Exception as error:  # damage shows as any of a dozen types, of three packages
        raise DataError(
            f"{path} cannot be read as TensorBoard events ({type(error).__name__}: {error}); copy "
            "it again"
        ) from None
    return Curve(path, key, table[:, 2], positions)


def _scalar(tensor: Any, make_ndarray: Any) -> float:
    """A tensor of one number; its shape is looked at first, as one number can fill any."""
    if any(one.size != 1 for one in tensor.tensor_shape.dim):
        raise ValueError("a tensor of more than one number")
    return float(make_ndarray(tensor).item())
