"""OpenVINO, NNCF and ONNX Runtime report that they are used, to a server. Not here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from briskseg.core.process_settings import environment_variable

_REPORTS = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Packages that are imported within report nothing: `openvino_telemetry` is not installed
    there, and ONNX Runtime reads on loading that it shall not (from 1.29 on it keeps a number of
    the user in ~/.cache/Microsoft otherwise). What was imported before is as the program set it.
    """
    modules: dict[str, Any] = sys.modules
    before: ModuleType | None = modules.get(_REPORTS)
    modules[_REPORTS] = None  # what makes `import` raise ImportError
    try:
        with environment_variable("ORT_DISABLE_TELEMETRY", "1"):
            yield
    finally:
        if before is None:
            del modules[_REPORTS]
        else:
            modules[_REPORTS] = before
