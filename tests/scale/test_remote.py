"""Sources and outputs that fsspec reaches, by its file system in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scale.conftest import contents, draw, png_bytes, write_tar

pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket() -> Iterator[Any]:
    """An empty bucket `memory://bucket`."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def stored(bucket: Any, folder: str) -> dict[str, bytes]:
    return {path.removeprefix(f"{folder}/"): bucket.cat(path) for path in bucket.find(folder)}


def without_paths(found: dict[str, bytes]) -> dict[str, bytes]:
    """But for the manifest and job.json, which hold where the images lay."""
    return {n: d for n, d in found.items() if not n.startswith(("manifest/", "job.json"))}


@pytest.mark.parametrize("to", ["png", "tar", "parquet"])
def test_a_bucket_gives_what_a_folder_gives(
    command, weights_file: Path, photos: Path, tmp_path: Path, bucket: Any, to: str
) -> None:
    bucket.put(str(photos), "/bucket/photos", recursive=True)
    here = tmp_path / "out"
    words = ("--model", weights_file, "--to", to, "--workers", 1, "--shard-size", 6)
    assert command("label", f"file://{photos}", "--out", f"file://{here}", *words).status == 1
    remote = ("label", "memory://bucket/photos", "--out", "memory://bucket/photos/out", *words)
    done = command(*remote)
    assert done.status == 1
    assert "memory://" in done.err
    assert "briskseg-" not in done.err  # no temporary file's name
    assert without_paths(stored(bucket, "/bucket/photos/out")) == without_paths(contents(here))
    table = pytest.importorskip("pyarrow.parquet").read_table
    there = table("/bucket/photos/out/manifest", filesystem=bucket).drop(["source", "error"])
    assert there.equals(table(here / "manifest").drop(["source", "error"]))

    # What a kill leaves, and what it had not yet written.
    whole = stored(bucket, "/bucket/photos/out")
    bucket.rm("/bucket/photos/out/manifest/part-00001.parquet")
    done = command(*remote)
    assert "17 of them were done before" in done.out
    assert stored(bucket, "/bucket/photos/out") == whole


def test_tars_and_patterns_of_a_bucket(
    command, weights_file: Path, tmp_path: Path, bucket: Any
) -> None:
    for number in range(2):
        tar = write_tar(tmp_path / f"{number}.tar", [("a.png", png_bytes(draw(number)))])
        bucket.put(str(tar), f"/bucket/{number}.tar")
    for name, source in (("x", "memory://bucket/{0..1}.tar"), ("y", "memory://bucket/*.tar")):
        out = tmp_path / name
        words = ("label", source, "--model", weights_file, "--out", out, "--workers", 1)
        done = command(*words)
        assert (done.status, done.out[:7]) == (0, "2 of 2 "), done.err
        assert (out / "0/a.png").is_file()
        assert (out / "1/a.png").is_file()
    gone = ("label", "memory://bucket/{0..2}.tar", "--model", weights_file, "--out", tmp_path / "z")
    done = command(*gone, "--workers", 1)
    assert done.status == 1
    assert "2.tar: no such file" in done.err


def test_a_server_that_does_not_answer_stops_the_work(
    command, weights_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "list.txt").write_text("http://127.0.0.1:1/street.jpg\n", "utf-8")
    words = ("label", tmp_path / "list.txt", "--model", weights_file, "--out", tmp_path / "out")
    done = command(*words, "--workers", 1)
    assert done.status == 1
    assert "street.jpg cannot be fetched: Cannot connect to host 127.0.0.1:1" in done.err
    assert "give the same command again to go on" in done.err


def test_a_bucket_that_fails_stops_the_work(
    command, weights_file: Path, photos: Path, bucket: Any, monkeypatch
) -> None:
    def fail(*arguments: Any, **more: Any) -> None:
        raise PermissionError("no rights to write")

    monkeypatch.setattr(type(bucket), "put_file", fail)
    words = ("label", photos, "--model", weights_file, "--out", "memory://bucket/out")
    done = command(*words, "--workers", 1)
    assert done.status == 1
    assert "cannot be written: no rights to write" in done.err
    assert "give the same command again to go on" in done.err
