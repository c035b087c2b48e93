"""briskseg export --to onnx: what ONNX Runtime alone computes from the file, at any size."""

from __future__ import annotations

import re
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest

import briskseg
from briskseg.core.card import Card, load_weights, save_weights
from briskseg.core.eight_bits import packed
from briskseg.core.errors import WeightsError
from briskseg.core.exported import read_exported
from briskseg.core.onnx_pruning import prune

torch = pytest.importorskip("torch")


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def network(folder, case):
    """The torch network of a case, and what it makes of images (N, H, W, 3), as one reads it in a
    paper: full-size logits."""
    tensors, card = load_weights(folder / f"{case.name}.safetensors")
    net = briskseg.create_model(case.model, 5, **case.options).eval()
    net.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})

    def logits(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        normal = (images / 255.0 - np.array(card.input.mean)) / np.array(card.input.std)
        batch = torch.tensor(normal, dtype=torch.float32).permute(0, 3, 1, 2)
        with torch.no_grad():
            return net(batch).numpy(), net.forward_coarse(batch).numpy()

    return logits


def smooth(size_hw: tuple[int, int]) -> np.ndarray:
    """An image of soft patches of color."""
    import cv2

    patches = np.random.default_rng(6).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(patches, size_hw[::-1], interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def sized(deployed, tmp_path_factory):
    """tramac.onnx beside tramac.safetensors, whose card names an input size of 24x40."""
    from briskseg.export import export

    file = tmp_path_factory.mktemp("sized") / "tramac.safetensors"
    tensors, card = load_weights(deployed / file.name)
    expects = card.input.model_copy(update={"size": (24, 40)})
    save_weights(file, tensors, card.model_copy(update={"input": expects}))
    return export(file, "onnx").out


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 9, 3), (1, 33, 47), (3, 40, 64)])
def test_any_number_of_images_of_any_size(case, size, deployed):
    images = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    full, coarse = network(deployed, case)(images)
    run = session((deployed / f"{case.name}.onnx").read_bytes())
    labels, logits = run.run(["labels", "logits"], {"images": images})
    assert (labels.shape, labels.dtype) == (size, np.uint8)
    np.testing.assert_allclose(logits, coarse, atol=2e-4)
    chosen = np.take_along_axis(full, labels[:, None].astype(np.int64), axis=1)[:, 0]
    np.testing.assert_allclose(chosen, full.max(axis=1), atol=1e-3)  # the best, or as good


