"""One process of a run among several: who launched it, its rank, and how they find each other.

No torch at the top: the command asks which process speaks before it imports torch.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from briskseg.core.errors import BriskError, Interrupted, RequestError, TrainingError
from briskseg.core.process_settings import keep_freed_memory

if TYPE_CHECKING:
    import torch

SAID_WITHIN_S = 5.0  # a process that fails closes its connections before it says why
SEEN_WITHIN_S = 2.0  # of a process that is killed, connections may close before it is gone
# What gloo and NCCL say where a process they speak with is gone.
_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
GRACE_S = 20.0  # from the end of one process to that of the others, where none of them notices it


class ProcessLost(TrainingError):
    """Another process of the run ended; `is_whole`: the message is that process's own sentence."""

    def __init__(self, message: str, is_whole: bool = False) -> None:
        super().__init__(message)
        self.is_whole = is_whole


@dataclass(frozen=True)
class Processes:
    """rank: this process's, from 0, of `world`. local_rank, local_world: the same on this machine.
    launcher: "torchrun", "srun", "devices" (`--devices`), or "" where there is one process alone.
    port: of "devices", where the first process listens. has_own_gpu: each process is shown one GPU
    and no other, so that all of them call theirs number 0."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    launcher: str = ""
    port: int = 0
    has_own_gpu: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the run folder and speaks."""
        return self.rank == 0

    def gpu(self, found: int) -> int:
        """The number of this process's GPU among the `found` ones that it sees.

        Raises RequestError where there is none for each process.
        """
        if self.has_own_gpu and found == 1:
            return 0
        if self.local_world > found:
            raise RequestError(
                f"{self.local_world} processes on this machine need a GPU each, and it has {found};"
                f" start {found} of them there"
                + (f", with --devices {found}" if self.launcher == "devices" else "")
            )
        return self.local_rank

    def any(self, *wishes: bool) -> tuple[bool, ...]:
        """What any of the processes wishes; all must ask at the same step."""
        if self.world == 1:
            return wishes
        import torch
        import torch.distributed as dist

        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        asked = torch.tensor(wishes, dtype=torch.int32, device=device)
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return tuple(map(bool, asked.tolist()))

    def reduced(self, values: torch.Tensor) -> torch.Tensor:
        """Added up over all processes; the argument is changed."""
        if self.world > 1:
            import torch.distributed as dist

            dist.all_reduce(values)
        return values

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        if self.world == 1:
            return value
        import torch.distributed as dist

        held = [value]
        dist.broadcast_object_list(held)
        return held[0]

    def leave(self) -> None:
        """Part from the others, all at the same time; the rest is the first one's work."""
        if self.world > 1:
            import torch.distributed as dist

            dist.destroy_process_group()


