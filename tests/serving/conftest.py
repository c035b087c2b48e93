"""Servers in this process: of the shipped network, and of one that waits until it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import card_of
from tests.serving.processes import MODEL
from tests.serving.waiting import Waiting

import briskseg
from briskseg.core.card import Card
from briskseg.core.images import png_bytes
from briskseg.data.synthetic import draw_scene
from briskseg.runtime.predictor import Predictor


@pytest.fixture(scope="session", autouse=True)
def _can_be_tested() -> None:
    pytest.importorskip("uvicorn", reason="SERVE IS NOT TESTED: pip install '.[serve]'")
    pytest.importorskip("httpx2", reason="SERVE IS NOT TESTED: pip install '.[dev]'")


def client_of(predictor: Predictor, page: Callable[[], str] = str, **settings: Any) -> Any:
    """A client of a server of this predictor."""
    from starlette.testclient import TestClient

    from briskseg.serving.app import create_app
    from briskseg.serving.engine import Engine
    from briskseg.serving.settings import Settings

    return TestClient(create_app(Engine(predictor, MODEL, Settings(**settings)), page))


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """What the answers are compared with."""
    return briskseg.load(MODEL, "onnx", threads=1)


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    with client_of(briskseg.load(MODEL, "onnx", threads=1)) as client:
        yield client


@pytest.fixture(scope="session")
def street() -> np.ndarray:
    """A drawn street, (240, 320, 3)."""
    return draw_scene(1, (240, 320))[0]


@pytest.fixture(scope="session")
def street_png(street: np.ndarray) -> bytes:
    return png_bytes(street)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    backend = Waiting()
    yield backend
    backend.go.set()


@pytest.fixture
def small_card() -> Card:
    return card_of("fast_scnn", 3)


def assert_says_why(answer: Any, status: int, *parts: str) -> None:
    """An error: JSON, one sentence with these parts, and nothing of this machine."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (said,) = answer.json().values()
    for part in parts:
        assert part in said
    for ours in (str(Path(briskseg.__file__).parent), "Traceback", " at 0x", "site-packages"):
        assert ours not in answer.text
