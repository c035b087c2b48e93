"""The Cityscapes benchmark's scores: IoU and instance-weighted IoU of classes and categories.

As cityscapesScripts counts them (`evalPixelLevelSemanticLabeling`), to the last bit and by its
names. Counted are label ids: 34 x 34, rows truth. Pixels whose true label is not scored count
nowhere; a label that is not scored but predicted is a miss of the true one. In iIoU (Cordts et al.,
2016, section 4.1; that package prints it as nIoU) a pixel of an object weighs the mean size of its
class's objects over that of this one, so that small objects count as much as large ones. Groups, in
which objects are not told apart, and wrongly predicted pixels have no weight of that kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from briskseg.core.errors import DataError
from briskseg.core.images import resize_labels
from briskseg.core.labels.cityscapes_table import LABELS, SCORED_IDS, CityscapesLabel, to_label_ids
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.core.types import Integers, Labels
from briskseg.data.cityscapes.tree import instance_file, read_instance_ids, read_label_ids
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.scorer import Sample, Scorer

Weighed = tuple[str, float, float]  # class or category, weighted pixels found, and missed

CATEGORIES = tuple(dict.fromkeys(label.category for label in LABELS))
_IDS_OF = {c: [i for i, label in enumerate(LABELS) if label.category == c] for c in CATEGORIES}
_CATEGORY = np.full(256, -1)
_CATEGORY[: len(LABELS)] = [CATEGORIES.index(label.category) for label in LABELS]

# Instance ids above it are of single objects: 1000 * label id + number.
_GROUPS = 1000


class CityscapesIds(NamedTuple):
    """One image's label ids (H, W) uint8, and its instance ids (H, W) unless they are left out."""

    ids_hw: Integers
    instances_hw: Integers | None


