"""What every network here is: the contract that training, evaluation and export rely on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from briskseg.core.errors import RequestError


class Network(nn.Module, ABC):
    """A segmentation network for images (N,3,H,W) of any H, W >= 1.

    `classes` is the number of channels of its logits; `options` are the keyword arguments it was
    built with, defaults included, so that `create_model(name, net.classes, **net.options)` builds
    the same network.
    """

    classes: int
    options: dict[str, bool | int | float | str]

    # How `forward` enlarges what `forward_coarse` gives: so many times, cropped to the images'
    # size; None: bilinearly to the images' size. `align_corners` is of the bilinear enlarging.
    factor: int | None = 1
    align_corners: bool = False

    # Images are extended at the bottom and at the right to a multiple of the first number, and to
    # the second at least, by repeating their last row and column.
    extends: tuple[int, int] = (1, 1)

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """images (N,3,H,W), normalized as the weights want them -> logits (N,classes,H,W)."""

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h,w) at the size at which the network computes them, from which
        `forward` makes those at full size and a decoder of labels need not; `factor` says how."""
        return self(images)

    @abstractmethod
    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Everything that a loss may read: "logits" as `forward` gives them, and by name the logits
        of the heads that only training uses, (N,classes,h,w) at their own, lower size."""

    @property
    @abstractmethod
    def class_bias(self) -> nn.Parameter:
        """(classes,): what the last layer adds to each class's logits."""

    def forward_encoder(self, images: Tensor) -> Tensor:
        """The logits (N,classes,h,w) of a head on the encoder, for a training stage of its own that
        leaves the decoder alone. Raises RequestError where the network has none."""
        raise RequestError(
            f"{type(self).__name__} has no head on its encoder to train first, as training.stages "
            "asks; leave the stages out, or take the model erfnet"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        logits: Tensor = super().__call__(*args, **kwargs)
        return logits
