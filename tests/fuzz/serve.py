"""Send many hostile requests to a `briskseg serve`; a defect ends it.

    python tests/fuzz/serve.py --cases 20000

Up to half of them are what schemathesis makes of the server's OpenAPI document, right and wrong
ones; the rest are damaged images, forms and tensors, as the doors of run.py make them. No answer
may be a 5xx but 503, no connection may break, and the server's memory may not grow: it is printed
after the first tenth of the cases and at the end.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from doors import DOORS
from serve_doors import INFER, checked, request_of
from tests.serving.processes import MODEL, Server, serving

from briskseg.core.errors import BriskError

IDLE_S = 2.0  # the server closes a connection that has been idle for 5 s, and may while we send
MOST_GROWTH_MB = 200.0  # of a process that decodes images of up to 33 million pixels


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first damaged body")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    with serving("--timeout", 10) as server:
        send_bodies(server, asked.first, asked.cases // 10)
        before = server.memory_mb()
        left = asked.cases - asked.cases // 10
        left -= send_operations(server, asked.cases // 2)  # fewer, where there are no more
        send_bodies(server, asked.first + asked.cases // 10, left)
        after = server.memory_mb()
        print(f"memory {before:.0f} -> {after:.0f} MB")
        server.terminate()
        status, out, err = server.ended()
    print(out.strip(), *[line for line in err.splitlines() if "defect" in line], sep="\n")
    return 1 if status or "defect" in err or after - before > MOST_GROWTH_MB else 0


def send_bodies(server: Server, first: int, cases: int) -> None:
    found = Counter[str]()
    kinds = [name.removeprefix("serve-") for name in DOORS if name.startswith("serve-")]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    answered = time.monotonic()
    for number in range(first, first + cases):
        kind = kinds[number % len(kinds)]
        data = DOORS[f"serve-{kind}"].random_case(number)
        path, headers, body = request_of(kind, data)
        path = path.replace(INFER, f"/v2/models/{MODEL}/infer")
        if time.monotonic() - answered > IDLE_S:
            connection.close()  # the next request opens it again
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content, answered = answer.read(), time.monotonic()
        text = content.decode("utf-8", "replace")
        try:
            checked(
                SimpleNamespace(
                    status_code=answer.status,
                    text=text,
                    content=content,
                    json=functools.partial(json.loads, text),
                )
            )
            found[f"{kind} done"] += 1
        except BriskError:
            found[f"{kind} refused"] += 1
        except Exception:
            print(f"DEFECT at case {number}, of serve-{kind}")
            raise
    connection.close()
    print(f"{cases} bodies: {dict(found)}", flush=True)


def send_operations(server: Server, cases: int) -> int:
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    checks = CHECKS.get_by_names(["not_a_server_error", "content_type_conformance"])
    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    found = Counter[int]()
    for operation in operations:

        @settings(
            max_examples=max(1, cases // len(operations)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def send(case) -> None:
            answer = case.call()
            found[answer.status_code] += 1
            if answer.status_code != 503:
                case.validate_response(answer, checks=checks)

        send()
    print(f"{found.total()} requests by the document: {dict(found)}", flush=True)
    return found.total()


if __name__ == "__main__":
    sys.exit(main())
