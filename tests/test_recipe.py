"""Recipes: complete, strict, and helpful when they are wrong."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from briskseg.core.errors import RecipeError
from briskseg.models import list_models
from briskseg.recipe import list_recipes, load_recipe, read_recipe, recipe_text

SMALL = {"model": {"name": "erfnet"}, "training": {"epochs": 3}}


def wrong(values: dict, *changes: str, tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(RecipeError) as error:
        load_recipe(str(path), changes)
    return str(error.value)


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_are_short_commented_and_name_a_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.model.name in list_models()
    lines = recipe_text(name).splitlines()
    assert len(lines) <= 50
    assert lines[0].startswith("# ")
    assert lines[1].startswith(f"#   briskseg train {name}")


@pytest.mark.parametrize("name", list_recipes())
def test_a_shipped_recipe_is_written_and_reads_back_the_same(name: str) -> None:
    recipe = load_recipe(name)
    assert read_recipe(yaml.safe_load(recipe.to_yaml()), "again") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainin.epochs=3", "unknown key 'trainin'; did you mean 'training'?"),
        ("training.epoch=4", "unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("epochs=4", "unknown key 'epochs'; did you mean 'training.epochs'?"),
        ("training.lr=1", "unknown key 'training.lr'; did you mean 'training.optimizer.lr'?"),
        ("training.mean=1", "unknown key 'training.mean'; did you mean 'training.loss.mean'?"),
        ("training.optimizer.factors=1", "did you mean 'lr_factors'? choices: "),
        ("optimizer=1", "unknown key 'optimizer'; did you mean 'training.optimizer'?"),
        ("training.loss.ohem.thresold=1", "did you mean 'threshold'?"),
        ("training.optimizer.lr=-1", "'training.optimizer.lr': input should be greater than 0"),
        ("training.optimizer.lr=.nan", "'training.optimizer.lr': input should be a finite number"),
        ("training.optimizer.name=adm", "expected 'adam', 'adamw' or 'sgd', found 'adm'"),
        ("training.batch=0", "'training.batch': input should be greater than or equal to 1"),
        ("training.epochs=null", "say epochs or steps, one of them; found neither"),
        ("augment.scale=[2, 1]", "'augment.scale': the least (2.0) is above the most (1.0)"),
        (
            "augment.brightness=[2, 1]",
            "'augment.brightness': the least (2.0) is above the most (1.0), found [2, 1]",
        ),
        (
            "augment.contrast={sd: 1, min: 2, max: 1}",
            "'augment.contrast': the least (2.0) is above the most (1.0)",
        ),
        ("augment.crop=[0.5, 1.5]", "'augment.crop': 1.5 is above 1, which is the whole"),
        ("augment.crop=1.5", "'augment.crop': 1.5 is above 1, which is the whole, found 1.5"),
        ("training.schedule={name: step}", "needs rising milestones and one factor for each"),
        ("training.epochs", "--set training.epochs: expected KEY=VALUE"),
        (
            "training.schedule={name: exponential, milestones: [3]}",
            "an exponential schedule needs one of each, found milestones [3] and factors []",
        ),
        (
            "training.loss={kind: sigmoid, ohem: {}}",
            "ohem goes with kind: cross_entropy and mean: weights, found kind: sigmoid",
        ),
        (
            "augment.progressive_resize={factors: [0.5], until: [0.9, 0.4]}",
            "progressive_resize needs rising shares",
        ),
        ("training.optimizer.no_decay=[biases]", "expected 'bias', 'norm' or 'depthwise'"),
        ("task=detection", "no task 'detection'; choices: segmentation, pretraining"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(
    change: str, message: str, tmp_path: Path
) -> None:
    assert message in wrong(SMALL, change, tmp_path=tmp_path)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    message = wrong({"model": {}, "training": {"epochs": 0, "bach": 2}}, tmp_path=tmp_path)
    for part in ("'model.name' is missing", "'training.epochs'", "did you mean 'batch'?"):
        assert part in message


def test_a_path_leads_into_a_list_by_the_place() -> None:
    recipe = load_recipe("erfnet-cityscapes", ["training.stages.1.class_weights=enet"])
    assert recipe.training.stages[1].class_weights == "enet"
    assert len(recipe.training.stages[0].class_weights) == 19


def test_steps_take_the_place_of_epochs(tmp_path: Path) -> None:
    recipe = load_recipe("demo", ["training.steps=7"])
    assert recipe.training.steps == 7
    assert recipe.training.epochs is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "at line"),
        ("just words", "holds no keys; expected model, data, training"),
        ("model: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_recipe_is_told_so(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_an_unknown_name_lists_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'erfnet-camvid11'"):
        load_recipe("erfnet-camvd11")
    with pytest.raises(RecipeError, match="did you mean 'erfnet-camvid11'"):
        load_recipe("erfnt")  # nearest by how it begins
    with pytest.raises(RecipeError, match=r"no recipe file .*none\.yaml"):
        load_recipe(str(tmp_path / "none.yaml"))


OLD = {
    "augment": {"growth": {"factors": [0.5], "until": [0.4]}, "class_max": 0.6},
    "data": {"resident": True},
}


def test_keys_with_a_former_name_load_and_the_new_name_is_said(tmp_path: Path) -> None:
    values = yaml.safe_load(recipe_text("demo"))
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({**values, "augment": OLD["augment"], "data": OLD["data"]}))
    notices: list[str] = []
    old = load_recipe(str(path), ["augment.growth.until=[0.3]"], notices.append)
    new = load_recipe(
        str(path),
        ["augment.progressive_resize={factors: [0.5], until: [0.3]}", "augment.cat_max_ratio=0.6"],
    )
    assert old == new
    assert old.data.gpu_cache is True
    assert notices == [
        f"recipe {path}: 'augment.class_max' is now called 'augment.cat_max_ratio'; it is read "
        "all the same",
        f"recipe {path}: 'augment.growth' is now called 'augment.progressive_resize'; it is read "
        "all the same",
        f"recipe {path}: 'data.resident' is now called 'data.gpu_cache'; it is read all the same",
        "--set augment.growth.until=[0.3]: 'augment.growth.until' is now called "
        "'augment.progressive_resize.until'; it is set all the same",
    ]


def test_a_key_under_both_of_its_names_is_refused(tmp_path: Path) -> None:
    values = yaml.safe_load(recipe_text("demo"))
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump({**values, "data": {"resident": True, "gpu_cache": False}}))
    with pytest.raises(RecipeError, match=r"'data\.resident' is the former name of 'data\.gpu_cac"):
        load_recipe(str(path))


def test_a_key_that_is_a_digit_and_no_number_is_a_key(tmp_path: Path) -> None:
    change = "training.optimizer.lr_factors={²: '1'}"
    assert "'training.optimizer.lr_factors.²': expected a num" in wrong(
        SMALL, change, tmp_path=tmp_path
    )


def test_a_key_twice_names_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("model: {name: erfnet}\ntraining:\n  epochs: 2\n  batch: 4\n  epochs: 3\n")
    with pytest.raises(RecipeError, match=r"the key 'epochs' twice, at line 3 and at line 5"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.batch=true", "'training.batch': expected a whole number, found true"),
        ("training.batch=8.5", "'training.batch': expected a whole number, found 8.5"),
        ("training.batch=-4", "'training.batch': input should be greater than or equal to 1"),
        ("training.epochs=[5]", "'training.epochs': expected a whole number, found [5]"),
        ("training.epochs=1:30", "'training.epochs': expected a whole number, found '1:30'"),
        ("training.seed=99999999999999999999", "should be less than or equal to 4294967295"),
        ("training.workers=99999999999", "should be less than or equal to 1000000000"),
        ("data.split_seed=-1", "'data.split_seed': input should be greater than or equal to 0"),
        ("training.optimizer.lr=true", "'training.optimizer.lr': expected a number, found true"),
        ("training.optimizer.lr=1,5", "'training.optimizer.lr': expected a number, found '1,5'"),
        ("training.clip=off", "'training.clip': expected a number, found 'off'"),
        ("augment.scale=true", "'augment.scale': expected a list, found true"),
        ("augment.size=360", "'augment.size': expected [height, width], found 360"),
        ("augment.size=[360]", "'augment.size': expected more values, found [360]"),
        ("augment.size=[1, 2, 3]", "'augment.size': expected 2 values, found [1, 2, 3]"),
        ("augment.brightness=[true, 2]", "'augment.brightness.0': expected a number, found true"),
        ("training.loss.class_weights=[1, yes]", "'training.loss.class_weights.1': expected a num"),
        ("training.loss=", "'training.loss': expected keys with values, found nothing"),
        ("model.options={a: [1]}", "'model.options.a': expected true or false or a whole number"),
    ],
)
def test_a_value_of_another_type_is_not_turned_into_what_is_expected(
    change: str, message: str, tmp_path: Path
) -> None:
    found = wrong(SMALL, change, tmp_path=tmp_path)
    assert message in found
    assert "; write" not in found  # nothing suggests itself that would do


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        ("augment.size=360x480", "augment.size", (360, 480)),
        ("data.size=360,480", "data.size", (360, 480)),
        ("training.batch='8'", "training.batch", 8),
        ("training.batch=1e1", "training.batch", 10),
        ("training.epochs=010", "training.epochs", 10),
        ("training.optimizer.lr='1e-3'", "training.optimizer.lr", 0.001),
        ("training.compile=yes", "training.compile", True),
        ("training.compile=off", "training.compile", False),
        ("training.compile=1", "training.compile", True),
        ("training.compile='true'", "training.compile", True),
        ("data.root=2024", "data.root", "2024"),
        ("name=true", "name", "true"),
        ("data.train_splits=val", "data.train_splits", ("val",)),
        ("training.loggers=wandb", "training.loggers", ("wandb",)),
        ("training.optimizer=sgd", "training.optimizer.name", "sgd"),
    ],
)
def test_what_a_message_says_to_write_is_taken(
    change: str, key: str, meant: object, tmp_path: Path
) -> None:
    message = wrong(SMALL, change, tmp_path=tmp_path)
    if shell := re.search(r"\(in a shell --set (.*)\)$", message):
        (again,) = shlex.split(shell[1])
    else:
        written = re.search(r"; write (.*?)(, without quotes)?$", message)
        assert written is not None, message
        again = f"{change.partition('=')[0]}={written[1]}"
    path = tmp_path / "mine.yaml"
    value = load_recipe(str(path), [again])
    for part in key.split("."):
        value = getattr(value, part)
    assert value == meant


@pytest.mark.parametrize(
    "text", ["no", "1e3", "010", "1:30", "2026-01-02", "true", "~", "0x1F", "5", "ordinary"]
)
def test_text_that_looks_like_something_else_stays_text(text: str, tmp_path: Path) -> None:
    recipe = read_recipe({**SMALL, "note": text}, "test")
    path = tmp_path / "again.yaml"
    path.write_text(recipe.to_yaml())
    assert load_recipe(str(path)).note == text
    assert yaml.safe_load(recipe.to_yaml())["note"] == text  # as other programs read it


def test_numbers_are_read_as_yaml_1_2_has_them(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text(
        "name: no\nnote: 2026-01-02\nmodel: {name: erfnet}\n"
        "training: {epochs: 3, optimizer: {lr: 1e-3, eps: 1.e-8}}\n"
    )
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.note) == ("no", "2026-01-02")
    assert (recipe.training.optimizer.lr, recipe.training.optimizer.eps) == (1e-3, 1e-8)
