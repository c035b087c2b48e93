"""Real-time semantic segmentation: from a folder of labeled images to a mask at camera rate.

The public names are imported on first use, so `import briskseg` itself loads neither torch nor
OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from briskseg.models import create_model, list_models, load_published
    from briskseg.runtime.predictor import Predictor, load

__version__ = "0.1.0"

__all__ = ["Predictor", "create_model", "list_models", "load", "load_published"]

_HOMES = {
    "Predictor": "briskseg.runtime.predictor",
    "create_model": "briskseg.models",
    "list_models": "briskseg.models",
    "load": "briskseg.runtime.predictor",
    "load_published": "briskseg.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'briskseg' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
