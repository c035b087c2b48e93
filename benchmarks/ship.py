"""The two files of a network that come with the package, of weights that were trained.

    python benchmarks/ship.py MODEL NAME --out DIR [--source TEXT]

Writes DIR/NAME.safetensors and, made of it, DIR/NAME.onnx. MODEL: a run, or weights. Heads that
only training uses are left out; weights of convolutions are rounded to what eight bits hold (see
`briskseg.core.eight_bits`), all else to float16. `briskseg evaluate` of MODEL and of the new files
says what that costs; the card's scores are MODEL's.

--source: where the weights come from, for the card; else MODEL's own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import briskseg
from briskseg.core.card import NetworkCard, load_weights, save_weights
from briskseg.core.eight_bits import MOST_MULTIPLE, packed
from briskseg.core.errors import BriskError
from briskseg.export import export
from briskseg.runtime.model_files import find_weights

LICENSE = "Apache-2.0 for the weights; CamVid's images are for research use"
# Weights of fewer numbers stay in float16: LiteSeg's first pointwise convolutions in eight bits
# cost what docs/camvid.md says, all larger ones nothing.
FEW = 2400
SCALE_BITS = 4  # times the 7 of the multiples: the 11 that float16 has


def rounded(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """(O,I,h,w) -> the nearest whole multiples of a scale for each output channel."""
    channels = weight.reshape(len(weight), -1, 1).astype(np.float64)
    largest = np.abs(channels).max(1, keepdims=True)
    scales = rounded_up(largest / MOST_MULTIPLE * np.linspace(0.8, 1, 5))  # some clipping may pay
    multiples = np.clip(np.round(channels / scales), -MOST_MULTIPLE, MOST_MULTIPLE)
    candidates = multiples * scales  # (O,weights,scales)
    errors = ((candidates - channels) ** 2).sum(1, keepdims=True)
    best = np.take_along_axis(candidates, errors.argmin(2, keepdims=True), 2)
    return best.reshape(weight.shape).astype(np.float16)


def rounded_up(scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """To numbers of SCALE_BITS, none below float16's smallest."""
    _, exponent = np.frexp(scales)
    step = np.maximum(np.exp2(exponent - SCALE_BITS), 2.0**-24)
    up: npt.NDArray[np.float64] = np.maximum(np.ceil(scales / step), 1) * step
    return up


def shipped(tensors: dict[str, npt.NDArray[Any]], of: NetworkCard) -> dict[str, npt.NDArray[Any]]:
    """What the network `of` has of `tensors`, as it is stored."""
    kept = {}
    for name in briskseg.create_model(of.name, of.classes, **of.options).state_dict():
        tensor = tensors[name]
        if tensor.ndim == 4 and tensor.size >= FEW:
            tensor = rounded(tensor)
        kept[name] = tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor
    return packed(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source")
    given = parser.parse_args()
    weights, exported = (given.out / f"{given.name}.{end}" for end in ("safetensors", "onnx"))
    for file in (weights, exported):
        if file.exists():
            parser.error(f"{file} is there already; name another --out, or remove it")
    tensors, card = load_weights(find_weights(given.model))
    card = card.model_copy(deep=True, update={"license": LICENSE})
    if given.source:
        card = card.model_copy(update={"source": given.source})
    if "auxiliary" in card.network.options:
        card.network.options["auxiliary"] = False
    given.out.mkdir(parents=True, exist_ok=True)
    save_weights(weights, shipped(tensors, card.network), card)
    export(weights, "onnx", exported)
    for file in (weights, exported):
        print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    try:
        main()
    except BriskError as error:
        sys.exit(str(error))
