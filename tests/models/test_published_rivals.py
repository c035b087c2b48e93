"""PP-LiteSeg, SegFormer, EfficientViT and LR-ASPP are the published networks."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

import briskseg
from briskseg.core.errors import WeightsError

FIXTURES = {  # by the parameters on the way to the logits, as published
    "pp_liteseg_t_paddle": 8_141_600,
    "segformer_b0_nvlabs": 3_719_027,
    "segformer_b0_mmseg": 3_720_051,
    "segformer_b0_transformers": 3_719_027,
    "segformer_b0_transformers5": 3_719_027,
    "efficientvit_seg_b0_official": 706_691,
    "lraspp_mobilenetv3_torchvision": 3_221_198,
}


def saved(weights, path):
    torch.save(weights, path)
    return path


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("name", FIXTURES)
def test_published_weights_give_the_published_logits(name, case, published, tmp_path):
    fixture = published(name, case)
    net = briskseg.load_published(saved(fixture.weights(), tmp_path / "weights.pth"))
    with torch.no_grad():
        outputs = net.forward_train(fixture.images())
        coarse = net.forward_coarse(fixture.images())
    assert fixture.error(outputs.pop("logits"), "logits") < 1e-4
    if name != "efficientvit_seg_b0_official":  # enlarged bicubically, so full size at once
        assert fixture.error(coarse, "coarse_logits") < 1e-4
    for head, logits in outputs.items():
        assert fixture.error(logits, f"{head}_coarse_logits") < 1e-4
    assert [output.name for output in net.outputs[1:]] == list(outputs)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_network_has_as_many_parameters_as_the_published_one(name, published, tmp_path):
    fixture = published(name)
    net = briskseg.load_published(saved(fixture.weights(), tmp_path / "weights.pth"))
    added = 19 if name == "pp_liteseg_t_paddle" else 0  # a bias in the last layer
    assert sum(p.numel() for p in net.parameters()) - added == FIXTURES[name]


@pytest.mark.parametrize("eps", ["nvlabs", "mmsegmentation", "transformers"])
def test_segformers_norms_have_the_eps_of_their_origin(eps):
    """A fixture cannot show it: its variances are near 1."""
    net = briskseg.create_model("segformer_b0", 3, variant=eps)
    block, embedding = net.stages[0].blocks[0].norm1.eps, net.stages[0].embed_norm.eps
    expected = {"nvlabs": (1e-6, 1e-5), "mmsegmentation": (1e-6, 1e-6), "transformers": (1e-5,) * 2}
    assert (block, embedding) == expected[eps]


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
    from briskseg.models.weights.checkpoint import read_tensors

    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"a": np.asfortranarray(values)}))
    np.testing.assert_array_equal(read_tensors(path)["a"].numpy(), values)
