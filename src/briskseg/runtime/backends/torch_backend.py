"""The PyTorch backend: a weights file with its card, run by the network that was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from briskseg.core.card import Card, InputCard, load_weights
from briskseg.core.errors import needs
from briskseg.core.parallel import available_threads
from briskseg.core.types import Image, Logits
from briskseg.runtime.decode.enlargement import Enlargement

with needs("running a .safetensors file", "train"):
    import torch
    from torch import Tensor

    from briskseg.models.network import Network
    from briskseg.models.weights.comparison import network_of, shapes_of


class TorchBackend:
    """A network in eval mode and float32, on the accelerator if there is one, else on the CPU.

    `network` is moved there, laid out channels-last and put in eval mode: hand it a network that
    nothing else is training meanwhile.
    """

    def __init__(self, network: Network, expects: InputCard, device: str = "auto") -> None:
        if device == "auto":
            device = accelerator() or "cpu"
        self.device = torch.device(device)
        self.network = network.to(self.device, torch.float32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.eval()
        self.enlargement = Enlargement(network.factor, network.align_corners)
        mean, std = torch.tensor(expects.mean), torch.tensor(expects.std)
        # (x / 255 - mean) / std as one multiplication and one addition
        self._scale = (1 / (255 * std)).view(1, 3, 1, 1).to(self.device)
        self._shift = (-mean / std).view(1, 3, 1, 1).to(self.device)

    @classmethod
    def open(
        cls, path: Path, threads: int | None = None, callers: int = 1, device: str = "auto"
    ) -> tuple[TorchBackend, Card]:
        """The backend of a weights file, and its card.

        threads: CPU threads, divided by `callers` and set for all of torch in this process. Raises
        WeightsError for a damaged file or tensors that are not those of the card's network.
        """
        tensors, card = load_weights(path)
        again = (
            "card and weights do not belong together: make the file again with `briskseg convert`"
        )
        network = network_of(card.network, shapes_of(tensors), path, again)
        read = {name: torch.from_numpy(array) for name, array in tensors.items()}
        network.load_state_dict(network.state_dict() | read)
        network.expects = card.input
        if threads is not None or callers > 1:
            torch.set_num_threads(max(1, (threads or available_threads()) // callers))
        return cls(network, card.input, device), card

    @torch.inference_mode()
    def infer(self, image_hwc: Image) -> Logits:
        """Image (H, W, 3) uint8 RGB -> logits (C, H, W) float32."""
        return _to_numpy(self.network(self._normalized(image_hwc)))

    @torch.inference_mode()
    def run(self, image_hwc: Image, at_own_size: bool) -> Logits:
        """As `Backend.run`: always logits."""
        return _to_numpy(self.network.forward_coarse(self._normalized(image_hwc)))

    def _normalized(self, image_hwc: Image) -> Tensor:
        """(1, 3, H, W) on the device."""
        # torch refuses negative strides and warns of memory that it must not write
        plain = np.require(image_hwc, requirements=["C", "W"])
        image_nchw = torch.from_numpy(plain).to(self.device).permute(2, 0, 1)[None]
        return image_nchw * self._scale + self._shift


def accelerator() -> str | None:
    """The device that networks run on by default here, where it is not the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return None if found is None else str(found)


def _to_numpy(logits_nchw: Tensor) -> Logits:
    logits_chw: Logits = logits_nchw[0].float().contiguous().cpu().numpy()
    return logits_chw
