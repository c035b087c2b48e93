"""briskseg models: the networks there are."""

from __future__ import annotations

import json

from briskseg import list_models
from briskseg.core.card import load_weights, save_weights


def test_every_model_has_a_row_with_its_size(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    status, table, _ = command("models")
    assert status == 0
    rows = [line.split() for line in table.split("\n\n")[0].splitlines()]
    assert [row[0] for row in rows[1:]] == list_models()
    assert rows[1][-4:] == ["2018", "2.07", "M", "53.2"]


def test_the_names_of_shipped_files_are_whole(command, monkeypatch, weights_file, tmp_path):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    names = [f"fast-scnn-camvid11{end}" for end in (".onnx", "-int8.xml", ".safetensors")]
    for name in names:
        (shipped / name).write_bytes(weights_file.read_bytes())
    monkeypatch.setattr("briskseg.runtime.model_files.weights_folder", lambda: shipped)
    for columns in ("40", "80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        status, text, _ = command("models")
        assert status == 0
        assert set(names) <= set(text.split())
        assert max(len(line) for line in text.splitlines()) <= 100


def test_weights_that_saw_val_say_so(command, monkeypatch, weights_file, tmp_path):
    tensors, card = load_weights(weights_file)
    scores = {"val_miou_before": 0.4321}
    save_weights(tmp_path / "x.safetensors", tensors, card.model_copy(update={"scores": scores}))
    monkeypatch.setattr("briskseg.runtime.model_files.weights_folder", lambda: tmp_path)
    _, text, _ = command("models")
    assert "43.21 % *" in text
    assert text.endswith("* before they were trained on val too\n")
    shipped = json.loads(command("models", "--json", "-")[1])["shipped"]["x"]
    assert (shipped["val_miou"], shipped["val_miou_before"]) == (None, 0.4321)


def test_json_goes_to_standard_output_or_a_file(command, tmp_path):
    _, text, _ = command("models", "--json", "-")
    assert json.loads(text)["networks"]["erfnet"]["parameters"] == 2_066_642
    status, table, _ = command("models", "--json", tmp_path / "models.json")
    assert (status, table) == (0, command("models")[1])
    assert json.loads((tmp_path / "models.json").read_text()) == json.loads(text)


def test_a_json_file_in_no_folder_is_a_wrong_request(command, tmp_path):
    file = tmp_path / "none" / "models.json"
    told = f"briskseg: --json {file}: the folder {file.parent} is not there; make it\n"
    assert command("models", "--json", file) == (2, "", told)


def test_a_json_file_that_is_a_folder_is_refused_before_the_work(command, tmp_path):
    told = f"briskseg: --json {tmp_path} is a folder; name a file, as {tmp_path / 'result.json'}\n"
    assert command("models", "--json", tmp_path) == (2, "", told)
