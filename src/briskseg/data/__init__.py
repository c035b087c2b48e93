"""Find the image and label pairs of a data set, decode them, check them, and vary them."""

from __future__ import annotations

from briskseg.data.dataset import Dataset, Pair
from briskseg.data.kinds import DATASET_KINDS, open_dataset

__all__ = ["DATASET_KINDS", "Dataset", "Pair", "open_dataset"]
