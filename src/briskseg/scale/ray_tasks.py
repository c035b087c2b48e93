"""Shards as tasks of a Ray cluster; those of a node that dies are done again by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from briskseg.core.errors import BriskError, RequestError, needs
from briskseg.core.wording import first_line
from briskseg.scale.shard_work import Done, Work, label_shard
from briskseg.scale.sources import Shard

with needs("--ray", "ray"):
    import ray

_LOOK_EVERY_S = 1.0
_RETRIES = 3  # of a shard whose process or node dies: one that kills them must not go on for ever


def run_on_ray(address: str, work: Work, shards: Sequence[Shard]) -> Iterator[Done]:
    """The shards as they become done, a task each of as many processors as `work.threads`.

    address: as `ray.init` takes it: HOST:PORT, `auto`, `ray://...`. Every node has briskseg, and
    reaches source, model and output under the same names. Raises RequestError where no cluster
    answers, BriskError for what fails in a task.
    """
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except Exception as error:  # it has several, one of each library that it is made of
        raise RequestError(f"--ray {address}: no cluster answers there: {error}") from None
    name = ""
    try:
        task = ray.remote(num_cpus=work.threads, max_retries=_RETRIES)(_label)
        shared = ray.put(work)
        names = {task.remote(shared, shard): shard.name for shard in shards}
        waiting = [*names]
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=_LOOK_EVERY_S)
            for each in ready:
                name, done = names[each], ray.get(each)
                if isinstance(done, str):
                    raise BriskError(done)
                yield done
    except ray.exceptions.RayError as error:
        raise BriskError(
            f"the Ray cluster failed at the shard {name or shards[0].name}: {first_line(error)}; "
            "give the same command again to go on"
        ) from error
    finally:
        ray.shutdown()


def _label(work: Work, shard: Shard) -> Done | str:
    """On a node: what became of the shard, or the message of what stopped it."""
    try:
        return label_shard(work, shard)
    except BriskError as error:
        return str(error)
