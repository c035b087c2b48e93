"""`briskseg report`: the page, read as a browser would read it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from briskseg.core.card import load_weights, save_weights
from briskseg.core.errors import DataError, MissingExtraError, RequestError
from briskseg.core.images import write_png
from briskseg.core.plots import INK
from briskseg.runs.report.page import write_report

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Text, pictures and tags of a page; every tag must be closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[tuple[str, bytes]] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        for name in ("src", "href", "xlink:href", "data", "action"):
            if values.get(name):
                self.addresses.append(str(values[name]))
        if tag == "img":
            kind, _, data = str(values["src"]).removeprefix("data:").partition(";base64,")
            self.pictures.append((kind, base64.b64decode(data, validate=True)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_command_writes_a_page_that_needs_nothing_else(command, run_folder: Path) -> None:
    done = command("report", run_folder)
    assert (done.status, done.out, done.err) == (0, f"{run_folder / 'report.html'}\n", "")
    page = Page(run_folder / "report.html")
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "@import" not in (run_folder / "report.html").read_text()
    assert "url(http" not in (run_folder / "report.html").read_text()


def test_scores_names_and_recipe_are_there_and_escaped(run_folder: Path) -> None:
    page = Page(write_report(run_folder))
    for text in (
        "fir<st>",
        "43.2 % mIoU",
        "80.0 % pixel accuracy",
        "<b>road</b> 61.4 % accuracy 75.0 % sky & cloud 25.0 %",
        "car - accuracy -",
        "a_5.x: mIoU 50.0 %",
        "a_0.x: mIoU 0.0 %",
        "240 images seen, 1 min 55 s of training, 16.0 images/s (median)",
        "note: '<script>alert(1)</script>'",
        "fast_scnn, 3 classes, recipe first, data folder; the best weights are those of epoch 2",
        "left out of the mean",
    ):
        assert text in page.text
    assert "not finished" not in page.text
    assert {"b", "script"} & set(page.tags) == {"b"}
    assert page.tags.count("b") == 4  # the headline's own


def test_curves_are_drawn_in_the_color_of_the_text(run_folder: Path) -> None:
    page = Page(write_report(run_folder))
    assert page.tags.count("svg") == 3
    for title in ("Loss", "Validation scores", "Learning rate", "pixel accuracy", "epoch"):
        assert title in page.text
    text = (run_folder / "report.html").read_text()
    assert "currentColor" in text
    assert INK not in text


def test_the_confusion_matrix_is_normalized_by_row(run_folder: Path) -> None:
    text = write_report(run_folder).read_text()
    assert "sky &amp; cloud seen as &lt;b&gt;road&lt;/b&gt;: 50.00 % (5 pixels)" in text
    assert "&lt;b&gt;road&lt;/b&gt; seen as &lt;b&gt;road&lt;/b&gt;: 75.00 % (75 pixels)" in text
    assert "car seen as car: 0.00 % (0 pixels)" in text


def film(run_folder: Path) -> Image.Image:
    page = Page(write_report(run_folder))
    (data,) = [data for kind, data in page.pictures if kind == "image/webp"]
    return Image.open(io.BytesIO(data))


def test_the_film_shows_every_epoch_with_exact_masks(run_folder: Path, made_up) -> None:
    gap, wide, high = 4, 200, 30
    with film(run_folder) as gif:
        assert gif.n_frames == made_up.epochs
        seen = set()
        for frame in range(gif.n_frames):
            gif.seek(frame)
            shown = np.asarray(gif.convert("RGB"))
            seen.add(shown[3 * (gap + high) :].tobytes())  # the epoch, written in
            for place in range(2):
                left, top = gap + place * (gap + wide), gap + high + gap
                tile = shown[top : top + high, left : left + wide]
                truth = np.full((high, wide), place, np.uint8)
                np.testing.assert_array_equal(tile, made_up.labels.colorize(truth))
                top += high + gap
                tile = shown[top : top + high, left : left + wide]
                predicted = made_up.prediction(frame + 1, place)
                np.testing.assert_array_equal(tile, made_up.labels.colorize(predicted))
        assert len(seen) == made_up.epochs


def test_a_long_film_keeps_its_first_and_last_epoch(run_folder: Path, made_up) -> None:
    for epoch in range(made_up.epochs + 1, 101):
        for place in range(2):
            shot = run_folder / f"film/epoch-{epoch:04d}-{place}.png"
            labels = made_up.prediction(epoch, place)
            write_png(shot, labels, palette=made_up.labels.palette)
    with film(run_folder) as gif:
        assert 20 < gif.n_frames < 60
        gif.seek(gif.n_frames - 1)
        shown = np.asarray(gif.convert("RGB"))[72:102, 4:204]
        expected = made_up.labels.colorize(made_up.prediction(100, 0))
        np.testing.assert_array_equal(shown, expected)


def test_examples_are_pictures_of_image_truth_and_prediction(run_folder: Path) -> None:
    page = Page(write_report(run_folder))
    kinds = [kind for kind, _ in page.pictures if kind != "image/webp"]
    assert kinds == ["image/jpeg", "image/png", "image/png"] * 4
    with Image.open(io.BytesIO(page.pictures[2][1])) as truth:
        assert truth.convert("RGB").getpixel((0, 0)) == (70, 130, 180)


def test_a_run_that_trained_on_val_is_finished_without_scores(run_folder: Path) -> None:
    (run_folder / "scores.json").unlink()
    shutil.rmtree(run_folder / "examples")
    tensors, card = load_weights(run_folder / "model.safetensors")
    training = {**card.training, "train_splits": ["train", "val"]}
    for scores, headline in (({}, ""), ({"val_miou_before": 0.626}, "62.6 % mIoU on val before")):
        changed = card.model_copy(update={"training": training, "scores": scores})
        save_weights(run_folder / "model.safetensors", tensors, changed)
        page = Page(write_report(run_folder))
        assert "; the weights are those of epoch 2; val was trained on, so nothing is" in page.text
        assert headline in page.text
        assert ("mIoU on val" in page.text) == bool(headline)
        assert "best mIoU so far" not in page.text
        assert "not finished" not in page.text


def test_an_unfinished_run_gets_a_page_that_says_what_is_missing(run_folder: Path) -> None:
    for name in ("scores.json", "model.safetensors"):
        (run_folder / name).unlink()
    shutil.rmtree(run_folder / "film")
    shutil.rmtree(run_folder / "examples")
    rows = (run_folder / "metrics.csv").read_text()
    (run_folder / "metrics.csv").write_text(rows[:-20])  # its last row is being written
    page = Page(write_report(run_folder))
    assert "This run is not finished" in page.text
    missing = page.text.split("Not there: ")[1].split(". ")[0]
    for name in ("model.safetensors", "scores.json", "film/", "examples/"):
        assert name in missing
    assert "recipe.yaml" not in missing
    assert "30.0 % best mIoU so far" in page.text
    assert ">2<" in (run_folder / "report.html").read_text()  # epochs, though the last is cut off
    (run_folder / "metrics.csv").unlink()
    assert "metrics.csv (curves)" in Page(write_report(run_folder)).text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.json", '{"miou": 1}', "scores.json: pixel_accuracy: Field required"),
        ("scores.json", "{", "scores.json: the whole: Invalid JSON"),
        ("metrics.csv", "step,loss\n1,2\n3,many\n", "metrics.csv, line 3: a cell is no number"),
        ("metrics.csv", "step,loss\n1,2,3\n", "metrics.csv, line 2: a cell is no number"),
        ("film/image-0.png", "no picture", "image-0.png: cannot be read as a picture"),
        ("examples/best-0-a_5.x.truth.png", "", "best-0-a_5.x.truth.png: the file is empty"),
    ],
)
def test_a_damaged_file_is_named(
    command, run_folder: Path, name: str, content: str, message: str
) -> None:
    (run_folder / name).write_text(content)
    done = command("report", run_folder)
    assert (done.status, done.out) == (1, "")
    assert message in done.err
    assert not (run_folder / "report.html").exists()


def test_a_confusion_matrix_of_another_size_is_named(run_folder: Path) -> None:
    scores = json.loads((run_folder / "scores.json").read_text())
    scores["confusion"][0] = [1]
    (run_folder / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(DataError, match="does not have 3 rows and columns, one a class"):
        write_report(run_folder)


def test_of_several_stages_the_headline_is_of_the_weights(run_folder: Path) -> None:
    """The first stage scores another head, here higher than the second."""
    (run_folder / "scores.json").unlink()
    rows = (run_folder / "metrics.csv").read_text()
    (run_folder / "metrics.csv").write_text(rows.replace(",0.2,0.5", ",0.9,0.5"))
    assert "30.0 % best mIoU so far" in Page(write_report(run_folder)).text


def test_an_encoders_run_is_finished_without_pictures(run_folder: Path) -> None:
    for name in ("scores.json", "model.safetensors"):
        (run_folder / name).unlink()
    for name in ("film", "examples"):
        shutil.rmtree(run_folder / name)
    rows = (run_folder / "metrics.csv").read_text()
    rows = rows.replace("val_miou,val_pixel_accuracy", "val_top1,val_top5")
    (run_folder / "metrics.csv").write_text(rows)
    (run_folder / "encoder.json").write_text("{}")
    page = Page(write_report(run_folder))
    assert "not finished" not in page.text
    assert "best top-1 accuracy" in page.text
    assert "top-5 accuracy" in page.text


def test_a_folder_of_several_seeds_names_them(run_folder: Path, tmp_path: Path) -> None:
    run_folder.rename(tmp_path / "seed-0")
    with pytest.raises(RequestError, match=r"several seeds \(seed-0\); name one of them"):
        write_report(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is no run folder: it holds none of"):
        write_report(tmp_path)
    with pytest.raises(RequestError, match=r"is not there or is no folder, expected a run"):
        write_report(tmp_path / "none")


def test_without_matplotlib_one_sentence_says_what_to_install(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'briskseg\[report\]'"):
        write_report(run_folder)
