"""Files from strangers, through the command: nothing is executed, nothing gets out, all is bounded.

Each promise of docs/security.md has its test here; tests/fuzz sends what nobody thought of.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from briskseg.core.card import CARD_KEY, Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.errors import DataError, RecipeError, RequestError, WeightsError
from briskseg.core.files.limits import max_pixels
from briskseg.core.files.safe_names import file_stem, printable
from briskseg.core.images import read_image, write_png
from briskseg.core.labels import LabelSet
from briskseg.core.labels.mask_files import read_mask
from briskseg.recipe import load_recipe

NAMES = ("sky", "road", "car")
COLORS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
CONTROL = "\x1b]0;owned\x07\x1b[2J"


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A gray PNG whose header states this size, whatever it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


# --- images


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_435, 9_435), (14_000, 12_000)])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_absurd_sizes_are_refused_by_the_header(tmp_path: Path, size, read) -> None:
    (tmp_path / "huge.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=r"huge\.png: .*more than the 89000000"):
        read(tmp_path / "huge.png")


def test_the_bound_is_an_environment_variable(tmp_path: Path, monkeypatch) -> None:
    write_png(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "599")
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"30x20 is 600 pixels, more than the 599.*BRISKSEG_MA"):
            read(tmp_path / "a.png")
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "600")
    assert read_image(tmp_path / "a.png").shape == (20, 30, 3)
    for wrong in ("", "0", "-5", "many", "1e6", "9" * 30, "٣"):
        monkeypatch.setenv("BRISKSEG_MAX_PIXELS", wrong)
        with pytest.raises(RequestError, match=r"BRISKSEG_MAX_PIXELS=.* is no number of pixels"):
            max_pixels()


def test_a_bound_above_pillows_own_counts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write_png(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "1000")
    assert read_mask(tmp_path / "a.png").pixels.shape == (20, 30)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "SGI", "TGA"])
def test_kinds_of_files_that_are_no_photos_are_not_opened(tmp_path: Path, kind: str) -> None:
    """Pillow would start Ghostscript for the first of them."""
    Image.new("RGB", (32, 32)).save(tmp_path / "a", format=kind)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"a: (cannot be read as|is a PDF)"):
            read(tmp_path / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes of that kind")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=r"a\.png: no regular file"):
            read(tmp_path / "a.png")


def test_a_decoder_that_sees_another_size_than_the_header_is_not_believed(
    tmp_path: Path, monkeypatch
) -> None:
    write_png(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((21, 30, 3), np.uint8))
    with pytest.raises(DataError, match="damaged"):
        read_image(tmp_path / "a.png")


# --- videos


def video(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def test_videos_are_bounded_too(command, weights_file: Path, tmp_path: Path, monkeypatch) -> None:
    path = video(tmp_path / "v.mp4")
    assert command("predict", weights_file, path, "--out", tmp_path / "out").status == 0
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "3000")
    done = command("predict", weights_file, path, "--out", tmp_path / "out")
    assert done.status == 1
    assert "64x48 is 3072 pixels, more than the 3000" in done.err


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile v.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_list_of_other_videos_is_no_video(
    command, weights_file: Path, tmp_path: Path, text: str
) -> None:
    video(tmp_path / "v.mp4")
    (tmp_path / "list.mp4").write_text(text)
    done = command("predict", weights_file, tmp_path / "list.mp4", "--out", tmp_path / "out")
    assert done.status == 1
    assert "list.mp4 cannot be read as a video" in done.err


# --- weights


class Attack:
    """Unpickled by a reader that executes what a file says, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_checkpoint_is_executed(
    command, small_data: Path, tmp_path: Path, zipped: bool
) -> None:
    torch = pytest.importorskip("torch")
    target, path = tmp_path / "executed", tmp_path / "evil.pth"
    content = {"state_dict": {"a": torch.ones(1)}, "hook": Attack(target)}
    recipe = tmp_path / "r.yaml"
    recipe.write_text("model: {name: erfnet}\ntraining: {epochs: 1, batch: 1}")
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for words in (
        ("convert", path, "--labels", "cityscapes"),
        ("train", recipe, "--data", small_data, "--set", f"model.encoder={path}"),
    ):
        done = command(*words, *(("--out", tmp_path / "run") if words[0] == "train" else ()))
        assert done.status == 1, done
        assert "only running code from the file could restore" in done.err
    assert not target.exists()
    pickle.loads(pickle.dumps(content["hook"]))
    assert target.exists()  # the attack works where it is let


