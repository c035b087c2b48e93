"""A whole job of `label`, or one part of it: planned, gone on with, and summed up.

OUT/job.json      what the job is; another one in the same folder is refused
OUT/manifest/     part-NUMBER.parquet, a file a shard, a row an image; with it the shard is done
                  while the files that it names are there
OUT/...           the labels
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from briskseg.core.errors import BriskError, RequestError
from briskseg.core.parallel import available_threads, thread_map
from briskseg.core.types import Progress
from briskseg.core.wording import counted
from briskseg.runtime.backends import BACKENDS
from briskseg.runtime.predictor import Ran
from briskseg.scale.job import Job, begin, begun_size
from briskseg.scale.outputs import OUTPUTS
from briskseg.scale.parquet_files import read_outcomes
from briskseg.scale.shard_work import MANIFEST, Done, Work, label_shard, manifest_name
from briskseg.scale.sources import Shard, find_shards
from briskseg.scale.storage import Storage, is_url, local_path, open_storage
from briskseg.scale.workers import run_workers

_KEPT = 1000  # failures, and warnings, in a report; the manifest has all


@dataclass
class Report:
    """What became of a job, or of a part: shards and images in all, and done now; failures: images
    that could not be read; broken: tars that did not give all of theirs; failed: (image or tar,
    reason) of the first of both; unsure: images without a confidence, though labeled; warnings:
    images whose labels are worth little, and warned: (image, warning) of the first."""

    ran: Ran
    shards: int = 0
    images: int = 0
    shards_now: int = 0
    images_now: int = 0
    failures: int = 0
    broken: int = 0
    unsure: int = 0
    warnings: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    warned: list[tuple[str, str]] = field(default_factory=list)

    def add(self, done: Done, now: bool) -> None:
        self.images += done.images
        self.failures += len(done.failed)
        self.broken += len(done.broken)
        self.unsure += done.unsure
        self.warnings += len(done.warned)
        self.failed += (done.broken + done.failed)[: _KEPT - len(self.failed)]
        self.warned += done.warned[: _KEPT - len(self.warned)]
        self.shards_now += now
        self.images_now += done.images * now

    @property
    def labeled(self) -> int:
        return self.images - self.failures

    def to_json(self) -> dict[str, Any]:
        rate = self.images_now / self.seconds if self.seconds else 0.0
        return {
            "ran": self.ran._asdict(),
            "shards": self.shards,
            "images": self.images,
            "labeled": self.labeled,
            "failed": self.failures,
            "broken_tars": self.broken,
            "without_confidence": self.unsure,
            "warned": self.warnings,
            "done_before": {
                "shards": self.shards - self.shards_now,
                "images": self.images - self.images_now,
            },
            "seconds": self.seconds,
            "images_per_second": rate,
            "failures": [{"image": image, "error": error} for image, error in self.failed],
            "warnings": [{"image": image, "warning": said} for image, said in self.warned],
        }


def label(
    job: Job,
    *,
    workers: int | None = None,
    part: tuple[int, int] = (0, 1),
    ray: str | None = None,
    retry: bool = False,
    progress: Progress | None = None,
    report: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Label what is not labeled yet; what became of all of it.

    workers: processes; None: by the processors. part: (K, N), the shards whose number leaves K when
    divided by N, so K from 0 to N-1 or from 1 to N. ray: a cluster's address. retry: do shards
    again that were not read whole.
    report: called with the report before the work, and it goes on being filled.
    Raises RequestError for an impossible job, and one that is not the folder's; BriskError where
    something cannot be written, reached or computed: then and on Ctrl-C what is written stays, and
    the same call goes on.
    """
    if ray is not None:  # where it is missing, that is said before anything is written
        import briskseg.scale.ray_tasks  # noqa: F401
    storage = open_storage(job.out)
    job = replace(job, shard_size=job.shard_size or begun_size(storage))
    shards = find_shards(job.source, job.out, job.shard_size, dots=job.to != "tar")
    _check_names(shards, job)
    config = begin(storage, job, shards)
    out = job.out if is_url(job.out) else str(local_path(job.out).resolve())
    work = Work(str(config.file.resolve()), config.backend, job.threads, out, job.to)
    own = [shard for shard in shards if shard.number % part[1] == part[0] % part[1]]
    precision = BACKENDS[config.backend].precision_of(config.file)
    found = Report(Ran(str(config.file), config.backend, precision), shards=len(own))
    before = _done_before(storage, own, retry)
    for done in before.values():
        found.add(done, now=False)
    report(found)
    todo = [shard for shard in own if shard.number not in before]
    started = time.perf_counter()
    with closing(_run(work, todo, workers, ray, progress)) as running:
        for done in running:
            found.add(done, now=True)
            found.seconds = time.perf_counter() - started
    for told in (found.failed, found.warned):
        told.sort()  # in whichever order the shards became done
    storage.finish()
    return found


