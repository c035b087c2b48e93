"""Words that are no command: one sentence each, which says what to write."""

from __future__ import annotations

import shlex

import pytest

from briskseg.recipe import load_recipe


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trian", "no such command 'trian'. Did you mean 'train'? `briskseg --help` lists the"),
        ("data shw", "no such command 'shw'. Did you mean 'show'? `briskseg data --help` has"),
        ("evaluate", "missing argument 'MODEL'; `briskseg evaluate --help` has an example"),
        ("check here --jsn out", "no such option: --jsn"),
        ("train --data", "option '--data' requires an argument; `briskseg train --help` has an"),
        ("train demo --devic cpu", "no such option: --devic (Possible options: --device, "),
        ("train demo --threads 2", "no such option: --threads; `briskseg train --help` has an"),
        ("bench fast_scnn --threads two", "invalid value for '--threads': "),
        ("check here there", "got unexpected extra argument(s) (there); "),
    ],
)
def test_what_is_wrong_is_one_sentence_and_names_the_help(command, words, sentence):
    status, out, err = command(*words.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"briskseg: {sentence}")
    assert err.count("\n") == 1
    assert err.endswith(("--help` has an example\n", "--help` lists the verbs\n"))


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("--epochs", "training.epochs", "3"),
        ("--batch-size", "training.batch", "2"),
        ("--lr", "training.optimizer.lr", "0.1"),
        ("--model", "model.name", "erfnet"),
        ("--size", "data.size", "[64, 96]"),
        ("--brightness", "augment.brightness", "2"),
    ],
)
def test_an_option_that_is_a_recipes_key_says_how_to_set_it(command, option, key, value):
    _, _, err = command("train", "demo", option, value)
    written = shlex.quote(f"{key}={value}")
    assert err == f"briskseg: no option {option}; it is a recipe's: --set {written}\n"
    load_recipe("demo", [f"{key}={value}"])


def test_without_a_verb_the_help_is_shown(command):
    status, out, err = command()
    assert (status, err) == (2, "")
    assert "Usage: briskseg" in out
