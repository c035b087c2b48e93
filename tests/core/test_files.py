"""Files are written whole, and never through a link."""

from __future__ import annotations

import os
from pathlib import Path

from briskseg.core.files.atomic import write_whole


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """Neither the file's own name nor that of the unfinished one leads out of the folder."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.html").symlink_to(secret)
    (folder / f".report.html.{os.getpid()}.part").symlink_to(secret)
    write_whole(folder / "report.html", "page")
    assert secret.read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert (folder / "report.html").read_text() == "page"
    assert not (folder / "report.html").is_symlink()