def test_a_run_is_resumed_without_executing_its_checkpoint(
    command, small_data: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    target, recipe, run = tmp_path / "executed", tmp_path / "r.yaml", tmp_path / "run"
    recipe.write_text("model: {name: erfnet}\ntraining: {epochs: 1, batch: 1}")
    (run / "checkpoints").mkdir(parents=True)
    (run / "recipe.yaml").write_text(load_recipe(str(recipe)).to_yaml())
    content = {"place": {"epoch": 0, "batch": 0}, "hook": Attack(target)}
    torch.save(content, run / "checkpoints/last.ckpt")
    done = command("train", recipe, "--data", small_data, "--out", run, "--resume")
    assert done.status == 1
    assert "last.ckpt" in done.err
    assert "damaged" in done.err
    assert not target.exists()


def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from briskseg.models.weights.checkpoint import read_tensors

    good, bomb = tmp_path / "good.pth", tmp_path / "bomb.pth"
    torch.save({"a": torch.zeros(1 << 20)}, good)
    assert list(read_tensors(good)) == ["a"]
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert torch.load(bomb, weights_only=True)["a"].numel() == 1 << 20  # torch unpacks it
    with pytest.raises(
        WeightsError, match=r"bomb.pth is a compressed archive \(\d+ bytes unpacked"
    ):
        read_tensors(bomb)


def test_an_archive_that_claims_to_span_disks_is_said_to_be_damaged(tmp_path: Path) -> None:
    from briskseg.models.weights.checkpoint import read_tensors

    path = tmp_path / "disks.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"")
    whole = path.read_bytes()
    locator = b"PK\x06\x07" + (0).to_bytes(4, "little") + bytes(8) + (7).to_bytes(4, "little")
    path.write_bytes(whole[:-22] + locator + whole[-22:])
    with pytest.raises(zipfile.BadZipFile, match="span multiple disks"):
        zipfile.is_zipfile(path)  # the standard library raises where one would not think it
    with pytest.raises(WeightsError, match=r"disks.pth is damaged or no PyTorch checkpoint"):
        read_tensors(path)


def test_tensors_that_only_claim_their_size_are_not_filled(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from briskseg.models.weights.published import load_published

    path = tmp_path / "wide.pth"
    torch.save({"module.encoder.x": torch.zeros(1).expand(1 << 40)}, path)
    with pytest.raises(WeightsError):
        load_published(path)
    torch.save({"a": torch.eye(3).to_sparse()}, path)
    with pytest.raises(WeightsError, match="'a' is no plain tensor"):
        load_published(path)


def test_a_keras_files_members_are_bounded(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("h5py")
    from briskseg.export import keras_reader

    weights = tmp_path / "w.safetensors"
    save_weights(weights, {"a": np.zeros(1, np.float32)}, card())
    monkeypatch.setattr(keras_reader, "_MAX_CONFIG_BYTES", 1 << 16)
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(weights, keras_reader.BESIDE)
        archive.writestr("config.json", b"[" * (1 << 24))
    assert path.stat().st_size < 1 << 18
    with pytest.raises(WeightsError, match=r"'config.json' is larger than 65536 bytes unpacked"):
        keras_reader.read_keras(path)


@pytest.mark.parametrize("where", ["initializer", "attribute", "nested"])
def test_an_onnx_file_names_no_other_file(command, tmp_path: Path, where: str) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    from briskseg.core.exported import EXPORT_KEY

    secret = tmp_path / "secret"
    secret.write_bytes(b"mine" * 4)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.raw_data = np.zeros(4, np.float32).tobytes()
    inner = helper.make_node("Constant", [], ["w"], value=tensor)
    nested = helper.make_graph([inner], "inner", [], [])
    value = helper.make_tensor_value_info("labels", TensorProto.FLOAT, [4])
    nodes = {
        "initializer": helper.make_node("Identity", ["w"], ["labels"]),
        "attribute": helper.make_node("Constant", [], ["labels"], value=tensor),
        "nested": helper.make_node("If", ["x"], ["labels"], then_branch=nested),
    }
    constants = [tensor] if where == "initializer" else []
    model = helper.make_model(helper.make_graph([nodes[where]], "g", [], [value], constants))
    facts = {"factor": 1, "align_corners": False, "size": None, "precision": "float32"}
    for key, text in (
        (CARD_KEY, card().to_json()),
        (EXPORT_KEY, json.dumps({**facts, "weights": ""})),
    ):
        model.metadata_props.add(key=key, value=text)
    inside = model.SerializeToString()
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=1)
    outside.external_data.add(key="location", value="../secret")
    assert inside.count(tensor.SerializeToString()) == 1
    onnx.load_model_from_string(inside)
    tensor.CopyFrom(outside)
    graph = model.graph
    if where == "initializer":
        graph.initializer[0].CopyFrom(outside)
    elif where == "attribute":
        graph.node[0].attribute[0].t.CopyFrom(outside)
    else:
        graph.node[0].attribute[0].g.node[0].attribute[0].t.CopyFrom(outside)
    photo, path = tmp_path / "a.png", tmp_path / "m.onnx"
    write_png(photo, np.zeros((8, 8, 3), np.uint8))
    for content, refused in ((model.SerializeToString(), True), (inside, False)):
        path.write_bytes(content)
        done = command("predict", path, photo, "--out", tmp_path / "out")
        assert ("keeps numbers in other files" in done.err) == refused, done.err
        assert "defect" not in done.err


@pytest.mark.parametrize("size", [[65536, 65536], [1, 1 << 40]])
def test_an_exported_files_own_size_is_bounded(size: list[int]) -> None:
    from pydantic import ValidationError

    from briskseg.core.exported import Exported

    facts = {"factor": 1, "align_corners": False, "precision": "float32", "weights": ""}
    assert Exported(**facts, size=(1024, 2048)).size == (1024, 2048)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="expected at most 33554432 pixels"):
        Exported(**facts, size=size)  # type: ignore[arg-type]


def card(**changes: object) -> Card:
    return Card(
        network=NetworkCard(name="erfnet", classes=3),
        labels=LabelsCard(names=NAMES, colors=COLORS),
        **changes,  # type: ignore[arg-type]
    )


def hostile(path: Path, **changes: object) -> Path:
    """A weights file whose card has these parts."""
    whole = json.loads(card().to_json()) | changes
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(whole)}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": {"names": ["a" * 101, "b", "c"], "colors": COLORS}},
            "a class name of 101 char",
        ),
        (
            {"labels": {"names": ["a\x1b[2J", "b", "c"], "colors": COLORS}},
            r"'a\x1b[2J' has charact",
        ),
        ({"labels": {"names": ["a\nb", "b", "c"], "colors": COLORS}}, r"'a\nb' has characters"),
        ({"labels": {"names": ["a\u202eb", "b", "c"], "colors": COLORS}}, r"'a\u202eb' has char"),
        ({"labels": {"names": [1, 2, 3], "colors": COLORS}}, "labels.names.0"),
        ({"labels": {"names": NAMES, "colors": [[0, 0, 256]] * 3}}, "labels.colors.0.2"),
        ({"input": {"size": [65536, 65536]}}, "images of 65536x65536, expected at most 33554432"),
        ({"input": {"std": [float("nan")] * 3}}, "is not JSON"),
        ({"input": {"mean": [1e400, 0, 0]}}, "is not JSON"),
        ({"network": {"name": "erfnet", "classes": 10**30}}, "network.classes"),
        ({"network": {"name": "os.system", "classes": 3}}, "unknown model 'os.system'"),
        ({"network": {"name": "erfnet", "classes": 3, "options": {"x": 1}}}, "unknown option 'x'"),
        ({"network": {"name": "erfnet", "classes": 3, "options": {"dropout": "x"}}}, "dropout"),
        ({"network": {"name": "../../x:Evil", "classes": 3}}, "unknown model '../../x:Evil'"),
        ({"source": "\ud800"}, "is not JSON"),
        ({"unknown": 1}, "unknown: Extra inputs"),
        ({CONTROL: 1}, r"\x1b]0;owned\x07\x1b[2J: Extra inputs"),
    ],
)
def test_hostile_cards_are_one_sentence(
    command, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = hostile(tmp_path / "m.safetensors", **changes)
    photo = tmp_path / "a.png"
    write_png(photo, np.zeros((8, 8, 3), np.uint8))
    done = command("predict", path, photo, "--out", tmp_path / "out")
    assert (done.status, done.out) == (1, "")
    assert message in done.err
    assert "\x1b" not in done.err
    assert "defect" not in done.err


# --- recipes

LAUGHS = "\n".join(
    [
        "a: &a [x, x, x, x, x, x, x, x, x]",
        *(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "model: *i",
    ]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: !!python/object/apply:os.system ['touch executed']",
            "could not determine a const",
        ),
        ("model: !!python/name:os.system ''", "could not determine a constructor"),
        ("model: {name: 'os:system'}\ntraining: {epochs: 1}", None),  # no model: told by train
        ("import: os\nmodel: {name: erfnet}\ntraining: {epochs: 1}", "unknown key 'import'"),
        (LAUGHS, "values once its aliases are written out"),
        ("model: &a [*a]", "levels of lists within lists"),
        ("model: " + "[" * 2000, "within lists"),
        ("note: '" + "x" * 70_000 + "'", "characters, expected at most 65536"),
        ("model: {name: erfnet}\ntraining: {epochs: " + "9" * 5000 + "}", "not YAML (ValueError)"),
        ("model: 2024-99-99", "expected keys with values, found '2024-99-99'"),
        ("model: \x1b[2J", "not YAML (ReaderError)"),
        *(
            (
                f"name: {json.dumps(name)}\nmodel: {{name: erfnet}}\ntraining: {{epochs: 1}}",
                "'name'",
            )
            for name in ("../up", "/etc", "..", "", "a\\b", "a\nb", "\x1b[2J", "x" * 300)
        ),
    ],
)
def test_hostile_recipes(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    if message is None:
        assert load_recipe(str(path)).model.name == "os:system"
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_recipe_names_no_class(command, small_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("model: {name: 'os:system'}\ntraining: {epochs: 1, batch: 1}")
    done = command("train", path, "--data", small_data, "--out", tmp_path / "run")
    assert done.status == 2
    assert "unknown model 'os:system'" in done.err


def test_many_faults_are_not_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    keys = "".join(f"key{n}: 1\n" for n in range(500))
    path.write_text(f"{keys}model: {{name: erfnet}}\ntraining: {{epochs: 1}}\n")
    with pytest.raises(RecipeError, match="and more, 500 in all") as caught:
        load_recipe(str(path))
    assert str(caught.value).count("unknown key") == 20


# --- names


def test_class_names_are_plain_and_short(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text(f"sky\n{'x' * 101}\n")
    with pytest.raises(DataError, match=r"classes.txt, line 2: a class name of 101 characters"):
        LabelSet.from_classes_txt(tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_text(f"sky\na{CONTROL}\n")
    with pytest.raises(DataError, match=r"line 2: the class name 'a\\x1b\]0;owned\\x07"):
        LabelSet.from_classes_txt(tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_text(f"sky {'9' * 5000} 0 0\nignore {'9' * 5000}\n")
    with pytest.raises(DataError, match="is no color"):
        LabelSet.from_classes_txt(tmp_path / "classes.txt")


@pytest.mark.parametrize("name", [f"a{CONTROL}b", "a\nbriskseg: all is well", "a\u202egnp"])
def test_names_of_files_cannot_drive_the_terminal(
    command, small_data: Path, weights_file: Path, tmp_path: Path, name: str
) -> None:
    for folder in ("images", "labels"):
        os.rename(small_data / folder / "val/street1.png", small_data / folder / f"val/{name}.png")
    for words in (
        ("check", small_data),
        ("evaluate", weights_file, "--data", small_data),
        ("predict", weights_file, small_data / "images", "--out", tmp_path / "out"),
        ("predict", weights_file, f"{small_data}/images/val/*", "--out", tmp_path / "out"),
    ):
        done = command(*words)
        assert done.status == 1
        assert printable(name) in done.err
        assert "no terminal shows" in done.err
        assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
        assert done.err.count("\n") == 1 or "1 of " in done.err


def test_one_such_name_keeps_no_other_file_from_being_labeled(
    command, small_data: Path, weights_file: Path, tmp_path: Path
) -> None:
    images, out = small_data / "images/val", tmp_path / "out"
    os.rename(images / "street1.png", images / f"{CONTROL}.png")
    (images / f"{CONTROL}.mp4").write_bytes(b"")
    done = command("predict", weights_file, images, "--out", out)
    assert done.status == 1
    assert done.out.startswith(f"3 of 5 labeled, in {out}: ")
    assert "2 of 5 inputs failed:\n" in done.err
    assert done.err.count("no terminal shows") == 2
    assert len([*out.iterdir()]) == 9


def test_what_is_not_checked_is_escaped_where_it_is_printed(command, tmp_path: Path) -> None:
    done = command("report", tmp_path / f"no{CONTROL}run")
    assert r"no\x1b]0;owned\x07\x1b[2Jrun is not there" in done.err
    log = tmp_path / "metrics.csv"
    log.write_text(f"step,{CONTROL}\n1,2\n")
    done = command("compare", log, log)
    assert done.status == 2
    assert "\x1b" not in done.err
    assert r"\x1b]0;owned" in done.err


def test_a_name_that_is_no_text_is_printed_all_the_same(command, tmp_path: Path) -> None:
    done = command("report", os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    assert r"\udcff\udcfe is not there" in done.err


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "a/../../b", "..", "x" * 250, "a\\b"])
def test_a_name_in_a_files_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    stem = file_stem(name)
    path = tmp_path / f"best-0-{stem}.prediction.png"
    assert path.parent == tmp_path
    assert len(path.name.encode()) < 255
    path.touch()
    assert path.resolve().parent == tmp_path.resolve()
    assert file_stem(name) != file_stem(f"{name}2")


def test_predictions_stay_in_the_output_folder(command, weights_file: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    (inputs / "deep").mkdir(parents=True)
    picture = np.zeros((8, 8, 3), np.uint8)
    hidden = [inputs / name for name in ("....png", "deep/...png", "deep/.. .png")]
    for path in (*hidden, inputs / "deep/a\\..\\b.png"):
        write_png(path, picture)
    outside = tmp_path / "outside"
    outside.mkdir()
    write_png(outside / "secret.png", picture)
    (inputs / "link").symlink_to(outside)
    out = tmp_path / "a/b/out"
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)}
    done = command("predict", weights_file, inputs, *hidden, "--out", out)
    assert done.status == 0, done.err
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)}
    assert after - before <= {tmp_path / "a", tmp_path / "a/b"}
    assert len([*out.rglob("*_labels.png")]) == 4  # and no folder behind a link is entered


def test_a_data_sets_long_names_do_not_end_a_run(tmp_path: Path) -> None:
    assert len(f"worst-0-{file_stem('n' * 251)}.prediction.png") < 150


# --- the page


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[tuple[str, tuple[str, ...]]] = set()
        self.values: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


MARKUP = "\"'><img src=x onerror=alert(1)></title></style></pre><script>alert(2)</script>&lt;"


def write_run(run: Path, text: str, names: tuple[str, ...]) -> None:
    """A run folder that says `text` wherever text can be, and has classes of these names."""
    run.mkdir()
    (run / "recipe.yaml").write_text(f"note: {text}\n")
    (run / "metrics.csv").write_text(f'step,epoch,loss,val_miou,"{text.replace(chr(34), "")}"\n'
                                     "1,1,0.5,,1\n1,1,,0.25,1\n")  # fmt: skip
    one = {"iou": 0.5, "accuracy": 0.5}
    scores = {
        **dict.fromkeys(("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"), 0.5),
        "classes": dict.fromkeys(names, one),
        "confusion": [[1] * 3] * 3,
        "images": [{"name": f"a/{text[:40]}", "miou": 0.5, "pixel_accuracy": 0.5}],
        "split": text,
    }
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "examples").mkdir()
    picture = np.zeros((4, 4), np.uint8)
    for part in ("image", "truth", "prediction"):
        write_png(run / f"examples/best-0-{file_stem(f'a/{text[:40]}')}.{part}.png", picture)
    facts = {"recipe": text, "data": text, "epoch": text, text: text}
    save_weights(
        run / "model.safetensors",
        {"a": np.zeros(1, np.float32)},
        Card(
            network=NetworkCard(name=text, classes=3, options={text: text}),
            labels=LabelsCard(names=names, colors=COLORS),
            input=InputCard(size=(8, 8)),
            training=facts,
            source=text,
            license=text,
        ),
    )


