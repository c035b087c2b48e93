"""ERFNet: residual factorized convolutions, an encoder to 1/8 size and a decoder of deconvolutions.

Romera, Alvarez, Bergasa, Arroyo: "ERFNet: Efficient Residual Factorized ConvNet for Real-time
Semantic Segmentation", IEEE Transactions on Intelligent Transportation Systems 19(1), 2018; layers
as in its Table I.

What differs from the published PyTorch network: nothing at sizes that are multiples of 8. Any other
image is first extended at the right and at the bottom, by repeating its last column and row, to the
next multiple of 8, and the logits are cropped back; the published code fails there. The head of the
first training stage (`encoder.output_conv`) is part of the network and is read by `forward_train`.

`ERFNetFCN` is what MMSegmentation (1.2.2, `erfnet_fcn`) makes of it, with the head of Long,
Shelhamer, Darrell: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015: the
features at 1/2 size go through one 3x3 convolution to 128 channels and a 1x1 convolution to the
classes, and the logits are enlarged bilinearly (align_corners=False). Dropout drops single values,
equally often in all blocks of the encoder; there is no head for a first training stage. What
differs from theirs: images of other sizes than multiples of 8 are extended as above, where
MMSegmentation stretches the pooled half of each odd downsampling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.models.network import BatchNorm2d, ExportForm, Network, TrainingOutput


class ERFNet(Network):
    """The network of the paper.

    Options: `dropout_64` and `dropout_128` are the probabilities with which a whole channel is
    dropped in the encoder's blocks of 64 and of 128 channels (0.03 and 0.3 in the paper);
    `auxiliary` says whether it has the head of the first training stage. The authors' code drops
    that where it starts from a pretrained encoder.
    """

    last = "decoder.output_conv"
    extends = (8, 1)  # to a multiple of the encoder's stride

    def __init__(
        self,
        classes: int,
        *,
        dropout_64: float = 0.03,
        dropout_128: float = 0.3,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        if auxiliary:
            self.outputs = (TrainingOutput("logits"), TrainingOutput("encoder", loss="auxiliary"))
        self.encoder = Encoder(classes if auxiliary else 0, dropout_64, dropout_128)
        self.decoder = Decoder(classes)

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,H,W): its last deconvolution gives them at full size."""
        features = self.encoder(self.extended(images))  # (N,128,H/8,W/8)
        return self._decode(features, images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """Besides "logits", "encoder" (N,classes,ceil(H/8),ceil(W/8)), for the first stage, if it
        has that head."""
        features = self.encoder(self.extended(images))
        outputs = {"logits": self._decode(features, images)}
        if self.encoder.output_conv is not None:
            outputs["encoder"] = self.encoder.output_conv(features)
        return outputs

    def forward_encoder(self, images: Tensor) -> Tensor:
        """The first stage's logits (N,classes,ceil(H/8),ceil(W/8))."""
        if self.encoder.output_conv is None:
            return super().forward_encoder(images)
        return self.encoder.output_conv(self.encoder(self.extended(images)))

    def export_form(self) -> ExportForm:
        return ERFNetExportForm(self)

    def _decode(self, features: Tensor, images: Tensor) -> Tensor:
        logits: Tensor = self.decoder(features)
        return logits[..., : images.shape[-2], : images.shape[-1]]


class ERFNetExportForm(ExportForm):
    """The last deconvolution (2x2, stride 2) does not overlap: it is a 1x1 convolution to four
    times the classes at half size, and a rearrangement of these. So labels can be taken before the
    rearrangement, of each of the four pixels, and only one number a pixel is rearranged."""

    network: ERFNet

    def __init__(self, network: ERFNet) -> None:
        super().__init__(network)
        last = network.decoder.output_conv
        assert last.stride == last.kernel_size == (2, 2)
        assert last.bias is not None
        # Output channel 4 c + 2 i + j is class c of the pixel (2 y + i, 2 x + j).
        weight = last.weight.detach().flatten(2).permute(1, 2, 0).flatten(0, 1)
        self.weight = nn.Parameter(weight[..., None, None].clone())
        self.bias = nn.Parameter(last.bias.detach().repeat_interleave(4))

    def forward_labels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        net = self.network
        features = net.decoder.layers(net.encoder(images))  # (N,16,H/2,W/2)
        four = F.conv2d(features, self.weight, self.bias)  # (N,4*classes,H/2,W/2)
        labels = four.view(-1, net.classes, 4, *four.shape[2:]).argmax(1)  # (N,4,H/2,W/2)
        # Rearranged as float32: TensorRT refuses to rearrange bytes.
        labels = F.pixel_shuffle(labels.float(), 2)[:, 0]
        return labels.to(torch.uint8), F.pixel_shuffle(four, 2)


class Encoder(nn.Module):
    """Layers 1 to 16: three downsamplings, five blocks at 1/4 size and eight dilated at 1/8."""

    def __init__(self, classes: int, dropout_64: float, dropout_128: float) -> None:
        super().__init__()
        self.initial_block = Downsampler(3, 16)  # (N,16,H/2,W/2)
        self.layers = nn.Sequential(
            Downsampler(16, 64),  # (N,64,H/4,W/4)
            *(NonBottleneck1d(64, dropout_64, dilation=1) for _ in range(5)),
            Downsampler(64, 128),  # (N,128,H/8,W/8)
            *(NonBottleneck1d(128, dropout_128, dilation=d) for d in (2, 4, 8, 16) * 2),
        )
        # First training stage only; an encoder of no classes has none.
        self.output_conv = nn.Conv2d(128, classes, 1) if classes else None

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(self.initial_block(images))


class Decoder(nn.Module):
    """Layers 17 to 23: three deconvolutions, two blocks after each but the last."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = upsampling()  # (N,16,H/2,W/2)
        self.output_conv = nn.ConvTranspose2d(16, classes, 2, stride=2)  # (N,classes,H,W)

    def forward(self, features: Tensor) -> Tensor:
        return self.output_conv(self.layers(features))


def upsampling() -> nn.Sequential:
    """Layers 17 to 22, without dropout."""
    return nn.Sequential(
        Upsampler(128, 64),  # (N,64,H/4,W/4)
        NonBottleneck1d(64, dropout=0, dilation=1),
        NonBottleneck1d(64, dropout=0, dilation=1),
        Upsampler(64, 16),  # (N,16,H/2,W/2)
        NonBottleneck1d(16, dropout=0, dilation=1),
        NonBottleneck1d(16, dropout=0, dilation=1),
    )


class NonBottleneck1d(nn.Module):
    """Figure 2 (c): a residual block whose two 3x3 convolutions are each split into 3x1 and 1x3.

    Only the second pair is dilated. Batch norm follows each pair. dropout_layer: `nn.Dropout2d`
    drops whole channels, as in the paper, `nn.Dropout` single values.
    """

    def __init__(
        self,
        channels: int,
        dropout: float,
        dilation: int,
        dropout_layer: type[nn.Module] = nn.Dropout2d,
    ) -> None:
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = BatchNorm2d(channels, eps=1e-3)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
        self.bn2 = BatchNorm2d(channels, eps=1e-3)
        self.dropout = dropout_layer(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv3x1_1(x), inplace=True)
        y = F.relu(self.bn1(self.conv1x3_1(y)), inplace=True)
        y = F.relu(self.conv3x1_2(y), inplace=True)
        y = self.dropout(self.bn2(self.conv1x3_2(y)))
        return F.relu(x + y, inplace=True)


class Downsampler(nn.Module):
    """Halves the size: a 3x3 convolution with stride 2 beside a 2x2 max pooling, concatenated."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels - channels, 3, stride=2, padding=1)
        self.bn = BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.conv(x), F.max_pool2d(x, 2)], dim=1)
        return F.relu(self.bn(y), inplace=True)


