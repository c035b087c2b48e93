"""What every exported file computes: plain images in, labels and logits out.

`Deployed` is the one module that is exported, to ONNX and from there to OpenVINO; the formats of
one size, LiteRT and Keras, take a part of it. It holds the network's export form and what stands
before and after it, of ordinary operations that every runtime has, for any number of images of any
size:

    images (N,H,W,3) uint8 RGB
      -> resized to the card's input size, where it has one     "network_images"
      -> normalized, extended to what the network's strides divide
      -> the export form -> logits (N,classes,h,w) float32      "logits"
      -> enlarged to H, W; the best class                       "labels" (N,H,W) uint8
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.card import InputCard
from briskseg.core.types import Image
from briskseg.models.network import CroppedDeconvolution, Network, extended_side


class Deployed(nn.Module):
    """`network` with its batch norms folded, and what a card's `expects` says of images.

    size_hw: what images are resized to, as `briskseg.core.images.resize_image` does; None leaves
    them as they are.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: Network, expects: InputCard, size_hw: tuple[int, int] | None
    ) -> None:
        super().__init__()
        self.form = network.export_form()
        # of each folded convolution's weight: what it was, and the factor of each output channel
        self.unfolded = fold_batch_norms(self.form, torch.zeros(1, 3, 64, 64))
        self.size_hw = size_hw
        self.extends, self.factor = network.extends, network.factor
        mean, std = torch.tensor(expects.mean), torch.tensor(expects.std)
        # (x / 255 - mean) / std as one multiplication and one addition
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1))
        self.register_buffer("shift", (-mean / std).view(3, 1, 1))
        self.requires_grad_(False)

    def forward(self, images: Tensor, seen: Tensor | None = None) -> tuple[Tensor, ...]:
        """Labels and logits of `images`.

        With `size_hw`, `seen` stands for the resized images, and these are given third: so the
        network's part of the graph is of any size too, and can be cut out of it.
        """
        seen_hw = tuple((images if seen is None else seen).shape[1:3])
        x = self.normalized(images if seen is None else seen)
        found = self.form.forward_labels(x)
        logits = self.form(x) if found is None else found[1]
        if self.factor == 1:
            logits = crop(logits, seen_hw)
        if self.size_hw is not None:
            labels = self.labels_of_caller(logits, seen_hw, tuple(images.shape[1:3]))
            return labels, logits, resize_images(images, self.size_hw)
        if found is not None:
            return crop(found[0], seen_hw), logits
        return best(self.form.network.enlarged(logits, seen_hw)), logits

    def normalized(self, images: Tensor) -> Tensor:
        """(N,H,W,3) uint8 -> (N,3,H,W) as the export form takes it."""
        x = self.extended(images, (1, 2))
        return x.permute(0, 3, 1, 2).float() * self.scale + self.shift

    def extended(self, images: Tensor, axes: tuple[int, int]) -> Tensor:
        """As `Network.extended`, of any size at run time; `axes` are those of height and width."""
        for axis in axes:
            size = images.shape[axis]
            wanted = extended_side(size, *self.extends)
            if self.extends != (1, 1) and not (isinstance(size, int) and wanted == size):
                rows = torch.arange(wanted, device=images.device).clamp(max=size - 1)
                images = images.index_select(axis, rows)
        return images

    def labels_of_caller(
        self, logits: Tensor, seen_hw: tuple[int, ...], caller_hw: tuple[int, ...]
    ) -> Tensor:
        """As `briskseg.runtime.decode.enlargement.Enlargement.labels`: the logits go to the
        caller's size in one step where none of them is cropped."""
        assert self.size_hw is not None
        fits = all(extended_side(side, *self.extends) == side for side in self.size_hw)
        if self.factor is not None and not fits:
            logits = self.form.network.enlarged(logits, seen_hw)
        corners = self.form.network.align_corners
        return best(F.interpolate(logits, caller_hw, mode="bilinear", align_corners=corners))


