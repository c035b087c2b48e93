"""The networks, one a file, and the dictionary of their names.

Importing this loads no torch; `create_model` does, with the one network that was asked for.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from briskseg.core.errors import MissingExtraError, RequestError, nearest
from briskseg.core.files import as_path

if TYPE_CHECKING:
    from briskseg.core.labels import LabelSet
    from briskseg.models.network import Network

Options = Mapping[str, bool | int | float | str]


class Entry(NamedTuple):
    """What is known of a network without building it.

    network: "module:class" in briskseg.models.
    parameters: with 19 classes and the default options, heads that only training uses included.
    gflop: of `forward` for one image of 512x1024 and 19 classes, in 1e9 operations; a
        multiplication and an addition are two.
    published: its mIoU on Cityscapes val, one scale, no flip, as its publishers state it, and the
        (height, width) of the images that this is for; None where there is none.
    """

    network: str
    title: str
    paper: str
    year: int
    parameters: int
    gflop: float
    published: tuple[float, tuple[int, int]] | None = None


MODELS = {
    "erfnet": Entry(
        "erfnet:ERFNet", "ERFNet", "Romera et al., T-ITS", 2018,
        2_066_642, 53.21, (0.721, (512, 1024)),
    ),
    "erfnet_fcn": Entry(
        "erfnet:ERFNetFCN", "ERFNet, FCN head", "MMSegmentation", 2018,
        2_084_095, 58.36, (0.714, (1024, 2048)),
    ),
    "fast_scnn": Entry(
        "fast_scnn:FastSCNN", "Fast-SCNN", "Poudel et al., BMVC", 2019,
        1_456_617, 3.63, (0.7096, (1024, 2048)),
    ),
    "bisenet_v2": Entry(
        "bisenet_v2:BiSeNetV2", "BiSeNetV2", "Yu et al., IJCV", 2021,
        5_231_487, 49.21, (0.7495, (1024, 2048)),
    ),
    "stdc1": Entry(
        "stdc:STDC1", "STDC1-Seg", "Fan et al., CVPR", 2021,
        8_572_954, 33.73, (0.745, (768, 1536)),
    ),
    "stdc2": Entry(
        "stdc:STDC2", "STDC2-Seg", "Fan et al., CVPR", 2021,
        12_603_418, 46.91, (0.7704, (768, 1536)),
    ),
    "ddrnet_23_slim": Entry(
        "ddrnet_23_slim:DDRNet23Slim", "DDRNet-23-slim", "Pan et al., T-ITS", 2023,
        5_734_342, 18.14, (0.778, (1024, 2048)),
    ),
    "pidnet_s": Entry(
        "pidnet_s:PIDNetS", "PIDNet-S", "Xu et al., CVPR", 2023,
        7_720_935, 23.60, (0.788, (1024, 2048)),
    ),
    "pp_liteseg_t": Entry(
        "pp_liteseg_t:PPLiteSegT", "PP-LiteSeg-T", "Peng et al.", 2022,
        8_141_619, 22.85, (0.7704, (1024, 2048)),
    ),
    "segformer_b0": Entry(
        "segformer_b0:SegFormerB0", "SegFormer-B0", "Xie et al., NeurIPS", 2021,
        3_719_027, 35.51, (0.762, (1024, 2048)),
    ),
    "efficientvit_b0": Entry(
        "efficientvit_b0:EfficientViTB0", "EfficientViT-B0", "Cai et al., ICCV", 2023,
        706_691, 2.20, (0.75653, (1024, 2048)),
    ),
    "lraspp_mobilenetv3": Entry(
        "lraspp_mobilenetv3:LRASPP", "LR-ASPP, MobileNetV3", "Howard et al., ICCV", 2019,
        3_221_198, 7.89,
    ),
    "lite_seg": Entry(
        "lite_seg:LiteSeg", "LiteSeg", "ours", 2026,
        3_127_494, 10.45,
    ),
}  # fmt: skip


def list_models() -> list[str]:
    """The names that `create_model` takes."""
    return list(MODELS)


def create_model(name: str, classes: int, **options: bool | int | float | str) -> Network:
    """A network whose `forward` gives logits (N,classes,H,W) float, at full size, of RGB images
    (N,3,H,W) float, of any H, W >= 1, normalized as (image / 255 - mean) / std. It is on the CPU
    and in training mode; its weights are drawn by torch's random numbers.

    The options are the network's own, which `help(type(net))` describes; `net.options` keeps all of
    them. `net.load_encoder` begins with a pretrained encoder. Raises RequestError on an unknown
    name or option, an option's impossible value, and a number of classes that is not from 1 to 255;
    MissingExtraError without torch.
    """
    if name not in list_models():  # a list: of a name that cannot be hashed MODELS cannot be asked
        raise RequestError(f"unknown model '{name}'; {nearest(name, MODELS)}")
    is_whole = isinstance(classes, Integral) and not isinstance(classes, bool)
    if not is_whole or not 1 <= classes <= 255:
        raise RequestError(f"classes must be a whole number from 1 to 255, not {classes!r}")
    module, _, network_name = MODELS[name].network.partition(":")
    kind: type[Network] = getattr(_import(module, "creating a network"), network_name)
    options = _all_options(name, inspect.signature(kind), options)
    try:
        network = kind(int(classes), **options)
    except ValueError as error:  # torch's own, of a probability above 1, say
        raise RequestError(f"options of {name}: {error}") from error
    network.name, network.classes, network.options = name, int(classes), options
    return network


def _all_options(
    name: str, signature: inspect.Signature, options: Options
) -> dict[str, bool | int | float | str]:
    """The options, checked, and the defaults of those that are not given."""
    known = {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    for option, value in options.items():
        if option not in known:
            raise RequestError(f"unknown option '{option}' of {name}; {nearest(option, known)}")
        wanted = type(known[option])
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        fits = fits and (not isinstance(value, float) or math.isfinite(value))
        if not fits:
            raise RequestError(
                f"option '{option}' of {name} is {value!r}, expected a {wanted.__name__} "
                f"such as {known[option]!r}"
            )
    return {**known, **options}


def load_published(path: str | Path) -> Network:
    """A published network with the weights of a file, in eval mode, on the CPU.

    Recognizes the layouts in `briskseg.models.weights.layouts` by names and shapes. The network
    gives the published one's logits for RGB images (N,3,H,W) that are normalized as there, which
    `net.expects` says: (image / 255 - mean) / std. All classes of the file are kept. Raises
    RequestError if there is no such file or it has two classes by a threshold, WeightsError if it
    is damaged or nothing known, MissingExtraError without torch.
    """
    published = _import("weights.published", "reading published weights")
    network: Network = published.load_published(path)
    return network


def save(
    network: Network,
    path: str | Path,
    names: Sequence[str] | LabelSet,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a network that one's own program trained as a weights file, a .safetensors with a card,
    which `load`, `evaluate` and every verb of the command line take.

    network: of `create_model`, `load_published` or `Predictor.copy_network`. names: of the classes,
    in the order of its logits; or a data set's `labels`, whose colors are kept too. mean, std: of
    the (image / 255 - mean) / std by which images were normalized, RGB, so at most 1. size:
    (height, width) in pixels to which images are resized before it sees them. Each is by default
    what `network.expects` says (None, set there, says nothing); without that mean and std must be
    given, and images stay as large as they are.
    A file that is there is replaced. Raises RequestError for another kind of file or network, names
    that are not as many as its classes, an unknown normalization and weights that are not finite;
    WeightsError for a network whose layers were changed, or where the file cannot be written.
    """
    _import("weights.own_file", "saving a network").save(
        network, as_path(path), names, mean, std, size
    )


def _import(module: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(f"briskseg.models.{module}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", purpose, "train") from error
