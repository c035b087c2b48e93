"""What the documents tell a user to type exists: every verb, option and recipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from briskseg.cli import _register, app
from briskseg.models import MODELS
from briskseg.recipe import list_recipes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """`briskseg VERB ...` in code spans and at the start of lines of code blocks."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    lines = [line for block in blocks for line in block.splitlines()]
    found = [re.search(r"(?:^|\s|/)(briskseg \w.*)", code) for code in [*spans, *lines]]
    return [match[1].split("  #")[0].split(" > ")[0] for match in found if match]


def test_the_readme_lists_every_network_with_its_size() -> None:
    rows = [line.split(" | ") for line in PAGES[0].read_text("utf-8").splitlines()]
    found = {row[0].strip("| `"): row[2:4] for row in rows if row[0].startswith("| `")}
    for name, entry in MODELS.items():
        assert found[name] == [f"{entry.parameters / 1e6:.1f} M", f"{entry.gflop:.1f}"], name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_can_be_typed(page: Path) -> None:
    _register()
    verbs = typer.main.get_command(app).commands
    for text in commands(page):
        _, verb, *words = shlex.split(text)
        assert verb in verbs, f"{page.name}: {text}"
        command = verbs[verb]
        if words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words[0]]
        known = {name for param in command.params for name in param.opts} | {"--help"}
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        for option in options:
            assert option in known, f"{page.name}: {text}: {option}"
        for param in command.params if words else ():  # without any it is the verb's name alone
            if param.required and param.param_type_name == "option":
                assert options & {*param.opts}, f"{page.name}: {text}: lacks {param.opts[0]}"
        if verb == "train" and words and re.fullmatch(r"[a-z0-9][a-z0-9-]*", words[0]):
            assert words[0] in list_recipes(), f"{page.name}: {text}"