def test_nothing_gets_into_the_page_but_text(command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pages = []
    for name, text in (("plain", "plain"), ("hostile", MARKUP)):
        run = tmp_path / name
        write_run(run, text, (text[:96], f"{text[:94]}b", f"{text[:94]}c"))
        done = command("report", run)
        assert done.status == 0, done.err
        pages.append(Page((run / "report.html").read_text()))
    plain, page = pages
    assert page.tags == plain.tags  # neither a tag nor an attribute more
    assert "<script>alert(2)</script>" in " ".join(page.text)  # it is there, as text
    for found in pages:
        assert {v for v in found.values if "://" in v} == {v for v in plain.values if "://" in v}


@pytest.mark.parametrize(
    "name", ["recipe.yaml", "metrics.csv", "film", "examples/best-0-a.image.png"]
)
def test_a_link_out_of_a_run_folder_is_not_followed_into_the_page(
    command, tmp_path: Path, name: str
) -> None:
    run, secret = tmp_path / "run", tmp_path / "secret"
    write_run(run, "plain", NAMES)
    (secret if name == "film" else tmp_path).mkdir(exist_ok=True)
    if name != "film":
        secret.write_text("step,loss\n1,2\n")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    done = command("report", run)
    assert done.status == 1
    assert f"{run / name} is a link to a file outside of the run folder" in done.err
    assert not (run / "report.html").exists()


def test_the_page_is_not_written_through_a_link(command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run, own = tmp_path / "run", tmp_path / "own.txt"
    write_run(run, "plain", NAMES)
    own.write_text("mine")
    (run / "report.html").symlink_to(own)
    assert command("report", run).status == 0
    assert own.read_text() == "mine"
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_a_picture_as_tall_as_a_tower_stays_small(tmp_path: Path) -> None:
    from briskseg.runs.report.sections import mask_url, photo_url

    tower = Image.new("P", (1, 300_000))
    tower.save(tmp_path / "a.png")
    for address in (mask_url, photo_url):
        assert len(address(tmp_path / "a.png")) < 1 << 20


# --- logs


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "[" * 100_000, "line 1: no JSON object"),
        ("a.json", '{"step": 1, "loss": ' + "9" * 400 + "}", "expected a number"),
        ("a.json", '{"step": NaN, "loss": 1}', "the step of its entry 1 is nan"),
        ("a.csv", "step,loss\n1,2\ninf,3\n", "the step of its entry 2 is inf"),
        ("a.csv", f"step,loss\n1,{'x' * 5000}\n", "expected a number"),
        ("a.tfevents", "\xff" * 100, "cannot be read as TensorBoard events"),
    ],
)
def test_hostile_logs(command, tmp_path: Path, name: str, text: str, message: str) -> None:
    log = tmp_path / name
    log.write_bytes(text.encode("latin-1"))
    done = command("compare", log, log)
    assert done.status in (1, 2)
    assert message in done.err or "no tag 'loss'" in done.err
    assert "defect" not in done.err
    assert len(done.err) < 1000


