"""Every place where a stranger's file comes in: whole files to start from, and what reads them.

A door must give a result or raise one of our own errors, whatever comes in. `run.py` sends many
cases through, `test_doors.py` a few with every test run.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import pickle
import random
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import serve_doors
from mutations import (
    Change,
    changed,
    changed_json,
    changed_within,
    random_changes,
    tar_sums,
    with_checksums,
)
from PIL import Image
from serve_doors import read as send_to_server
from shape_doors import EMBEDDED, LIST, REPLACED
from shape_doors import read as read_shapes
from shape_doors import seeds as shape_seeds

from briskseg.core.card import Card, LabelsCard, NetworkCard, load_weights, save_weights
from briskseg.core.eight_bits import packed
from briskseg.core.errors import BriskError
from briskseg.core.files.limits import max_pixels
from briskseg.core.images import image_size, read_image
from briskseg.core.labels import CITYSCAPES_LABEL_IDS, LabelSet
from briskseg.core.labels.class_list import read_class_list
from briskseg.data.check.scan import scan_files
from briskseg.data.cityscapes.tree import read_label_ids
from briskseg.data.dataset import MaskDataset, Pair
from briskseg.data.formats import find_dataset
from briskseg.data.frequencies import count_pixels
from briskseg.data.stats_cache import StatsCache
from briskseg.recipe import list_recipes, load_recipe, recipe_text
from briskseg.runs.compare.logs import read_csv, read_matches
from briskseg.runs.compare.miou_change import compare_scores
from briskseg.runs.compare.mmengine import read_mmengine
from briskseg.runs.compare.tensorboard_ import read_events
from briskseg.runs.scores import read_scores

LABELS = LabelSet(("sky", "road", "car"), ((70, 130, 180), (128, 64, 128), (0, 0, 142)))
rng = np.random.default_rng(0)


@dataclass(frozen=True)
class Door:
    """suffix: of the files. seeds: whole ones. read: what users' commands call. words: pieces that
    mean something in such files. share: cases for each 100 of the others', for slow doors."""

    suffix: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path], Any]
    words: Sequence[bytes] = ()
    share: int = 100
    mend: Callable[[bytes], bytes] = field(default=lambda data: data)

    def case(self, seed: bytes, changes: Sequence[Change]) -> bytes:
        """A hostile file: changed as bytes, or within an archive or JSON that stays whole."""
        first = changes[0]
        if first.pick % 3 and seed.startswith(b"{"):
            return changed_json(seed, changes)
        if first.pick % 3 and self.suffix == ".safetensors":
            length = int.from_bytes(seed[:8], "little")
            header = changed_json(seed[8 : 8 + length], changes)
            return len(header).to_bytes(8, "little") + header + seed[8 + length :]
        if first.pick % 3 and seed.startswith(b"PK"):
            return changed_within(seed, changes, self.words)
        data = changed(seed, changes, self.words)
        return self.mend(data) if first.pick % 5 else data

    def random_case(self, seed: int) -> bytes:
        """The case of a number."""
        numbers = random.Random(seed)
        whole = self.whole()
        return self.case(numbers.choice(whole), random_changes(numbers))

    def whole(self) -> Sequence[bytes]:
        """The seeds, made once."""
        return _made(self.seeds)


@functools.cache
def _made(seeds: Callable[[], Sequence[bytes]]) -> Sequence[bytes]:
    return seeds()


def shards() -> list[bytes]:
    """Archives of a few small pairs, of each kind of headers that tar programs write."""
    image = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    labels = Image.fromarray(rng.integers(0, 3, (5, 7), dtype=np.uint8))
    archives = []
    for how in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w", format=how) as tar:
            for name in ("a", "b", "long" * 30):
                for ending, picture in (("jpg", image), ("labels.png", labels)):
                    content = _saved(picture, "JPEG" if ending == "jpg" else "PNG")
                    info = tarfile.TarInfo(
                        f"{name[: 80 if how == tarfile.USTAR_FORMAT else 120]}.{ending}"
                    )
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        archives.append(written.getvalue())
    return archives


