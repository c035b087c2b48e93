"""Learning from a trained network besides the labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load_file
from tests.training.conftest import rows

from briskseg.core.card import load_weights, read_card, save_weights
from briskseg.core.images import write_png
from briskseg.data import open_dataset
from briskseg.models import create_model
from briskseg.recipe import load_recipe
from briskseg.runtime.model_files import weights_folder
from briskseg.training.few_labels.teacher import Teacher
from briskseg.training.losses.distillation import distillation
from briskseg.training.samples.loader import find_unlabeled

SMALL = [
    "data.size=null", "augment.size=[32, 40]", "training.batch=3", "training.epochs=2",
    "training.log_every=1", "training.precision=float32", "training.workers=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def taught(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a run of one epoch on the streets: a teacher for others on the same data."""
    from briskseg.training.fit import fit

    changes = [*SMALL, f"data.root={streets}", "training.epochs=1"]
    return fit(load_recipe("demo", changes), tmp_path_factory.mktemp("runs") / "teacher")


@pytest.fixture(scope="module")
def unlabeled(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of the streets without their labels, one in a folder below."""
    folder = tmp_path_factory.mktemp("unlabeled")
    (folder / "more").mkdir()
    for index, image in enumerate(sorted((streets / "images" / "val").iterdir())[:4]):
        shutil.copy(image, folder / ("more" if index == 3 else ".") / image.name)
    write_png(folder / "gray.png", np.full((48, 64, 3), 128, np.uint8))
    (folder / "._gray.png").write_bytes(b"\0\5\x16\7")  # what macOS leaves beside on other disks
    return folder


def teacher_of(file: Path, streets: Path, *changes: str) -> tuple[Teacher, torch.nn.Module]:
    """The teacher, and a student with 3 of the streets' classes or all."""
    recipe = load_recipe("demo", [*SMALL, f"training.teacher.file={file}", *changes])
    dataset = open_dataset(streets)
    torch.manual_seed(1)
    student = create_model(recipe.model.name, len(dataset.names)).eval()
    return Teacher(recipe, student, dataset, torch.device("cpu")), student


def test_a_weight_may_follow_a_file_that_stands_alone() -> None:
    changes = ["training.teacher=runs/large", "training.teacher.weight=0.5"]
    teacher = load_recipe("demo", changes).training.teacher
    assert (teacher.file, teacher.weight) == ("runs/large", 0.5)
    teacher = load_recipe("demo", changes[::-1]).training.teacher
    assert (teacher.file, teacher.weight) == ("runs/large", 0.5)


def test_labels_of_the_data_set_are_no_images_without_labels(
    streets: Path, cityscapes: Path, tmp_path: Path
) -> None:
    gray = np.full((48, 64, 3), 128, np.uint8)
    for name, data in (("streets", streets), ("cityscapes", cityscapes)):
        root = tmp_path / name
        shutil.copytree(data, root)
        (root / "more").mkdir()
        write_png(root / "more" / "gray.png", gray)
        for file in [*root.rglob("*_gtFine_labelIds.png")]:  # Cityscapes has labels in other forms
            write_png(file.with_name(file.name.replace("labelIds", "color")), gray)
        pairs, _ = find_unlabeled(root, open_dataset(root))
        assert [pair.image.name for pair in pairs] == ["gray.png"]


def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shares = np.exp(values)
    return shares / shares.sum()


def test_the_loss_is_hintons_at_each_position_weighed_by_class() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 4, 3, 5)), rng.normal(size=(2, 6, 3, 5))
    classes, t = np.array([[0, 2, 3], [5, 1, 0]]), 1.7
    weights = np.array([1.0, 7.0, 0.5, 4.0])
    total, weight, count = 0.0, 0.0, 0
    for n, y, x in np.ndindex(2, 3, 5):
        if theirs[n, :, y, x].argmax() not in classes[1]:
            continue
        taught, found = theirs[n, classes[1], y, x], ours[n, classes[0], y, x]
        p, q = softmax(taught / t), softmax(found / t)
        w = softmax(taught) @ weights[classes[0]]
        total, weight, count = total + w * t * t * (p * np.log(p / q)).sum(), weight + w, count + 1
    assert 0 < count < 30
    tensors = map(torch.from_numpy, (ours, theirs, classes, weights.astype(np.float32)))
    assert distillation(*tensors, temperature=t).item() == pytest.approx(total / weight, rel=1e-5)


