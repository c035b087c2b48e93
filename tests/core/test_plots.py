"""Figures: the same bytes each time, axes that say what they show, and text that fits its page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from briskseg.core import plots
from briskseg.core.errors import BriskError

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("suffix", plots.FIGURE_SUFFIXES)
def test_a_figure_gives_the_same_bytes(tmp_path: Path, suffix: str, monkeypatch) -> None:
    written = []
    for second in ("1000000000", "1500000000"):  # what matplotlib takes for the date
        monkeypatch.setenv("SOURCE_DATE_EPOCH", second)
        with plots.new_figure(4, 3) as figure:
            figure.subplots().plot([1, 2])
            plots.save_figure(figure, tmp_path / f"a{suffix}")
        written.append((tmp_path / f"a{suffix}").read_bytes())
    assert written[0] == written[1]
    with pytest.raises(BriskError, match=r"cannot be written: No such file or directory"):
        plots.save_figure(figure, tmp_path / "none" / f"a{suffix}")


def test_an_svg_of_a_page_has_its_text_color_and_no_background() -> None:
    with plots.new_figure(4, 3) as figure:
        axes = figure.subplots()
        plots.draw_line(axes, np.arange(3.0), np.arange(3.0), plots.BLUE, "the <line>")
        plots.legend_above(axes, 1)
        svg = plots.inline_svg(figure)
    assert svg.startswith("<svg")
    assert "the &lt;line&gt;</text>" in svg
    colors = set(re.findall(r"#[0-9a-f]{6}\b", svg.replace(plots.BLUE, "")))
    assert colors == set()
    assert "currentColor" in svg


def test_logarithms_of_shares_are_ticked_in_percent() -> None:
    with plots.new_figure(4, 3) as figure:
        axes = figure.subplots()
        plots.log_percent_axis(axes, -4.5, 0.1)
        ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"]
    assert axes.get_xticks().tolist() == [-4, -3, -2, -1, 0]


def test_rows_are_named_from_the_top_with_the_colors_of_their_classes() -> None:
    with plots.new_figure(4, 3) as figure:
        axes = figure.subplots()
        plots.name_rows(axes, ["road", "car"], [(255, 0, 0), (0, 0, 255)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["road", "car"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    (chips,) = axes.collections
    assert chips.get_facecolor().tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]


def test_no_number_and_no_name_is_set_as_mathematics() -> None:
    with plots.new_figure(4, 3) as figure:
        few, many = figure.subplots(1, 2)
        few.plot([3, 40], [1e-3, 2.5e-3], label=r"$\q$")
        few.set_xscale("log")
        plots.plain_log_numbers(few.xaxis)
        many.plot([1, 2], [1e-7, 2e-7])
        plots.legend_above(few, 1)
        svg = plots.inline_svg(figure)
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {text for text in texts if "$" in text} == {r"$\q$"}
    assert {"10", "20", "1e−7"} <= set(texts)  # noqa: RUF001, matplotlib's minus