def test_a_tensor_of_a_log_that_claims_to_be_large_is_not_made(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    from briskseg.runs.compare.tensorboard_ import read_events

    tensor = make_tensor_proto(np.float32(1))
    for size in (1 << 40, 1 << 20):
        tensor.tensor_shape.dim.add().size = size
    event = Event(step=1, summary=Summary(value=[Summary.Value(tag="loss", tensor=tensor)]))
    written = io.BytesIO()
    RecordWriter(written).write(event.SerializeToString())
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(written.getvalue())
    with pytest.raises(DataError, match="a tensor of more than one number"):
        read_events(path, "loss")


@pytest.mark.parametrize(
    "change",
    [
        {"miou": 7},
        {"classes": {CONTROL: {"iou": 0.5, "accuracy": 0.5}}},
        {"images": [{"name": "a", "miou": 0.5, "pixel_accuracy": 0.5, "truth": [-1]}]},
    ],
)
def test_hostile_scores(tmp_path: Path, change: dict[str, object]) -> None:
    from briskseg.runs.scores import read_scores

    whole = dict.fromkeys(
        ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"), 0.5
    ) | {"classes": {"sky": {"iou": 0.5, "accuracy": 0.5}}}
    (tmp_path / "scores.json").write_text(json.dumps(whole))
    assert read_scores(tmp_path / "scores.json").miou == 0.5
    (tmp_path / "scores.json").write_text(json.dumps(whole | change))
    with pytest.raises(
        DataError, match="write it again with `briskseg evaluate MODEL --data DIR --json"
    ):
        read_scores(tmp_path / "scores.json")


def test_a_name_that_no_disk_takes_is_said(command) -> None:
    done = command("check", "a" * 300)
    assert done.status == 1
    assert "File name too long" in done.err
    assert "defect" not in done.err