def test_processes_share_the_positions_that_the_teacher_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mean of two processes' losses is that of one with the images of both."""
    rng = np.random.default_rng(0)
    ours, theirs = torch.from_numpy(rng.normal(size=(2, 2, 4, 3, 5)))
    classes = torch.tensor([[0, 2], [1, 0]])
    weights = torch.ones(4)
    whole = distillation(ours, theirs, classes, weights)
    known = torch.isin(theirs.argmax(1), classes[1]).sum().float()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda count: count.copy_(known))
    each = [distillation(ours[n : n + 1], theirs[n : n + 1], classes, weights) for n in range(2)]
    assert each[0] != each[1]
    assert sum(each).item() / 2 == pytest.approx(whole.item(), rel=1e-5)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn(
    taught: Path, streets: Path
) -> None:
    teacher, student = teacher_of(taught, streets, "training.teacher.weight=0.5")
    images = torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8)
    card = read_card(taught / "model.safetensors")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (card.input.mean, card.input.std))
    normalized = (images / 255 - mean) / std
    with torch.no_grad():
        other = teacher.loss(student(normalized), images, torch.ones(11))
        weights = load_file(taught / "model.safetensors")
        student.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        same = teacher.loss(student(normalized), images, torch.ones(11))
        # Fast-SCNN computes its logits at 1/8: there, whole cells, the two are compared
        coarse = student.forward_coarse(normalized)
    assert coarse.shape[2:] == (4, 5)
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert other.item() > 1e-4
    assert (
        teacher.said
        == f"learns from {taught / 'model.safetensors'} too: it has the same 11 classes"
    )


