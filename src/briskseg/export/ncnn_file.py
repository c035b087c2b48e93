"""A network as ncnn's .ncnn.param and .ncnn.bin, for phones and boards; the card inside.

in0, an image as `Mat::from_pixels` makes it, (3,H,W) from 0 to 255 -> out0, logits (classes,h,w),
as large as the network computes them (docs/phone.md). Sizes are fixed. `pnnx` writes the operations
of `briskseg.export.fixed_size`, from TorchScript.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from pathlib import Path

import torch

from briskseg.core.card import CARD_KEY, Card
from briskseg.core.errors import ExportError, needs
from briskseg.core.exported import EXPORT_KEY, Exported
from briskseg.core.ncnn_param import compact_json, read_param
from briskseg.export.fixed_size import ChannelsFirst
from briskseg.export.formats import Runs, no_counterpart
from briskseg.models.network import Network

with needs("exporting to ncnn", "ncnn-export"):
    import pnnx

    from briskseg.runtime.backends.ncnn_backend import NcnnBackend


def write_ncnn(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size, to `path` and to the .bin
    beside it; return the file, loaded.

    Raises ExportError for a network with an operation that ncnn has no counterpart of.
    """
    assert exported.size is not None
    deployed = ChannelsFirst(network, card.input, None).eval()
    image = torch.zeros(1, 3, *exported.size)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # sizes become constants, as they shall
            traced = torch.jit.trace(deployed, image, check_trace=False)  # type: ignore[no-untyped-call]
            traced.save(f"{folder}/net.pt")
        text = _converted(Path(folder), exported.size, network)
        Path(folder, "net.ncnn.bin").replace(path.with_suffix(".bin"))
    try:
        param = read_param(text)
    except ValueError as error:
        raise no_counterpart(network, "ncnn", str(error)) from None
    param.ours[CARD_KEY] = compact_json(card.to_json())
    param.ours[EXPORT_KEY] = compact_json(exported.model_dump_json())
    path.write_text(param.text(), "utf-8")
    return Runs(NcnnBackend(path).infer)


def _converted(folder: Path, size_hw: tuple[int, int], network: Network) -> str:
    """The text of the net.ncnn.param that pnnx, a program of its own, makes of net.pt there."""
    shape = ",".join(map(str, (1, 3, *size_hw)))
    words = [os.fspath(pnnx.EXEC_PATH), "net.pt", f"inputshape=[{shape}]f32", "fp16=0"]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise ExportError(
            f"pnnx cannot be run: {error.strerror or error}; install it again: pip install pnnx"
        ) from None
    made = folder / "net.ncnn.param"
    if done.returncode or not made.is_file():
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise no_counterpart(
            network, "ncnn", said[:300] or f"pnnx ended with status {done.returncode}"
        )
    return made.read_text("utf-8")
