"""The files of labeling tools, for `doors.py`: a small set of each kind, and one of its files
replaced by a case."""

from __future__ import annotations

import base64
import functools
import io
import json
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[2]))
from tests.test_every_dataset import SIZE, WRITE

from briskseg.data import open_dataset

# The file of each kind's set that is replaced.
REPLACED = {
    "labelme": "train/a.json",
    "coco": "annotations/instances_train2017.json",
    "yolo": "labels/train/a.txt",
    "cvat": "annotations.xml",
    "label-studio": "train.json",
    "supervisely": "train/ann/a.png.json",
    "datumaro": "annotations/train.json",
    "idd-polygons": "gtFine/train/201/frame0029_gtFine_polygons.json",
}
LIST = "data.yaml"  # of YOLO, which is replaced likewise
EMBEDDED = "train/embedded.json"  # of labelme, whose image is in it alone


@functools.cache
def template(kind: str) -> Path:
    root = Path(tempfile.mkdtemp(prefix="briskseg-fuzz-")) / "set"
    WRITE[kind](root)
    if kind == "labelme":
        content = json.loads((root / "train" / "a.json").read_bytes())
        picture = io.BytesIO()
        Image.new("RGB", SIZE[::-1]).save(picture, "PNG")
        content |= {"imagePath": "gone", "imageData": base64.b64encode(picture.getvalue()).decode()}
        (root / EMBEDDED).write_text(json.dumps(content))
    return root


def seeds(kind: str, place: str | None = None) -> Sequence[bytes]:
    """The file as the set has it, and others with the rarer shapes."""
    whole = (template(kind) / (place or REPLACED[kind])).read_bytes()
    return [whole] if place else [whole, *(text.encode() for text in _more(kind, whole.decode()))]


def read(kind: str, path: Path, place: str | None = None) -> object:
    """Open the set with the case in the file's place, and read all labels and embedded images."""
    root = template(kind)
    file = root / (place or REPLACED[kind])
    whole = file.read_bytes()
    try:
        file.write_bytes(path.read_bytes())
        dataset = open_dataset(root)
        pairs = [pair for split in dataset.splits for pair in dataset.pairs(split)]
        assert all(pair.image.is_relative_to(root) for pair in pairs)
        embedded = [pair for pair in pairs if pair.image.suffix == ".json"]
        images = [(dataset.scan_image(pair), dataset.read_image(pair)) for pair in embedded]
        return images, [(dataset.scan_labels(pair), dataset.read_labels(pair)) for pair in pairs]
    finally:
        file.write_bytes(whole)


def _png() -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.eye(5, dtype=bool)).save(written, "PNG")
    return written.getvalue()


def _more(kind: str, whole: str) -> list[str]:
    counts = [100, 30, SIZE[0] * SIZE[1] - 130]
    rle = {"size": list(SIZE), "counts": counts}
    packed = {"size": list(SIZE), "counts": "P3000000X" + "m" * 9}
    if kind == "labelme":
        content = json.loads(whole)
        coded = base64.b64encode(_png()).decode()
        kinds = ("circle", "line", "mask")
        content["shapes"] += [
            {"label": "car", "points": [[4, 4], [8, 8]], "shape_type": k, "mask": coded}
            for k in kinds
        ]
        return [json.dumps(content)]
    if kind == "coco":
        content = json.loads(whole)
        content["annotations"][0]["segmentation"] = rle
        other = json.loads(whole)
        other["annotations"][0]["segmentation"] = packed
        return [json.dumps(content), json.dumps(other)]
    if kind == "cvat":
        shapes = (
            '<ellipse label="car" cx="9" cy="9" rx="4" ry="3"/><polyline label="sky" points="1,1;9'
            ',9"/><mask label="car" rle="3,2,1,4" left="5" top="3" width="5" height="2"/>'
        )
        return [whole.replace("</image>", f"{shapes}</image>", 1)]
    if kind == "label-studio":  # JSON_MIN
        box = {"x": 9, "y": 9, "width": 30, "height": 30, "rectanglelabels": ["car"]}
        outline = {"points": [[5, 5], [90, 5], [90, 90]], "polygonlabels": ["sky"]}
        record = {"image": "a.png", "id": 1, "shape": [box, outline], "annotation_id": 1}
        return [json.dumps([record | {"created_at": "2024", "lead_time": 1}])]
    if kind == "supervisely":
        content = json.loads(whole)
        data = base64.b64encode(zlib.compress(_png())).decode()
        content["objects"] += [
            {"classTitle": "car", "geometryType": "bitmap"}
            | {"bitmap": {"data": data, "origin": [4, 4]}},
            {"classTitle": "car", "geometryType": "line", "points": {"exterior": [[1, 1], [9, 9]]}},
        ]
        return [json.dumps(content)]
    if kind == "datumaro":
        content = json.loads(whole)
        content["items"][0]["annotations"] += [
            {"type": "mask", "label_id": 0, "rle": rle},
            {"type": "ellipse", "label_id": 0, "points": [1, 1, 9, 9]},
            {"type": "polyline", "label_id": 0, "points": [1, 1, 9, 9]},
        ]
        return [json.dumps(content)]
    return []
