"""What a data set's predictions are scored with: the confusion matrix of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from briskseg.core.errors import DataError
from briskseg.core.images import resize_labels, whole_size
from briskseg.core.metrics.confusion import ConfusionMatrix
from briskseg.core.types import Image, Labels

if TYPE_CHECKING:
    from briskseg.data.dataset import Dataset, Pair


class Sample(NamedTuple):
    """A pair, read, with its labels at the size at which they are scored.

    extra: what else a benchmark's own scorer needs of the pair.
    """

    pair: Pair
    image_hwc: Image
    labels_hw: Labels
    extra: Any = None


class Scorer:
    """Reads pairs and counts what was predicted on them.

    A benchmark with scores of its own overrides `read` and `count`, and gives them in `benchmark`.
    `confusion`: the pixels of all images counted so far, by (truth, prediction).

    Raises RequestError for a label size that is none.
    """

    def __init__(
        self, dataset: Dataset, pairs: Sequence[Pair], label_size: tuple[int, int] | None = None
    ) -> None:
        self.dataset, self.pairs = dataset, pairs
        self.label_size = None if label_size is None else whole_size(label_size)
        self.confusion = ConfusionMatrix(len(dataset.names))

    def read(self, pair: Pair) -> Sample:
        """Decode a pair, in any thread. Raises DataError naming a damaged file."""
        image_hwc, labels_hw = self.dataset.read(pair)
        if self.label_size is not None:
            labels_hw = resize_labels(labels_hw, self.label_size)
        return Sample(pair, image_hwc, labels_hw)

    def count(self, sample: Sample, predicted_hw: Labels) -> ConfusionMatrix:
        """Count one image, predicted at the size of its labels; return the image's own matrix.

        Raises DataError naming the label file where it holds what cannot be scored.
        """
        one = ConfusionMatrix(self.confusion.classes)
        try:
            one.update(sample.labels_hw, predicted_hw)
        except DataError as error:
            raise DataError(f"{sample.pair.labels_at}: {error}") from None
        self.confusion.add(one)
        return one

    def benchmark(self) -> dict[str, Any]:
        """The benchmark's own scores for JSON, under its name; empty where there is none."""
        return {}
