"""What `import briskseg` offers, as a program uses it: names, and the way from data to labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import briskseg


def test_the_public_names() -> None:
    assert briskseg.__all__ == [
        "Predictor",
        "create_model",
        "decode_labels",
        "list_models",
        "load",
        "load_published",
        "open_dataset",
    ]
    assert set(briskseg.__all__) <= set(dir(briskseg))
    for name in briskseg.__all__:
        assert callable(getattr(briskseg, name))
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        _ = briskseg.train


def test_from_a_data_set_to_labels(small_data: Path, weights_file: Path) -> None:
    pair = briskseg.open_dataset(small_data).pairs("val")[0]
    image, truth = briskseg.open_dataset(small_data).read(pair)
    predictor = briskseg.load(weights_file, backend="torch", threads=1)
    assert predictor.ran._asdict() == {
        "file": str(weights_file),
        "backend": "torch",
        "precision": "float32",
    }
    labels = predictor(image)
    assert (labels.shape, labels.dtype) == (truth.shape, np.uint8)
    assert labels.max() < len(predictor.card.labels.names)
    logits = predictor.logits(image)
    np.testing.assert_array_equal(briskseg.decode_labels(logits, truth.shape), labels)
