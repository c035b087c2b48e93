"""briskseg label: bulk inference, a whole collection of images to labels and a manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from briskseg.cli import app, console, options
from briskseg.core.errors import Interrupted, RequestError

if TYPE_CHECKING:
    from briskseg.scale.run import Report

_Source = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="A folder, a pattern ('a/**/*.jpg'), a list (.txt, one path a line), or WebDataset "
        "tars ('DIR/{000..063}.tar', or a folder of .tar files). On this machine, or anywhere that "
        "fsspec reaches (s3://, gs:// ...).",
    ),
]
_Model = Annotated[Path, typer.Option("--model", help="The model, as for `predict`.")]
_Out = Annotated[
    str,
    typer.Option("--out", metavar="DST", help="A new folder, or one to continue; also s3:// ..."),
]
_To = Annotated[
    str,
    typer.Option(help="png: one index mask an image; tar: masks in shards; parquet: run lengths."),
]
_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="The number of processes; by default all cores are used."),
]
_Threads = Annotated[
    int,
    typer.Option(min=1, help="CPU threads of each worker. Their number may change the last bits."),
]
_Part = Annotated[
    str | None,
    typer.Option(metavar="K/N", help="Label part K of N, as one task of an array job."),
]
_Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Ray cluster: HOST:PORT, auto or ray://HOST:PORT."),
]
_ShardSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Images in a shard; by default 32 to 1024."),
]
_Retry = Annotated[
    bool, typer.Option("--retry", help="Label shards again in which files could not be read.")
]


@app.command()
def label(
    source: _Source,
    model: _Model,
    out: _Out,
    to: _To = "png",
    workers: _Workers = None,
    part: _Part = None,
    ray: _Ray = None,
    shard_size: _ShardSize = None,
    retry: _Retry = False,
    backend: options.BackendOption = "auto",
    threads: _Threads = 1,
    json_file: console.JsonOption = None,
) -> None:
    """Label a whole collection of images, on many cores or machines.

    For every image it writes an index mask of the same name and size, and a row in DST/manifest/
    (Parquet): the size, the pixels of each class, the mean confidence, and where the labels are. If
    an image cannot be read, its row says why, the others are labeled, and the exit status is 1.

    The work is divided into shards. After Ctrl-C, a kill or a power cut the same command continues:
    shards that are in the manifest are not labeled again. The result has the same bytes, whichever
    process labeled which shard.

    Examples: briskseg label photos --model runs/first --out labels --workers 8

    briskseg label 's3://cars/{000..063}.tar' --model fast-scnn-camvid11 --out s3://cars/labels
    --to tar --part $SLURM_ARRAY_TASK_ID/64

    briskseg label photos --model runs/first --out labels --ray auto
    """
    from briskseg.scale.job import Job
    from briskseg.scale.run import failure, read_part
    from briskseg.scale.run import label as label_job

    if ray is not None and (workers or part):
        raise RequestError(
            f"--ray {ray} with {'--workers' if workers else '--part'}: the cluster divides the "
            "shards itself; leave that out"
        )
    job = Job(source, out, to, model, backend, threads, shard_size)
    share = (0, 1) if part is None else read_part(part)
    started: list[Report] = []
    try:
        with console.counter("labeling", "images") as progress:
            found = label_job(
                job,
                workers=workers,
                part=share,
                ray=ray,
                retry=retry,
                progress=progress,
                report=started.append,
            )
    except KeyboardInterrupt:
        ready = f"{started[0].images} images are done" if started else "nothing was begun"
        raise Interrupted(
            f"interrupted: {ready}, in {out}; the same command goes on from there"
        ) from None
    if not console.is_stdout(json_file):
        _print_report(found, out)
    console.write_json(json_file, {"source": source, "out": out, **found.to_json()})
    if found.failed:
        raise failure(found, out)


def _print_report(found: Report, out: str) -> None:
    """What became of the job, for people."""
    from briskseg.core.images import DARK_HINT

    if not found.shards:
        print("this part has nothing to do: there are fewer shards than parts")
        return
    print(f"{found.labeled} of {found.images} images labeled, in {out}: {found.ran}")
    if before := found.images - found.images_now:
        print(f"{before} of them were done before")
    if found.images_now:
        rate = found.images_now / found.seconds
        print(f"{found.images_now} in {found.seconds:.1f} s, {rate:.1f} images/s")
    if found.warned:
        image, warning = found.warned[0]
        print(
            f"warning: {found.warnings} of {found.images} images: {warning}, the first: {image}; "
            f"{DARK_HINT}",
            file=sys.stderr,
        )
    if found.unsure:
        console.note(f"{found.unsure} have no confidence: {found.ran} gives labels alone there")