class CityscapesScorer(Scorer):
    """Counts the benchmark's scores beside the plain ones."""

    def __init__(
        self, dataset: Dataset, pairs: Sequence[Pair], label_size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(dataset, pairs, label_size)
        reason = missing_instances([pair.label for pair in pairs])
        if label_size is not None:
            reason = "the labels were resized, and objects are weighed by their full sizes"
        self.scores = CityscapesScores(reason)

    def read(self, pair: Pair) -> Sample:
        """Decode a pair with its label ids, and the instance ids where they are counted."""
        sample = super().read(pair)
        ids = read_ids(pair.label, self.scores.without_instances is None)
        if self.label_size is not None:
            ids = CityscapesIds(resize_labels(ids.ids_hw, self.label_size), None)
        return sample._replace(extra=ids)

    def count(self, sample: Sample, predicted_hw: Labels) -> ConfusionMatrix:
        """Count one image by both rules; return its plain matrix."""
        one = super().count(sample, predicted_hw)
        try:
            self.scores.update(to_label_ids(predicted_hw), *sample.extra)
        except DataError as error:
            raise DataError(f"{sample.pair.label}: {error}") from None
        return one

    def benchmark(self) -> dict[str, Any]:
        """The scores as cityscapesScripts names them, under "cityscapes"."""
        return {"cityscapes": self.scores.to_json()}


def read_ids(label: Path, instances: bool) -> CityscapesIds:
    """Read a file of label ids, and the one of instance ids beside it if they are wanted.

    Raises DataError naming a file that is damaged, or both where their sizes differ.
    """
    ids_hw = read_label_ids(label)
    if not instances:
        return CityscapesIds(ids_hw, None)
    instances_hw = read_instance_ids(instance_file(label))
    if instances_hw.shape != ids_hw.shape:
        raise DataError(
            f"{instance_file(label)} is {instances_hw.shape} and {label} is {ids_hw.shape} (height,"
            " width), expected one size; restore them from the download"
        )
    return CityscapesIds(ids_hw, instances_hw)


def missing_instances(labels: Sequence[Path]) -> str | None:
    """Which files of instance ids are not there beside these files of labels; None: all are."""
    files = [instance_file(label) for label in labels]
    missing = [file for file in files if not file.is_file()]
    if not missing:
        return None
    return (
        f"{len(missing)} of {len(files)} files of instance ids are not there, the first is "
        f"{missing[0]}; unpack the *_instanceIds.png of the download beside the labels"
    )


class CityscapesScores:
    """Counts images, one after the other, and gives the benchmark's scores of them all.

    without_instances: why the instance scores are left out; None where they are counted.
    """

    def __init__(self, without_instances: str | None = None) -> None:
        self.confusion = ConfusionMatrix(len(LABELS))
        self.without_instances = without_instances
        objects = [label for label in LABELS if label.instances]
        groups = [x.name for x in objects if x.scored] + [x.category for x in objects]
        self._found = dict.fromkeys(groups, 0.0)
        self._missed = dict.fromkeys(groups, 0.0)

    def update(
        self, predicted_hw: Integers, truth_hw: Integers, instances_hw: Integers | None = None
    ) -> None:
        """Count one image, all (H, W): label ids 0..33 (a truth of 255 counts nowhere).

        instances_hw: instance ids; needed unless the instance scores are left out. Nothing is
        counted when an error is raised: DataError for a truth or an instance of no label,
        ValueError for a prediction that is none and for differing shapes.
        """
        one, weighed = ConfusionMatrix(len(LABELS)), list[Weighed]()
        one.update(truth_hw, predicted_hw)
        if self.without_instances is None:
            if instances_hw is None or instances_hw.shape != truth_hw.shape:
                shape = None if instances_hw is None else instances_hw.shape
                raise ValueError(
                    f"instances are {shape}, truth is {truth_hw.shape}, expected one shape"
                )
            weighed += _weigh(predicted_hw, instances_hw)
        self.confusion.add(one)
        for group, found, missed in weighed:
            self._found[group] += found
            self._missed[group] += missed

    def to_json(self) -> dict[str, Any]:
        """What that package's result file holds, by its keys; None for its NaN.

        Where they are left out, `instanceScoresLeftOut` says why in the place of the scores.
        """
        counts = self.confusion.counts
        pixels = counts.sum(axis=1) / max(1, int(counts.sum()))
        names = [label.name for label in LABELS]
        classes = {name: self._score([index]) for index, name in enumerate(names)}
        categories = {name: self._score(ids) for name, ids in _IDS_OF.items()}
        scores = {
            "confMatrix": counts.tolist(),
            "labels": {name: index for index, name in enumerate(names)},
            "priors": dict(zip(names, pixels.tolist(), strict=True)),
            "classScores": _known(classes),
            "categoryScores": _known(categories),
            "averageScoreClasses": _average(classes),
            "averageScoreCategories": _average(categories),
        }
        if self.without_instances is not None:
            return {**scores, "instanceScoresLeftOut": self.without_instances}
        classes = {name: self._instance_score(name, [i]) for i, name in enumerate(names)}
        categories = {name: self._instance_score(name, ids) for name, ids in _IDS_OF.items()}
        return {
            **scores,
            "classInstScores": _known(classes),
            "categoryInstScores": _known(categories),
            "averageScoreInstClasses": _average(classes),
            "averageScoreInstCategories": _average(categories),
        }

    def _score(self, ids: list[int]) -> float:
        """IoU of the scored ones of these labels, taken as one."""
        scored = [index for index in ids if index in SCORED_IDS]
        found = int(self.confusion.counts[np.ix_(scored, scored)].sum())
        missed = int(self.confusion.counts[scored].sum()) - found
        return _iou(found, self._wrong(scored), missed) if scored else math.nan

    def _instance_score(self, name: str, ids: list[int]) -> float:
        """As `_score`, objects weighed by their size."""
        if name not in self._found:
            return math.nan
        return _iou(self._found[name], self._wrong(ids), self._missed[name])

    def _wrong(self, ids: list[int]) -> int:
        """Pixels predicted as one of these labels that are of another one, which is scored."""
        others = [index for index in SCORED_IDS if index not in ids]
        return int(self.confusion.counts[np.ix_(others, ids)].sum())


def _weigh(predicted_hw: Integers, instances_hw: Integers) -> Iterator[Weighed]:
    """Each object's pixels found and missed, weighted: by its class, then by its category."""
    is_object = instances_hw > _GROUPS
    instances, predicted = instances_hw[is_object], predicted_hw[is_object]
    sizes = np.bincount(instances)
    present = np.flatnonzero(sizes)
    row = np.zeros(sizes.size, dtype=np.intp)
    row[present] = np.arange(present.size) * 256
    # How often each object was predicted as each label.
    seen = np.bincount(row[instances] + predicted, minlength=present.size * 256).reshape(-1, 256)
    for instance, labels in zip(present.tolist(), seen, strict=True):
        label_id = instance // _GROUPS
        label = _label_of(instance)
        if label.mean_pixels is None:
            continue
        size = int(sizes[instance])
        weight = label.mean_pixels / float(size)
        found = int(labels[label_id])
        yield label.name, found * weight, (size - found) * weight
        found = int(labels[np.equal(_CATEGORY, _CATEGORY[label_id])].sum())
        yield label.category, found * weight, (size - found) * weight


def _label_of(instance: int) -> CityscapesLabel:
    """The label of an object, by its instance id. Raises DataError where there is none."""
    label_id = instance // _GROUPS
    if label_id >= len(LABELS):
        raise DataError(
            f"the instance ids hold {instance}, expected 1000 * label id + number with label ids "
            f"0..{len(LABELS) - 1}; use the files of the download"
        )
    label = LABELS[label_id]
    if label.scored and not label.instances:
        raise DataError(
            f"the instance ids hold {instance}, an object of the class '{label.name}', whose "
            "objects Cityscapes does not tell apart; use the files of the download"
        )
    return label


def _iou(found: float, wrong: int, missed: float) -> float:
    union = found + wrong + missed
    return found / union if union else math.nan


def _average(scores: Mapping[str, float]) -> float | None:
    """The mean of those that exist, added up in their order as that package does."""
    known = [score for score in scores.values() if not math.isnan(score)]
    total = 0.0
    for score in known:  # not by `sum`, which rounds otherwise from Python 3.12 on
        total += score
    return total / len(known) if known else None


def _known(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(score) else score for name, score in scores.items()}
