"""What `import briskseg` offers, as a program uses it: names, and the way from data to labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import NAMES

import briskseg
from briskseg.data.synthetic import draw_dataset

torch = pytest.importorskip("torch")


def test_the_public_names() -> None:
    assert briskseg.__all__ == [
        "BriskError",
        "Predictor",
        "create_model",
        "decode_labels",
        "evaluate",
        "list_models",
        "load",
        "load_published",
        "open_dataset",
        "save",
    ]
    assert set(briskseg.__all__) <= set(dir(briskseg))
    for name in briskseg.__all__:
        assert callable(getattr(briskseg, name))
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        _ = briskseg.train


def test_from_a_data_set_to_labels(small_data: Path, weights_file: Path) -> None:
    pair = briskseg.open_dataset(small_data).pairs("val")[0]
    image, truth = briskseg.open_dataset(small_data).read(pair)
    predictor = briskseg.load(weights_file, backend="torch", threads=1)
    assert predictor.ran._asdict() == {
        "file": str(weights_file),
        "backend": "torch",
        "precision": "float32",
    }
    labels = predictor(image)
    assert (labels.shape, labels.dtype) == (truth.shape, np.uint8)
    assert labels.max() < len(predictor.card.labels.names)
    logits = predictor.logits(image)
    np.testing.assert_array_equal(briskseg.decode_labels(logits, truth.shape), labels)


def trained(classes: int) -> torch.nn.Module:
    """As after one's own training: batch norms have seen images."""
    net = briskseg.create_model("fast_scnn", classes)
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 48, 64))
    return net.eval()


def test_a_network_of_ones_own_training_is_saved_and_every_door_takes_it(
    small_data: Path, tmp_path: Path, command: Callable
) -> None:
    net, file = trained(3), tmp_path / "own.safetensors"
    mean, std = (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    briskseg.save(net, file, NAMES, mean=mean, std=std)
    predictor = briskseg.load(file, backend="torch")
    assert predictor.card.labels.names == NAMES
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    plain = (torch.from_numpy(image).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        expected = net(plain.permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(predictor.logits(image), expected, atol=1e-4 * expected.std())
    scored = briskseg.evaluate(predictor, briskseg.open_dataset(small_data))
    told = command("evaluate", file, "--data", small_data, "--backend", "torch", "--json", "-")
    assert json.loads(told.out)["miou"] == pytest.approx(scored.miou)
    again = predictor.copy_network()
    assert again.expects.mean == mean
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.state_dict()[name].cpu(), tensor), name
    briskseg.save(again, file, NAMES, size=(24, 32))  # it knows how images are normalized
    briskseg.save(briskseg.load(file, backend="torch").copy_network(), file, NAMES)  # and resized
    expects = briskseg.load(file, backend="torch").card.input
    assert (expects.size, expects.mean, expects.std) == ((24, 32), mean, std)


def with_nan() -> torch.nn.Module:
    net = briskseg.create_model("fast_scnn", 3)
    with torch.no_grad():
        net.class_bias[1] = float("nan")
    return net


def with_another_head() -> torch.nn.Module:
    net = briskseg.create_model("fast_scnn", 3)
    net.set_submodule(net.last, torch.nn.Conv2d(128, 7, 1))
    return net


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"path": "own.pth"}, "own.pth: expected a file that ends in .safetensors"),
        ({"names": NAMES[:2]}, "names are sky, road, expected 3 texts"),
        ({"names": "abc"}, "names are abc, expected 3 texts"),
        ({"names": range(3)}, "names are 0, 1, 2, expected 3 texts"),
        ({"names": ("a", "a", "b")}, "the class name 'a' twice"),
        ({"mean": None}, "mean and std are not known of a network that came out of no file"),
        ({"mean": 0.5}, "mean=0.5, std=(1, 1, 1), size=None: expected three numbers"),
        ({"mean": (127,) * 3}, "std=(1, 1, 1), size=None: expected three numbers from 0 to 1"),
        ({"std": (0, 1, 1)}, "std=(0, 1, 1), size=None: expected three numbers"),
        ({"size": (0, 4)}, "size=(0, 4): expected three numbers"),
        ({"network": torch.nn.Conv2d(3, 3, 1)}, "the network is a Conv2d, expected one that"),
        ({"network": with_nan}, "'classifier.3.bias' holds values that are not finite"),
        ({"network": with_another_head}, "is not the fast_scnn with 3 classes that its card names"),
    ],
)
def test_what_cannot_be_saved_is_a_sentence(change: dict, told: str, tmp_path: Path) -> None:
    given = {"network": lambda: briskseg.create_model("fast_scnn", 3), "path": "own.safetensors"}
    given |= {"names": NAMES, "mean": (0, 0, 0), "std": (1, 1, 1), **change}
    path, network = tmp_path / given.pop("path"), given.pop("network")
    network = network if isinstance(network, torch.nn.Module) else network()
    with pytest.raises(briskseg.BriskError, match=re.escape(told)):
        briskseg.save(network, path, **given)
    assert not path.exists()


