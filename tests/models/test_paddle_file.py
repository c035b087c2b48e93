"""PaddlePaddle's own files of weights are read, and none of their code is run."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

import briskseg
from briskseg.core.errors import WeightsError
from briskseg.models.weights.checkpoint import read_tensors


def as_paddle(fixture):
    """The dictionary that `paddle.save(net.state_dict(), FILE)` pickles."""
    names = ((".running_mean", "._mean"), (".running_var", "._variance"))
    weights = {}
    for key, tensor in fixture.weights().items():
        if key.endswith("num_batches_tracked"):
            continue
        for ours, theirs in names:
            key = key.replace(ours, theirs)
        weights[key] = tensor.numpy()
    return {**weights, "StructuredToParameterName@@": dict.fromkeys(weights, "conv2d_0.w_0")}


@pytest.mark.parametrize("protocol", [2, 4])
def test_paddles_own_file_is_read(protocol, published, tmp_path):
    fixture = published("pp_liteseg_t_paddle")
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps(as_paddle(fixture), protocol))
    with torch.no_grad():
        logits = briskseg.load_published(path)(fixture.images())
    assert fixture.error(logits, "logits") < 1e-4


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_paddle_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    path, marker = tmp_path / "model.pdparams", tmp_path / "it-ran"
    path.write_bytes(pickle.dumps({"a": np.ones(3, np.float32), "b": Runs(marker)}))
    with pytest.raises(WeightsError, match=r"would run '\w+\.mkdir' when it is read"):
        briskseg.load_published(path)
    assert not marker.exists()


def test_arrays_of_objects_are_refused(tmp_path):
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"a": np.array([{}, None], object)}))
    with pytest.raises(WeightsError, match="is damaged or no PaddlePaddle weights"):
        briskseg.load_published(path)


@pytest.mark.parametrize("kept", [0, 5, 1000, -50])
def test_a_damaged_paddle_file_is_refused(kept, tmp_path):
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"a": np.ones((30, 30), np.float32)})[:kept])
    with pytest.raises(WeightsError, match="copy or download it again"):
        briskseg.load_published(path)


def test_columns_first_arrays_keep_their_order(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"a": np.asfortranarray(values)}))
    np.testing.assert_array_equal(read_tensors(path)["a"].numpy(), values)
