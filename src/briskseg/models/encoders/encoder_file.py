"""An encoder from a file, for every network that has a pretrained one.

Most were pretrained by their authors to classify ImageNet, in files that name an encoder's tensors
nearly as the file of the whole network does (`layouts.py`); what they hold besides, a classifier,
is not read. A file of the whole network, published or ours, gives its encoder too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from briskseg.core.card import InputCard
from briskseg.core.errors import RequestError, WeightsError, nearest
from briskseg.core.files import as_path
from briskseg.models import MODELS
from briskseg.models.encoders.efficientnet_lite import MEAN, NAMES, PRETRAINED, STD, pretrained_file
from briskseg.models.network import Network
from briskseg.models.weights.checkpoint import read_tensors, unprefixed
from briskseg.models.weights.comparison import COUNTER, check_finite, same_numbers
from briskseg.models.weights.layouts import LAYOUTS
from briskseg.models.weights.names.erfnet import (
    ERFNET_CLASSIFIER,
    ERFNET_FCN_ENCODER,
    ERFNET_MMSEGMENTATION,
    FCN_ERFNET_ENCODER,
)
from briskseg.models.weights.published_layout import Names, part_of


class EncoderFile(NamedTuple):
    """The files that a network's encoder is read from.

    tensors: a regular expression for our names of the encoder's tensors. forms: whose file -> from
    these names to those in it; files of ours, with our own names, are read besides. lacks: whether
    a file may hold a part only: the authors trained another network to classify. parts: as of
    `read_tensors`.
    """

    tensors: str
    forms: Mapping[str, Names]
    lacks: bool = False
    parts: tuple[str, ...] = ()


def _published(name: str, *classifier: tuple[str, str]) -> dict[str, Names]:
    """A layout's whole network, and its classifier, whose names differ by these substitutions."""
    layout = LAYOUTS[name]
    return {f"{layout.title}, classifier": (*layout.names, *classifier), layout.title: layout.names}


_STDC = (r"^cp\.backbone\.x\d+\.0\.", "features.")
_ERFNET = "ERFNet with a classifier of images, the authors' PyTorch code"
_FCN = "ERFNet with an FCN head"
ENCODER_FILES = {
    "erfnet": EncoderFile(
        r"^encoder\.(?!output_conv)",  # the head of the first training stage: a value a class
        {
            _FCN: ERFNET_FCN_ENCODER,
            f"{_FCN}, MMSegmentation": (*ERFNET_FCN_ENCODER, *ERFNET_MMSEGMENTATION),
            _ERFNET: ERFNET_CLASSIFIER,
        },
    ),
    "erfnet_fcn": EncoderFile(
        r"^encoder\.",
        {
            "ERFNet": FCN_ERFNET_ENCODER,
            f"{_FCN}, MMSegmentation": ERFNET_MMSEGMENTATION,
            _ERFNET: (*FCN_ERFNET_ENCODER, *ERFNET_CLASSIFIER),
        },
    ),
    "pidnet_s": EncoderFile(r"^(?!head|[pd]_head)", _published("pidnet_s_official"), lacks=True),
    "ddrnet_23_slim": EncoderFile(
        r"^(?!head|aux_head)", _published("ddrnet_23_slim_official"), lacks=True
    ),
    # CoinCheung's code takes whichever of the network's children the file holds: its two branches,
    # and the aggregation where that is there
    "bisenet_v2": EncoderFile(
        r"^(?!head)", _published("bisenet_v2_coincheung"), True, ("detail", "segment")
    ),
    "stdc1": EncoderFile(r"^st", _published("stdc1_official", _STDC)),
    "stdc2": EncoderFile(r"^st", _published("stdc2_official", _STDC)),
    "pp_liteseg_t": EncoderFile(r"^st", _published("pp_liteseg_t_paddle", (r"^backbone\.", ""))),
    "segformer_b0": EncoderFile(r"^st", _published("segformer_b0_nvlabs", (r"^backbone\.", ""))),
    "efficientvit_b0": EncoderFile(r"^st", _published("efficientvit_b0_official")),
    "lraspp_mobilenetv3": EncoderFile(
        r"^backbone\.",
        _published("lraspp_mobilenetv3_torchvision", (r"^backbone\.", "features.")),
    ),
    "lite_seg": EncoderFile(r"^encoder\.", {"EfficientNet-Lite": ((r"^encoder\.", ""), *NAMES)}),
}


def load_encoder(network: Network, source: str | Path) -> str:
    """See `Network.load_encoder`."""
    if network.name not in ENCODER_FILES:
        raise RequestError(
            f"{network.name or type(network).__name__} takes no pretrained encoder from a file, "
            f"found {source}; of the models, {', '.join(ENCODER_FILES)} do"
        )
    path, known = as_path(source), ENCODER_FILES[network.name]
    if (name := str(source)) in PRETRAINED:
        taken = _load(known, network, pretrained_file(name))
        network.expects = network.expects or InputCard(mean=MEAN, std=STD)
        return taken
    if not path.exists() and not path.suffix:
        raise RequestError(
            f"{name} is no file, and no encoder by name; {nearest(name, PRETRAINED)}"
        )
    return _load(known, network, path)


def _load(known: EncoderFile, network: Network, path: Path) -> str:
    """Copy the encoder in a file, of the form that most of its tensors have; return whose it is."""
    own = {n: t for n, t in network.state_dict().items() if re.search(known.tensors, n)}
    held = unprefixed(read_tensors(path, ours=True, parts=known.parts)).values()
    title = MODELS[network.name].title
    forms = {title: (), **known.forms}
    each = ((w, names, _found(own, names, of)) for of in held for w, names in forms.items())
    whose, names, found = max(each, key=lambda form: len(form[2]))
    wanted = [n for n in own if not n.endswith(COUNTER)]
    missing = [part_of(n, names)[0] for n in wanted if n not in found]
    if len(missing) > (len(wanted) / 2 if known.lacks else 0):
        raise WeightsError(
            f"{path} is not the encoder of {title}: nearest is {whose}, of whose {len(wanted)} "
            f"tensors {len(missing)} are missing or of another shape ({', '.join(missing[:3])} "
            f"...); expected the encoder of one of these: {'; '.join(forms)}"
        )
    for ours, tensor in found.items():
        check_finite(part_of(ours, names)[0], tensor, path)
    with torch.no_grad():
        for ours, tensor in found.items():
            own[ours].copy_(tensor)
    return f"{whose}: {len(wanted) - len(missing)} of its encoder's {len(wanted)} tensors"


def _found(
    own: Mapping[str, Tensor], names: Names, tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Those of our tensors that the file has under these names and of their shapes."""
    found = {}
    for ours, like in own.items():
        name, part, parts = part_of(ours, names)
        held = tensors.get(name)
        if held is None or (parts > 1 and (held.ndim == 0 or held.shape[0] % parts)):
            continue
        one = held.chunk(parts)[part] if parts > 1 else held
        if one.shape == like.shape or same_numbers(tuple(like.shape), tuple(one.shape)):
            found[ours] = one.reshape(like.shape)
    return found
