"""Published weights -> a weights file of ours: safetensors with a card that says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import refuse_unwritable
from briskseg.core.files.safe_names import printable
from briskseg.core.labels import CITYSCAPES, LabelSet
from briskseg.core.wording import counted
from briskseg.models import create_model
from briskseg.models.network import Network
from briskseg.models.weights.checkpoint import read_tensors
from briskseg.models.weights.comparison import shapes_of
from briskseg.models.weights.published import Comparison, build, recognize


@dataclass(frozen=True)
class Conversion:
    """What `convert` found and wrote."""

    found: Comparison
    card: Card
    out: Path
    void_dropped: bool  # the channel for ignored pixels, which the official ERFNet has


def convert(path: Path, labels: LabelSet | None, out: Path | None = None) -> Conversion:
    """Write the published weights in `path` with a card to `out`.

    labels: the classes they were trained with, in the order of the network's outputs. The official
    ERFNet for Cityscapes has a 20th output for ignored pixels, which never was trained to win; with
    `CITYSCAPES` it is left out, so that the other 19 decide. `out` is by default `path` with the
    suffix .safetensors; a file that is there already is not overwritten.

    Raises RequestError, which names the network and its number of classes, if the labels are not
    given or are not as many; RequestError if `out` is there; and as `load_published`.
    """
    if path.suffix in (".onnx", ".xml", ".tflite", ".param"):
        raise RequestError(
            f"{path} is an exported file, expected published weights (.pth, .pt, .ckpt, "
            ".safetensors, .pdparams); convert those that it was exported from"
        )
    tensors = read_tensors(path)
    found = recognize(shapes_of(tensors), path)
    out = new_file(path, out)
    labels, void_dropped = _check_labels(labels, found, path)
    net = build(found, tensors, path)
    card = _card(found, net, labels, path)
    save_weights(out, _weights(net, len(labels.names), card), card)
    return Conversion(found, card, out, void_dropped)


def _check_labels(labels: LabelSet | None, found: Comparison, path: Path) -> tuple[LabelSet, bool]:
    """The labels, which must fit the file, and whether its last output is to be left out."""
    has = f"{path} ({found.layout.title}) has {counted(found.classes, 'class')}, but"
    if labels is None:
        raise RequestError(
            f"{has} not their names; give them: --labels cityscapes|camvid11|camvid32|FILE, FILE "
            "with a name a line in the order of its outputs"
        )
    void_dropped = (
        found.layout.network == "erfnet"
        and labels.names == CITYSCAPES.names
        and found.classes == len(labels.names) + 1
    )
    if found.classes != len(labels.names) and not void_dropped:
        raise RequestError(
            f"{has} the labels have {len(labels.names)} ({labels.names[0]} ... "
            f"{labels.names[-1]}); give the classes it was trained with: --labels FILE, a name a "
            "line in the order of its outputs"
        )
    return labels, void_dropped


def new_file(path: Path, out: Path | None) -> Path:
    """`out`, or `path` with our suffix; RequestError if it has another, or is there already."""
    out = path.with_suffix(".safetensors") if out is None else out
    if out.suffix.lower() != ".safetensors":
        raise RequestError(f"--out {out}: expected a file that ends in .safetensors")
    if out.exists():
        cure = "" if out == path else "remove it, or "
        raise RequestError(f"{out} is there already; {cure}name another file with --out")
    refuse_unwritable(out.parent)
    return out


def _card(found: Comparison, net: Network, labels: LabelSet, path: Path) -> Card:
    layout = found.layout
    cityscapes = labels.names == CITYSCAPES.names
    return Card(
        network=NetworkCard(
            name=layout.network, classes=len(labels.names), options=dict(net.options)
        ),
        labels=LabelsCard.from_label_set(labels),
        input=InputCard(size=layout.size if cityscapes else None, mean=layout.mean, std=layout.std),
        source=f"{printable(path.name)}, in the layout of: {layout.title}",
        license=layout.license,
    )


def _weights(net: Network, classes: int, card: Card) -> dict[str, npt.NDArray[np.generic]]:
    """The network's tensors, of those with a value a class the first `classes`."""
    smaller = create_model(card.network.name, classes, **card.network.options).state_dict()
    return {
        name: tensor[tuple(slice(size) for size in smaller[name].shape)].contiguous().numpy()
        for name, tensor in net.state_dict().items()
    }
