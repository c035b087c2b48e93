"""Published weights: recognizes whose file it is by its names and shapes, and builds that network.

A file is recognized when every name and every shape is as one layout has it; nothing is skipped or
guessed, except that files from before PyTorch 0.4.1 lack batch norm's `num_batches_tracked`, which
nothing here reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

import torch
from torch import Tensor

from briskseg.core.card import InputCard
from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files import as_path
from briskseg.core.wording import counted
from briskseg.models import MODELS, create_model
from briskseg.models.network import Network
from briskseg.models.weights.checkpoint import read_tensors, unprefixed
from briskseg.models.weights.comparison import (
    Differences,
    Shapes,
    check_finite,
    differences,
    first_names,
    fresh_network,
    length,
    same_numbers,
    shapes_of,
)
from briskseg.models.weights.layouts import LAYOUTS
from briskseg.models.weights.published_layout import Layout, part_of


@dataclass(frozen=True)
class Comparison:
    """How the names and shapes of a file compare with a layout's. prefix: what all of the file's
    names have before those of the layout."""

    name: str  # of the layout
    layout: Layout
    classes: int
    differences: Differences
    prefix: str = ""


def load_published(path: str | Path) -> Network:
    """See `briskseg.load_published`."""
    path = as_path(path)
    tensors = read_tensors(path)
    return build(recognize(shapes_of(tensors), path), tensors, path)


def recognize(shapes: Shapes, path: Path) -> Comparison:
    """The layout that a file's names and shapes are. `path` is named in the WeightsError raised
    where there is none, with the nearest layout and what differs from it, and in the RequestError
    where the file holds a pretrained encoder and no network for segmentation, or one that tells two
    classes by a threshold."""
    forms = unprefixed(shapes)
    comparisons = []
    for prefix, form in forms.items():
        # to build every network takes seconds; one with another last layer does not fit
        likely = [name for name, layout in LAYOUTS.items() if layout.last in form]
        comparisons += [replace(compare(name, form), prefix=prefix) for name in likely or LAYOUTS]
    best = min(comparisons, key=lambda comparison: len(comparison.differences))
    if not best.differences:
        if best.classes == 1:
            raise RequestError(
                f"{path} ({best.layout.title}) gives one number a pixel, which a threshold makes "
                "two classes (MMSegmentation's out_channels=1), expected one for each class; train "
                "it with out_channels=2"
            )
        return best
    for form in forms.values():
        _refuse_encoder(form, path)
    if best.differences.are_of_another_network:
        for form in forms.values():
            _refuse_own(form, path)
        titles = (MODELS[layout.network].title for layout in LAYOUTS.values())
        known = "; ".join(dict.fromkeys(titles))
        raise WeightsError(
            f"{path} holds {counted(len(shapes), 'tensor')} ({first_names(shapes)} ...), but not "
            f"the weights of a network that is known here: {known}"
        )
    raise WeightsError(
        f"{path} is nearest to the layout '{best.name}' ({best.layout.title}) with {best.classes} "
        f"classes, but {best.differences}; load a file whose tensors all fit"
    )


def _refuse_own(shapes: Shapes, path: Path) -> None:
    """Raises if the tensors are those of a network here, saved without a card."""
    for name in MODELS:
        with torch.device("meta"):  # names without memory
            network = create_model(name, 19)
        if f"{network.last}.weight" in shapes and shapes.keys() <= network.state_dict().keys():
            raise RequestError(
                f"{path} holds the tensors of {name} as it is here, and not what its classes are; "
                f"load them into briskseg.create_model('{name}', classes), and write that with "
                "briskseg.save(network, FILE, names, mean=, std=)"
            )


def _refuse_encoder(shapes: Shapes, path: Path) -> None:
    """Raises if the file is the authors' encoder pretrained as a classifier."""
    classes = length(shapes, "classifier.linear.bias")
    if classes and "features.encoder.initial_block.conv.weight" in shapes:
        raise RequestError(
            f"{path} is the encoder of ERFNet alone, pretrained to classify images ({classes} "
            "classes; the authors' PyTorch code), expected a whole network; train one from it with "
            f"--set {quote(f'model.encoder={path}')}"
        )


def compare(name: str, shapes: Shapes) -> Comparison:
    """A file's names and shapes against those of the layout `name`."""
    layout = LAYOUTS[name]
    classes = length(shapes, layout.last)
    classes = classes if 1 <= classes <= 255 else 19
    expected = {
        theirs: shapes[theirs] if same_numbers(shape, shapes.get(theirs)) else shape
        for theirs, shape in _published_shapes(name, classes).items()
    }
    read = {name: shape for name, shape in shapes.items() if layout.reads(name)}
    return Comparison(name, layout, classes, differences(expected, read))


@functools.cache
def _published_shapes(name: str, classes: int) -> Shapes:
    layout = LAYOUTS[name]
    with torch.device("meta"):  # shapes without memory
        net = create_model(layout.network, classes, **layout.options)
    shapes = {}
    for ours, shape in shapes_of(net.state_dict()).items():
        if layout.has(ours):
            theirs, _, parts = part_of(ours, layout.names)
            shapes[theirs] = (parts * shape[0], *shape[1:]) if parts > 1 else shape
    return shapes


def build(found: Comparison, tensors: Mapping[str, Tensor], path: Path) -> Network:
    """The network of a recognized layout with a file's weights, in eval mode."""
    layout = found.layout
    net = fresh_network(layout.network, found.classes, layout.options)
    net.expects = InputCard(mean=layout.mean, std=layout.std)
    weights = {}
    for ours, fresh in net.state_dict().items():
        theirs, part, parts = part_of(ours, layout.names)
        held = tensors.get(found.prefix + theirs)
        if not layout.has(ours):
            fresh.zero_()
        elif held is not None:
            fresh = (held.chunk(parts)[part] if parts > 1 else held).reshape(fresh.shape)
            if re.search(layout.absolute, theirs):
                fresh = fresh.abs() + 1e-5
        check_finite(theirs, fresh, path)
        weights[ours] = fresh
    net.load_state_dict(weights)
    return net.eval()
