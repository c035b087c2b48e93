"""A network's operations, against what its papers and other counters say."""

from __future__ import annotations

import pytest

from briskseg.benchmark.layers import count_work
from briskseg.core.card import NetworkCard


def test_erfnet_has_its_published_operations() -> None:
    # 26.6 GMAC in pytorch counters' listings of ERFNet for 512x1024 and 19 classes
    work = count_work(NetworkCard(name="erfnet", classes=19), (512, 1024))
    assert work.flop / 2e9 == pytest.approx(26.6, abs=0.05)


def test_fast_scnn_has_its_published_operations() -> None:
    options = {"variant": "tramac"}
    work = count_work(NetworkCard(name="fast_scnn", classes=19, options=options), (512, 1024))
    assert work.flop / 1e9 == pytest.approx(3.35, abs=0.02)


def test_operations_grow_with_pixels_and_classes() -> None:
    """Four times the pixels are four times the operations, and classes cost what their layer does:
    128 multiplications and additions a cell at 1/8 size."""
    network = NetworkCard(name="fast_scnn", classes=2)
    small, large = (count_work(network, size).flop for size in ((256, 512), (512, 1024)))
    assert large == pytest.approx(4 * small, rel=1e-3)
    more = count_work(NetworkCard(name="fast_scnn", classes=3), (512, 1024)).flop
    assert more - large == 2 * 128 * 64 * 128
