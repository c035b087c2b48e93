"""A library's manners: what belongs to the process is as it was after every call of ours."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from briskseg.core.errors import DataError
from briskseg.core.files.pictures import opened
from briskseg.core.images import read_image, write_png
from briskseg.core.labels.mask_files import read_mask
from briskseg.core.process_settings import opencv_silenced
from briskseg.data import open_dataset
from briskseg.data.check import check_dataset


def settings():
    """What a program may have set for its whole process."""
    return {
        "Pillow's bound": Image.MAX_IMAGE_PIXELS,
        "environment": dict(os.environ),
        "OpenCV's log level": cv2.utils.logging.getLogLevel(),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
    }


def test_importing_it_sets_nothing():
    """In a process of its own, where nothing of it is loaded."""
    names = [
        f"briskseg.{path.relative_to(source).with_suffix('').as_posix().replace('/', '.')}"
        for source in [Path(sys.modules["briskseg"].__file__).parent]
        for part in ("core", "data", "runtime")
        for path in sorted((source / part).glob("*.py"))
        if not path.stem.endswith("_")  # a package, or a backend that needs its own
    ]
    script = f"""
        import logging, os, warnings
        import cv2, numpy, PIL.Image, typer, rich
        try:
            import torch  # which filters warnings of its own
        except ModuleNotFoundError:
            pass
        def settings():
            return (
                PIL.Image.MAX_IMAGE_PIXELS, dict(os.environ), cv2.utils.logging.getLogLevel(),
                list(warnings.filters), logging.root.level, list(logging.root.handlers),
            )
        before = settings()
        import importlib
        for name in {["briskseg", "briskseg.cli", *names]!r}:
            importlib.import_module(name)
        assert settings() == before, (before, settings())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pixels", [None, "200000000"])
def test_using_it_leaves_all_as_it_was(pixels, streets, weights_file, tmp_path, monkeypatch):
    import briskseg

    if pixels is not None:  # more than Pillow allows by itself
        monkeypatch.setenv("BRISKSEG_MAX_PIXELS", pixels)
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n")
    pytest.importorskip("torch")
    from briskseg.runtime.video.sources import open_video

    before = settings()
    dataset = open_dataset(streets)
    image, _ = dataset.read(dataset.pairs("val")[0])
    check_dataset(streets)
    briskseg.load(weights_file)(image)
    open_video(film).read()
    for read in (read_image, read_mask):
        with pytest.raises(DataError):
            read(tmp_path / "damaged.png")
    write_png(tmp_path / "a.png", image)
    assert settings() == before


def test_threads_that_overlap_leave_all_as_it_was(streets):
    """Each begins within the one before and ends after it."""
    before = settings()
    image = next(streets.glob("images/val/*"))
    for shared in (opencv_silenced, lambda: opened(image)):
        first_ends, second_began = threading.Event(), threading.Event()

        def later(shared=shared, begun=second_began, ended=first_ends):
            with shared():
                begun.set()
                ended.wait(10)

        second = threading.Thread(target=later)
        with shared():
            second.start()
            second_began.wait(10)
        first_ends.set()
        second.join(10)
        assert settings() == before


def test_a_bomb_is_refused_and_pillows_bound_is_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setenv("BRISKSEG_MAX_PIXELS", "500")
    write_png(tmp_path / "large.png", np.zeros((30, 20), np.uint8))
    write_png(tmp_path / "fits.png", np.zeros((25, 20), np.uint8))
    for read in (read_image, read_mask):
        read(tmp_path / "fits.png")
        with pytest.raises(DataError, match="20x30 is 600 pixels, more than the 500"):
            read(tmp_path / "large.png")
        assert Image.MAX_IMAGE_PIXELS == 100


def test_onnx_runtime_reports_nothing(tmp_path):
    """From 1.29 on it keeps a number of the user in the home folder, and sends it with events."""
    code = """
    import numpy as np, briskseg
    briskseg.load("fast-scnn-camvid11", backend="onnx")(np.zeros((16, 16, 3), np.uint8))
    """
    there = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "BRISKSEG_CACHE": os.devnull}
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | there
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_said(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); sys.argv[1:] = "
    code += "['predict', 'fast-scnn-camvid11', 'a.png']; from briskseg.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "briskseg: the folder that you are in is gone; change to another one\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_training_keeps_the_memory_that_it_frees():
    """A page fault is what the system does for a page that it gives anew."""
    script = """
        import resource, sys
        from briskseg.cli import main
        def faults():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        def faults_of_a_large_buffer():
            before = faults()
            b"x" * (64 << 20)
            return faults() - before
        faults_of_a_large_buffer()
        always = faults_of_a_large_buffer()
        sys.argv = ["briskseg", "train", "no-such-recipe"]
        try:
            main()
        except SystemExit as end:
            assert end.code == 2
        first, second = faults_of_a_large_buffer(), faults_of_a_large_buffer()
        assert second < always / 4, (always, first, second)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