def test_arrays_and_halved_weights_are_saved(tmp_path: Path) -> None:
    net, file = briskseg.create_model("fast_scnn", 3).bfloat16(), tmp_path / "own.safetensors"
    briskseg.save(net, file, NAMES, mean=np.zeros(3), std=torch.ones(3), size=np.array([24, 32]))
    found = briskseg.load(file, backend="torch")
    assert (found.card.input.size, found.card.input.std) == ((24, 32), (1, 1, 1))
    assert torch.equal(found.copy_network().class_bias.cpu(), net.class_bias.float())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_tensors_without_a_card_are_told_how_to_get_one(prefix: str, tmp_path: Path) -> None:
    tensors = briskseg.create_model("fast_scnn", 3).state_dict()
    torch.save({prefix + name: tensor for name, tensor in tensors.items()}, tmp_path / "own.pth")
    with pytest.raises(briskseg.BriskError, match=r"of fast_scnn as it is here.*briskseg\.save\("):
        briskseg.load_published(tmp_path / "own.pth")


def test_of_a_published_file_that_is_damaged_the_damage_is_told(tmp_path: Path) -> None:
    """ERFNet's authors name tensors as we do."""
    tensors = briskseg.create_model("erfnet", 19).state_dict()
    del tensors["encoder.layers.0.bn.weight"]
    torch.save(tensors, tmp_path / "erfnet.pth")
    with pytest.raises(briskseg.BriskError, match=r"1 missing \(encoder\.layers\.0\.bn\.weight\)"):
        briskseg.load_published(tmp_path / "erfnet.pth")


def test_options_of_a_strangers_card_are_no_other_arguments(tmp_path: Path) -> None:
    net, file = briskseg.create_model("fast_scnn", 3), tmp_path / "own.safetensors"
    briskseg.save(net, file, NAMES, mean=(0, 0, 0), std=(1, 1, 1))
    content = file.read_bytes()
    for option in (b"name", b"classes"):
        bad = content.replace(b'\\"variant\\":', b'\\"' + option.ljust(7) + b'\\":')
        bad = bad.replace(option.ljust(7) + b'\\":', option + b'\\":' + b" " * (7 - len(option)))
        assert bad != content
        file.write_bytes(bad)
        with pytest.raises(briskseg.BriskError, match="is no option of a network"):
            briskseg.load(file, backend="torch")


def test_loading_draws_no_random_number(weights_file: Path, tmp_path: Path) -> None:
    torch.save(briskseg.create_model("erfnet", 19).state_dict(), tmp_path / "erfnet.pth")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    briskseg.load(weights_file, backend="torch")
    net = briskseg.load_published(tmp_path / "erfnet.pth")
    assert torch.equal(torch.rand(3), expected)
    assert net.expects.std == (1, 1, 1)  # as the official code


