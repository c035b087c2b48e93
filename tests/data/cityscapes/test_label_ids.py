"""The table of Cityscapes' labels is that of its own package; ids and train ids come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from briskseg.core.errors import UnknownLabelError
from briskseg.core.labels import CITYSCAPES_LABEL_IDS
from briskseg.core.labels.cityscapes_table import LABELS, SCORED_IDS, to_label_ids


def test_the_table_is_the_packages() -> None:
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    theirs = [label for label in labels if label.id >= 0]
    assert [label.id for label in theirs] == list(range(len(LABELS)))
    for ours, label in zip(LABELS, theirs, strict=True):
        assert (ours.name, ours.category) == (label.name, label.category)
        assert (ours.scored, ours.instances) == (not label.ignoreInEval, label.hasInstances)
        if ours.scored:
            assert ours.color == label.color
            assert SCORED_IDS[label.trainId] == label.id


def test_the_mean_sizes_are_the_packages() -> None:
    module = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", exc_type=ImportError
    )
    for label in LABELS:
        expected = module.args.avgClassSize.get(label.name) if label.scored else None
        assert label.mean_pixels == expected


def test_train_ids_and_back() -> None:
    labels = np.uint8([[*range(19), 255]])
    ids = to_label_ids(labels)
    assert ids.tolist() == [[*SCORED_IDS, 0]]
    file = Path("a_labelIds.png")
    np.testing.assert_array_equal(CITYSCAPES_LABEL_IDS.decode(ids, file), labels)
    every = np.uint8([[*range(34), 255]])
    back = to_label_ids(CITYSCAPES_LABEL_IDS.decode(every, file))
    np.testing.assert_array_equal(back, np.where(np.isin(every, SCORED_IDS), every, 0))


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the labels hold 19, expected train ids 0\.\.18 or 255"):
        to_label_ids(np.uint8([[0, 19]]))
    with pytest.raises(UnknownLabelError, match=r"a\.png: value 34 \(1 pixel\) of no class; "):
        CITYSCAPES_LABEL_IDS.decode(np.uint8([[255, 34]]), Path("a.png"))
