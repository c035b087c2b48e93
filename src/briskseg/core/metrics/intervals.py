"""How sure a score is: the interval that resampling the images gives (a percentile bootstrap).

Images are drawn with replacement, as many as there are; every IoU is computed anew from the pixels
of the drawn images together, by the rules of `confusion.py`; the middle 95 % of the results is the
interval (Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13). It says what
other images of the same kind could have shown, not what another seed of the training could. Frames
of one drive are near neighbors, and a class that few images hold is seen too seldom: both make it
too narrow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from briskseg.core.types import Floats

RESAMPLES = 10_000
LEVEL = 0.95
_SEED = 0
_AT_ONCE = 500_000  # draws, which bounds the memory to some 15 MB whatever the number of images

Counts = npt.NDArray[np.int64]  # (3, images, classes): intersection, truth, predicted
Interval = tuple[float | None, float | None]  # (low, high); None where there is none


def resampled(*tables: Counts) -> list[Floats]:
    """For each table (RESAMPLES, 1 + classes) scores in [0, 1]: mIoU, then each class's IoU.

    The tables are of the same images, drawn alike, so that their scores can be compared draw by
    draw. NaN for a class that the drawn images neither hold nor were predicted to hold.
    """
    images = tables[0].shape[1]
    floats = [table.astype(np.float64) for table in tables]
    rng = np.random.default_rng(_SEED)
    found: list[list[Floats]] = [[] for _ in tables]
    step = max(1, _AT_ONCE // images)
    for start in range(0, RESAMPLES, step):
        drawn = _draw(rng, min(step, RESAMPLES - start), images)
        for scores, table in zip(found, floats, strict=True):
            scores.append(_with_mean(_iou(drawn, table)))
    return [np.concatenate(scores) for scores in found]


def middle(scores: Floats) -> Interval:
    """The middle 95 % of resampled scores (n,), those that do not exist (NaN) left out."""
    known = scores[~np.isnan(scores)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def miou_interval(counts: Counts) -> Interval:
    """The interval of mIoU over images; none for a single one, which says nothing of others."""
    return middle(resampled(counts)[0][:, 0]) if counts.shape[1] > 1 else (None, None)


def _draw(rng: np.random.Generator, resamples: int, images: int) -> Floats:
    """(resamples, images): how often each image was drawn."""
    drawn = rng.integers(images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    counted = np.bincount(drawn.ravel(), minlength=resamples * images)
    return counted.reshape(resamples, images).astype(np.float64)


def _iou(drawn: Floats, table: Floats) -> Floats:
    """(resamples, classes) IoU of the drawn images together; NaN for an absent class."""
    hits, truth, predicted = (drawn @ part for part in table)
    union = truth + predicted - hits
    return np.asarray(np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0))


def _with_mean(iou: Floats) -> Floats:
    """(resamples, 1 + classes): the mean over the classes that are there, then each class."""
    there = ~np.isnan(iou)
    number = there.sum(axis=1)
    total = np.where(there, iou, 0.0).sum(axis=1)
    mean = np.divide(total, number, out=np.full(len(iou), np.nan), where=number > 0)
    return np.column_stack([mean, iou])
