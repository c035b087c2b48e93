"""Runs a `briskseg label` command on a local Ray cluster of two nodes, one of which is killed.

    python tests/scale/ray_cluster.py OUT WORD...

Ends as the command does; says on standard output how many shards were done when the node died.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster

_MEMORY = 80 << 20  # bytes of each node's object store, the least that Ray takes
_MAIN = "from briskseg.cli import main; main()"


def main() -> int:
    out, *words = sys.argv[1:]
    small = {"object_store_memory": _MEMORY}
    head = {"num_cpus": 0, "include_dashboard": False, **small}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
        line = [sys.executable, "-c", _MAIN, *words, "--out", out, "--ray", cluster.address]
        with subprocess.Popen(line) as command:
            while command.poll() is None and not any(Path(out).glob("manifest/*")):
                time.sleep(0.02)
            cluster.remove_node(nodes[1], allow_graceful=False)
            print(len([*Path(out).glob("manifest/*")]), "shards were done", flush=True)
            return command.wait()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main())
