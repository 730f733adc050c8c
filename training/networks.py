"""The networks. Each takes uint8 [N, H, W, C] pixels and normalises them itself, so the exported graph does too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from handlers.contract.card import Card, Input


class Normalise(nn.Module):
    """uint8 [N, H, W, C] to float32 [N, C, H, W], scaled to 0..1, minus the mean, over the standard deviation."""

    scale: Tensor
    shift: Tensor

    def __init__(self, to: Input) -> None:
        super().__init__()
        mean, std = torch.tensor(to.mean), torch.tensor(to.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", -(mean / std).view(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift


class Classifier(nn.Module):
    """A timm network that ends in global average pooling and one linear layer; logits [N, outputs]."""

    def __init__(self, card: Card, outputs: int) -> None:
        super().__init__()
        self.normalise = Normalise(card.input)
        self.network: Any = timm.create_model(
            card.network, num_classes=outputs, in_chans=card.input.channels, drop_rate=0.3
        )

    def features(self, pixels: Tensor) -> Tensor:
        """The last activation A, [N, K, h, w]: what is averaged and weighted into the logits."""
        features: Tensor = self.network.forward_features(self.normalise(pixels))
        return features

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network.forward_head(self.features(pixels))
        return logits

    def load_imagenet(self, weights: Path) -> None:
        """Start from ImageNet weights; the 1000-class head is left out."""
        state = torch.load(weights, weights_only=True)
        own = self.network.state_dict()
        self.network.load_state_dict({k: v if v.shape == own[k].shape else own[k] for k, v in state.items()})


class GradCamClassifier(nn.Module):
    """A one-logit classifier with its Grad-CAM in the graph, no backward pass.

    For global average pooling followed by one linear layer, logit = mean_ij(sum_k w_k A_k,ij) + b, so Grad-CAM of the
    logit (Selvaraju et al. 2017, eq. 1 and 2) is exactly ReLU(sum_k w_k A_k) / (h w): a 1x1 convolution beside the
    head. The map before ReLU is CAM (Zhou et al. 2016); its mean plus b is the logit, which the handler checks.

    Returns:
        logit: float32 [N].
        cam: float32 [N, h, w], sum_k w_k A_k.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    @property
    def bias(self) -> float:
        """b, which the mean of `cam` lacks."""
        return float(self.classifier.network.get_classifier().bias.detach())

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.classifier.features(pixels)
        head = self.classifier.network.get_classifier()
        cam = nn.functional.conv2d(features, head.weight[:, :, None, None])
        logits: Tensor = self.classifier.network.forward_head(features)
        return logits[:, 0], cam[:, 0]


class Segmenter(nn.Module):
    """A U-Net (Ronneberger et al. 2015) on a timm encoder; logits [N, H, W]."""

    DECODER = (128, 64, 32, 16, 8)
    """Channels of the decoder: half the usual ones, with which a slice takes 1.75 times as long on one CPU thread."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.normalise = Normalise(card.input)
        encoder = card.network.removeprefix("unet-")
        self.network = smp.Unet(
            encoder_name=f"tu-{encoder}",
            encoder_weights=None,
            in_channels=card.input.channels,
            classes=1,
            decoder_channels=self.DECODER,
        )

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(pixels))
        return logits[:, 0]

    def load_imagenet(self, weights: Path) -> None:
        """Start the encoder from ImageNet weights; the layers behind its last stage are left out."""
        state = torch.load(weights, weights_only=True)
        encoder = self.network.encoder.model
        encoder.load_state_dict({key: state[key] for key in encoder.state_dict()})


def build(card: Card) -> Classifier | Segmenter:
    """The network that a card declares, with random weights."""
    if card.task == "segmentation":
        return Segmenter(card)
    return Classifier(card, outputs=1 if card.task == "classification" else len(card.labels))
