"""The networks. Each takes uint8 [N, H, W, C] pixels and normalises them itself, so the exported graph does too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from handlers.contract.card import Card, Input

EXAMPLES = 1000
"""Images that a classifier of kinds keeps the features of."""
NEIGHBOUR = 5
"""The nearest example may be a chance; the fifth is not."""


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


class KindClassifier(Classifier):
    """A classifier of kinds of images that also says how near an image is to those it learned from.

    How sure a network is of a label says little of images unlike any it learned from. How near their features are to
    those of learned images tells them better, whatever they show (Sun et al. 2022, "Out-of-distribution detection with
    deep nearest neighbors").

    Attributes:
        examples: float32 [images, features], what `described` gives for some images that were learned from.
        least_similarity: what is less similar than this is of no kind; set by calibration.
    """

    examples: Tensor
    least_similarity = -1.0

    def __init__(self, card: Card, outputs: int) -> None:
        super().__init__(card, outputs)
        self.register_buffer("examples", torch.zeros(EXAMPLES, self.network.num_features))

    def described(self, pixels: Tensor) -> Tensor:
        """Pooled features of unit length, float32 [N, features]."""
        return self._described(self.features(pixels))

    def similarity(self, pixels: Tensor) -> Tensor:
        """Cosine to the `NEIGHBOUR`-th nearest example, float32 [N]."""
        return self._nearest(self.described(pixels))

    def with_similarity(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits float32 [N, outputs], and `similarity`."""
        features = self.features(pixels)
        logits: Tensor = self.network.forward_head(features)
        return logits, self._nearest(self._described(features))

    def _described(self, features: Tensor) -> Tensor:
        return nn.functional.normalize(features.mean((2, 3)))

    def _nearest(self, described: Tensor) -> Tensor:
        return (described @ self.examples.T).topk(NEIGHBOUR).values[:, -1]


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
    match card.task:
        case "classification":
            return Classifier(card, outputs=1)
        case "segmentation":
            return Segmenter(card)
        case "modality":
            return KindClassifier(card, outputs=len(card.labels))
