"""briskseg export --to web: the command, and what is said when something is wrong."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest
from tests.web.conftest import MODEL

from briskseg.core.card import load_weights, save_weights
from briskseg.export import web_runtime

ONNX = Path(web_runtime.__file__).parents[1] / "weights" / f"{MODEL}.onnx"


def test_a_page_is_one_small_file_and_says_its_size(command, tmp_path):
    done = command("export", MODEL, "--to", "web", "--out", tmp_path / "new" / "page")
    assert done.status == 0, done.err
    (file,) = (tmp_path / "new" / "page").iterdir()
    assert file.name == "index.html"
    assert f"wrote    {file}, a page of {file.stat().st_size / 1e6:.1f} MB" in done.out
    assert file.stat().st_size < 9_000_000
    assert "large" not in done.out


def test_a_large_page_is_written_and_said_to_be_large(command, tmp_path):
    done = command("export", "erfnet-camvid11", "--to", "web", "--out", tmp_path, "--json", "-")
    written = json.loads(done.out)
    assert written["file"] == str(tmp_path / "index.html")
    assert written["bytes"] == (tmp_path / "index.html").stat().st_size > 9_000_000
    done = command("export", "erfnet-camvid11", "--to", "web", "--out", tmp_path / "again")
    assert "large: over 9 MB" in done.out


def test_a_page_of_weights_is_checked_beside_the_network(command, weights_file, tmp_path):
    pytest.importorskip("onnxscript")
    done = command("export", weights_file, "--to", "web", "--out", tmp_path / "page")
    assert done.status == 0, done.err
    assert "agrees   to " in done.out
    assert [file.name for file in (tmp_path / "page").iterdir()] == ["index.html"]
    assert [file.name for file in tmp_path.iterdir()] == ["page"]


def test_names_of_strangers_are_text(browser, weights_file, tmp_path, pictures):
    pytest.importorskip("onnxscript")
    from briskseg.export import export

    tensors, card = load_weights(weights_file)
    names = ("<img src=x onerror=alert(1)>", "</script><script>hacked=1</script>", "{{wasm}}&amp;")
    labels = card.labels.model_copy(update={"names": names})
    source = "<b onclick='hacked=1'>bold</b>--><script>hacked=1</script>"
    hostile = card.model_copy(update={"labels": labels, "source": source})
    save_weights(tmp_path / "hostile.safetensors", tensors, hostile)
    done = export(tmp_path / "hostile.safetensors", "web", tmp_path / "page")
    browser.open(done.file.as_uri())
    browser.wait_ready()
    browser.choose(pictures / "smaller.png")
    browser.wait_status("labeled in")
    shown = "[...document.querySelectorAll('#legend span')].map((x) => x.textContent)"
    assert browser.run(shown) == [*names]
    assert browser.run("typeof hacked") == "undefined"
    assert browser.run("document.querySelectorAll('img, b[onclick]').length") == 0
    assert browser.problems == []


class Addresses(HTMLParser):
    """What the page's tags point to."""

    found: list[str]

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.found += [named[key] for key in ("src", "href", "action") if key in named]


def test_the_page_points_nowhere_and_forbids_requests(page):
    text = (page / "index.html").read_text("utf-8")
    parser = Addresses()
    parser.found = []
    parser.feed(text)
    assert parser.found == ["data:,"]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|unsafe-inline|connect-src|\*", policy)


def test_wrong_requests_are_said_in_a_sentence(command, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text("mine")
    (tmp_path / "file").write_text("mine")

    def said(model: object, *options: object) -> str:
        done = command("export", model, "--to", "web", *options)
        assert done.status == 2
        return done.err

    assert "is there already" in said(MODEL, "--out", tmp_path / "there")
    assert (tmp_path / "there" / "index.html").read_text() == "mine"
    assert "expected a folder" in said(MODEL, "--out", tmp_path / "file")
    assert "expected a folder" in said(MODEL, "--out", tmp_path / "page.html")
    assert "exported already" in said(ONNX, "--size", "64x64", "--out", tmp_path / "x")
    assert "int8 files are OpenVINO and LiteRT files, found --to web" in said(
        MODEL, "--int8", "--data", "streets"
    )


def test_a_file_without_card_is_refused(command, tmp_path):
    model = onnx.load(ONNX)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    done = command("export", tmp_path / "bare.onnx", "--to", "web", "--out", tmp_path / "page")
    assert done.status == 1
    assert "bare.onnx has no card" in done.err
    assert not (tmp_path / "page").exists()


def test_without_the_runtime_the_way_to_it_is_said(command, tmp_path, monkeypatch):
    monkeypatch.setattr(web_runtime, "FOLDER", tmp_path / "nothing")
    done = command("export", MODEL, "--to", "web", "--out", tmp_path / "page")
    assert done.status == 2
    assert "python -m briskseg.export.web_runtime" in done.err
    assert not (tmp_path / "page").exists()


def test_a_runtime_of_other_bytes_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(web_runtime, "FOLDER", tmp_path)
    for name in web_runtime.SHA256:
        (tmp_path / name).write_bytes(b"not it")
    assert "is another file than that of onnxruntime-web 1.30.0" in web_runtime.fault()


def test_without_npm_fetching_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(web_runtime, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm" in web_runtime.fetch()
    assert [*tmp_path.iterdir()] == []