def test_an_onnx_file_of_ours_teaches_what_its_weights_teach(streets: Path) -> None:
    pytest.importorskip("onnxruntime")
    shipped = weights_folder() / "fast-scnn-camvid11.onnx"
    losses = []
    for file in (shipped.with_suffix(".safetensors"), shipped):
        teacher, student = teacher_of(file, streets)
        image = torch.from_numpy(
            np.random.default_rng(0).integers(0, 256, (1, 3, 48, 64), np.uint8)
        )
        with torch.no_grad():
            losses.append(teacher.loss(student(image / 128 - 1), image, torch.ones(11)).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert teacher.said.endswith("trained on val too: what the run scores there says nothing")


def test_what_a_teacher_says_weighs_in_float32_whatever_the_training_computes_in(
    streets: Path,
) -> None:
    """An .onnx file computes in float32, so all that could differ is the loss."""
    pytest.importorskip("onnxruntime")
    teacher, _ = teacher_of(weights_folder() / "fast-scnn-camvid11.onnx", streets)
    generator = np.random.default_rng(0)
    image = torch.from_numpy(generator.integers(0, 256, (1, 3, 48, 64), np.uint8))
    logits = torch.from_numpy(generator.normal(size=(1, 11, 48, 64)).astype(np.float32))
    weights = torch.linspace(0.5, 9.7, 11)
    expected = teacher.loss(logits, image, weights)
    with torch.autocast("cpu", torch.bfloat16):
        assert teacher.loss(logits, image, weights).equal(expected)


def test_other_classes_are_mapped_by_name_and_what_does_not_map_is_said(
    weights_file: Path, streets: Path, tmp_path: Path
) -> None:
    tensors, card = load_weights(weights_file)
    labels = card.labels.model_copy(update={"names": ("cow", "ROAD", "Sky")})
    save_weights(tmp_path / "t.safetensors", tensors, card.model_copy(update={"labels": labels}))
    teacher, _ = teacher_of(tmp_path / "t.safetensors", streets)
    names = [name for name in open_dataset(streets).names if name not in ("Road", "Sky")]
    assert teacher.said == (
        f"learns from {tmp_path / 't.safetensors'} too: 2 of 11 classes, by name; not taught: "
        f"{', '.join(names)}; not here: cow"
    )


def onnx_file(
    path: Path, takes: str, gives: str, classes: int, batch: int = 1, channels: int = 3
) -> Path:
    """A network of another program: (1,3,H,W) float or (1,H,W,3) uint8 -> logits, or labels."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    kernel = np.random.default_rng(0).normal(size=(classes, channels, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["logits"])]
    shape, kind = [batch, 3, "H", "W"], types.FLOAT
    if takes == "bytes":
        shape, kind = [1, "H", "W", 3], types.UINT8
        cast = helper.make_node("Cast", ["images"], ["floats"], to=types.FLOAT)
        nodes = [cast, helper.make_node("Transpose", ["floats"], ["x"], perm=[0, 3, 1, 2]), *nodes]
    output = helper.make_tensor_value_info("logits", types.FLOAT, [1, classes, "H", "W"])
    if gives == "labels":
        nodes.append(helper.make_node("ArgMax", ["logits"], ["labels"], axis=1, keepdims=0))
        output = helper.make_tensor_value_info("labels", types.INT64, [1, "H", "W"])
    name = "x" if takes == "floats" else "images"
    image = helper.make_tensor_value_info(name, kind, shape)
    constants = [onnx.numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph(nodes, "other", [image], [output], constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.mark.parametrize("takes", ["floats", "bytes"])
@pytest.mark.parametrize("gives", ["logits", "labels"])
def test_any_onnx_file_of_as_many_classes_teaches(
    takes: str, gives: str, streets: Path, tmp_path: Path
) -> None:
    classes = len(open_dataset(streets).names)
    file = onnx_file(tmp_path / "other.onnx", takes, gives, classes)
    changes = ["training.teacher.weight=1", "model.name=erfnet"]  # whose logits are full size
    teacher, _ = teacher_of(file, streets, *changes)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 16), np.uint8)
    x = pixels.astype(np.float64)
    if takes == "floats":
        mean, std = (
            np.array(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        x = (x / 255 - mean) / std
    kernel = np.random.default_rng(0).normal(size=(classes, 3, 1, 1)).astype(np.float32)[..., 0, 0]
    logits = np.einsum("kc,nchw->nkhw", kernel, x)
    said = np.eye(classes)[logits.argmax(1)] if gives == "labels" else None
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True) if said is None else said.transpose(0, 3, 1, 2)
    entropy = -(p * np.log(p.clip(1e-300))).sum(1).mean()
    with torch.no_grad():
        images = torch.from_numpy(pixels)
        found = teacher.loss(torch.zeros(1, classes, 8, 16), images, torch.ones(classes))
    assert found.item() == pytest.approx(np.log(classes) - entropy, rel=1e-3)
    assert "has no names: its classes are taken to be the data's" in teacher.said


@pytest.fixture(scope="module")
def distilled(
    taught: Path, unlabeled: Path, streets: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path]:
    """What is changed of a recipe with a teacher and images without labels, and its run."""
    from briskseg.training.fit import fit

    changes = [
        *SMALL, f"data.root={streets}", f"data.unlabeled_images={unlabeled}",
        f"training.teacher.file={taught}", "training.ema=0.9",
    ]  # fmt: skip
    return changes, fit(load_recipe("demo", changes), tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize("until", [7])  # of epochs of (12 + 5) / 3 steps
def test_a_run_with_a_teacher_resumes_to_the_last_bit(
    until: int, distilled: tuple[list[str], Path], tmp_path: Path, sit: Callable
) -> None:
    changes, whole = distilled
    recipe = load_recipe("demo", changes)
    parts = sit(recipe, tmp_path / "parts", until=until)
    sit(recipe, parts, resume=True)
    one, other = (load_file(run / "model.safetensors") for run in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    curves = [[(r["step"], r["loss"], r["val_miou"]) for r in rows(run)] for run in (whole, parts)]
    assert curves[0] == curves[1]
    assert [r["step"] for r in rows(whole) if r["loss"]] == [*map(str, range(1, 11))]


def test_images_without_labels_are_not_drawn_by_class(
    taught: Path, unlabeled: Path, streets: Path, tmp_path: Path
) -> None:
    from briskseg.training.fit import fit
    from briskseg.training.session import RunSession

    changes = [
        *SMALL, f"data.root={streets}", f"data.unlabeled_images={unlabeled}",
        f"training.teacher.file={taught}", "training.epochs=1",
    ]  # fmt: skip
    names: list[str] = []
    for share, drawn in ((0, True), (0.99, False)):
        names.clear()
        session = RunSession(device="cpu", listener=lambda e: names.extend(e.get("names", [])))
        recipe = load_recipe("demo", [*changes, f"training.class_balanced={share}"])
        fit(recipe, tmp_path / str(share), session)
        assert any(name.startswith("unlabeled/") for name in names) == drawn
        assert len(names) == 15


def test_images_of_the_data_set_are_no_images_without_labels(
    taught: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_png(folder / "gray.png", np.full((48, 64, 3), 128, np.uint8))
    pairs = [pair for pairs in open_dataset(streets).splits.values() for pair in pairs]
    for index, pair in enumerate(pairs):
        (folder / f"{index}.png").symlink_to(pair.image)
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", "--no-check"]
    words += [f"--set={change}" for change in SMALL] + [f"--set=training.teacher={taught}"]
    done = command(*words, f"--set=data.unlabeled_images={folder}", "--set=training.steps=1")
    assert done.status == 0, done.err
    assert f"{len(pairs)} of {len(pairs) + 1} images are left out" in done.err


def test_another_teacher_than_the_run_began_with_is_refused(
    taught: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    teacher, run = tmp_path / "teacher.safetensors", tmp_path / "run"
    shutil.copy(taught / "model.safetensors", teacher)
    words = ["train", "demo", "--data", streets, "--out", run, "--no-check"]
    words += [f"--set={change}" for change in SMALL] + [f"--set=training.teacher={teacher}"]
    done = command(*words, "--set=training.epochs=1")
    assert done.status == 0, done.err
    assert "learns from" in done.err
    assert "it has the same 11 classes" in done.err
    assert read_card(run / "model.safetensors").training["teacher"] == "teacher.safetensors"
    (run / "scores.json").unlink()
    tensors, card = load_weights(teacher)
    teacher.unlink()
    save_weights(teacher, {name: 2 * tensor for name, tensor in tensors.items()}, card)
    done = command(*words, "--set=training.epochs=1", "--resume")
    assert done.status == 2
    assert "training.teacher is another file than when the run was begun" in done.err


def test_what_is_learned_follows_the_weight_and_the_temperature(
    distilled: tuple[list[str], Path], tmp_path: Path
) -> None:
    """Of one network and one batch, before any step."""
    from briskseg.training.fit import fit

    changes, whole = distilled
    losses = []
    for place, teacher in enumerate(("weight=300", "temperature=0.1")):
        words = [*changes, f"training.teacher.{teacher}", "training.steps=1"]
        losses.append(
            float(rows(fit(load_recipe("demo", words), tmp_path / str(place)))[0]["loss"])
        )
    heavy, sharp = losses
    plain = float(rows(whole)[0]["loss"])  # at the usual weight
    assert heavy > plain + 0.01
    assert sharp != pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.teacher=nowhere", "training.teacher: nowhere is not there"),
        ("training.teacher={file: x.onnx, weigth: 1}", "did you mean 'weight'?"),
        ("data.unlabeled_images=.", "data.unlabeled_images teach nothing by themselves"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused_in_a_sentence(
    change: str, message: str, streets: Path, tmp_path: Path, command: Callable
) -> None:
    done = command("train", "demo", "--data", streets, "--out", tmp_path, f"--set={change}")
    assert done.status == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_teacher_of_other_classes_and_an_empty_folder_are_refused_before_a_run_begins(
    weights_file: Path, taught: Path, streets: Path, tmp_path: Path, command: Callable
) -> None:
    tensors, card = load_weights(weights_file)
    labels = card.labels.model_copy(update={"names": ("cat", "dog", "cow")})
    other, empty = tmp_path / "other.safetensors", tmp_path / "empty"
    save_weights(other, tensors, card.model_copy(update={"labels": labels}))
    empty.mkdir()
    sky, own = tmp_path / "sky.safetensors", streets / "images" / "val"
    labels = card.labels.model_copy(update={"names": ("cat", "SKY", "cow")})
    save_weights(sky, tensors, card.model_copy(update={"labels": labels}))
    classes = len(open_dataset(streets).names)
    batched = onnx_file(tmp_path / "batched.onnx", "floats", "logits", classes, batch=4)
    failing = onnx_file(tmp_path / "failing.onnx", "floats", "logits", classes, channels=4)
    words = ["train", "demo", "--data", streets, "--out", tmp_path / "run", "--no-check"]
    words += [f"--set={change}" for change in SMALL]
    for more, message in (
        ([f"--set=training.teacher={other}"], "knows cat, dog, cow ... and none of the data's"),
        ([f"--set=training.teacher={sky}"], "knows cat, SKY, cow ... and of the data's classes"),
        ([f"--set=training.teacher={batched}"], "expected one input"),
        ([f"--set=training.teacher={failing}"], f"{failing} cannot be run: "),
        (
            [f"--set=training.teacher={taught}", f"--set=data.unlabeled_images={own}"],
            f"data.unlabeled_images: {own} holds images of the data set alone",
        ),
        (
            [f"--set=training.teacher={taught}", f"--set=data.unlabeled_images={empty}"],
            f"data.unlabeled_images: {empty} holds no image; name a folder of images",
        ),
    ):
        done = command(*words, *more)
        assert done.status == (1 if "cannot be run" in message else 2)
        assert message in done.err
        assert not (tmp_path / "run").exists()
