"""`briskseg.load`: what it takes, what it refuses, and that its labels are the network's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import briskseg
from briskseg.core.card import NetworkCard, load_weights, save_weights
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.images import resize_image
from briskseg.runtime.decode.enlargement import Enlargement
from briskseg.runtime.predictor import Predictor

torch = pytest.importorskip("torch")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def by_hand(file: Path, image: np.ndarray) -> np.ndarray:
    """Logits (C, h, w) straight from torch, normalized as one reads it in a paper."""
    tensors, card = load_weights(file)
    network = briskseg.create_model(card.network.name, 3, **card.network.options).eval()
    network.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
    normal = (image / 255.0 - np.array(card.input.mean)) / np.array(card.input.std)
    with torch.no_grad():
        nchw = torch.tensor(normal, dtype=torch.float32).permute(2, 0, 1)[None]
        logits: np.ndarray = network(nchw)[0].numpy()
    return logits


def test_labels_are_those_of_the_network(weights_file: Path, image: np.ndarray) -> None:
    predictor = briskseg.load(weights_file)
    logits = by_hand(weights_file, image)
    np.testing.assert_allclose(predictor.logits(image), logits, atol=1e-4)
    labels = predictor(image)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, logits.argmax(axis=0))
    assert predictor.card.labels.names == ("sky", "road", "car")


def test_images_are_resized_to_the_card_and_labels_come_back_at_their_own_size(
    weights_file: Path, tmp_path: Path, image: np.ndarray
) -> None:
    tensors, card = load_weights(weights_file)
    sized = card.model_copy(update={"input": card.input.model_copy(update={"size": (32, 64)})})
    save_weights(tmp_path / "sized.safetensors", tensors, sized)
    predictor = briskseg.load(tmp_path / "sized.safetensors", threads=1)
    logits = predictor.logits(image)
    assert logits.shape == (3, 32, 64)
    np.testing.assert_allclose(
        logits, by_hand(weights_file, resize_image(image, (32, 64))), atol=1e-4
    )
    # Labels come from the logits as the network computes them, in one step.
    with torch.no_grad():
        small = predictor.backend.network.forward_coarse(
            predictor.backend._normalized(resize_image(image, (32, 64)))
        )
    up = torch.nn.functional.interpolate(small, (37, 53), mode="bilinear")
    np.testing.assert_array_equal(predictor(image), up[0].numpy().argmax(axis=0))
    assert predictor.logits(image, (40, 24)).shape == (3, 40, 24)


def test_cropped_logits_reach_the_callers_size_by_the_networks_own_corners(
    weights_file: Path, image: np.ndarray
) -> None:
    class Coarse:
        """Its logits are enlarged twice, to 38x54, and cropped to the image."""

        enlargement = Enlargement(2, align_corners=True)

        def run(self, image_hwc: np.ndarray, at_own_size: bool) -> np.ndarray:
            return np.random.default_rng(0).standard_normal((3, 19, 27)).astype(np.float32)

        def infer(self, image_hwc: np.ndarray) -> np.ndarray:
            raise AssertionError("nobody needs full-size logits")

    backend, enlarge = Coarse(), torch.nn.functional.interpolate
    how = {"mode": "bilinear", "align_corners": True}
    seen = enlarge(torch.from_numpy(backend.run(image, False))[None], (38, 54), **how)
    expected = enlarge(seen[..., :37, :53], (90, 70), **how)[0].numpy().argmax(axis=0)
    labels = Predictor(backend, load_weights(weights_file)[1]).labels_at(image, (90, 70))
    assert np.mean(labels != expected) < 1e-3


def test_views_and_read_only_images_are_taken_and_left_alone(
    weights_file: Path, image: np.ndarray
) -> None:
    predictor = briskseg.load(weights_file)
    mirrored = image[:, ::-1]
    image.flags.writeable = False
    before = image.copy()
    np.testing.assert_array_equal(predictor(mirrored), predictor(mirrored.copy()))
    predictor(image)
    np.testing.assert_array_equal(image, before)
    assert predictor(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1)


def test_a_run_folder_gives_its_best_weights(
    weights_file: Path, tmp_path: Path, image: np.ndarray
) -> None:
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("name: first\n")
    with pytest.raises(RequestError, match=r"has no model\.safetensors yet"):
        briskseg.load(run)
    shutil.copy(weights_file, run / "model.safetensors")
    np.testing.assert_array_equal(briskseg.load(run)(image), briskseg.load(weights_file)(image))


def test_what_is_no_model_is_refused(tmp_path: Path, weights_file: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"x")
    (tmp_path / "net.h5").write_bytes(b"x")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").touch()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    accepted = (
        r"expected a run folder \(runs/NAME\), a .safetensors, .onnx, .xml, .tflite or .ncnn.param "
        "file, a name that `briskseg models` lists, or hf://OWNER/NAME"
    )
    for name, message in (
        ("none.safetensors", f"is not there, {accepted}"),
        ("net.h5", f"is of no known type, {accepted}"),
        ("net.pth", f"PyTorch checkpoint, {accepted}; make one with: briskseg convert"),
        ("run/checkpoints/last.ckpt", f"resumes from, {accepted}; name the run: {tmp_path}/run$"),
        (".", f"is no run folder .*{accepted}"),
    ):
        with pytest.raises(RequestError, match=message):
            briskseg.load(tmp_path / name)
    with pytest.raises(RequestError, match="unknown backend 'troch'; did you mean 'torch'"):
        briskseg.load(weights_file, backend="troch")
    with pytest.raises(RequestError, match="threads is 0, expected a whole number from 1 to 1024"):
        briskseg.load(weights_file, threads=0)
    with pytest.raises(RequestError, match="callers is 0, expected a whole number from 1 to 1024"):
        briskseg.load(weights_file, callers=0)


def test_of_an_exported_file_whose_card_is_damaged_the_cure_is_another_export(
    tmp_path: Path,
) -> None:
    shipped = Path(briskseg.__file__).parent / "weights" / "fast-scnn-camvid11.onnx"
    for damaged, told in ((b'"card_version":x,', "is not JSON"), (b'"card_versiom":1,', "not fit")):
        content = shipped.read_bytes().replace(b'"card_version":1,', damaged)
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(WeightsError, match=f"{told}.*make it again with `briskseg export`"):
            briskseg.load(tmp_path / "net.onnx")


def test_a_backend_of_other_files_than_are_shipped_says_how_to_make_one() -> None:
    cure = "briskseg export fast-scnn-camvid11 --to litert, and name that file"
    with pytest.raises(RequestError, match=cure):
        briskseg.load("fast-scnn-camvid11", backend="litert")


@pytest.mark.parametrize("owner", ["model.xml", "model.ncnn.param"])
def test_the_numbers_beside_a_model_are_told_from_a_checkpoint(tmp_path: Path, owner: str) -> None:
    (tmp_path / owner).touch()
    numbers = (tmp_path / owner).with_suffix(".bin")
    numbers.write_bytes(b"numbers")
    with pytest.raises(RequestError, match=f"belongs to .*{owner}, which is the model"):
        briskseg.load(numbers)


def test_stages_are_told_in_their_order(weights_file: Path) -> None:
    predictor = briskseg.load(weights_file)
    ended: list[str] = []
    predictor.on_stage_end = ended.append
    predictor(np.zeros((32, 40, 3), np.uint8))
    assert ended == ["resize", "inference", "decode"]


def test_what_is_no_image_is_refused(weights_file: Path) -> None:
    predictor = briskseg.load(weights_file)
    for array in (
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 5, 3), np.float32),
    ):
        with pytest.raises(RequestError, match=r"expected \(H, W, 3\) uint8 in RGB order"):
            predictor(array)
    with pytest.raises(RequestError, match=r"the image is a str.*read_image"):
        predictor("photo.jpg")


def test_a_card_of_another_network_is_refused(weights_file: Path, tmp_path: Path) -> None:
    tensors, card = load_weights(weights_file)
    file = tmp_path / "mixed.safetensors"
    other = card.model_copy(update={"network": NetworkCard(name="erfnet", classes=3)})
    save_weights(file, tensors, other)
    with pytest.raises(WeightsError, match=r"\d+ missing \(.* do not belong together"):
        briskseg.load(file)
    unknown = card.model_copy(update={"network": NetworkCard(name="erfnat", classes=3)})
    save_weights(file, tensors, unknown)
    with pytest.raises(WeightsError, match=r"mixed.safetensors: .* did you mean 'erfnet'"):
        briskseg.load(file)
    save_weights(file, {**tensors, "more": np.zeros(1)}, card)
    with pytest.raises(WeightsError, match=r"of its \d+ tensors 1 not of it \(more\);"):
        briskseg.load(file)
    name = next(iter(tensors))
    save_weights(file, {**tensors, name: np.zeros((1, 2), np.float32)}, card)
    with pytest.raises(WeightsError, match=r"of another shape \(\S+ \(1, 2\), expected"):
        briskseg.load(file)
