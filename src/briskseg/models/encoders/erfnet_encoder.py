"""ERFNet's encoder from a file: pretrained as a classifier of images, or in a whole network.

Its tensors are those of layers 1 to 16 of the paper's Table I; they are the same in `erfnet` and in
`erfnet_fcn`, under other names. Whatever else a file holds (a classifier, a decoder, the head of
the first training stage) is not read.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from briskseg.core.errors import WeightsError
from briskseg.core.wording import counted
from briskseg.models import create_model
from briskseg.models.network import Network
from briskseg.models.weights.checkpoint import read_tensors, unprefixed
from briskseg.models.weights.comparison import (
    Differences,
    Shapes,
    check_finite,
    differences,
    first_names,
    length,
    shapes_of,
)
from briskseg.models.weights.names.erfnet import ERFNET_FCN_ENCODER, ERFNET_MMSEGMENTATION
from briskseg.models.weights.published_layout import Names, renamed

_AUTHORS_CLASSIFIER: Names = ((r"^encoder\.", "features.encoder."),)

# Whose file -> from the encoder's names in `erfnet` to those in the file.
ENCODERS: dict[str, Names] = {
    "ERFNet": (),  # ours, the authors', and what our pretraining writes
    "ERFNet with an FCN head": ERFNET_FCN_ENCODER,
    "ERFNet with an FCN head, MMSegmentation": (*ERFNET_FCN_ENCODER, *ERFNET_MMSEGMENTATION),
    "ERFNet's encoder with a classifier of images, the authors' PyTorch code": _AUTHORS_CLASSIFIER,
}

_HEAD = "encoder.output_conv."  # of the first training stage: a value a class, so not the encoder's


def load_erfnet_encoder(names: Names, network: Network, path: Path) -> str:
    """Copy the encoder in a file into `network`, where it has these names; return whose it was.

    Takes the authors' encoder pretrained on ImageNet (`erfnet_encoder_pretrained.pth.tar`), a file
    that our own pretraining wrote, and every whole ERFNet, ours or published, of any number of
    classes. Raises as `encoder_file.load_encoder`.
    """
    own, tensors = network.state_dict(), read_tensors(path, ours=True)
    forms = unprefixed(tensors).values()
    compared = ((*recognize_encoder(shapes_of(form)), form) for form in forms)
    whose, mismatch, tensors = min(compared, key=lambda item: len(item[1]))
    if mismatch.are_of_another_network:
        raise WeightsError(
            f"{path} holds {counted(len(tensors), 'tensor')} ({first_names(tensors)} ...), but no "
            f"encoder of ERFNet, expected that of one of these: {'; '.join(ENCODERS)}"
        )
    if mismatch:
        raise WeightsError(
            f"{path} has an encoder nearest to that of: {whose}, but {mismatch}; give a file whose "
            "encoder fits whole"
        )
    pairs = {renamed(k, names): renamed(k, ENCODERS[whose]) for k in _encoder_shapes()}
    present = {mine: theirs for mine, theirs in pairs.items() if theirs in tensors}
    for theirs in present.values():
        check_finite(theirs, tensors[theirs], path)
    with torch.no_grad():
        for mine, theirs in present.items():
            own[mine].copy_(tensors[theirs])
    return whose


def recognize_encoder(shapes: Shapes) -> tuple[str, Differences]:
    """The nearest of ENCODERS to a file's names and shapes, and what differs from it."""
    compared = {whose: _compare(names, shapes) for whose, names in ENCODERS.items()}
    return min(compared.items(), key=lambda item: len(item[1]))


def compare_classifier(shapes: Shapes) -> tuple[int, Differences]:
    """The authors' encoder with its classifier: of how many classes of images, and what differs."""
    classes = length(shapes, "classifier.linear.bias") or 1000
    expected = {renamed(k, _AUTHORS_CLASSIFIER): shape for k, shape in _encoder_shapes().items()}
    expected |= {"classifier.linear.weight": (classes, 128), "classifier.linear.bias": (classes,)}
    return classes, differences(expected, shapes)


def _compare(names: Names, shapes: Shapes) -> Differences:
    prefix, head = renamed("encoder.", names), renamed(_HEAD, names)
    part = {k: v for k, v in shapes.items() if k.startswith(prefix) and not k.startswith(head)}
    return differences({renamed(k, names): v for k, v in _encoder_shapes().items()}, part)


@functools.cache
def _encoder_shapes() -> Shapes:
    with torch.device("meta"):  # shapes without memory
        state = create_model("erfnet", 1).state_dict()
    return {
        name: shape
        for name, shape in shapes_of(state).items()
        if name.startswith("encoder.") and not name.startswith(_HEAD)
    }
