"""Logit adjustment: after training, the classes' biases are fitted to the mIoU on train.

A weighted cross entropy and mIoU want different things of a pixel in doubt: weights that let rare
classes be found at all let them spill over others, and what a class loses by that depends on all of
them. An offset for each class, added to its logits, settles it after training (Menon et al.,
"Long-tail learning via logit adjustment", ICLR 2021, take it from the classes' frequencies; here it
is fitted). It becomes part of the last layer's bias: nothing is slower or exported differently.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from briskseg.core.card import save_weights
from briskseg.core.labels import IGNORED
from briskseg.core.parallel import thread_map
from briskseg.core.types import Floats, Floats32, Integers, Progress
from briskseg.data import Dataset
from briskseg.models.weights.own_file import weights_of
from briskseg.runs.run_folder import RunFolder
from briskseg.runtime.backends.torch_backend import TorchBackend
from briskseg.runtime.decode.enlargement import enlarge
from briskseg.runtime.predictor import Predictor

KEY = "logit_adjustment"  # in the card's `training`: the offsets, by class

_IMAGES = 500  # of train, evenly spread
_LOGITS = 12_000_000  # of all their pixels and classes: 48 MB
_PIXELS = 300  # of a class, to fit its offset to: fewer are chance
_MOVES = np.arange(-60, 61) / 20  # of one offset at once
_STAY = len(_MOVES) // 2
_SWEEPS = 10
_ENOUGH = 1e-5  # of mIoU: a sweep that gains less is the last


def adjust_run(
    run: RunFolder, dataset: Dataset, device: str, predicting: Progress, fitting: Progress
) -> str:
    """Fit the offsets of the run's `model.safetensors` and add them to its last bias, once; return
    what came of it, "" where it had been done.

    The card's own score is dropped: it is of the weights before.
    """
    path = run.weights
    backend, card = TorchBackend.open(path, device=device)
    if KEY in card.training:
        return ""
    logits, labels = _drawn(Predictor(backend, card), dataset, predicting)
    if not labels.size:
        return "logits are not adjusted: train has no labeled pixel"
    offsets, before, after = fit_offsets(logits, labels, fitting)
    if not offsets.any():
        return f"logits are not adjusted: train mIoU {before:.4f} gains nothing by it"
    bias = backend.network.class_bias
    bias.data += bias.new_tensor(offsets)
    adjusted: dict[str, Any] = {
        **card.training,
        KEY: {n: round(float(o), 2) for n, o in zip(card.labels.names, offsets, strict=True)},
        "train_miou": {"before": round(before, 4), "adjusted": round(after, 4)},
    }
    scores = {name: score for name, score in card.scores.items() if name != "val_miou"}
    card = card.model_copy(update={"training": adjusted, "scores": scores})
    save_weights(path, weights_of(backend.network), card)
    return f"logits are adjusted: train mIoU {before:.4f} before, {after:.4f} now"


def fit_offsets(
    logits_pc: Floats32, labels_p: Integers, progress: Progress
) -> tuple[Floats32, float, float]:
    """Offsets (classes,) for which argmax(logits + offsets) has the highest mIoU that changing one
    of them at a time finds, with the mIoU of none and of these.

    Args:
        logits_pc: (pixels, classes).
        labels_p: (pixels,) classes, one pixel at least. A class of fewer than _PIXELS keeps the
            offset 0; it counts in the mIoU as any other does.
    """
    classes = logits_pc.shape[1]
    offsets = np.zeros(classes, np.float32)
    fitted = np.flatnonzero(np.bincount(labels_p, minlength=classes) >= _PIXELS).tolist()
    before = last = float(_miou_by_move(logits_pc, labels_p, 0)[_STAY])
    of = _SWEEPS * len(fitted)
    for sweep in range(_SWEEPS if fitted else 0):
        begun = last
        for place, c in enumerate(fitted, 1):
            scores = _miou_by_move(logits_pc + offsets, labels_p, c)
            if scores.max() > last + _ENOUGH / classes:  # else it stays where it is
                equal = np.flatnonzero(scores == scores.max())
                move = equal[np.abs(equal - _STAY).argmin()]
                offsets[c] += _MOVES[move]
                last = float(scores[move])
            progress(sweep * len(fitted) + place, of)
        if last - begun < _ENOUGH:
            progress(of, of)
            break
    return offsets, before, last


def _miou_by_move(logits_pc: Floats32, labels_p: Integers, c: int) -> Floats:
    """The mIoU for each of _MOVES that the class c may make, over the classes that are in the
    labels or predicted.

    A pixel belongs to c from the first move on that lifts c above its strongest rival.
    """
    classes, steps = logits_pc.shape[1], len(_MOVES)
    others = logits_pc.copy()
    others[:, c] = -np.inf
    rival = others.argmax(1)
    lead = np.take_along_axis(others, rival[:, None], 1)[:, 0] - logits_pc[:, c]
    since = np.searchsorted(_MOVES, lead, side="right")  # steps: never

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
    scores: Floats = (hits / np.maximum(union, 1)).sum(1) / (union > 0).sum(1)
    return scores


def seconds_to_adjust(image_s: float, images: int, classes: int) -> float:
    """An estimate, from the seconds that the network takes for an image."""
    pixels = np.zeros((_LOGITS // classes, classes), np.float32)
    began = time.monotonic()
    _miou_by_move(pixels, np.zeros(len(pixels), np.intp), 0)
    move_s = time.monotonic() - began
    return min(images, _IMAGES) * image_s + classes * _SWEEPS / 2 * move_s


def _drawn(predictor: Predictor, dataset: Dataset, progress: Progress) -> tuple[Floats32, Integers]:
    """Logits (pixels, classes) and labels (pixels,) of labeled pixels on a grid in images of train,
    which are not varied; about as many of each image. Logits are those of the size at which the
    network sees an image, stretched to its label."""
    pairs = dataset.pairs("train")
    pairs = pairs[:: math.ceil(len(pairs) / _IMAGES)]
    most = _LOGITS / predictor.card.network.classes / len(pairs)  # pixels of an image
    logits, labels = [], []
    for image, truth in thread_map(dataset.read, pairs, threads=1, ahead=1, progress=progress):
        found = enlarge(predictor.logits(image), truth.shape, align_corners=False)
        step = math.ceil(math.sqrt(truth.size / most))
        grid = slice(step // 2, None, step)
        truth = truth[grid, grid]
        kept = truth != IGNORED
        logits.append(found[:, grid, grid][:, kept].T)
        labels.append(truth[kept])
    return np.concatenate(logits), np.concatenate(labels).astype(np.intp)
