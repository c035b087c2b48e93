"""events.*: the rows of metrics.csv for TensorBoard, a file a session.

Written by us and not by tensorboard's own writer, which writes in a thread of its own: there a full
disk is a traceback, and a killed run loses two minutes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from lightning.pytorch.loggers import Logger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from briskseg.core.files.atomic import named, sync


class Events(Logger):
    """The file begins with the first row. TensorBoard leaves out the rows of earlier sessions after
    the step that this one goes on from.

    Args:
        run: the run folder.
        since: the step that this session goes on from, None where it begins the run.
    """

    name = version = None

    def __init__(self, run: Path, since: int | None) -> None:
        super().__init__()
        stem = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self.path, self.since = run / f"{stem}.0", since
        self._file: BinaryIO | None = None

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Those are in recipe.yaml."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = [Summary.Value(tag=name, simple_value=v) for name, v in metrics.items()]
        if self._file is None:
            self._file = self.path.open("ab")
            self._write(file_version="brain.Event:2")
            if self.since is not None:
                begun = SessionLog(status=SessionLog.START)
                self._write(step=self.since + 1, session_log=begun)
        self._write(step=step, summary=Summary(value=values))

    def _write(self, **what: Any) -> None:
        assert self._file is not None
        with named(self.path):
            record = Event(wall_time=time.time(), **what).SerializeToString()
            RecordWriter(self._file).write(record)
            self._file.flush()

    def save(self) -> None:
        """Have the disk hold every row."""
        if self._file is not None:
            with named(self.path):
                sync(self.path)

    def finalize(self, status: str) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):  # what could not be written has been told
                file.close()
