"""Published weights: recognizes whose file it is by its names and shapes, and builds that network.

A file is recognized when every name and every shape is as one layout has it; nothing is skipped or
guessed, except that files from before PyTorch 0.4.1 lack batch norm's `num_batches_tracked`, which
nothing here reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from briskseg.core.errors import WeightsError
from briskseg.models import create_model
from briskseg.models.checkpoint import read_tensors
from briskseg.models.layouts import LAYOUTS, Layout
from briskseg.models.network import Network

Shapes = Mapping[str, tuple[int, ...]]
COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class Comparison:
    """How the names and shapes of a file compare with a layout's, in the layout's own names."""

    name: str  # of the layout
    layout: Layout
    classes: int
    total: int  # tensors in the layout
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    reshaped: tuple[str, ...]  # "NAME (found), expected (...)"

    @property
    def differences(self) -> int:
        return len(self.missing) + len(self.unknown) + len(self.reshaped)


def load_published(path: str | Path) -> Network:
    """The published network with the weights of a file, in eval mode, on the CPU.

    It gives the published network's logits for images that are normalized as there (the layout's
    `mean` and `std`); all classes of the file are kept. Raises RequestError if there is no such
    file, WeightsError if it is damaged or its layout is not one of LAYOUTS.
    """
    tensors = read_tensors(Path(path))
    return build(recognize(shapes_of(tensors), Path(path)), tensors, Path(path))


def recognize(shapes: Shapes, path: Path) -> Comparison:
    """The layout that a file's names and shapes are. `path` is named in the WeightsError raised
    where there is none, with the nearest layout and what differs from it."""
    comparisons = [compare(name, shapes) for name in LAYOUTS]
    best = min(comparisons, key=lambda comparison: comparison.differences)
    if not best.differences:
        return best
    if len(best.missing) + len(best.reshaped) > best.total / 2:
        known = "; ".join(layout.title for layout in LAYOUTS.values())
        some = ", ".join(list(shapes)[:3])
        raise WeightsError(
            f"{path} holds {len(shapes)} tensors ({some} ...), but not the weights of a network "
            f"that is known here: {known}"
        )
    raise WeightsError(f"{path} {_difference(best)}")


def compare(name: str, shapes: Shapes) -> Comparison:
    """A file's names and shapes against those of the layout `name`."""
    layout = LAYOUTS[name]
    classes = shapes.get(layout.last, (0,))[0]
    with torch.device("meta"):  # shapes without memory
        net = create_model(layout.network, classes if 1 <= classes <= 255 else 19, **layout.options)
    expected = {layout.published_name(k): tuple(v.shape) for k, v in net.state_dict().items()}
    absent = [key for key in expected if key not in shapes and not key.endswith(COUNTER)]
    reshaped = [
        f"{key} {shapes[key]}, expected {shape}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    unknown = tuple(key for key in shapes if key not in expected)
    return Comparison(
        name, layout, net.classes, len(expected), tuple(absent), unknown, tuple(reshaped)
    )


def build(found: Comparison, tensors: Mapping[str, Tensor], path: Path) -> Network:
    """The network of a recognized layout with a file's weights, in eval mode."""
    layout = found.layout
    net = create_model(layout.network, found.classes, **layout.options)
    weights = {}
    for ours, fresh in net.state_dict().items():
        theirs = layout.published_name(ours)
        weights[ours] = tensors.get(theirs, fresh)
        if not bool(torch.isfinite(weights[ours]).all()):
            raise WeightsError(
                f"{path}: '{theirs}' holds values that are not finite numbers; the file is damaged "
                "or its training diverged: download it again or take an earlier checkpoint"
            )
    net.load_state_dict(weights)
    return net.eval()


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _difference(best: Comparison) -> str:
    parts = []
    for what, keys in (
        ("missing", best.missing),
        ("not of it", best.unknown),
        ("of another shape", best.reshaped),
    ):
        if keys:
            more = ", ..." if len(keys) > 3 else ""
            parts.append(f"{len(keys)} {what} ({', '.join(keys[:3])}{more})")
    return (
        f"is nearest to the layout '{best.name}' ({best.layout.title}) with {best.classes} "
        f"classes, but of its {best.total} tensors {', '.join(parts)}; load a file whose tensors "
        "all fit"
    )
