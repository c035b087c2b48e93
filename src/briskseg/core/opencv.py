"""OpenCV's own words, silenced where ours take their place."""

from __future__ import annotations

from contextlib import AbstractContextManager

import cv2

from briskseg.core.process_settings import ProcessSetting

_LEVEL = ProcessSetting(
    lambda: cv2.utils.logging.getLogLevel(), lambda level: cv2.utils.logging.setLogLevel(level)
)


def silenced() -> AbstractContextManager[None]:
    """Within, OpenCV writes no warning to standard error, in any thread."""
    return _LEVEL.changed(cv2.utils.logging.LOG_LEVEL_SILENT)
