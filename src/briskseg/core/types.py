"""What has one name everywhere: kinds of arrays, a color, and a callback for progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Labels = npt.NDArray[np.uint8]  # (H, W) class indices, 255 ignored
Logits = npt.NDArray[np.float32]  # (C, H, W)
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer[Any]]
Array = npt.NDArray[Any]
RGB = tuple[int, int, int]  # 0..255
Progress = Callable[[int, int], None]  # (done, total), after each
