"""Real-time semantic segmentation: from a folder of labeled images to a mask at camera rate.

The public names are imported on first use, so `import briskseg` itself loads neither torch nor
OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from briskseg.core.errors import BriskError
    from briskseg.data import open_dataset
    from briskseg.evaluation.accuracy import evaluate
    from briskseg.models import create_model, list_models, load_published, save
    from briskseg.runtime.decode import decode_labels
    from briskseg.runtime.load import load
    from briskseg.runtime.predictor import Predictor

__version__ = "0.1.0"

__all__ = [
    "BriskError",
    "Predictor",
    "create_model",
    "decode_labels",
    "evaluate",
    "list_models",
    "load",
    "load_published",
    "open_dataset",
    "save",
]

_HOMES = {
    "BriskError": "briskseg.core.errors",
    "Predictor": "briskseg.runtime.predictor",
    "create_model": "briskseg.models",
    "decode_labels": "briskseg.runtime.decode",
    "evaluate": "briskseg.evaluation.accuracy",
    "list_models": "briskseg.models",
    "load": "briskseg.runtime.load",
    "load_published": "briskseg.models",
    "open_dataset": "briskseg.data",
    "save": "briskseg.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'briskseg' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
