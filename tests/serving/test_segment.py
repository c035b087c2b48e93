"""POST /segment and /segment/batch: the answers are predict's; what is wrong is said."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from tests.serving.conftest import assert_says_why, client_of

from briskseg.core.images import png_bytes, read_image, write_jpeg, write_png
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.inputs import find_inputs
from briskseg.runtime.predictions import write_predictions
from briskseg.runtime.predictor import Predictor


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("size_hw", [(240, 320), (487, 333), (1, 1)])
@pytest.mark.parametrize("write", [write_png, write_jpeg])
def test_labels_are_those_of_predict(client, predictor, tmp_path, size_hw, write):
    file = tmp_path / ("a.png" if write is write_png else "a.jpg")
    write(file, draw_scene(4, (480, 640))[0][: size_hw[0], : size_hw[1]])
    answer = client.post("/segment", content=file.read_bytes(), headers={"Accept": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    labels = decoded(answer.content)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, predictor(read_image(file)))


def test_an_image_comes_as_it_likes(client, street_png):
    """A body of whatever type is named, as curl names one, or a form's file beside fields."""
    plain = client.post("/segment", content=street_png).content
    for kind in ("image/png", "application/x-www-form-urlencoded", "application/octet-stream"):
        answer = client.post("/segment", content=street_png, headers={"Content-Type": kind})
        assert answer.content == plain
    files = {"image": ("../../a.png", street_png)}
    assert client.post("/segment", files=files, data={"note": "x"}).content == plain


def test_colors_and_overlays_are_the_files_of_predict(client, predictor, street, tmp_path):
    write_png(tmp_path / "a.png", street)
    (source,) = find_inputs([str(tmp_path / "a.png")], tmp_path / "out")
    label_set = predictor.card.labels.to_label_set()
    written = write_predictions(source, street, predictor(street), label_set, tmp_path / "out")
    for view, file in zip(("labels", "color", "overlay"), written, strict=True):
        answer = client.post(f"/segment?as={view}", content=(tmp_path / "a.png").read_bytes())
        assert answer.headers["content-type"] == "image/png"
        assert np.array_equal(decoded(answer.content), decoded(file.read_bytes()))


def test_an_image_of_16_bits_that_is_read_as_black_is_warned_of(client, street, street_png):
    dark = png_bytes(street[..., 0].astype(np.uint16))
    said = r'199 briskseg "the image: 16-bit images whose highest value is \d+ of 65535 are read as'
    for view in ("labels", "runs"):
        assert re.match(said, client.post(f"/segment?as={view}", content=dark).headers["warning"])
    assert "warning" not in client.post("/segment", content=street_png).headers
    files = [("a", dark), ("b", street_png)]
    batch = client.post("/segment/batch", files=files).headers["warning"]
    assert 'briskseg "image 1 of 2: 16-bit' in batch
    with client.websocket_connect("/segment/frames?as=runs") as frames:
        frames.send_bytes(dark)
        assert "read as black" in frames.receive_json()["warning"]
        frames.send_bytes(street_png)
        assert "warning" not in frames.receive_json()


def test_runs_give_the_labels_back(client, predictor, street, street_png):
    answer = client.post("/segment?as=runs", content=street_png)
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    flat = np.repeat(np.array(found["labels"], np.uint8), found["lengths"])
    labels = predictor(street)
    assert np.array_equal(flat.reshape(found["height"], found["width"]), labels)
    assert found["classes"] == list(predictor.card.labels.names)
    assert len(found["labels"]) == 1 + np.count_nonzero(np.diff(labels.ravel().astype(int)))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("application/json", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("image/png, application/json;q=0.9", "image/png"),
        ("text/html, */*;q=0.1", "image/png"),
        ("image/png;q=0, */*", "application/json"),
        ("IMAGE/PNG", "image/png"),
        ("text/html", None),
        ("image/png;q=no", None),
        ("image/webp", None),
    ],
)
def test_accept_chooses(client, street_png, accept, kind):
    answer = client.post("/segment", content=street_png, headers={"Accept": accept})
    if kind is None:
        assert_says_why(answer, 406, "image/png, application/json")
    else:
        assert answer.headers["content-type"] == kind


def test_the_query_is_strict(client, street_png):
    answer = client.post("/segment?as=colour", content=street_png)
    assert_says_why(answer, 400, "as=colour", "did you mean 'color'?")
    assert_says_why(client.post("/segment?a=labels", content=street_png), 400, "'a'", "as")
    headers = {"Accept": "application/json"}
    answer = client.post("/segment?as=labels", content=street_png, headers=headers)
    assert_says_why(answer, 406, "image/png")


def test_a_batch_is_answered_in_its_order(client, predictor):
    images = [draw_scene(seed, (60, 80 + seed))[0] for seed in range(3)]
    files = [("image", (f"{n}.png", png_bytes(image))) for n, image in enumerate(images)]
    answer = client.post("/segment/batch", files=files)
    found = answer.json()["images"]
    assert [(one["height"], one["width"]) for one in found] == [(60, 80), (60, 81), (60, 82)]
    for one, image in zip(found, images, strict=True):
        flat = np.repeat(np.array(one["labels"]), one["lengths"])
        assert np.array_equal(flat, predictor(image).ravel())
    answer = client.post("/segment/batch", files=files, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["0.png", "1.png", "2.png"]
        for name, image in zip(archive.namelist(), images, strict=True):
            assert np.array_equal(decoded(archive.read(name)), predictor(image))


def test_the_runs_of_a_whole_batch_are_bounded(waiting, small_card):
    """Noise: two pixels in three begin a run, 1.5 million an image."""
    waiting.go.set()
    noise = png_bytes(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8))
    with client_of(Predictor(waiting, small_card)) as client:
        files = [("image", ("a", noise))] * 3
        assert_says_why(client.post("/segment/batch", files=files), 413, "4194304 runs")
        assert client.post("/segment?as=runs", content=noise).status_code == 200