def test_the_card_is_inside_and_no_path_of_this_machine(case, deployed):
    file = deployed / f"{case.name}.onnx"
    model = onnx.load(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    card = Card.from_json(metadata["briskseg.card"], file)
    assert card == read_exported(file)[0] == briskseg.load(file, "onnx").card
    assert card.scores == {"val_miou": 0.5}
    assert str(deployed).encode() not in file.read_bytes()
    assert b"site-packages" not in file.read_bytes()


def test_graphs_are_compact(case, deployed):
    nodes = [node.op_type for node in onnx.load(deployed / f"{case.name}.onnx").graph.node]
    assert len(nodes) < 220
    assert not {"Loop", "If", "ScatterND", "Identity", "Dropout"} & set(nodes)
    assert nodes.count("BatchNormalization") <= 3  # of what ERFNet concatenates


@pytest.mark.parametrize(("output", "without"), [("logits", {"ArgMax"}), ("labels", {})])
def test_who_reads_one_output_does_not_pay_for_the_other(case, output, without, deployed):
    whole = (deployed / f"{case.name}.onnx").read_bytes()
    pruned = prune(whole, output)
    model = onnx.load_from_string(pruned)
    onnx.checker.check_model(model)
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    assert not {node.op_type for node in model.graph.node} & set(without)
    images = {"images": np.random.default_rng(4).integers(0, 256, (1, 24, 32, 3), dtype=np.uint8)}
    (found,) = session(pruned).run(None, images)
    np.testing.assert_array_equal(found, session(whole).run([output], images)[0])
    with pytest.raises(ValueError, match="no output 'other'"):
        prune(whole, "other")


def test_the_command_says_what_goes_in_and_comes_out(model, command):
    done = command("export", model, "--to", "onnx", "--size", "32x48")
    assert (done.status, done.err) == (0, "")
    assert re.sub(r"to \d\.\de-\d\d", "to X", done.out) == (
        "network  fast_scnn, 5 classes\n"
        "takes    images (N, 32, 48, 3), uint8, RGB\n"
        "gives    labels (N, 32, 48), uint8, and logits (N, 5, h, w)\n"
        "ran      model.onnx with onnx in float32, beside the network itself\n"
        "agrees   to X of the logits' standard deviation, on 3 images, and in every label\n"
        f"wrote    {model.with_suffix('.onnx')}, ONNX of 5.6 MB\n"
    )
    assert sorted(p.name for p in model.parent.iterdir()) == ["model.onnx", "model.safetensors"]
    fixed = session(model.with_suffix(".onnx").read_bytes())
    assert fixed.get_inputs()[0].shape == ["batch", 32, 48, 3]
    predictor = briskseg.load(model.with_suffix(".onnx"), "onnx")
    assert predictor.card.input.size == (32, 48)
    assert predictor(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30)


def test_of_shipped_weights_the_file_is_written_here_not_into_the_package(
    model, command, monkeypatch, tmp_path
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("briskseg.runtime.model_files.weights_folder", lambda: model.parent)
    done = command("export", "model", "--to", "onnx", "--size", "32x48")
    assert done.status == 0, done.err
    assert "wrote    model.onnx, ONNX" in done.out
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["model.onnx", "model.safetensors"]
    assert (here / "model.onnx").is_file()


def test_images_of_a_data_set_are_compared_too(model, small_data, command):
    done = command("export", model, "--to", "onnx", "--data", small_data)
    assert done.status == 0
    assert "on 10 images" in done.out  # six drawn, four of val
    assert "images (N, H, W, 3)" in done.out


def test_a_file_whose_logits_disagree_is_not_kept(model, command, monkeypatch):
    from briskseg.export import deployed

    right = deployed._fold

    def wrong(convolution, norm):
        with torch.no_grad():
            norm.bias.mul_(1.01)
        return right(convolution, norm)

    monkeypatch.setattr(deployed, "_fold", wrong)
    done = command("export", model, "--to", "onnx", "--size", "32x48")
    assert (done.status, done.out) == (1, "")
    assert "was not kept: its logits differ from the network's by up to" in done.err
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.usefixtures("traced_anew")
def test_a_file_whose_labels_disagree_is_not_kept(model, command, monkeypatch):
    from briskseg.export import deployed

    monkeypatch.setattr(deployed, "best", lambda logits: logits.argmin(1).to(torch.uint8))
    done = command("export", model, "--to", "onnx", "--size", "32x48")
    assert (done.status, done.out) == (1, "")
    assert re.search(r"was not kept: \d+ of 1536 labels are not the network's", done.err)
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("size", [(24, 40), (48, 80), (61, 90), (17, 100), (10, 12)])
def test_a_file_with_an_input_size_gives_the_labels_of_predict_at_any_size(size, sized):
    image = smooth(size)
    expected = briskseg.load(sized.with_suffix(".safetensors"), "torch")
    (found,) = session(sized.read_bytes()).run(["labels"], {"images": image[None]})
    differing = np.mean(found[0] != expected(image))
    assert found.shape == (1, *size)
    # exactly, but where areas cover parts of pixels, and OpenCV's rounding decides
    assert differing <= (0.01 if size == (61, 90) else 0)
    for backend in ("onnx", "openvino"):
        np.testing.assert_array_equal(briskseg.load(sized, backend)(image), expected(image))


BILINEAR = [(17, 100), (10, 12), (481, 37), (1, 1), (23, 40)]
WHOLE = [(24, 40), (48, 80), (24, 160), (96, 40), (96, 120), (120, 200), (144, 240)]
PARTS = [(61, 90), (36, 100), (95, 41)]


@pytest.mark.parametrize("size", [*BILINEAR, *WHOLE, *PARTS])
@pytest.mark.parametrize("drawn", ["smooth", "noise"])
def test_images_are_resized_as_opencv_does(size, drawn):
    from briskseg.core.images import resize_image
    from briskseg.export.deployed import resize_images

    noise = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = smooth(size) if drawn == "smooth" else noise
    found = resize_images(torch.from_numpy(image[None]), (24, 40))[0].numpy()
    difference = np.abs(found.astype(int) - resize_image(image, (24, 40)))
    assert difference.max() <= (size in PARTS)
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("bits", "share"), [(16, 0.6), (8, 0.35)])
def test_weights_of_few_bits_stay_so_and_are_computed_in_float32(
    bits, share, model, command, tmp_path
):
    tensors, card = load_weights(model)
    if bits == 8:
        for name, tensor in tensors.items():
            if tensor.ndim == 4:
                tensors[name] = np.clip(np.round(tensor * 1024), -127, 127) / 1024
    half = {k: t.astype(np.float16) if t.dtype == np.float32 else t for k, t in tensors.items()}
    save_weights(tmp_path / "few.safetensors", packed(half), card)
    for file in (model, tmp_path / "few.safetensors"):
        assert command("export", file, "--to", "onnx").status == 0
    file = tmp_path / "few.onnx"
    assert file.stat().st_size < share * model.with_suffix(".onnx").stat().st_size
    image = smooth((40, 56))
    expected = briskseg.load(tmp_path / "few.safetensors", "torch").logits(image)
    for backend in ("onnx", "openvino"):
        found = briskseg.load(file, backend).logits(image)
        assert np.abs(found - expected).max() < 1e-4 * expected.std()


@pytest.mark.usefixtures("traced_anew")
def test_an_operation_that_onnx_has_not_is_one_sentence(model, command, monkeypatch):
    from briskseg.models.network import ExportForm

    class Strange(ExportForm):
        def forward(self, images):
            return super().forward(images) + torch.linalg.matrix_exp(images[..., :3, :3]).sum()

    monkeypatch.setattr(
        "briskseg.models.fast_scnn.FastSCNN.export_form", lambda self: Strange(self)
    )
    done = command("export", model, "--to", "onnx", "--size", "32x48")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(
        "briskseg: FastSCNN has an operation that torch cannot write as ONNX"
    )
    assert done.err.count("\n") == 1
    assert list(model.parent.iterdir()) == [model]


def test_damaged_files_are_named_in_one_sentence(deployed, tmp_path):
    whole = (deployed / "tramac.onnx").read_bytes()
    rng = np.random.default_rng(5)
    bad = tmp_path / "bad.onnx"
    noise = [rng.bytes(int(n)) for n in rng.integers(1, 300, 40)]
    for content in (b"", whole[: len(whole) // 2], whole[:-20], *noise):
        bad.write_bytes(content)
        with pytest.raises(WeightsError, match=r"bad\.onnx (is damaged|has no card)"):
            briskseg.load(bad)
    stranger = onnx.load_from_string(whole)
    del stranger.metadata_props[:]
    bad.write_bytes(stranger.SerializeToString())
    with pytest.raises(WeightsError, match=r"has no card.* briskseg export MODEL --to onnx"):
        briskseg.load(bad)
    broken = onnx.load_from_string(whole)
    broken.graph.node[5].op_type = "NoSuchLayer"
    bad.write_bytes(broken.SerializeToString())
    with pytest.raises(WeightsError, match=r"no network that ONNX Runtime .* can run"):
        briskseg.load(bad, "onnx")(np.zeros((8, 8, 3), np.uint8))


def test_without_onnx_the_way_to_install_it_is_named(model, command, without):
    without("onnx", "onnx_file")
    done = command("export", model, "--to", "onnx")
    assert done.status == 2
    assert "needs the package 'onnx'" in done.err
    assert "pip install 'briskseg[export]'" in done.err
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (1080, 1440)])
def test_a_cameras_frame_is_shrunk_exactly_as_opencv_does(size):
    from briskseg.core.images import resize_image
    from briskseg.export.deployed import resize_images

    image = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    found = resize_images(torch.from_numpy(image[None]), (360, 480))[0].numpy()
    np.testing.assert_array_equal(found, resize_image(image, (360, 480)))


def test_attention_to_nothing_is_zero_in_the_file_too():
    """Published as x / (sum + 1e-15); without that, a sum of zeros gives what is not a number."""
    from briskseg.models.efficientvit_b0 import LinearAttention

    layer = LinearAttention(16).eval()
    torch.nn.init.zeros_(layer.qkv.weight[:16])  # its queries
    features = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's and onnxscript's own, of what they will drop
        program = torch.onnx.export(layer, (features,), dynamo=True, verbose=False)
        expected = layer(features).numpy()
    running = session(program.model_proto.SerializeToString())
    (found,) = running.run(None, {running.get_inputs()[0].name: features.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-6)
