"""An encoder from a file, for every network that has a pretrained one.

Most were pretrained by their authors to classify ImageNet, in files that name an encoder's tensors
nearly as the file of the whole network does (`layouts.py`); what they hold besides, a classifier,
is not read. A file of the whole network, published or ours, gives its encoder too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from briskseg.core.card import InputCard
from briskseg.core.errors import RequestError, WeightsError, nearest
from briskseg.models.encoders.efficientnet_lite import (
    MEAN,
    PRETRAINED,
    STD,
    EfficientNetLite,
    pretrained_file,
)
from briskseg.models.encoders.erfnet_encoder import load_erfnet_encoder
from briskseg.models.network import Network
from briskseg.models.weights.checkpoint import read_tensors, unprefixed
from briskseg.models.weights.comparison import COUNTER, check_finite, same_numbers
from briskseg.models.weights.layouts import LAYOUTS
from briskseg.models.weights.names.erfnet import ERFNET_FCN_ENCODER
from briskseg.models.weights.published_layout import Names, renamed


class EncoderFile(NamedTuple):
    """layout: whose names the file has. encoder: a regular expression for the names, in that
    layout, of the encoder's tensors. renamed: how the file's names differ from the layout's. lacks:
    whether it may hold a part of these only: the authors trained another network to classify.
    parts: keys under which the file holds the tensors, as `read_tensors` takes them."""

    layout: str
    encoder: str
    renamed: Names = ()
    lacks: bool = False
    parts: tuple[str, ...] = ()


_STDC = (r"^cp\.backbone\.", ((r"^cp\.backbone\.x\d+\.0\.", "features."),))
ENCODER_FILES = {
    "pidnet_s": EncoderFile("pidnet_s_official", r"^(?!final_layer|seghead)", lacks=True),
    "ddrnet_23_slim": EncoderFile(
        "ddrnet_23_slim_official", r"^(?!final_layer|seghead)", lacks=True
    ),
    # CoinCheung's code takes whichever of the network's children the file holds: its two branches,
    # and the aggregation where that is there
    "bisenet_v2": EncoderFile(
        "bisenet_v2_coincheung",
        r"^(detail|segment|bga)\.",
        lacks=True,
        parts=("detail", "segment"),
    ),
    "stdc1": EncoderFile("stdc1_official", *_STDC),
    "stdc2": EncoderFile("stdc2_official", *_STDC),
    "pp_liteseg_t": EncoderFile("pp_liteseg_t_paddle", r"^backbone\.", ((r"^backbone\.", ""),)),
    "segformer_b0": EncoderFile("segformer_b0_nvlabs", r"^backbone\.", ((r"^backbone\.", ""),)),
    "efficientvit_b0": EncoderFile("efficientvit_b0_official", r"^backbone\."),
    "lraspp_mobilenetv3": EncoderFile(
        "lraspp_mobilenetv3_torchvision", r"^backbone\.", ((r"^backbone\.", "features."),)
    ),
}


class _Place(NamedTuple):
    """Where one of our tensors lies in a file: which of how many equal parts of a tensor it is."""

    name: str
    part: int = 0
    parts: int = 1

    def find(self, tensors: Mapping[str, Tensor], like: Tensor) -> Tensor | None:
        """It, in the shape of `like`; None where the file lacks it or has another one."""
        held = tensors.get(self.name)
        if held is None or (self.parts > 1 and (held.ndim == 0 or held.shape[0] % self.parts)):
            return None
        part = held.chunk(self.parts)[self.part] if self.parts > 1 else held
        fits = part.shape == like.shape or same_numbers(tuple(like.shape), tuple(part.shape))
        return part.reshape(like.shape) if fits else None


def load_encoder(network: Network, source: str | Path) -> str:
    """See `Network.load_encoder`."""
    if network.name not in READERS:
        raise RequestError(
            f"{network.name or type(network).__name__} takes no pretrained encoder from a file, "
            f"found {source}; of the models, {', '.join(READERS)} do"
        )
    path = Path(source)
    if (name := str(source)) not in PRETRAINED:
        if not path.exists() and not path.suffix:
            raise RequestError(
                f"{name} is no file, and no encoder by name; {nearest(name, PRETRAINED)}"
            )
        return READERS[network.name](network, path)
    taken = READERS[network.name](network, pretrained_file(name))
    network.expects = network.expects or InputCard(mean=MEAN, std=STD)
    return taken


def load_efficientnet_lite(network: Network, path: Path) -> str:
    """As `load_encoder`, of a network whose `encoder` is an EfficientNet-Lite."""
    encoder = network.get_submodule("encoder")
    assert isinstance(encoder, EfficientNetLite)
    tensors = read_tensors(path, ours=True)
    forms = unprefixed(tensors).values()
    for known in ("_conv_stem.", "encoder."):  # of published files; of ours, networks or encoders
        fitting = [form for form in forms if any(name.startswith(known) for name in form)]
        if fitting:
            tensors = fitting[0]
            break
    encoder.load_pretrained(tensors, path)
    return f"EfficientNet-{encoder.variant.capitalize()}"


def load_published_encoder(known: EncoderFile, network: Network, path: Path) -> str:
    """As `load_encoder`, of a network whose encoder is called so in its file."""
    own, tensors = network.state_dict(), read_tensors(path, ours=True, parts=known.parts)
    layout = LAYOUTS[known.layout]
    places = {ours: _Place(*layout.published_part(ours)) for ours in own if layout.has(ours)}
    encoder = {n: at for n, at in places.items() if re.search(known.encoder, at.name)}
    forms = (
        {n: at._replace(name=renamed(at.name, known.renamed)) for n, at in encoder.items()},
        encoder,
        {n: _Place(n) for n in encoder},
    )
    found: dict[str, Tensor] = {}
    for inner in unprefixed(tensors).values():
        for form in forms:
            fitting = {n: at.find(inner, own[n]) for n, at in form.items()}
            there = {n: tensor for n, tensor in fitting.items() if tensor is not None}
            found = max(found, there, key=len)
    wanted = [n for n in encoder if not n.endswith(COUNTER)]
    missing = [n for n in wanted if n not in found]
    if len(missing) > (len(wanted) / 2 if known.lacks else 0):
        some = ", ".join(encoder[n].name for n in missing[:3])
        raise WeightsError(
            f"{path} is not the encoder of {layout.title}: of its {len(wanted)} tensors "
            f"{len(missing)} are missing or of another shape ({some} ...); give a file whose "
            "encoder fits"
        )
    for ours, tensor in found.items():
        check_finite(encoder[ours].name, tensor, path)
    with torch.no_grad():
        for ours, tensor in found.items():
            own[ours].copy_(tensor)
    return f"{layout.title}: {len(wanted) - len(missing)} of its encoder's {len(wanted)} tensors"


# By network, what copies the encoder in a file into it and returns whose it was.
READERS: dict[str, Callable[[Network, Path], str]] = {
    "erfnet": partial(load_erfnet_encoder, ()),
    "erfnet_fcn": partial(load_erfnet_encoder, ERFNET_FCN_ENCODER),
    "lite_seg": load_efficientnet_lite,
    **{name: partial(load_published_encoder, known) for name, known in ENCODER_FILES.items()},
}