def test_a_batch_with_a_fault_is_refused_whole(client, street_png):
    files = [("image", ("a", street_png)), ("image", ("b", b"nothing"))]
    answer = client.post("/segment/batch", files=files)
    assert_says_why(answer, 400, "image 2 of 2", "cannot be read")
    answer = client.post("/segment/batch", files=files[:1] * 17)
    assert_says_why(answer, 400, "17 files, expected 1 to 16")
    answer = client.post("/segment/batch", content=street_png)
    assert_says_why(answer, 415, "multipart/form-data")
    assert_says_why(client.post("/segment", files=files), 400, "2 files, expected one")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"", ["is empty", "PNG, JPEG or WebP"]),
        (b"hello", ["cannot be read as an image", "PNG, JPEG or WebP"]),
        (b"<html>", ["is a web page, expected an image"]),
        (b"%PDF-1.7", ["is a PDF"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), ["cannot be read"]),
    ],
)
def test_what_is_no_image_is_said(client, body, parts):
    assert_says_why(client.post("/segment", content=body), 400, "the image", *parts)


def test_an_image_that_is_cut_off_is_said(client, street_png):
    answer = client.post("/segment", content=street_png[: len(street_png) // 2])
    assert_says_why(answer, 400, "the image is damaged or cut off; ")


def png_of(width: int, height: int) -> bytes:
    """A PNG of this size by its header, with next to no content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    chunks = (
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_pixels_are_bounded_by_the_header(client):
    answer = client.post("/segment", content=png_of(60_000, 60_000))
    assert_says_why(answer, 413, "60000x60000 is 3600000000 pixels, more than the 33554432")
    assert "BRISKSEG_MAX_PIXELS" not in answer.text  # which is not theirs to set
    answer = client.post("/segment", content=png_of(2_000_000_000, 2_000_000_000))
    assert_says_why(answer, 413, "2000000000x2000000000 is ")
    answer = client.post("/segment", content=png_of(70_000, 1))
    assert_says_why(answer, 413, "70000x1, expected sides of at most 65535 pixels")


def test_bodies_are_bounded_before_they_are_read(predictor, street_png):
    with client_of(predictor, body=5000) as client:
        headers = {"Content-Length": "5001"}  # and not a byte of it is sent
        assert_says_why(client.post("/segment", headers=headers), 413, "the 5000 bytes")
        headers["Content-Length"] = "9" * 30
        assert_says_why(client.post("/segment", headers=headers), 413, "the 5000 bytes")
        headers["Content-Length"] = "-1"
        assert_says_why(client.post("/segment", headers=headers), 400, "Content-Length")
        assert len(street_png) > 5000
        pieces = (street_png[at : at + 1000] for at in range(0, len(street_png), 1000))
        assert_says_why(client.post("/segment", content=pieces), 413, "the 5000 bytes")
        refused = client.get("/metrics").text
        assert 'briskseg_refusals_total{reason="body"} 4.0' in refused


def test_packed_bodies_are_not_unpacked(client, street_png):
    headers = {"Content-Encoding": "gzip"}
    answer = client.post("/segment", content=zlib.compress(street_png), headers=headers)
    assert_says_why(answer, 415, "Content-Encoding")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--a\r\n\r\n--a--"),
        ("multipart/form-data; boundary=a", b"no form"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data; name=x;"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: x; filename="y"\r\n\r\nz',
        ),
        ("multipart/form-data; boundary=" + "a" * 300, b"--a--"),
        ("multipart/form-data; boundary=a", b"--a\r\nA: b\r\n\r\nx\r\n" * 100 + b"--a--"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: x\r\n\r\nz\r\n--a--"),
    ],
)
def test_what_is_no_form_is_said(client, kind, body):
    answer = client.post("/segment", content=body, headers={"Content-Type": kind})
    assert_says_why(answer, 400, "form")


def test_what_is_not_served_is_said(client):
    assert_says_why(client.get("/nothing"), 404, "GET /nothing is not served here")
    assert_says_why(client.get("/segment"), 405, "GET /segment")
    assert_says_why(client.post("/segment/"), 404, "POST /segment/")
    assert_says_why(client.get("/%1b[2J"), 404, "\\x1b[2J")


def test_the_card_is_the_file_s(client, predictor):
    answer = client.get("/card")
    assert answer.json() == json.loads(predictor.card.to_json())
    assert answer.json()["labels"]["names"][0] == "Sky"


def test_metrics_count_each_stage(predictor, street_png):
    with client_of(predictor) as client:
        for _ in range(3):
            client.post("/segment", content=street_png)
        text = client.get("/metrics").text
    for stage in ("receive", "wait", "read", "resize", "inference", "decode", "write"):
        assert f'briskseg_stage_seconds_bucket{{le="+Inf",stage="{stage}"}} 3.0' in text
    assert 'briskseg_requests_total{route="/segment",status="200"} 3.0' in text
    assert "briskseg_queue_depth 0.0" in text


def test_answers_say_their_stages(client, street_png):
    timing = client.post("/segment", content=street_png).headers["server-timing"]
    stages = [entry.split(";dur=")[0] for entry in timing.split(", ")]
    assert stages == ["receive", "wait", "read", "resize", "inference", "decode", "write"]
