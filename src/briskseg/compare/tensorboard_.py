"""TensorBoard event files: scalars of one tag, by whichever writer (torch, TensorFlow, Keras)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from briskseg.compare.curve import Curve
from briskseg.core.errors import MissingExtraError, RequestError, nearest


def read_events(path: Path, key: str) -> Curve:
    """The tag `key` of an event file, or of all event files in a folder.

    Time counts from the first event. Raises RequestError for a tag that is not there,
    MissingExtraError without the package tensorboard.
    """
    try:
        from tensorboard.backend.event_processing import event_accumulator as events
        from tensorboard.util.tensor_util import make_ndarray
    except ModuleNotFoundError:
        raise MissingExtraError("tensorboard", f"reading {path}", "train") from None
    # 0 keeps every event; the default thins them out at random
    every = {events.SCALARS: 0, events.TENSORS: 0}
    found = events.EventAccumulator(str(path), size_guidance=every)
    found.Reload()
    tags = found.Tags()
    if key in tags["scalars"]:
        rows = [(one.step, one.wall_time, one.value) for one in found.Scalars(key)]
    elif key in tags["tensors"]:
        rows = [
            (one.step, one.wall_time, float(make_ndarray(one.tensor_proto).item()))
            for one in found.Tensors(key)
        ]
    else:
        known = [*tags["scalars"], *tags["tensors"]]
        told = nearest(key, known) if known else "it holds no scalars at all"
        raise RequestError(f"{path} has no tag '{key}'; {told}")
    table = np.array(rows, np.float64)
    places = {"step": table[:, 0], "time": table[:, 1] - found.FirstEventTimestamp()}
    return Curve(path, key, table[:, 2], places)  # type: ignore[arg-type]
