"""The OpenAPI document: the server answers as it says, whatever is asked."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, settings
from tests.serving.conftest import client_of

from briskseg.serving.settings import Token

EXAMPLES = 15  # of each operation; tests/fuzz/serve.py sends many


@pytest.fixture(scope="module")
def schema(client):
    schemathesis = pytest.importorskip(
        "schemathesis", reason="THE OPENAPI DOCUMENT IS NOT TRIED: pip install schemathesis"
    )
    return schemathesis.openapi.from_asgi("/openapi.json", client.app)


def test_every_answer_is_as_the_document_says(schema):
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    checks = CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
        ]
    )
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        tried.add(operation.path)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def asks(case) -> None:
            case.call_and_validate(checks=checks)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow tells of oddities
            schema.given  # noqa: B018
            from hypothesis import given

            given(case=operation.as_strategy())(asks)()
    assert "/segment" in tried


def test_it_lists_every_path(client):
    listed = set(client.get("/openapi.json").json()["paths"])
    served = {route.path for route in client.app.routes if "version" not in route.path}
    name = client.app.state.site.engine.name
    served = {path.replace("{name}", name) for path in served}
    assert served - listed == {"/", "/openapi.json", "/segment/frames"}
    assert listed <= served


def test_it_lists_every_kind_of_answer(client):
    """Those too that no request of the test above brings about."""
    paths = client.get("/openapi.json").json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    assert all("500" in operation["responses"] for operation in operations)
    assert not any("401" in operation["responses"] for operation in operations)
    infer = next(paths[path] for path in paths if path.endswith("/infer"))
    header = infer["post"]["responses"]["200"]["headers"]["Inference-Header-Content-Length"]
    assert header["schema"]["type"] == "integer"


def test_it_says_that_a_token_is_needed(predictor):
    with client_of(predictor, token=Token("a-token-of-no-use")) as client:
        headers = {"Authorization": "Bearer a-token-of-no-use"}
        document = client.get("/openapi.json", headers=headers).json()
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "401" in document["paths"]["/card"]["get"]["responses"]
    assert "401" not in document["paths"]["/healthz"]["get"]["responses"]
