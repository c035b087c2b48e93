"""briskseg predict: files in, masks and overlays out, whatever else is damaged."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import briskseg
from briskseg.core.card import load_weights, save_weights
from briskseg.core.images import read_image, write_png

RAN = "model.safetensors with torch in float32"
COLORS = np.array([(70, 130, 180), (128, 64, 128), (0, 0, 142)], np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    folder = tmp_path / "photos"
    for name, size in (("a.png", (30, 41)), ("sub/a.png", (25, 18)), ("sub/b.png", (8, 70))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return folder


def write_video(path: Path, frames: int, size_hw: tuple[int, int]) -> None:
    """An .avi may have odd sides, an .mp4 may not."""
    own = path.suffix == ".avi"
    code = cv2.VideoWriter.fourcc(*("MJPG" if own else "mp4v"))
    backend = cv2.CAP_OPENCV_MJPEG if own else cv2.CAP_FFMPEG
    writer = cv2.VideoWriter(str(path), backend, code, 12.5, size_hw[::-1])
    for index in range(frames):
        writer.write(np.full((*size_hw, 3), 8 * index, np.uint8))
    writer.release()


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def test_a_folder_gives_masks_of_its_sizes_in_its_structure(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = command("predict", weights_file, photos, "--out", out)
    assert (done.status, done.out) == (0, f"3 of 3 labeled, in {out}: {RAN}\n")
    predictor = briskseg.load(weights_file)
    for name in ("a", "sub/a", "sub/b"):
        image = read_image(photos / f"{name}.png")
        with Image.open(out / f"{name}_labels.png") as picture:
            assert picture.mode == "L"
            labels = np.asarray(picture)
        np.testing.assert_array_equal(labels, predictor(image))
        color = read_image(out / f"{name}_color.png")
        np.testing.assert_array_equal(color, COLORS[labels])
        height, width = labels.shape
        blended = read_image(out / f"{name}_overlay.png")[:height, :width].astype(int)
        assert np.abs(2 * blended - image - color).max() <= 1
    assert len([path for path in out.rglob("*") if path.is_file()]) == 9


def test_equal_names_do_not_overwrite_each_other(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("predict", weights_file, photos / "a.png", photos / "sub" / "*.png", "--out", out)
    assert command(*words).status == 0
    sizes = {path.name: read_image(path).shape[:2] for path in out.glob("*_labels.png")}
    assert sizes == {"a_labels.png": (30, 41), "a-2_labels.png": (25, 18), "b_labels.png": (8, 70)}


def test_labels_of_the_users_own_are_not_replaced_and_results_are(
    command, weights_file: Path, photos: Path
) -> None:
    own = photos / "a_labels.png"
    write_png(own, np.full((30, 41), 2, np.uint8))
    before, words = own.read_bytes(), ("predict", weights_file, photos / "a.png", "--out", photos)
    done = command(*words)
    told = f"briskseg: {own} is there, and is no result of `predict`, which would replace it"
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(told)
    assert own.read_bytes() == before
    assert sorted(path.name for path in photos.glob("*.*")) == ["a.png", "a_labels.png"]
    own.unlink()
    assert [command(*words).status for _ in range(2)] == [0, 0]


def test_results_of_an_earlier_predict_are_no_inputs(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    write_video(photos / "drive.mp4", 3, (30, 40))
    assert command("predict", weights_file, photos, "--out", photos / "first").status == 0
    assert len([*photos.glob("first/**/*.*")]) == 3 * 3 + 2
    beside = command("predict", weights_file, photos, "--out", tmp_path / "out")
    passed_over = "results of an earlier predict passed over; named alone they are labeled\n"
    assert (beside.status, beside.err) == (0, f"note: 11 {passed_over}")
    assert f"\n4 of 4 labeled, in {tmp_path / 'out'}: {RAN}\n" in beside.out
    named = [photos / "a.png", *photos.glob("first/a_*.png")]
    some = command("predict", weights_file, *named, "--out", tmp_path / "some")
    assert some.out == f"1 of 1 labeled, in {tmp_path / 'some'}: {RAN}\n"
    assert some.err == f"note: 3 {passed_over}"
    alone = command("predict", weights_file, *named[1:], "--out", tmp_path / "alone")
    assert alone.out == f"3 of 3 labeled, in {tmp_path / 'alone'}: {RAN}\n"


def test_a_pipe_called_as_a_result_is_refused(command, weights_file: Path, photos: Path) -> None:
    os.mkfifo(photos / "a_labels.png")
    done = command("predict", weights_file, photos / "a.png", "--out", photos)
    assert done.status == 2
    assert "a_labels.png is there, and is no result of `predict`" in done.err


def test_damaged_inputs_are_named_and_the_others_done(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (photos / "bad.mp4").write_bytes(b"no video")
    out = tmp_path / "out"
    done = command("predict", weights_file, photos, "--out", out)
    assert done.status == 1
    assert done.out == f"3 of 5 labeled, in {out}: {RAN}\n"
    assert "2 of 5 inputs failed:\n" in done.err
    assert str(photos / "bad.jpg") in done.err
    assert f"{photos / 'bad.mp4'} cannot be read as a video" in done.err
    assert (out / "sub/b_labels.png").is_file()
    alone = command("predict", weights_file, photos / "bad.jpg", "--out", tmp_path / "none")
    assert (alone.status, alone.out) == (1, "")
    assert alone.err.startswith(f"briskseg: {photos / 'bad.jpg'}")
    assert not (tmp_path / "none").exists()


def test_json_tells_what_became_of_each_input(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    write_video(photos / "drive.mp4", 9, (48, 64))
    out = tmp_path / "out"
    done = command("predict", weights_file, photos, "--out", out, "--flicker", "--json", "-")
    assert done.status == 1
    by_name = {Path(each["input"]).name: each for each in json.loads(done.out)["inputs"]}
    assert len(by_name) == 4  # of two photos with one name, the last
    kinds = ("labels", "color", "overlay")
    assert by_name["b.png"]["files"] == [str(out / f"sub/b_{kind}.png") for kind in kinds]
    assert all(Path(file).is_file() for each in by_name.values() for file in each["files"])
    assert "bad.jpg" in by_name["bad.jpg"]["error"]
    drive = by_name["drive.mp4"]
    assert (drive["frames"], drive["ended"], len(drive["files"])) == (9, "source", 2)
    assert drive["stages_ms"]["infer"]["p95"] >= drive["stages_ms"]["infer"]["p50"] > 0
    assert 0 <= drive["flicker"] <= 1


@pytest.mark.parametrize(("name", "size_hw"), [("drive.mp4", (48, 64)), ("drive.avi", (37, 51))])
def test_a_video_keeps_its_frames_size_and_rate(
    command, weights_file: Path, tmp_path: Path, name: str, size_hw: tuple[int, int]
) -> None:
    write_video(tmp_path / name, 9, size_hw)
    out = tmp_path / "out"
    done = command("predict", weights_file, tmp_path / name, "--out", out)
    assert done.status == 0
    assert re.match(rf"{tmp_path / name}: 9 frames in .* frames/s, latency \d+ ms", done.out)
    assert re.search(r"ms a frame +read +infer +draw +write\n  median( +\d+\.\d){4}\n", done.out)
    assert done.out.endswith(f"1 of 1 labeled, in {out}: {RAN}\n")
    color, rate = read_video(out / "drive_color.mp4")
    frames, source_rate = read_video(tmp_path / name)
    assert (len(color), rate) == (len(frames), source_rate)
    assert source_rate >= 12
    assert color[0].shape[:2] == (size_hw[0] + size_hw[0] % 2, size_hw[1] + size_hw[1] % 2)
    predictor = briskseg.load(weights_file)
    for source, frame in zip(frames, color, strict=True):
        assert source.shape[:2] == size_hw
        expected = COLORS[predictor(source[..., ::-1])].astype(int)
        shown = frame[: size_hw[0], : size_hw[1], ::-1]
        assert np.median(np.abs(shown - expected)) < 12  # compression
    overlays, _ = read_video(out / "drive_overlay.mp4")
    assert len(overlays) == 9
    assert overlays[0].shape[0] > size_hw[0]


def test_a_video_that_is_cut_off_is_named(command, weights_file: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.avi"
    write_video(whole, 30, (48, 64))
    data = whole.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    done = command("predict", weights_file, tmp_path / "cut.avi", "--out", tmp_path / "out")
    assert done.status == 1
    found = re.search(
        r"(\d+) of 30 frames could be read; the video is damaged or cut off", done.err
    )
    assert found
    assert f"{found[1]} labeled frames are in {tmp_path / 'out' / 'cut_color.mp4'} and " in done.err
    assert len(read_video(tmp_path / "out" / "cut_overlay.mp4")[0]) == int(found[1]) > 5


@pytest.fixture
def undecided(weights_file: Path, tmp_path: Path) -> Path:
    """The network with its logits moved around zero, so that noise changes its labels."""
    tensors, card = load_weights(weights_file)
    network = briskseg.load(weights_file)
    gray = np.full((64, 96, 3), 128, np.uint8)
    tensors = dict(tensors)
    tensors["classifier.3.bias"] = tensors["classifier.3.bias"] - network.logits(gray).mean((1, 2))
    save_weights(tmp_path / "undecided.safetensors", tensors, card)
    return tmp_path / "undecided.safetensors"


def test_smoothing_and_the_flicker_that_it_leaves(command, undecided: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    still = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2)
    still = cv2.normalize(still, None, 40, 215, cv2.NORM_MINMAX)
    drive = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(drive), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for _ in range(6):  # one place with a camera's noise
        noise = rng.normal(0, 12, still.shape)
        writer.write(np.clip(still + noise, 0, 255).astype(np.uint8))
    writer.release()
    words = ("predict", undecided, drive, "--out", tmp_path, "--flicker", "--smooth")
    flicker, changes = [], []
    for frames in (1, 200):
        done = command(*words, frames)
        flicker.append(float(re.search(r"flicker (\d+\.\d\d)%", done.out)[1]))
        colors = np.stack(read_video(tmp_path / "drive_color.mp4")[0]).astype(int)
        changes.append(np.abs(colors - colors[0]).max())
    assert flicker[0] > 0.1
    assert flicker[1] == 0
    assert changes[0] > 60 > 2 * changes[1]  # but for compression
    assert command(*words, 0).status == 2


def test_ctrl_c_says_how_many_images_there_are(
    command, weights_file: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from briskseg.runtime import predictions

    write = predictions.write_predictions

    def until_two(source, *more) -> list[Path]:
        if source.path.name == "b.png":  # the third
            raise KeyboardInterrupt
        return write(source, *more)

    monkeypatch.setattr(predictions, "write_predictions", until_two)
    out = tmp_path / "out"
    done = command("predict", weights_file, photos, "--out", out)
    told = f"briskseg: interrupted: 2 of 3 images were labeled, in {out}\n"
    assert (done.status, done.out, done.err) == (130, "", told)


def test_ctrl_c_in_any_verb_is_said(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("briskseg.recipe.list_recipes", pressed)
    assert command("recipes") == (130, "", "briskseg: interrupted\n")


def test_a_camera_that_is_absent_and_images_in_a_window(
    command, weights_file: Path, photos: Path, tmp_path: Path
) -> None:
    done = command("predict", weights_file, "camera:97", "--out", tmp_path / "out")
    assert done.status == 1
    assert done.err.startswith("briskseg: camera:97 cannot be opened: there is no such camera, ")
    image, out = next(photos.glob("*.*")), tmp_path / "beside"
    words = ("camera:97", image, "--out", out, "--smooth", 3, "--json", tmp_path / "found.json")
    beside = command("predict", weights_file, *words)
    assert beside.status == 1
    assert "--smooth is of videos and cameras; images are labeled each by itself" in beside.err
    assert "1 of 2 inputs failed:\ncamera:97 cannot be opened" in beside.err
    assert len(json.loads((tmp_path / "found.json").read_text())["inputs"]) == 2
    assert (out / f"{image.stem}_labels.png").is_file()
    done = command("predict", weights_file, photos, "--show")
    assert (done.status, done.out) == (2, "")
    assert "is an image, and --show shows videos and cameras" in done.err


def test_arguments_in_each_others_places_are_told_with_the_right_command(
    command, tmp_path: Path, streets: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("")
    image = next((streets / "images" / "val").iterdir())
    for words, meant in (
        (
            ("predict", "a.jpg", "b.mp4", "erfnet-camvid11"),
            "did you mean `briskseg predict erfnet-camvid11 a.jpg b.mp4`?",
        ),
        (("predict", "a.jpg", streets), f"did you mean `briskseg predict MODEL a.jpg {streets}`?"),
        (("predict", "a.jpg", "b.jpg"), "did you mean `briskseg predict MODEL a.jpg b.jpg`?"),
        (("train", streets), "is a folder, expected a recipe's name or file; --data names data"),
        (("train", run), f"did you mean {run / 'recipe.yaml'}?"),
        (("check", streets / "classes.txt"), f"did you mean {streets}?"),
        (("check", image), f"did you mean {streets}?"),
        (("check", run / "recipe.yaml"), "name a folder, or 'streets'\n"),
        (
            ("train", "demo", "--minutes", "0.01"),
            "--minutes 0.01: expected a number of 0.1",
        ),
        (("train", "demo", "--minutes", "inf"), "--minutes inf: expected a number of 0.1"),
        (("export", "erfnet-camvid11", "--to", "onnx", "--int8"), "--to openvino or litert"),
        (("export", "erfnet-camvid11", "--to", "openvino", "--int8"), "name the data set that the"),
    ):
        done = command(*words)
        assert (done.status, done.out) == (2, "")
        assert meant in done.err
        assert done.err.count("\n") == 1


def test_files_that_are_replaced_are_counted(
    command, tmp_path: Path, streets: Path, weights_file: Path
) -> None:
    image = next((streets / "images" / "val").iterdir())
    for words, replaced in (
        (("predict", weights_file, image, "--out", tmp_path / "out"), 3),
        (("data", "show", streets, "--out", tmp_path / "out"), 4),
    ):
        first, again = command(*words), command(*words)
        assert (first.status, again.status) == (0, 0)
        assert "replaced" not in first.err
        assert f"note: replaced {replaced} files in {tmp_path / 'out'}\n" in again.err
