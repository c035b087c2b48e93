"""Files are written whole, never through a link, and figures the same bytes each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from briskseg.core.errors import BriskError
from briskseg.core.files.atomic import write_whole
from briskseg.core.plots import new_figure, save_figure


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


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_gives_the_same_bytes(tmp_path: Path, suffix: str, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    written = []
    for second in ("1000000000", "1500000000"):  # what matplotlib takes for the date
        monkeypatch.setenv("SOURCE_DATE_EPOCH", second)
        with new_figure(4, 3) as figure:
            figure.subplots().plot([1, 2])
            save_figure(figure, tmp_path / f"a{suffix}")
        written.append((tmp_path / f"a{suffix}").read_bytes())
    assert written[0] == written[1]
    with pytest.raises(BriskError, match=r"cannot be written: No such file or directory"):
        save_figure(figure, tmp_path / "none" / f"a{suffix}")
