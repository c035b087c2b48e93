"""KServe's protocol, as Triton's own client speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.serving.conftest import assert_says_why
from tests.serving.processes import MODEL, serving

from briskseg import __version__
from briskseg.data.synthetic import draw_scene

INFER = f"/v2/models/{MODEL}/infer"


@pytest.fixture(scope="module")
def triton() -> Iterator[Any]:
    """Triton's client, of which only the address is ours."""
    pytest.importorskip(
        "geventhttpclient", reason="TRITON'S CLIENT IS NOT TESTED: pip install 'tritonclient[http]'"
    )
    http = pytest.importorskip(
        "tritonclient.http",
        reason="TRITON'S CLIENT IS NOT TESTED: pip install 'tritonclient[http]'",
    )
    with (
        serving("--max-body", 4) as server,
        http.InferenceServerClient(server.address.removeprefix("http://")) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([draw_scene(seed, (96, 128))[0] for seed in range(2)])


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_triton_s_client_gets_the_labels_of_predict(
    triton, predictor, images, binary_in, binary_out
):
    from tritonclient.http import InferInput, InferRequestedOutput

    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary_in)
    outputs = None
    if binary_out is not None:
        outputs = [InferRequestedOutput("labels", binary_data=binary_out)]
    result = triton.infer(MODEL, [tensor], outputs=outputs, request_id="7", model_version="1")
    labels = result.as_numpy("labels")
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, np.stack([predictor(image) for image in images]))
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_name"] == MODEL


def test_triton_s_client_knows_the_server(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready(MODEL)
    assert triton.is_model_ready(MODEL, "1")
    assert not triton.is_model_ready("another")
    about = triton.get_server_metadata()
    assert about["name"] == "briskseg"
    assert about["version"] == __version__
    assert "binary_tensor_data" in about["extensions"]
    model = triton.get_model_metadata(MODEL)
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert model["outputs"] == [{"name": "labels", "datatype": "UINT8", "shape": [-1, -1, -1]}]


def test_triton_s_client_hears_what_is_wrong(triton, images):
    from tritonclient.http import InferInput
    from tritonclient.utils import InferenceServerException

    tensor = InferInput("image", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    with pytest.raises(InferenceServerException, match="expected one, 'images'"):
        triton.infer(MODEL, [tensor])
    with pytest.raises(InferenceServerException, match=f"the one that is: {MODEL}"):
        triton.infer("other", [tensor])
    large = np.zeros((1, 1200, 1200, 3), np.uint8)
    tensor = InferInput("images", list(large.shape), "UINT8")
    tensor.set_data_from_numpy(large)
    with pytest.raises(InferenceServerException, match="larger than the 4194304 bytes"):
        triton.infer(MODEL, [tensor])


def body(**changes: Any) -> dict[str, Any]:
    """A request of one image of one pixel."""
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}
    return {"inputs": [{**tensor, **changes}]}


def test_data_may_be_nested(client):
    flat = client.post(INFER, json=body()).json()
    nested = client.post(INFER, json=body(data=[[[[1, 2, 3]]]])).json()
    assert flat == nested
    assert flat["outputs"][0]["shape"] == [1, 1, 1]


def with_output(**parameters):
    return {**body(), "outputs": [{"name": "labels", "parameters": parameters}]}


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (body(datatype="FP32"), 400, "FP32 of shape [1, 1, 1, 3], expected UINT8"),
        (body(shape=[1, 1, 3]), 400, "[N, H, W, 3]"),
        (body(shape=[1, 1, 1, 4]), 400, "[N, H, W, 3]"),
        (body(shape=[0, 1, 1, 3]), 400, "inputs.0.shape.0"),
        (body(shape=[1, 2, 1, 3]), 400, "has 3 values, expected 6"),
        (body(shape=[1, 100_000, 100_000, 3]), 413, "33554432 pixels"),
        (body(shape=[1, 70_000, 1, 3]), 413, "65535"),
        (body(shape=[17, 1, 1, 3]), 413, "17 images, expected at most 16"),
        (body(data=[1, 2, 256]), 400, "0 to 255"),
        (body(data=[1, 2, -1]), 400, "0 to 255"),
        (body(data=[1, 2, 0.5]), 400, "0 to 255"),
        (body(data=[1, 2, True]), 400, "0 to 255"),
        (body(data=[[1, 2], 3]), 400, "0 to 255"),
        (body(data=["a" * 100, "b", "c"]), 400, "0 to 255"),
        (body(data=None), 400, "has no data"),
        (body(parameters={"binary_data_size": 3}), 400, "0 bytes lie behind"),
        (body(parameters={"binary_data_size": True}, data=None), 400, "0 bytes lie behind"),
        (body(parameters={"shared_memory_region": "a"}, data=None), 400, "is not read"),
        ({**body(), "outputs": [{"name": "logits"}]}, 400, "no output 'logits'"),
        (with_output(classification=2), 400, "not given with the parameter 'classification'"),
        (with_output(shared_memory_region="a"), 400, "parameter 'shared_memory_region'"),
        ({"inputs": []}, 400, "inputs named nothing, expected one"),
        ({"inputs": body()["inputs"] * 2}, 400, "expected one, 'images'"),
        ({}, 400, "inputs: Field required"),
        ([], 400, "the request"),
        ({**body(), "id": 7}, 400, "id"),
    ],
)
def test_a_wrong_tensor_is_said(client, asked, status, part):
    assert_says_why(client.post(INFER, json=asked), status, part)


@pytest.mark.parametrize("length", ["-1", "x", "1000", "9" * 30, "²"])
def test_a_wrong_length_is_said(client, length):
    headers = {"Inference-Header-Content-Length": length.encode()}
    answer = client.post(INFER, content=json.dumps(body()).encode(), headers=headers)
    assert_says_why(answer, 400, "Inference-Header-Content-Length")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"[" * 100_000, b'{"inputs": NaN}', b'{"id": "\\ud800"}', b"\xff"]
)
def test_what_is_no_json_is_said(client, content):
    assert_says_why(client.post(INFER, content=content), 400, "/openapi.json")


def test_another_version_is_said(client):
    answer = client.post(f"/v2/models/{MODEL}/versions/2/infer", json=body())
    assert_says_why(answer, 404, "no version '2'", "the one there is: 1")
    assert client.post(f"/v2/models/{MODEL}/versions/1/infer", json=body()).status_code == 200
