"""The scripts under benchmarks/ run when somebody measures; that what they import is there is seen
here."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_benchmark_imports_of_ours_is_there(script: Path) -> None:
    pytest.importorskip("torch")
    tree = ast.parse(script.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in found:
        if node.module and node.module.split(".")[0] in ("briskseg", "tests"):
            pytest.importorskip("websocket" if "web" in node.module else "numpy")
            module = importlib.import_module(node.module)
            missing = [name.name for name in node.names if not hasattr(module, name.name)]
            assert missing == [], node.module
