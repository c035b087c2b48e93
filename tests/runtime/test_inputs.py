"""Which files a request means, and that no two of them write to one place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from briskseg.core.errors import RequestError
from briskseg.runtime.inputs import find_inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "a/x.png",
        "a/x.JPG",
        "a/.x.png",
        "a/deep/x.png",
        "b/X.png",
        "b/clip.mp4",
        "b/notes.txt",
        "b/[1].png",
        "out/old.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*texts: str) -> list[tuple[str, str]]:
    return [(str(one.path), one.name) for one in find_inputs(texts, Path("out"))]


def test_folders_keep_their_structure_and_the_output_is_no_input(folder: Path) -> None:
    assert names(".") == [
        ("a/deep/x.png", "a/deep/x"),
        ("a/x.JPG", "a/x"),
        ("a/x.png", "a/x-2"),
        ("b/X.png", "b/X"),
        ("b/[1].png", "b/[1]"),
        ("b/clip.mp4", "b/clip"),
    ]
    assert find_inputs(["b/clip.mp4"], Path("out"))[0].is_video


def test_equal_names_get_numbers_in_the_order_given(folder: Path) -> None:
    assert names("b/X.png", "a/x.png", "a/deep/x.png", "a/x.png") == [
        ("b/X.png", "X"),
        ("a/x.png", "x-2"),
        ("a/deep/x.png", "x-3"),
    ]


def test_cameras_are_known_by_number(folder: Path) -> None:
    found = find_inputs(["camera:2", "b/clip.mp4", "camera:2"], Path("out"))
    assert [(one.name, one.camera, one.is_stream) for one in found] == [
        ("camera-2", 2, True),
        ("clip", None, True),
    ]


def test_patterns_are_expanded_and_a_file_with_brackets_is_a_file(folder: Path) -> None:
    assert names("a/**/*.png") == [("a/deep/x.png", "x"), ("a/x.png", "x-2")]
    assert names(os.path.join("b", "[1].png")) == [("b/[1].png", "[1]")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "none.png",
            "none.png is not there, expected an image, a video, a folder, a pattern, camera:0 or",
        ),
        ("none*.png", r"no image and no video matches none\*.png"),
        ("b/notes.txt", "b/notes.txt is no image and no video by its name, expected .avi, "),
        ("out", "the folder out holds no image and no video"),
        ("a/x_%04d.png", "no image is numbered as a/x_%04d.png says"),
        ("http://host/photo.jpg", "http://host/photo.jpg is an image elsewhere; download it"),
    ],
)
def test_a_request_for_nothing_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        names(text)


def test_cameras_and_addresses_are_sources_as_they_are_given(folder: Path) -> None:
    (folder / "7").mkdir()
    (folder / "7" / "a.png").write_bytes(b"")
    texts = ["0", "/dev/video3", "camera:3", "rtsp://u:secret@10.0.0.5:554/live/1?token=x"]
    found = find_inputs([*texts, "http://10.0.0.5/s.mjpg"], Path("out"))
    assert [(one.shown, one.name, one.camera) for one in found] == [
        ("0", "camera-0", 0),
        ("/dev/video3", "camera-3", 3),
        ("rtsp://u:secret@10.0.0.5:554/live/1?token=x", "rtsp-10.0.0.5-554-live-1", None),
        ("http://10.0.0.5/s.mjpg", "http-10.0.0.5-s.mjpg", None),
    ]
    assert all(one.is_stream for one in found)
    assert names("7") == [(os.path.join("7", "a.png"), "a")]  # a folder, no camera


def test_a_numbered_pattern_gives_the_images_in_the_order_of_their_numbers(folder: Path) -> None:
    for name in ("f_0010.png", "f_0002.png", "f_10000.png", "f_02.png", "f_0002.txt"):
        (folder / "a" / name).write_bytes(b"")
    assert names("a/f_%04d.png") == [
        ("a/f_0002.png", "f_0002"),
        ("a/f_0010.png", "f_0010"),
        ("a/f_10000.png", "f_10000"),
    ]
    assert names("a/f_%d.png")[0] == ("a/f_0002.png", "f_0002")


@pytest.mark.parametrize("suffix", ["ts", "flv", "wmv", "mjpeg", "mjpg"])
def test_other_kinds_of_videos_are_videos(folder: Path, suffix: str) -> None:
    (folder / f"clip.{suffix}").write_bytes(b"")
    assert find_inputs([f"clip.{suffix}"], Path("out"))[0].is_video


def test_a_folder_in_the_output_folder_is_an_input(folder: Path) -> None:
    found = find_inputs(["a", "b/*.png"], Path())
    assert [one.name for one in found] == ["deep/x", "x", "x-2", "X-3", "[1]"]
    with pytest.raises(RequestError, match="but what lies in --out, where results are; name anoth"):
        find_inputs(["out"], Path("out"))
    with pytest.raises(RequestError, match="the path is '', expected a file's or a folder's name"):
        find_inputs([""], Path("out"))  # not the folder that one stands in
    with pytest.raises(RequestError, match=r"notes\.txt is no image and no video by its name, e"):
        find_inputs(["b/notes.txt"], Path("b"))
    with pytest.raises(RequestError, match=r"no video matches b/\*\.gif, expected"):
        find_inputs(["b/*.gif"], Path("b"))


def test_a_folder_that_may_not_be_read_is_not_empty(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: str) -> object:  # root may read everything
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(RequestError, match="deep cannot be listed: Permission denied; look at its"):
        find_inputs(["a"], Path("out"))
