"""A segmentation network's encoder as a classifier of whole images, for its pretraining.

As ERFNet's authors pretrain theirs on ImageNet (their PyTorch code, imagenet/erfnet_imagenet.py):
the encoder, a max pooling that halves its features, their average, and one linear layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from briskseg.core.errors import RequestError
from briskseg.models import create_model

# Models whose `encoder` is a module of its own -> the channels of its features.
ENCODER_CHANNELS = {"erfnet": 128, "erfnet_fcn": 128}


class EncoderClassifier(nn.Module):
    """Images (N,3,H,W) -> logits (N,classes), one a class of images; H and W from 16 on.

    Its encoder's tensors have the names that they have in the segmentation network.
    """

    def __init__(self, encoder: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = F.max_pool2d(self.encoder(images), 2)  # (N,channels,H/16,W/16)
        return self.classifier(features.mean((2, 3)))


def create_classifier(
    model: str, classes: int, **options: bool | int | float | str
) -> EncoderClassifier:
    """A classifier with fresh weights from the encoder of `model` with these options.

    Raises RequestError for a model without such an encoder, and as `create_model`.
    """
    network = create_model(model, 1, **options)
    if model not in ENCODER_CHANNELS:
        raise RequestError(
            f"{model} has no encoder that is pretrained by itself; models with one: "
            f"{', '.join(ENCODER_CHANNELS)}"
        )
    encoder = network.get_submodule("encoder")
    if hasattr(encoder, "output_conv"):  # the head of ERFNet's first stage segments
        del encoder.output_conv
    return EncoderClassifier(encoder, ENCODER_CHANNELS[model], classes)
