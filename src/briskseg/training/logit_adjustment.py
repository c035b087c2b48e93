"""Logit adjustment: after training, the classes' biases are fitted to the mIoU on train.

A weighted cross entropy and mIoU want different things of a pixel in doubt: weights that let rare
classes be found at all let them spill over others, and what a class loses by that depends on all of
them. An offset for each class, added to its logits, settles it after training (Menon et al.,
"Long-tail learning via logit adjustment", ICLR 2021, take it from the classes' frequencies; here it
is fitted). It becomes part of the last layer's bias: nothing is slower or exported differently.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from briskseg.core.card import save_weights
from briskseg.core.images import resize_image
from briskseg.core.labels import IGNORED
from briskseg.core.types import Floats, Floats32, Progress
from briskseg.data import Dataset
from briskseg.runtime.coarse import enlarge
from briskseg.runtime.torch_ import TorchBackend
from briskseg.training.callbacks import weights_of

KEY = "logit_adjustment"  # in the card's `training`: the offsets, by class

_IMAGES = 500  # of train, evenly spread
_PIXELS = 1_000_000  # of all of them
_GRID = np.linspace(-3, 3, 121)
_SWEEPS = 10
_ENOUGH = 1e-5  # of mIoU: a sweep that gains less is the last

Integers = npt.NDArray[np.integer[Any]]


def adjust_run(run: Path, dataset: Dataset, progress: Progress) -> str:
    """Fit the offsets of the run's `model.safetensors` and add them to its last bias, once; return
    what was gained, or why nothing could be, or "" where it had been done.

    The card's own score is dropped: it is of the weights before.
    """
    path = run / "model.safetensors"
    backend, card = TorchBackend.open(path)
    if KEY in card.training:
        return ""
    logits, labels = _drawn(backend, card.input.size, dataset, progress)
    if not labels.size:
        return "logits are not adjusted: train has no labeled pixel"
    offsets, before, after = fit_offsets(logits, labels)
    bias = backend.network.class_bias
    bias.data += bias.new_tensor(offsets)
    by_class = {
        name: round(float(o), 2) for name, o in zip(card.labels.names, offsets, strict=True)
    }
    adjusted: dict[str, Any] = {**card.training, KEY: by_class}
    scores = {name: score for name, score in card.scores.items() if name != "val_miou"}
    card = card.model_copy(update={"training": adjusted, "scores": scores})
    save_weights(path, weights_of(backend.network), card)
    return f"logit adjustment: mIoU on train {after:.2%}, before {before:.2%}"


def fit_offsets(logits_pc: Floats32, labels_p: Integers) -> tuple[Floats32, float, float]:
    """Offsets (classes,) for which argmax(logits + offsets) has the highest mIoU that changing one
    of them at a time finds, with the mIoU of none and of these.

    Args:
        logits_pc: (pixels, classes).
        labels_p: (pixels,) classes, one pixel at least; one that no pixel has does not count, and
            gets the others' mean.
    """
    classes = logits_pc.shape[1]
    offsets = np.zeros(classes, np.float32)
    held = np.flatnonzero(np.bincount(labels_p, minlength=classes)).tolist()
    zero = len(_GRID) // 2
    first = last = float(_miou_by_offset(logits_pc, labels_p, held, held[0])[zero])
    for _ in range(_SWEEPS):
        begun = last
        for c in held:
            present = int(np.abs(_GRID - offsets[c]).argmin())
            offsets[c] = 0
            scores = _miou_by_offset(logits_pc + offsets, labels_p, held, c)
            best = present
            if scores.max() > scores[present] + _ENOUGH / classes:  # else it stays where it is
                equal = np.flatnonzero(scores == scores.max())
                best = int(equal[np.abs(equal - present).argmin()])
            offsets[c], last = _GRID[best], float(scores[best])
        if last - begun < _ENOUGH:
            break
    unknown = np.setdiff1d(np.arange(classes), held)
    offsets[unknown] = offsets[held].mean()  # only differences count: these rise with the others
    return offsets, first, last


def _miou_by_offset(logits_pc: Floats32, labels_p: Integers, held: list[int], c: int) -> Floats:
    """The mIoU over the classes `held` for each offset of _GRID that the class c may have.

    A pixel belongs to c from the first offset on that lifts c above its strongest rival.
    """
    classes, steps = logits_pc.shape[1], len(_GRID)
    others = logits_pc.copy()
    others[:, c] = -np.inf
    rival = others.argmax(1)
    lead = np.take_along_axis(others, rival[:, None], 1)[:, 0] - logits_pc[:, c]
    since = np.searchsorted(_GRID, lead, side="right")  # steps: never

    def taken(of: Integers, where: Any = slice(None)) -> Integers:
        """(steps, classes): how many of these pixels c has by then, counted by the class `of`."""
        counts = np.bincount(since[where] * classes + of[where], minlength=(steps + 1) * classes)
        total: Integers = counts.reshape(steps + 1, classes).cumsum(0)[:steps]
        return total

    right = rival == labels_p
    predicted = np.bincount(rival, minlength=classes) - taken(rival)
    hits = np.bincount(rival[right], minlength=classes) - taken(rival, right)
    by_truth = taken(labels_p)
    predicted[:, c], hits[:, c] = by_truth.sum(1), by_truth[:, c]
    union = predicted + np.bincount(labels_p, minlength=classes) - hits
    scores: Floats = (hits[:, held] / union[:, held]).mean(1)
    return scores


def _drawn(
    backend: TorchBackend, size_hw: tuple[int, int] | None, dataset: Dataset, progress: Progress
) -> tuple[Floats32, Integers]:
    """Logits (pixels, classes) and labels (pixels,) of labeled pixels on a grid in images of train,
    which are not varied."""
    pairs = dataset.pairs("train")
    pairs = pairs[:: math.ceil(len(pairs) / _IMAGES)]
    logits, labels = [], []
    for done, pair in enumerate(pairs, 1):
        image, truth = dataset.read(pair)
        if size_hw is not None and image.shape[:2] != size_hw:
            image = resize_image(image, size_hw)
        found = backend.infer(image)
        if found.shape[1:] != truth.shape:
            found = enlarge(found, truth.shape, align_corners=False)
        step = math.ceil(math.sqrt(truth.size * len(pairs) / _PIXELS))
        truth = truth[step // 2 :: step, step // 2 :: step]
        kept = truth != IGNORED
        logits.append(found[:, step // 2 :: step, step // 2 :: step][:, kept].T)
        labels.append(truth[kept])
        progress(done, len(pairs))
    return np.concatenate(logits), np.concatenate(labels).astype(np.intp)