class FullLogits(Deployed):
    """Normalized images (N,3,H,W) -> logits (N,classes,H,W); batch norms are as they were."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, InputCard(), None)
        self.form = network.export_form().requires_grad_(False)

    def forward(self, images: Tensor, seen: Tensor | None = None) -> Tensor:  # type: ignore[override]
        logits = self.form(self.extended(images, (2, 3)))
        return self.form.network.enlarged(logits, tuple(images.shape[2:]))


def best(logits: Tensor) -> Tensor:
    """(N,classes,H,W) -> (N,H,W) uint8."""
    return logits.argmax(1).to(torch.uint8)


def crop(x: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """The upper left rows and columns of its last two axes."""
    return x[..., : size_hw[0], : size_hw[1]]


def resize_images(images: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N,H,W,3) uint8 -> (N,h,w,3) uint8, as OpenCV's INTER_AREA where both sides shrink or stay,
    else as its INTER_LINEAR.

    Along each axis an output pixel is a weighted sum of a few neighboring ones, as many as the
    largest needs: they are gathered and multiplied. Bit for bit as OpenCV, but where an area covers
    parts of pixels: there a sum that ends on a half may be rounded otherwise.
    """
    (height, width), (h, w) = images.shape[1:3], size_hw
    # Tensors, known at run time. In float32 the weights' own errors would decide halves, which are
    # frequent (1280x720 to 480x360: one pixel in 30), and change 1 % of the labels.
    steps = (
        torch.tensor(height, dtype=torch.float64) / h,
        torch.tensor(width, dtype=torch.float64) / w,
    )
    area = (steps[0] >= 1) & (steps[1] >= 1)
    # Areas of whole pixels are summed before they are divided.
    whole = area & (steps[0] % 1 == 0) & (steps[1] % 1 == 0)
    pixels = torch.where(whole, steps[0] * steps[1], 1.0)
    x = images.transpose(1, 2).flatten(2)  # (N,W,3H)
    index, weights = taps(width, w, steps[1], area, whole)
    x = torch.matmul(weights[:, None].float(), neighbors(x, index))[:, :, 0]
    x = cut(x, area, 2**7).view(-1, w, height, 3).transpose(1, 2).flatten(2)  # (N,H,3w)
    index, weights = taps(height, h, steps[0], area, whole)
    # in float64: a weight of 11 bits times a sum of 15
    x = cut(neighbors(x, index) * weights[..., None], area, 2**2).sum(2).float()
    # Halves go to even numbers, but upwards between pixels and in means of 2x2 (not of 1x4).
    upwards = ~area | ((steps[0] == 2) & (steps[1] == 2))
    x = x * (1 / pixels).float() + upwards * 1e-3
    return torch.round(x).clamp(0, 255).to(torch.uint8).view(-1, h, w, 3)


def resized(image_hwc: Image, size_hw: tuple[int, int]) -> Image:
    """One image, as the file resizes it."""
    resized_hwc: Image = resize_images(torch.from_numpy(image_hwc[None]), size_hw)[0].numpy()
    return resized_hwc


def neighbors(x: Tensor, index: Tensor) -> Tensor:
    """(N,L,C) -> (N,size,taps,C) float32: the pixels `index` (size,taps)."""
    return x.index_select(1, index.flatten()).view(-1, *index.shape, x.shape[2]).float()


def cut(x: Tensor, area: Tensor, steps: int) -> Tensor:
    """`x` as it is by area; else without what is below 1 / `steps` of a level, as in OpenCV's
    fixed-point numbers."""
    fine = torch.where(area, 2.0**40, steps).to(x.dtype)
    return torch.floor(x * fine) / fine


def taps(
    length: int, size: int, step: Tensor, area: Tensor, whole: Tensor
) -> tuple[Tensor, Tensor]:
    """Which pixels of `length` are summed for each of `size`, and with which weights, in float64:
    (size,taps).

    step: length / size. By area: what part of it lies within [i, i + 1) * step, or, of `whole`
    pixels, whether one does. Bilinear: how near it is to the output pixel's center, of 11 bits.
    """
    pixel = torch.arange(size)[:, None]
    start, end = pixel * step, (pixel + 1) * step
    center = ((start + end) / 2 - 0.5).float()  # as OpenCV rounds it
    first = torch.where(area, start, center).floor()
    index = first + torch.arange(length // size + 2)
    covered = torch.minimum(end, index + 1) - torch.maximum(start, index)
    by_area = covered.clamp(min=0) / torch.where(whole, 1.0, step)
    after = torch.round((center - first) * 2**11) / 2**11
    near = torch.where(index == first, 1 - after, (index == first + 1) * after)
    index = index.clamp(0, length - 1).long()
    return index, torch.where(area, by_area.float(), near).double()


@torch.no_grad()
def fold_batch_norms(form: nn.Module, image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Put the batch norms that directly follow a convolution into its weights and bias; return by
    name what the weights were, and by what they were multiplied.

    Which follows which is seen by running `image`: a batch norm whose input is the very tensor that
    a convolution gave. A batch norm of anything else stays.
    """
    made_by: dict[int, nn.Module] = {}
    kept: list[Tensor] = []  # so that no two tensors have one id
    pairs: list[tuple[nn.Module, nn.BatchNorm2d]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d):
            if (before := made_by.get(id(inputs[0]))) is not None:
                pairs.append((before, module))
        elif isinstance(module, CONVOLUTIONS):
            made_by[id(output)] = module
            kept.append(output)

    hooks = [module.register_forward_hook(look) for module in form.modules()]
    form(image)
    for hook in hooks:
        hook.remove()
    names = {module: name for name, module in form.named_modules()}
    unfolded = {}
    for convolution, norm in pairs:
        unfolded[f"{names[convolution]}.weight"] = _fold(convolution, norm)
        parent, _, name = names[norm].rpartition(".")
        setattr(form.get_submodule(parent), name, nn.Identity())
    return unfolded


CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, CroppedDeconvolution)


def _fold(convolution: nn.Module, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The weights before, and their factors: norm(x) is x * scale + shift, in float64."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    weight, bias = convolution.weight, convolution.bias
    assert isinstance(weight, Tensor)
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    if isinstance(bias, Tensor):
        shift = shift + bias.double() * scale
    by_output = (-1, 1, 1, 1) if isinstance(convolution, nn.Conv2d) else (1, -1, 1, 1)
    scale = scale.view(by_output)
    convolution.weight = nn.Parameter((weight.double() * scale).float())
    convolution.bias = nn.Parameter(shift.float())
    return weight.detach(), scale.float()
