"""Data sets: open one, check it, count its classes, draw one.

dataset = open_dataset("DIR")
dataset.names; dataset.splits; pair = dataset.pairs("val")[0]
dataset.read_image(pair); dataset.read_labels(pair)
"""

from __future__ import annotations

from briskseg.data.dataset import Dataset, MaskDataset, Pair
from briskseg.data.formats import FORMATS, open_dataset

__all__ = ["FORMATS", "Dataset", "MaskDataset", "Pair", "open_dataset"]
