"""A network as a .tflite file for LiteRT, on Android, iOS, a Raspberry Pi; the card inside.

images (1,H,W,3) uint8 RGB -> logits (1,h,w,classes) float32, as large as the network computes them:
labels follow from these exactly, with a tenth of the memory (docs/phone.md). Sizes are fixed.

`litert_torch` writes the operations of `briskseg.export.fixed_size`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from briskseg.core.card import Card
from briskseg.core.errors import needs
from briskseg.core.exported import Exported
from briskseg.core.process_settings import environment_variable, quiet, standard_error_silenced
from briskseg.core.wording import first_cause
from briskseg.export.fixed_size import ChannelsLast, fixed_program
from briskseg.export.formats import Runs, no_counterpart
from briskseg.models.network import Network


@contextlib.contextmanager
def compilers_quiet() -> Iterator[None]:
    """litert_torch, its compiler and jax print and log what they do, and warn of their packages."""
    with quiet(), environment_variable("TF_CPP_MIN_LOG_LEVEL", "3"):  # fatal errors alone
        yield


# which tells of its kernels before it can be told not to
with compilers_quiet(), standard_error_silenced(), needs("exporting to LiteRT", "litert-export"):
    import litert_torch

    from briskseg.export.litert_metadata import with_card
    from briskseg.runtime.backends.litert_backend import LiteRTBackend


def write_litert(network: Network, card: Card, exported: Exported, path: Path) -> Runs:
    """Write `network`, in eval mode on the CPU, for images of one size; return the file, loaded.

    Raises ExportError for a network with an operation that LiteRT has no counterpart of.
    """
    path.write_bytes(with_card(to_litert(network, card, exported), card, exported))
    return Runs(LiteRTBackend(path).infer)


def to_litert(network: Network, card: Card, exported: Exported) -> bytes:
    """The file without its card; raises as `write_litert`."""
    assert exported.size is not None
    images = torch.zeros(1, *exported.size, 3, dtype=torch.uint8)
    deployed = ChannelsLast(network, card.input, None).eval()
    with compilers_quiet():
        try:
            program = fixed_program(deployed, images)
            model: bytes = litert_torch.convert(program, (images,)).model_content()
        except Exception as error:  # torch's, jax's and the compiler's, of a dozen types
            raise no_counterpart(network, "LiteRT", first_cause(error)) from error
    return model