def test_an_encoder_from_python(tmp_path: Path) -> None:
    other = briskseg.create_model("lite_seg", 5)
    briskseg.save(other, tmp_path / "other.safetensors", list("abcde"), mean=(0,) * 3, std=(1,) * 3)
    net = briskseg.create_model("lite_seg", 3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert net.load_encoder(tmp_path / "other.safetensors").startswith(
        "LiteSeg: 240 of its encoder"
    )
    for name, tensor in net.state_dict().items():
        expected = (other.state_dict() if name.startswith("encoder.") else before)[name]
        assert torch.equal(tensor, expected), name
    with pytest.raises(briskseg.BriskError, match="is not there"):
        net.load_encoder("nowhere.pth")
    with pytest.raises(briskseg.BriskError, match="did you mean 'efficientnet-lite0'"):
        net.load_encoder("efficientnet_lite0")


def test_a_copied_network_is_the_callers_own(weights_file: Path) -> None:
    predictor = briskseg.load(weights_file, backend="torch")
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    before = predictor.logits(image)
    net = predictor.copy_network().train()
    with torch.no_grad():
        net(torch.rand(2, 3, 40, 56, device=net.class_bias.device))
    np.testing.assert_array_equal(predictor.logits(image), before)


def test_a_data_sets_colors_are_saved(small_data: Path, tmp_path: Path) -> None:
    labels = briskseg.open_dataset(small_data).labels
    net, file = briskseg.create_model("fast_scnn", 3), tmp_path / "own.safetensors"
    briskseg.save(net, file, labels, mean=(0, 0, 0), std=(1, 1, 1))
    assert briskseg.load(file, backend="torch").card.labels.colors == labels.colors


@pytest.mark.parametrize("size", [(0, 5), (5.5, 3), (5,), 7, "ab", (2, 3, 4)])
def test_an_impossible_size_is_a_sentence(size: object, weights_file: Path) -> None:
    predictor = briskseg.load(weights_file, backend="torch")
    image = np.zeros((8, 8, 3), np.uint8)
    for ask in (predictor.logits, predictor.labels_at):
        with pytest.raises(briskseg.BriskError, match=r"the size is .*expected \(height, width\)"):
            ask(image, size)
    assert predictor.logits(image, np.array([4, 6])).shape[1:] == (4, 6)


def test_wrong_arguments_are_sentences(weights_file: Path, small_data: Path) -> None:
    predictor, data = briskseg.load(weights_file, backend="torch"), str(small_data)
    with pytest.raises(briskseg.BriskError, match="found Predictor and str; make them with"):
        briskseg.evaluate(predictor, data)
    for wrong, told in (({"scales": 1.0}, "scales are 1.0, exp"), ({"label_size": 7}, "size is 7")):
        with pytest.raises(briskseg.BriskError, match=told):
            briskseg.evaluate(predictor, briskseg.open_dataset(data), **wrong)
    with pytest.raises(briskseg.BriskError, match="threads is '2', expected a whole number"):
        briskseg.load(weights_file, threads="2")
    with pytest.raises(briskseg.BriskError, match="unlabeled is 'Background'; did you mean 'back"):
        briskseg.open_dataset(data, unlabeled="Background")
    with pytest.raises(briskseg.BriskError, match="holds no torch network; load it with backend="):
        _ = briskseg.load("fast-scnn-camvid11", backend="onnx").copy_network()


@pytest.mark.parametrize("wrong", [None, 3, ["a"], b"a", "a\0", ""])
def test_what_is_no_path_and_no_name_is_a_sentence(wrong: object, small_data: Path) -> None:
    net, data = briskseg.create_model("lite_seg", 3), briskseg.open_dataset(small_data)
    doors = (briskseg.load, briskseg.open_dataset, briskseg.load_published, net.load_encoder)
    for door in (*doors, lambda path: briskseg.save(net, path, NAMES, mean=[0] * 3, std=[1] * 3)):
        with pytest.raises(briskseg.BriskError, match=r"the path is .*, expected a file's or a"):
            door(wrong)
    for door, told in (
        (lambda name: briskseg.create_model(name, 3), "unknown model"),
        (lambda name: briskseg.load("fast-scnn-camvid11", backend=name), "unknown backend"),
        (data.pairs, "no split"),
        (
            lambda names: briskseg.save(net, "a.safetensors", names),
            "names are .*, expected 3 texts",
        ),
    ):
        with pytest.raises(briskseg.BriskError, match=told):
            door(wrong)


def test_a_data_set_is_shown_in_few_words(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "a", train=2, val=2, size_hw=(32, 32), seed=1)
    draw_dataset(tmp_path / "b", train=12, val=9, size_hw=(32, 32), seed=1)
    shown = [repr(briskseg.open_dataset(tmp_path / name)) for name in "ab"]
    assert len(shown[0]) == len(shown[1]) < 3000


def test_loads_help_names_every_backend() -> None:
    from briskseg.runtime.backends import BACKENDS

    assert f"a name ({', '.join(BACKENDS)})" in " ".join(briskseg.load.__doc__.split())
