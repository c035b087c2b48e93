"""OpenVINO and NNCF report that they are used, to a server, when they are imported. Not here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_REPORTS = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Within it `openvino_telemetry` is not installed, so packages imported there report nothing.

    One that the program has imported before is as the program set it.
    """
    modules: dict[str, Any] = sys.modules
    before: ModuleType | None = modules.get(_REPORTS)
    modules[_REPORTS] = None  # what makes `import` raise ImportError
    try:
        yield
    finally:
        if before is None:
            del modules[_REPORTS]
        else:
            modules[_REPORTS] = before
