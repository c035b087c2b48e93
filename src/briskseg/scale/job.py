"""What a job of `label` is: asked for, written down where it begins, and known again after that."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from briskseg.core.errors import RequestError
from briskseg.core.exported import files_of
from briskseg.core.files import sha256
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.files.limits import parse_json
from briskseg.core.files.safe_names import printable
from briskseg.runtime.backends import BACKENDS
from briskseg.runtime.backends.autotune import Config, autotune
from briskseg.runtime.model_files import find_files, read_file
from briskseg.scale.sources import Shard, digest
from briskseg.scale.storage import Storage, is_url, local_path

JOB = "job.json"


@dataclass
class Job:
    """What labels, and where: a job is begun with it and gone on with.

    threads: of each worker, whose number it is not: so the same job gives the same bits with any.
    """

    source: str
    out: str
    to: str
    model: Path
    backend: str = "auto"
    threads: int = 1
    shard_size: int | None = None


def begin(storage: Storage, job: Job, shards: Sequence[Shard]) -> Config:
    """What computes: of a job that is begun, what it was begun with; else the fastest here, written
    to the folder. Parts that begin at the same time agree on one. Raises RequestError where the
    folder holds something else, or another job."""
    asked = {"to": job.to, "shards": len(shards), "digest": digest(shards)}
    asked["shard_size"] = job.shard_size
    is_begun = storage.has(JOB)
    if not is_begun:
        names = storage.names("")
        is_begun = JOB in names  # by another part, just now
        if names and not is_begun:
            found = ", ".join(sorted(names)[:3]) + " ..." * (len(names) > 3)
            raise RequestError(
                f"{job.out} holds {found} and no job of `label`, expected an empty or new folder"
            )
    if not is_begun:
        if not is_url(job.out):
            refuse_unwritable(local_path(job.out))
        config = autotune(find_files(job.model, job.backend), job.backend, job.threads)
        made = asked | {"source": printable(job.source), "model": _identity(config, job.threads)}
        text = json.dumps(made, indent=1, sort_keys=True) + "\n"
        if storage.create(JOB, text.encode()):
            return config
    try:
        begun = parse_json(storage.read(JOB))
        model = dict(begun["model"])
        source = str(begun["source"])
    except (ValueError, LookupError, TypeError):
        raise RequestError(
            f"{job.out}/{JOB} is damaged, expected what an earlier `label` wrote; name a new folder"
        ) from None
    _check_same(job, begun, asked, source)
    for file in find_files(job.model, job.backend, any_size=True):
        config = Config(file, str(model.get("backend")), job.threads)
        fits = config.backend in BACKENDS and BACKENDS[config.backend].opens(file)
        if fits and _identity(config, job.threads) == model:
            if job.backend not in ("auto", config.backend):
                break
            return config
    raise RequestError(
        f"{job.out} was begun with {model.get('file')} on {model.get('backend')}, threads a "
        f"worker: {model.get('threads')}; {job.model} is another file, or runs otherwise: give "
        "what it was begun with, or name a new folder"
    )


def begun_size(storage: Storage) -> int | None:
    """The `shard_size` that the folder's job was begun with; None, too, where there is none."""
    if not storage.has(JOB):
        return None
    try:
        size = parse_json(storage.read(JOB))["shard_size"]
    except (ValueError, LookupError, TypeError):
        return None  # `begin` says what is wrong
    return size if isinstance(size, int) and size > 0 else None


def _check_same(job: Job, begun: Any, asked: dict[str, Any], source: str) -> None:
    if begun.get("to") != job.to:
        raise RequestError(
            f"{job.out} was begun with --to {begun.get('to')}, not {job.to}; give that, or name a "
            "new folder"
        )
    size = begun.get("shard_size")
    if size != job.shard_size:
        was = "without --shard-size" if size is None else f"with --shard-size {size}"
        raise RequestError(
            f"{job.out} was begun {was}, not {job.shard_size}; leave --shard-size out, or name a "
            "new folder"
        )
    if any(begun.get(key) != value for key, value in asked.items()):
        raise RequestError(
            f"{job.out} was begun for the images that {source} held then, in {begun.get('shards')} "
            f"shards, and {job.source} holds others now; bring them back, or name a new folder"
        )


def _identity(config: Config, threads: int) -> dict[str, Any]:
    """By which a job knows its model again, wherever the file lies."""
    return {
        "file": config.file.name,
        "sha256": [_sha256(part) for part in files_of(config.file)],
        "backend": config.backend,
        "threads": threads,
        "classes": list(read_file(config.file)[0].labels.names),
    }


_sha256 = functools.cache(sha256)
