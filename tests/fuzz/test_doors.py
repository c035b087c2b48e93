"""A few hundred hostile files through every door with every test run; `make fuzz` sends many."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from doors import DOORS, send
from mutations import KINDS, Change

CASES, DRAWN = 200, 40
NEEDS = {
    "checkpoint": "torch",
    "paddle": "torch",
    "keras": "h5py",
    "onnx": "onnx",
    "events": "tensorboard",
    "run-folder": "matplotlib",
    "serve-image": "uvicorn",
    "serve-form": "uvicorn",
    "serve-tensor": "uvicorn",
    "label-manifest": "pyarrow",
}

share = st.floats(0, 1, exclude_max=True)
changes = st.lists(
    st.builds(Change, st.integers(0, KINDS - 1), share, share, st.integers(0, 1 << 30)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", DOORS)
def test_only_our_own_errors_leave(name: str, tmp_path: Path) -> None:
    door = DOORS[name]
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])

    @settings(
        max_examples=max(2, DRAWN * door.share // 100),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(place=st.integers(0, len(door.whole()) - 1), some=changes)
    def sends(place: int, some: list[Change]) -> None:
        send(door, door.case(door.whole()[place], some), tmp_path)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow and matplotlib tell of oddities that they met
        sends()
        for number in range(max(4, CASES * door.share // 100)):
            send(door, door.random_case(number), tmp_path)


@pytest.mark.parametrize("name", DOORS)
def test_every_door_opens_for_whole_files(name: str, tmp_path: Path) -> None:
    """So that the cases begin with what is read, and are not all refused at the threshold."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [send(DOORS[name], whole, tmp_path) for whole in DOORS[name].whole()]
    assert "read" in results
