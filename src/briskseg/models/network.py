"""What every network here is: the contract that training, evaluation and export rely on.

A network is defined once, in the file of its paper. That file gives
- `forward`: full-size logits, and nothing else, for images of any H, W >= 1;
- `forward_train` and `outputs`: what training reads, and which loss each output has;
- `export_form`: what a device runs, from which `briskseg.export` makes every kind of file.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.card import InputCard
from briskseg.core.errors import RequestError


@dataclass(frozen=True)
class TrainingOutput:
    """An output of `forward_train`, and its term of the loss.

    name: its key. loss: "main", the recipe's loss; "auxiliary", the same times
    `training.loss.auxiliary`; or the name of another function in `briskseg.training.losses`.
    weight: what the term is multiplied by.
    """

    name: str
    loss: str = "main"
    weight: float = 1.0


class Network(nn.Module, ABC):
    """A segmentation network for images (N,3,H,W) of any H, W >= 1.

    `classes` is the number of channels of its logits; `options` are the keyword arguments it was
    built with, defaults included, and `name`, which `create_model` sets, is its name there, so that
    `create_model(net.name, net.classes, **net.options)` builds the same network. `expects` says, of
    weights that came out of a file, what `mean` and `std` images are normalized by for them: the
    network sees (image / 255 - mean) / std of RGB images, which are resized to its `size` before,
    where there is one. None: not known.
    """

    name: str = ""
    expects: InputCard | None = None
    classes: int
    options: dict[str, bool | int | float | str]

    last: str  # the name of the layer that gives the logits, which has a bias

    # What `forward_train` gives; an instance without auxiliary heads has fewer.
    outputs: tuple[TrainingOutput, ...] = (TrainingOutput("logits"),)

    # How `enlarged` makes full-size logits of those of `forward_coarse`: so many times, cropped to
    # the images' size; None: to the images' size. `align_corners` is of the bilinear enlarging.
    factor: int | None = 1
    align_corners: bool = False

    # Images are extended at the bottom and at the right to a multiple of the first number, and to
    # the second at least, by repeating their last row and column.
    extends: tuple[int, int] = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """images (N,3,H,W), normalized as the weights want them -> logits (N,classes,H,W)."""
        return self.enlarged(self.forward_coarse(images), images.shape[-2:])

    @abstractmethod
    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h,w) at the size at which the network computes them, from which
        `forward` makes those at full size and a decoder of labels need not."""

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Everything that a loss may read, by the names in `outputs`: "logits" as `forward` gives
        them, and what the heads give that only training uses, (N,classes,h,w) at their own size."""
        return {"logits": self(images)}

    def export_form(self) -> ExportForm:
        """What a device runs. It shares no tensor with the network, which stays as it is."""
        return ExportForm(self)

    def load_encoder(self, source: str | Path) -> str:
        """Let the encoder begin with what it learned elsewhere; whose it was is returned.

        source: a file of its authors or a weights file of ours (RUN/model.safetensors); for
        lite_seg also the name of an installed package's ImageNet weights, efficientnet-lite0,
        -lite1 or -lite2, as its option `encoder` is; `expects` then says how images are normalized
        for these, where it says nothing yet. Nothing else changes.
        Raises RequestError where there is no such file or the network takes no encoder,
        WeightsError where the file is damaged or does not fit, MissingExtraError without the
        package; the network is as it was then.
        """
        from briskseg.models.encoders import encoder_file

        return encoder_file.load_encoder(self, source)

    @property
    def class_bias(self) -> nn.Parameter:
        """(classes,): what the last layer adds to each class's logits."""
        return self.get_parameter(f"{self.last}.bias")

    def forward_encoder(self, images: Tensor) -> Tensor:
        """The logits (N,classes,h,w) of a head on the encoder, for a training stage of its own that
        leaves the decoder alone. Raises RequestError where the network has none."""
        raise RequestError(
            f"{type(self).__name__} has no head on its encoder to train first, as training.stages "
            "asks; leave the stages out, or take the model erfnet"
        )

    def enlarged(self, coarse: Tensor, size_hw: tuple[int, ...]) -> Tensor:
        """Logits of `forward_coarse` -> (N,classes,H,W), of the size of the images."""
        whole_hw = size_hw
        if self.factor is not None:
            whole_hw = tuple(side * self.factor for side in coarse.shape[-2:])
        if self.factor != 1:
            corners = self.align_corners
            coarse = F.interpolate(coarse, whole_hw, mode="bilinear", align_corners=corners)
        return coarse if self.factor is None else coarse[..., : size_hw[0], : size_hw[1]]

    def extended(self, images: Tensor) -> Tensor:
        """(N,3,H,W) -> the same with the last row and column repeated as `extends` says."""
        if self.extends == (1, 1):
            return images
        height, width = images.shape[-2:]
        below, right = extended_side(height, *self.extends), extended_side(width, *self.extends)
        if not torch.compiler.is_exporting() and (below, right) == (height, width):
            return images  # an exported network takes any size
        return F.pad(images, (0, right - width, 0, below - height), mode="replicate")

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().__call__(*args, **kwargs)


class BatchNorm2d(nn.BatchNorm2d):
    """torch's own, but that in training one value a channel, as of a single image that was pooled,
    is normalized by the running statistics: it has no spread, so torch refuses it."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            mean, var = self.running_mean, self.running_var
            return F.batch_norm(x, mean, var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class ImageMean(nn.Module):
    """(N,C,H,W) -> (N,C,1,1). torch writes its own AdaptiveAvgPool2d(1) as an ONNX file of any size
    that mixes integers with floats, which no runtime takes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class ExportForm(nn.Module):
    """What a device runs of a network, in eval mode: of its own tensors, by the network's names.

    It takes normalized images (N,3,H,W) that are extended already and gives the logits (N,classes,
    h,w) of `forward_coarse`, not cropped. A network that knows its labels by a shorter way than
    from the enlarged logits overrides `forward_labels`.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval()
        self.network.extends = (1, 1)
        for module in [*self.network.modules()]:
            if isinstance(module, nn.ReLU | nn.Hardtanh | nn.Hardswish):
                module.inplace = False  # torch takes three times as long to write one in place
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = nn.BatchNorm2d  # which pnnx and coremltools know by its name
            for name, child in module.named_children():
                if isinstance(child, nn.ConvTranspose2d) and any(child.output_padding):
                    setattr(module, name, CroppedDeconvolution(child))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h,w) as the network computes them."""
        return self.network.forward_coarse(images)

    def forward_labels(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """Labels (N,H,W) uint8 of the extended images, equal to the argmax of the enlarged logits,
        and the logits of `forward`; None where the logits must be enlarged for that."""
        return None


class CroppedDeconvolution(nn.Module):
    """A 3x3 deconvolution of stride 2 with one row and column of padding and of output padding, as
    one without either whose first row and column are cropped: LiteRT has no output padding."""

    def __init__(self, deconvolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        found = (deconvolution.stride, deconvolution.padding, deconvolution.output_padding)
        assert found == ((2, 2), (1, 1), (1, 1)), found
        assert deconvolution.kernel_size == (3, 3)
        self.weight, self.bias = deconvolution.weight, deconvolution.bias

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv_transpose2d(x, self.weight, self.bias, stride=2)
        return y[:, :, 1:, 1:].clone()  # a view would be written to by a ReLU in place


def extended_side(side: int, stride: int, least: int) -> int:
    """The height or width to which images of this one are extended; see `Network.extends`."""
    whole = (side + stride - 1) // stride * stride
    return whole if least <= stride else max(whole, least)