def _run(
    work: Work,
    shards: Sequence[Shard],
    workers: int | None,
    ray: str | None,
    progress: Progress | None,
) -> Generator[Done, None, None]:
    known = sum(len(shard.images) for shard in shards)  # none of tars, which are opened later

    def show(begun: int, images: int, done: int) -> None:
        if progress is not None and done:
            progress(done, known or max(done, round(images * len(shards) / begun)))

    if not shards:
        return
    if ray is not None:
        from briskseg.scale.ray_tasks import run_on_ray

        images = 0
        for begun, done in enumerate(run_on_ray(ray, work, shards), start=1):
            images += done.images
            yield done
            show(begun, images, images)
        return
    workers = workers or _usual_workers(work)
    if workers > 1:
        yield from run_workers(work, shards, min(workers, len(shards)), show)
        return
    counts = [0, 0, 0]

    def note(images: int, done: int) -> None:
        counts[0] += done == 0
        counts[1] += images
        counts[2] += done
        show(*counts)

    for shard in shards:
        yield label_shard(work, shard, note)


def _usual_workers(work: Work) -> int:
    """One that feeds an accelerator; else as many as keep the processors busy."""
    if work.backend == "torch":
        from briskseg.runtime.backends.torch_backend import accelerator

        if accelerator() is not None:
            return 1
    return max(1, available_threads() // work.threads)


def _check_names(shards: Sequence[Shard], job: Job) -> None:
    """Raise RequestError for labels that would lie among the manifest."""
    if job.to not in OUTPUTS:
        raise RequestError(f"--to {job.to}, expected {' or '.join(OUTPUTS)}")
    names = [f"{shard.name}/" if job.to == "png" else shard.name for shard in shards if shard.tar]
    if job.to == "png":
        names += (image.target for shard in shards for image in shard.images)
    for name in names if job.to != "parquet" else ():
        if name.casefold().startswith(f"{MANIFEST}/"):
            raise RequestError(
                f"labels of {job.source} would lie in '{name.partition('/')[0]}', where the "
                "manifest goes; rename that folder or tar, or name those beside it by a pattern"
            )


def _done_before(storage: Storage, shards: Sequence[Shard], retry: bool) -> dict[int, Done]:
    """The shards whose manifest is there, and all files that it names, by number; with `retry` but
    for those with failures."""
    names = functools.cache(storage.names)  # a list a folder, as asking for each file takes hours
    written = [shard for shard in shards if manifest_name(shard) in names(MANIFEST)]

    def read(shard: Shard) -> Done | None:
        name = f"{MANIFEST}/{manifest_name(shard)}"
        rows = read_outcomes(storage.read(name), name)
        for folder, _, file in {row.file.rpartition("/") for row in rows if row.file}:
            if file not in names(folder) and not file.startswith("."):  # which are not listed
                return None
        done = Done.of(rows)
        return None if retry and (done.failed or done.broken) else done

    read_all = thread_map(read, written, threads=8)
    found = zip(written, read_all, strict=True)
    return {shard.number: done for shard, done in found if done is not None}


def read_part(text: str) -> tuple[int, int]:
    """`3/64` as numbers."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 0 <= int(number) <= int(of) > 0):
        raise RequestError(
            f"--part {text} is no part, expected K/N as in 3/64, K from 1 to N (or from 0 to N-1)"
        )
    return int(number), int(of)


def failure(found: Report, out: str) -> BriskError:
    """The error to end with where images failed, or tars."""
    shown = "\n".join(f"{name}: {error}" for name, error in found.failed[:10])
    many = found.failures + found.broken
    more = f"\n... and {many - 10} more" if many > 10 else ""
    what = []
    if found.broken:
        what.append(counted(found.broken, "tar") + " could not be read to its end")
    if found.failures:
        what.append(f"{found.failures} of {found.images} images failed")
    return BriskError(
        f"{' and '.join(what)}, and {out}/{MANIFEST} says why; once "
        f"they are mended, --retry labels them:\n{shown}{more}"
    )