class Upsampler(nn.Module):
    """Doubles the size: a 3x3 deconvolution with stride 2."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            channels, out_channels, 3, stride=2, padding=1, output_padding=1
        )
        self.bn = BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class ERFNetFCN(Network):
    """As MMSegmentation trains it: the last deconvolution replaced by an FCN head.

    Options: `dropout` is the probability with which a value is dropped in the encoder's blocks, and
    a whole channel before the head's last convolution.
    """

    last = "head.4"
    factor = 2
    extends = (8, 1)  # to a multiple of the encoder's stride

    def __init__(self, classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Downsampler(3, 16),  # (N,16,H/2,W/2)
            Downsampler(16, 64),  # (N,64,H/4,W/4)
            *(NonBottleneck1d(64, dropout, dilation=1, dropout_layer=nn.Dropout) for _ in range(5)),
            Downsampler(64, 128),  # (N,128,H/8,W/8)
            *(
                NonBottleneck1d(128, dropout, dilation=d, dropout_layer=nn.Dropout)
                for d in (2, 4, 8, 16) * 2
            ),
        )
        self.decoder = upsampling()  # (N,16,H/2,W/2)
        self.head = nn.Sequential(
            nn.Conv2d(16, 128, 3, padding=1, bias=False),  # (N,128,H/2,W/2)
            BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(128, classes, 1),  # (N,classes,H/2,W/2)
        )

    def forward_coarse(self, images: Tensor) -> Tensor:
        """Logits (N,classes,h,w) at half the size of the extended images."""
        return self.head(self.decoder(self.encoder(self.extended(images))))
