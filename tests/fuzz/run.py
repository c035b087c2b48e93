"""Send many hostile files through every place where files come in; a defect ends it.

    python tests/fuzz/run.py --cases 20000                    every door
    python tests/fuzz/run.py --cases 50000 --door image       one
    python tests/fuzz/run.py --cases 50000 --door recipe --coverage   guided by coverage (atheris)
    python tests/fuzz/run.py --door image --replay 12345      one case again

Each door is a process of its own, so that a crash of a decoder is seen too. Cases follow from their
numbers alone. Printed are the cases, what came of them, and the process's memory after the first
1,000 cases and at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

WARM = 1000  # cases after which a reader has loaded what it needs


def memory_mb() -> float:
    """This process's resident memory, without what the allocator has back and only keeps."""
    with contextlib.suppress(AttributeError):  # where the system's library has no such call
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run_door(name: str, first: int, cases: int, kept: Path) -> None:
    from doors import DOORS, send

    warnings.simplefilter("ignore")
    door, found = DOORS[name], Counter[str]()
    started, before = time.monotonic(), memory_mb()
    with tempfile.TemporaryDirectory(prefix="briskseg-fuzz-", dir=shared_memory()) as folder:
        for number in range(first, first + cases):
            data = door.random_case(number)
            kept.write_bytes(data)  # what a crash leaves
            try:
                found[send(door, data, Path(folder))] += 1
            except Exception:
                traceback.print_exc()
                print(f"{name}: DEFECT at case {number}, {len(data)} bytes, kept in {kept}")
                sys.exit(1)
            if number - first == min(WARM, cases // 2):
                before = memory_mb()
    kept.unlink()
    report(name, cases, time.monotonic() - started, before, found)


def report(name: str, cases: int, seconds: float, before: float, found: Counter[str]) -> None:
    told = ", ".join(f"{kind} {n}" for kind, n in found.most_common())
    after = memory_mb()
    print(
        f"{name:<13}{cases:>8} cases {cases / seconds:>7.0f}/s   "
        f"memory {before:.0f} -> {after:.0f} MB   {told}",
        flush=True,
    )


def run_guided(name: str, cases: int, kept: Path) -> None:
    """As `run_door`, but the next case is a change to one that reached new code of ours."""
    import atheris

    with atheris.instrument_imports(include=["briskseg", "yaml", "PIL"]):
        from doors import DOORS, send
    warnings.simplefilter("ignore")
    door, found, before = DOORS[name], Counter[str](), [memory_mb()]
    folder = Path(tempfile.mkdtemp(prefix="briskseg-fuzz-", dir=shared_memory()))
    corpus = folder / "corpus"
    corpus.mkdir()
    for index, seed in enumerate(door.whole()):
        (corpus / str(index)).write_bytes(seed)
    started = time.monotonic()

    def one(data: bytes) -> None:
        found[send(door, door.mend(data) if len(data) % 2 else data, folder)] += 1
        number = found.total()
        if number == WARM:
            before[0] = memory_mb()
        if number == cases:
            report(f"{name} guided", cases, time.monotonic() - started, before[0], found)

    options = [
        f"-artifact_prefix={kept}",
        f"-runs={cases}",
        "-max_len=65536",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", "-rss_limit_mb=8192", str(corpus)], one)
    atheris.Fuzz()


def shared_memory() -> str | None:
    """Where small files cost no disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, help="for each door (slow ones fewer)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--door", help="this one alone")
    parser.add_argument("--coverage", action="store_true", help="guided by coverage, with atheris")
    parser.add_argument("--replay", type=int, help="send this one case, with its traceback")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    kept = Path(shared_memory() or tempfile.gettempdir()) / f"briskseg-fuzz-{asked.door}-"
    if asked.replay is not None:
        run_door(asked.door, asked.replay, 1, kept)
        return 0
    if asked.here and asked.coverage:
        run_guided(asked.door, asked.cases, kept)
    elif asked.here:
        run_door(asked.door, asked.first, asked.cases, kept)
    else:
        return all_doors(asked)
    return 0


def all_doors(asked: argparse.Namespace) -> int:
    from doors import DOORS

    failed, total = [], 0
    for name in [asked.door] if asked.door else DOORS:
        cases = max(1, asked.cases * DOORS[name].share // 100)
        words = ["--here", "--door", name, "--cases", str(cases), "--first", str(asked.first)]
        words += ["--coverage"] if asked.coverage else []
        # decoders tell of damage on standard error; a traceback of ours is printed on it too
        with tempfile.TemporaryFile("w+") as told:
            done = subprocess.run([sys.executable, __file__, *words], stderr=told, check=False)
            told.seek(0)
            if done.returncode:
                print(told.read()[-4000:])
                how = f"signal {-done.returncode}" if done.returncode < 0 else "a defect"
                print(f"{name}: ended by {how}")
                failed.append(name)
        total += cases
    print(f"{total} cases in all; {'FAILED: ' + ', '.join(failed) if failed else 'no defect'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