def launched(devices: int = 1) -> Processes:
    """This process's place, as the launcher says that really started it.

    Args:
        devices: of `--devices`, how many processes are to be started here.

    Raises RequestError where a launcher started other processes than `devices`.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        rank, world = int(env["RANK"]), int(env["WORLD_SIZE"])
        local = int(env["LOCAL_RANK"]), int(env["LOCAL_WORLD_SIZE"])
        found = Processes(rank, world, *local, "torchrun")
    elif "SLURM_STEP_ID" in env and int(env.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        # Only a step of several tasks: an allocation alone, as salloc's or sbatch's, sets
        # SLURM_NTASKS and SLURM_PROCID=0 for a single process too.
        rank, world = int(env["SLURM_PROCID"]), int(env["SLURM_STEP_NUM_TASKS"])
        local = int(env["SLURM_LOCALID"]), _slurm_local_world()
        own_gpu = {"SLURM_GPUS_PER_TASK", "SLURM_GPU_BIND"} & env.keys()
        found = Processes(rank, world, *local, "srun", has_own_gpu=bool(own_gpu))
    else:
        launcher = "devices" if devices > 1 else ""
        return Processes(0, devices, 0, devices, launcher)
    if devices not in (1, found.local_world):
        raise RequestError(
            f"{found.launcher} started {found.local_world} processes here, and --devices says "
            f"{devices}; leave --devices out"
        )
    return found


def _slurm_local_world() -> int:
    """Tasks of this step on this node, of "4(x2),3": a number a node, in order."""
    counts: list[int] = []
    for part in os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1").split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if found:
            counts += [int(found[1])] * int(found[2] or 1)
    node = int(os.environ.get("SLURM_NODEID", "0"))
    return counts[node] if node < len(counts) else 1


@contextmanager
def connected(
    processes: Processes, device: str, start: Callable[[Processes], None]
) -> Iterator[None]:
    """Have the processes of a run reach each other while the context lasts.

    Args:
        device: "cuda", "cpu", ...
        start: of `--devices`, what the other processes call; it must be picklable.

    Raises ProcessLost where another process ended before its work was done.
    """
    if processes.world == 1:
        yield
        return
    import torch.distributed as dist

    backend = "nccl" if device == "cuda" else "gloo"
    if processes.launcher != "devices":
        _connect(processes, backend)
        others = None
    else:
        is_first = processes.is_first
        store = dist.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", processes.port, processes.world, is_first, wait_for_workers=False
        )
        others = _Others(processes, store.port, start) if is_first else None
        dist.init_process_group(
            backend, store=store, rank=processes.rank, world_size=processes.world
        )
    try:
        yield
    except BriskError:
        raise
    except Exception as error:
        is_lost = any(word in str(error) for word in _GONE)
        lost = others.lost(SAID_WITHIN_S if is_lost else 0) if others else None
        if lost is None and not is_lost:
            raise
        raise lost or ProcessLost("another process of the run ended") from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        if others is not None:
            others.is_over = True


def _connect(processes: Processes, backend: str) -> None:
    """Find the other processes where a launcher has started them.

    Raises TrainingError where they are not all there in time.
    """
    import torch.distributed as dist

    if processes.launcher == "srun":
        _set_slurm_address()
    address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        dist.init_process_group(backend, rank=processes.rank, world_size=processes.world)
    except Exception as error:  # of the store, of the network, of the backend
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no answer"
        raise TrainingError(
            f"process {processes.rank} of {processes.world} could not meet the others at {address} "
            f"({reason}); see what the first process says, that the same command runs on every "
            "machine, and that they reach that address"
        ) from error


def _set_slurm_address() -> None:
    # rank 0 runs on the first of "node[03-07,9],other"; a job's steps each get a port
    nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
    node = re.match(r"([^,\[]+)(?:\[([^,\-\]]+))?", nodes)
    name = f"{node[1]}{node[2] or ''}" if node else nodes
    step = sum(int(os.environ.get(f"SLURM_{kind}_ID", "0")) for kind in ("JOB", "STEP"))
    os.environ.setdefault("MASTER_ADDR", name)
    os.environ.setdefault("MASTER_PORT", str(20_000 + step % 10_000))


class _Others:
    """The further processes of `--devices`, as the first one started them."""

    def __init__(self, processes: Processes, port: int, start: Callable[[Processes], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self.is_over = False
        self._errors = context.SimpleQueue()
        self._started = []
        for rank in range(1, processes.world):
            own = Processes(rank, processes.world, rank, processes.world, "devices", port)
            process = context.Process(target=_work, args=(start, own, self._errors), daemon=False)
            process.start()
            self._started.append(process)
        threading.Thread(target=self._watch, daemon=True).start()

    def lost(self, within_s: float) -> ProcessLost | None:
        """Why one of them ended, None where none did within so many seconds."""
        wait([process.sentinel for process in self._started], timeout=within_s)
        if not self._errors.empty():
            rank, message = self._errors.get()
            return ProcessLost(f"process {rank}: {message}", is_whole=True)
        for rank, process in enumerate(self._started, 1):
            if process.exitcode:
                code = process.exitcode
                how = signal.Signals(-code).name if code < 0 else f"status {code}"
                return ProcessLost(f"process {rank} of the run ended ({how})")
        return None

    def _watch(self) -> None:
        """End this process too where one of the others fell and nothing here notices it, as where
        it waits on a GPU."""
        left = list(self._started)
        while left and not self.is_over:
            wait([process.sentinel for process in left])
            fell = [process for process in left if process.exitcode]
            left = [process for process in left if process.exitcode is None]
            if fell:
                threading.Event().wait(GRACE_S)
                if not self.is_over:
                    _end_now("another process of the run ended; go on with --resume")


def _work(start: Callable[[Processes], None], processes: Processes, errors: Any) -> None:
    """What a further process of `--devices` does; the first one says what went wrong in it."""
    keep_freed_memory()  # as the command has it in the first one
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        threading.Event().wait(GRACE_S)  # in which the training thread notices it, and says more
        _end_now("the first process of the run ended; go on with --resume")

    threading.Thread(target=follow, daemon=True).start()
    try:
        start(processes)
    except Interrupted as error:
        raise SystemExit(error.exit_status) from None
    except BriskError as error:
        errors.put((processes.rank, str(error)))
        parent.join(SEEN_WITHIN_S)
        if not parent.is_alive():  # so nobody reads it
            _end_now(str(error))
        raise SystemExit(error.exit_status) from None


def _end_now(message: str) -> None:
    os.write(2, f"briskseg: {message}\n".encode())
    os._exit(1)