def with_tar_checksums(data: bytes) -> bytes:
    """The archive with each header's checksum that of the header: else none is looked at."""
    mended = bytearray(data)
    for at in range(0, len(data) - 511, 512):
        header = mended[at : at + 512]
        if header[257:262] == b"ustar":
            total = sum(header[:148]) + 8 * 32 + sum(header[156:])
            mended[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(mended)


def read_shards(path: Path) -> None:
    """Find the pairs, read each, and have `check` look at all."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        root = Path(folder)
        os.link(path, root / "train-000.tar")
        (root / "classes.txt").write_text("sky\nroad\ncar\n")
        with patch.dict(os.environ, BRISKSEG_CACHE=str(root / "cache")):
            found = find_dataset(root)
            scan_files(found)
            for pair in found[0].pairs("train"):
                found[0].read(pair)


def _saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, format=kind, **how)
    return written.getvalue()


def images() -> list[bytes]:
    photo = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    gray = photo.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(rng.integers(0, 65536, (9, 13), dtype=np.uint16))
    return [
        *(_saved(photo, kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF")),
        *(_saved(photo, kind, exif=exif) for kind in ("PNG", "JPEG", "TIFF", "WEBP")),
        _saved(photo, "TIFF", compression="tiff_lzw"),
        _saved(photo, "TIFF", compression="tiff_adobe_deflate"),
        _saved(photo, "JPEG", progressive=True),
        _saved(photo.convert("CMYK"), "JPEG"),
        _saved(photo.convert("RGBA"), "PNG"),
        _saved(gray, "PNG"),
        _saved(deep, "PNG"),
        _saved(deep, "TIFF"),
    ]


def masks() -> list[bytes]:
    labels = rng.choice([0, 1, 2, 255], (9, 13)).astype(np.uint8)
    index = Image.fromarray(labels)
    colors = Image.fromarray(LABELS.colorize(labels))
    palette = index.copy()
    palette.putpalette(LABELS.palette.tobytes())
    nibbles = Image.fromarray(labels % 3).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    return [
        *(_saved(index, kind) for kind in ("PNG", "TIFF", "BMP")),
        _saved(colors, "PNG"),
        _saved(colors.convert("RGBA"), "PNG"),
        _saved(palette, "PNG"),
        _saved(palette, "GIF"),
        _saved(nibbles, "PNG", bits=2),
        _saved(Image.fromarray(labels.astype(np.uint16)), "PNG"),
        _saved(Image.fromarray(labels.astype(np.int32)), "TIFF"),
        _saved(Image.fromarray(labels.astype(np.float32)), "TIFF"),
        _saved(index.convert("1"), "PNG"),
        _saved(colors, "JPEG"),
    ]


def recipes() -> list[bytes]:
    whole = load_recipe(list_recipes()[0]).model_dump(mode="json")
    nested = b"model: {name: erfnet}\ntraining: {epochs: 1}\nnote: &a [x, &b [*a, *a], *b]\n"
    texts = [recipe_text(name).encode() for name in list_recipes()]
    return [*texts, nested, *[json.dumps(whole).encode()] * len(texts)]  # JSON is YAML


def read_recipe(path: Path) -> object:
    recipe = load_recipe(str(path))
    assert "/" not in recipe.name
    assert len(recipe.to_yaml()) < 1 << 20
    return recipe


def make_card(classes: int = 3) -> Card:
    return Card(
        network=NetworkCard(name="erfnet", classes=classes, options={"dropout": 0.3}),
        labels=LabelsCard(names=LABELS.names, colors=LABELS.colors),
        training={"epochs": 3, "recipe": "x", "nested": [{"a": [1, None, "x"]}]},
        scores={"val_miou": 0.5},
        source="somewhere",
    )


def cards() -> list[bytes]:
    return [make_card().to_json().encode()]


def read_card_text(path: Path) -> object:
    card = Card.from_json(path.read_bytes().decode("utf-8", "replace"), path)
    assert max(map(len, card.labels.names)) <= 100
    card.labels.to_label_set()
    again = Card.from_json(card.to_json(), path)
    assert again == card
    return card


def _written(save: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def weights() -> list[bytes]:
    tensors = {
        "a.weight": rng.normal(size=(2, 3)).astype(np.float32),
        "a.bias": rng.normal(size=3).astype(np.float16),
        "n": np.zeros((), np.int64),
        "c.weight": rng.integers(-127, 128, (2, 3, 1, 1)).astype(np.float16) / 64,
    }
    stored = packed(tensors)  # of these the last in eight bits
    return [_written(lambda path: save_weights(path, stored, make_card()), "w.safetensors")]


def _torch_saved(content: Any, **how: Any) -> bytes:
    import torch

    written = io.BytesIO()
    torch.save(content, written, **how)
    return written.getvalue()


def checkpoints() -> list[bytes]:
    import torch

    state = {"module.a.weight": torch.ones(2, 3), "module.a.bias": torch.zeros(3).half()}
    beside = {"epoch": 3, "best": np.float64(0.5), "list": [1, (2, "x")], "array": np.arange(3)}
    return [
        _torch_saved(state),
        _torch_saved(state, _use_new_zipfile_serialization=False),
        _torch_saved({"state_dict": state, **beside}),
        _torch_saved({"state_dict": state, **beside}, _use_new_zipfile_serialization=False),
        _torch_saved({"q": torch.ones(2, 2).to_sparse()}),
        pickle.dumps({"a": [1, 2], "b": print}, protocol=2),
    ]


def read_checkpoint(path: Path) -> object:
    from briskseg.models.weights.checkpoint import read_tensors, unprefixed

    return unprefixed(read_tensors(path))


def paddle_files() -> list[bytes]:
    arrays = {"conv.weight": np.ones((3, 2), np.float32), "bn._mean": np.zeros(3, np.float32)}
    beside = {"StructuredToParameterName@@": {"conv.weight": "conv2d_0.w_0"}}
    return [pickle.dumps(arrays | beside, protocol=protocol) for protocol in (2, 4)]


def read_paddle_file(path: Path) -> object:
    from briskseg.models.weights.checkpoint import read_tensors

    return read_tensors(path)


def keras_files() -> list[bytes]:
    import h5py

    arrays = io.BytesIO()
    with h5py.File(arrays, "w") as file:
        for name, shapes in (("conv2d", [(3, 3, 3, 4), (4,)]), ("batch_normalization", [(4,)] * 4)):
            group = file.create_group(f"layers/{name}/vars")
            for index, shape in enumerate(shapes):
                group.create_dataset(str(index), data=np.ones(shape, np.float32))
    layers = [
        {"class_name": "InputLayer", "config": {"name": "image"}},
        {"class_name": "Conv2D", "config": {"name": "a-conv"}},
        {"class_name": "BatchNormalization", "config": {"name": "a-bn"}},
    ]
    content = [
        ("config.json", json.dumps({"config": {"layers": layers}}).encode()),
        ("model.weights.h5", arrays.getvalue()),
        ("briskseg.safetensors", weights()[0]),
    ]
    from mutations import zipped

    return [zipped(content), zipped(content, zipfile.ZIP_DEFLATED)]


def read_keras_file(path: Path) -> object:
    from briskseg.export.keras_reader import read_keras

    return read_keras(path)


def _described() -> dict[str, str]:
    facts = {"factor": 1, "align_corners": False, "size": [8, 8], "precision": "float32"}
    return {
        "briskseg.card": make_card().to_json(),
        "briskseg.export": json.dumps({**facts, "weights": "0" * 64}),
    }


def onnx_files() -> list[bytes]:
    from onnx import TensorProto, helper, numpy_helper

    constant = numpy_helper.from_array(np.ones(3, np.float32), "w")
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("labels", "x")]
    nodes = [
        helper.make_node("Identity", ["w"], ["labels"]),
        helper.make_node("Constant", [], ["x"], value=constant),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], outputs, [constant]))
    for key, text in _described().items():
        model.metadata_props.add(key=key, value=text)
    return [model.SerializeToString()]


def read_onnx(path: Path) -> object:
    from briskseg.core.exported import read_exported
    from briskseg.core.onnx_pruning import prune

    found = read_exported(path)
    try:
        return found, prune(path.read_bytes(), "labels")
    except ValueError:  # which the backend says in a sentence
        return found


def _flatbuffer(fields: dict[int, Any]) -> bytearray:
    """A table: its vtable, then a word for each field, then what the words point to."""
    numbers = range(1 + max(fields))
    size = 4 + 4 * len(fields)
    places = {number: 4 + 4 * index for index, number in enumerate(fields)}
    vtable = [4 + 2 * len(numbers), size, *(places.get(number, 0) for number in numbers)]
    out = bytearray(struct.pack(f"<{len(vtable)}H", *vtable))
    start = len(out)
    out += struct.pack("<i", start) + bytes(4 * len(fields))
    for number, value in fields.items():
        at = start + places[number]
        if isinstance(value, int):
            struct.pack_into("<I", out, at, value)
            continue
        struct.pack_into("<I", out, at, len(out) - at)
        out += struct.pack("<I", len(value))
        if isinstance(value, bytes):
            out += value
            continue
        words = len(out)
        out += bytes(4 * len(value))
        for index, table in enumerate(map(_flatbuffer, value)):
            word, vtable_size = words + 4 * index, int.from_bytes(table[:2], "little")
            struct.pack_into("<I", out, word, len(out) + vtable_size - word)
            out += table
    return out


def litert_files() -> list[bytes]:
    texts = {"other": "x", **_described()}
    buffers = [{0: text.encode()} for text in texts.values()]
    entries = [{0: name.encode(), 1: index} for index, name in enumerate(texts)]
    model = _flatbuffer({0: 3, 4: buffers, 6: entries})
    start = struct.pack("<I4s", 8 + int.from_bytes(model[:2], "little"), b"TFL3")
    written = io.BytesIO()
    written.write(start + model)
    with zipfile.ZipFile(written, "a") as archive:
        archive.writestr("labels.txt", "sky\nroad\ncar\n")
    return [written.getvalue()]


def ncnn_files() -> list[bytes]:
    """A text and its .bin, in a zip."""
    from briskseg.core.ncnn_param import Param, compact_json, read_param

    layers = read_param(
        "7767517\n7 8\nInput in0 0 1 in0\nMemoryData scale 0 1 1 0=1 1=1 2=3\n"
        "BinaryOp mul_0 2 1 in0 1 2 0=2\n"
        "Convolution conv_0 1 1 2 3 0=2 1=3 11=3 12=1 13=2 14=1 2=1 3=2 4=1 5=1 6=54 9=1\n"
        "Split split_0 1 2 3 4 5\nConcat concat_0 2 1 4 5 6 0=0\n"
        "Crop crop_0 1 1 6 out0 -23310=2,4,4 -23311=2,1,2 -23309=2,0,0\n"
    ).layers
    ours = {key: compact_json(text) for key, text in _described().items()}
    weights = np.ones(3, "<f4").tobytes() + bytes(4) + np.ones(56, "<f4").tobytes()
    from mutations import zipped

    text = Param(layers, ours).text().encode()
    return [zipped([("x.ncnn.param", text), ("x.ncnn.bin", weights)])]


def read_ncnn(path: Path) -> object:
    """All that is looked at before ncnn itself gets a text, which is written anew, and its .bin."""
    from briskseg.core.exported import read_exported
    from briskseg.core.ncnn_param import check_bin, read_param

    param = path.with_name("x.ncnn.param")
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("x.ncnn.param", "x.ncnn.bin"):
                path.with_name(name).write_bytes(archive.read(name))
    except Exception as error:
        raise BriskError("no pair of files came in") from error
    read_exported(param)
    read = read_param(param.read_text("utf-8"))
    assert read_param(read.text()) == read
    try:
        check_bin(param.with_suffix(".bin"), read.layers)
    except ValueError:  # which the backend says in a sentence
        return "another's"
    return read


def openvino_files() -> list[bytes]:
    from xml.sax.saxutils import quoteattr

    pairs = {key.removeprefix("briskseg."): text for key, text in _described().items()}
    ours = "".join(f"<{key} value={quoteattr(text)}/>" for key, text in pairs.items())
    whole = f'<net name="g"><layers/><rt_info><briskseg>{ours}</briskseg></rt_info></net>'
    return [f'<?xml version="1.0"?>\n{whole}'.encode()]


def read_exported_file(path: Path) -> object:
    from briskseg.core.exported import read_exported

    return read_exported(path)


def tables() -> list[bytes]:
    return [
        b"step,epoch,samples,seconds,loss,lr,val_loss,val_miou\n10,0,80,1.5,2.25,0.01,,\n"
        b'20,1,160,3.0,,,1.5,0.25\n20,1,160,3.5,"1.75",0.005,,\n30,1,240,4.5,nan,0.0,,\n'
    ]


def mmengine_logs() -> list[bytes]:
    lines = [{"loss": 2.5 / (i + 1), "iter": i, "step": i, "time": 0.1, "epoch": 1} for i in (1, 2)]
    old = [{"mode": "train", "epoch": 1, "iter": i, "loss": 0.5} for i in (50, 100)]
    return ["\n".join(map(json.dumps, some)).encode() for some in (lines, old)]


def text_logs() -> list[bytes]:
    return [b"Iter 1 lr 0.1 loss 2.5\nIter 2 lr 0.1 loss 1.5\nother\nIter 3 lr 0.1 loss nan\n"]


def events() -> list[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.util.tensor_util import make_tensor_proto

    made = [Event(wall_time=1.0, file_version="brain.Event:2")]
    for step in (1, 2):
        value = Summary.Value(tag="loss", simple_value=1.0 / step)
        tensor = Summary.Value(tag="other", tensor=make_tensor_proto(np.float32(step)))
        made.append(Event(wall_time=1.0 + step, step=step, summary=Summary(value=[value, tensor])))
    return [b"".join(map(_record, (event.SerializeToString() for event in made)))]


def _record(data: bytes) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = io.BytesIO()
    RecordWriter(written).write(data)
    return written.getvalue()


def records(data: bytes) -> bytes:
    """Event records with the lengths and checksums that their content has."""
    out, at = b"", 0
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 8], "little"), len(data) - at - 12)
        out += _record(data[at + 12 : at + 12 + length])
        at += 16 + length
    return out


def scores() -> list[bytes]:
    counts = {"intersection": [5, 0, 2], "truth": [9, 0, 4], "predicted": [7, 0, 5]}
    classes = {name: {"iou": 0.5, "accuracy": 0.25} for name in LABELS.names}
    whole = {
        "miou": 0.5,
        "miou_interval": [0.25, 0.75],
        "pixel_accuracy": 0.5,
        "mean_accuracy": 0.5,
        "frequency_weighted_iou": None,
        "classes": classes,
        "confusion": [[5, 1, 3], [0, 0, 0], [1, 1, 2]],
        "images": [
            {"name": f"i{n}", "miou": 0.5, "pixel_accuracy": 0.5, **counts} for n in range(3)
        ],
        "split": "val",
    }
    least = dict.fromkeys(
        ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"), None
    )
    return [json.dumps(whole).encode(), json.dumps(least | {"classes": {}}).encode()]


def read_both_scores(path: Path) -> object:
    found = read_scores(path)
    whole = path.with_name("whole.json")
    if not whole.is_file():
        whole.write_bytes(scores()[0])
    with patch("briskseg.core.metrics.intervals.RESAMPLES", 20):
        found = compare_scores(found, read_scores(whole))
    return found if isinstance(found, str) else json.dumps(found.to_json(), allow_nan=False)


def class_lists() -> list[bytes]:
    return [b"# mine\nsky 70 130 180\nroad 128 64 128\na car\n\nignore 11\n", b"\xef\xbb\xbfa\nb\n"]


def stats_caches() -> list[bytes]:
    with _own_cache():
        scan_files((_one_mask(), ()))
        return [StatsCache(_one_mask()).path.read_bytes()]


@functools.cache
def _one_mask() -> MaskDataset:
    folder = Path(tempfile.mkdtemp(prefix="briskseg-fuzz-"))
    (folder / "mask.png").write_bytes(masks()[0])
    pair = Pair("mask", folder / "image.png", folder / "mask.png")
    return MaskDataset("folder", folder, LABELS, {"train": (pair,)})


def _own_cache() -> AbstractContextManager[object]:
    return patch.dict(os.environ, {"BRISKSEG_CACHE": str(_one_mask().root / "cache")})


def read_stats_cache(path: Path) -> object:
    with _own_cache():
        cache = StatsCache(_one_mask()).path
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(path.read_bytes())
        return count_pixels(_one_mask(), "train").counts.tolist()


def videos() -> list[bytes]:
    def save(path: Path) -> None:
        code = cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
        writer = cv2.VideoWriter(str(path), code, 10.0, (32, 16))
        for _ in range(3):
            writer.write(rng.integers(0, 256, (16, 32, 3), dtype=np.uint8))
        writer.release()

    return [_written(save, name) for name in ("v.mp4", "v.avi")]


def read_video(path: Path) -> object:
    from briskseg.runtime.video.sources import open_video

    capture, shapes = open_video(path), []
    while len(shapes) < 10:
        there, frame = capture.read()
        if not there:
            break
        assert frame.shape[0] * frame.shape[1] <= max_pixels()
        shapes.append(frame.shape)
    return shapes


def _run_files() -> dict[str, bytes]:
    return {
        "recipe.yaml": recipes()[0],
        "metrics.csv": tables()[0],
        "scores.json": scores()[0],
        "model.safetensors": weights()[0],
    }


def run_files() -> list[bytes]:
    from mutations import zipped

    return [zipped([*_run_files().items()])]


def read_run_folder(path: Path) -> object:
    """A run folder, carried as a zip, reported on; nothing gets into the page but text."""
    from briskseg.runs.report.page import report_html
    from briskseg.runs.report.run_content import read_run

    run = path.with_name("run")
    run.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _run_files():
                (run / name).write_bytes(archive.read(name))
    except Exception as error:
        raise BriskError("no run folder came in") from error
    page = report_html(read_run(run))
    assert "<script" not in page
    page.encode("utf-8", "backslashreplace")
    return page


def tars() -> list[bytes]:
    from mutations import tarred

    photo = images()[1]
    return [
        tarred(kind, photo)
        for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]


def read_tar(path: Path) -> object:
    from briskseg.core.files.tar_members import Member, TarMember, read_members
    from briskseg.scale.sources import distinct_targets

    members: list[Member] = []
    try:
        members += read_members(path)
    finally:
        targets = distinct_targets((member.name for member in members), dots=True)
        assert len({target.casefold() for target in targets}) == len(targets)
        assert all(
            (path.parent / target).resolve().is_relative_to(path.parent) for target in targets
        )
    found: list[object] = []
    for member in members:
        try:
            found.append(member.fault or read_image(TarMember.of(path, member)).shape)
        except BriskError as error:
            found.append(str(error))
    return found


def manifests() -> list[bytes]:
    from briskseg.scale.parquet_files import Row, write_manifest

    rows = [Row("a.jpg", "/a.jpg", 3, 2, [6, 0], 0.5, "a.png"), Row("b.jpg", "/b", error="no")]
    return [_written(lambda path: write_manifest(path, rows, {"classes": ["a", "b"]}), "m.parquet")]


def read_manifest(path: Path) -> object:
    from briskseg.scale.parquet_files import read_outcomes

    return read_outcomes(path.read_bytes(), str(path))


def read_image_list(path: Path) -> object:
    from briskseg.scale.sources import find_shards

    return find_shards(str(path), str(path.with_name("out")), None)


JSON_WORDS = [b'"', b"{", b"}", b"[", b"]", b":", b",", b"true", b'"\\ud800"', b"1e308", b"-0.0"]
XML_WORDS = [
    b"<",
    b"/>",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
    b"&b;",
    b"<net>",
]
YAML_WORDS = [b"&a ", b"*a", b"- ", b"? ", b"!!binary ", b"!!timestamp ", b"<<: ", b"|\n", b"1:1:1"]

logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it tells of every damaged record

DOORS: dict[str, Door] = {
    "image": Door(
        ".png", images, lambda path: (image_size(path), read_image(path)), mend=with_checksums
    ),
    "mask": Door(".png", masks, LABELS.read, mend=with_checksums),
    "shards": Door(
        ".tar", shards, read_shards, [b"../", b"/", b"\0", b"7777"], 50, with_tar_checksums
    ),
    "label-ids": Door(
        "_labelIds.png",
        lambda: [*masks(), _saved(Image.fromarray(rng.integers(0, 34, (9, 13), np.uint8)), "PNG")],
        lambda path: CITYSCAPES_LABEL_IDS.decode(read_label_ids(path), path),
        mend=with_checksums,
    ),
    "classes": Door(".txt", class_lists, read_class_list, [b"ignore ", b"255", b"#"]),
    "recipe": Door(".yaml", recipes, read_recipe, YAML_WORDS, share=20),
    "card": Door(".json", cards, read_card_text, JSON_WORDS),
    "weights": Door(".safetensors", weights, load_weights, [b"BF16", b"F8_E4M3", *JSON_WORDS]),
    "checkpoint": Door(
        ".pth",
        checkpoints,
        read_checkpoint,
        [b"cnumpy\ndtype\n", b"cos\nsystem\n"],
        share=50,
    ),
    "paddle": Door(".pdparams", paddle_files, read_paddle_file, [b"cnumpy\ndtype\n"], share=50),
    "keras": Door(".keras", keras_files, read_keras_file, JSON_WORDS, share=50),
    "onnx": Door(".onnx", onnx_files, read_onnx, JSON_WORDS),
    "litert": Door(".tflite", litert_files, read_exported_file, JSON_WORDS),
    "ncnn": Door(".zip", ncnn_files, read_ncnn, [b"0=1 ", b"-23300=2,1,2 ", *JSON_WORDS]),
    "openvino": Door(".xml", openvino_files, read_exported_file, [*JSON_WORDS, *XML_WORDS]),
    "metrics": Door(".csv", tables, lambda path: read_csv(path, "loss"), [b",", b'"']),
    "mmengine": Door(".json", mmengine_logs, lambda path: read_mmengine(path, "loss"), JSON_WORDS),
    "text-log": Door(
        ".log",
        text_logs,
        lambda path: read_matches(path, "loss", r"Iter (?P<step>\S+).* loss (?P<loss>\S+)"),
    ),
    "events": Door(
        ".tfevents",
        events,
        lambda path: [read_events(path, key) for key in ("loss", "other")],
        mend=records,
        share=50,
    ),
    "scores": Door(".json", scores, read_both_scores, JSON_WORDS, share=50),
    "stats-cache": Door(".json", stats_caches, read_stats_cache, JSON_WORDS, share=50),
    "video": Door(".mp4", videos, read_video, share=20),
    "run-folder": Door(".zip", run_files, read_run_folder, [*JSON_WORDS, *YAML_WORDS], share=1),
    "tar-shard": Door(
        ".tar", tars, read_tar, [b"../", b"/", b".jpg", b"/../up.jpg", b"7777777"], mend=tar_sums
    ),
    "label-manifest": Door(".parquet", manifests, read_manifest, [b"PAR1"], share=20),
    "label-list": Door(
        ".txt",
        lambda: [b"# mine\na.jpg\n/b/c.png\nb/c.png\n", b"a.tar\n../{0..9}.tar\n"],
        read_image_list,
        [b"../", b"/", b".jpg", b"://"],
        share=50,
    ),
    **{
        f"serve-{kind}": Door(
            ".body", made, functools.partial(send_to_server, kind, make_card), words
        )
        for kind, made, words in (
            ("image", images, []),
            ("form", lambda: serve_doors.forms(images()), serve_doors.WORDS),
            ("tensor", serve_doors.tensors, [*JSON_WORDS, b"\n"]),
        )
    },
    **{
        kind: Door(
            Path(place).suffix,
            functools.partial(shape_seeds, kind),
            functools.partial(read_shapes, kind),
            [*JSON_WORDS, *XML_WORDS, b"..\\", b"../", b"1e9"],
            share=50,
        )
        for kind, place in REPLACED.items()
    },
    "yolo-list": Door(
        ".yaml",
        functools.partial(shape_seeds, "yolo", LIST),
        functools.partial(read_shapes, "yolo", place=LIST),
        [*YAML_WORDS, b"../", b"/"],
        share=50,
    ),
    "labelme-embedded": Door(
        ".json",
        functools.partial(shape_seeds, "labelme", EMBEDDED),
        functools.partial(read_shapes, "labelme", place=EMBEDDED),
        [*JSON_WORDS, b"imageData", b"="],
        share=50,
    ),
}


def send(door: Door, data: bytes, folder: Path) -> str:
    """Send one case through a door; what came of it: "read", or the name of our error.

    Any other exception is a defect and leaves.
    """
    path = folder / f"case{door.suffix}"
    path.write_bytes(data)
    try:
        door.read(path)
    except BriskError as error:
        if not str(error):
            raise RuntimeError("an error that says nothing") from error
        return type(error).__name__
    return "read"
