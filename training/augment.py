"""Augmentations, on uint8 [C, H, W] images.

Resolution and JPEG quality vary for every class alike: some sets hold upscaled 64 x 64 originals, and a network would
tell the classes by blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

FLAIR = 1
"""The channel that holds FLAIR in the TCGA-LGG slices (pre-contrast, FLAIR, post-contrast)."""


def _chance(probability: float) -> bool:
    return bool(torch.rand(()) < probability)


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(()).uniform_(low, high))


def degrade(pixels: Tensor) -> Tensor:
    """Random resolution, JPEG quality and gamma."""
    height, width = pixels.shape[-2:]
    if _chance(0.4):
        share = _uniform(0.25, 0.9)
        small = F.resize(pixels, [int(height * share), int(width * share)], antialias=True)
        pixels = F.resize(small, [height, width], interpolation=InterpolationMode.BILINEAR, antialias=True)
    if _chance(0.3):
        pixels = F.jpeg(pixels, int(_uniform(30, 95)))
    if _chance(0.5):
        pixels = F.adjust_gamma(pixels, _uniform(0.6, 1.6))
    return pixels


_xray_geometry = v2.Compose(
    [v2.RandomHorizontalFlip(), v2.RandomAffine(degrees=12, translate=(0.08, 0.08), scale=(0.85, 1.15), shear=6)]
)
_xray_intensity = v2.RandomApply([v2.ColorJitter(brightness=0.3, contrast=0.4)], p=0.8)


def erase_corner(pixels: Tensor) -> Tensor:
    """Blank a random rectangle in one corner, where side markers are burned in."""
    height, width = pixels.shape[-2:]
    rows, columns = int(_uniform(0.05, 0.25) * height), int(_uniform(0.05, 0.3) * width)
    top = slice(0, rows) if _chance(0.5) else slice(height - rows, height)
    left = slice(0, columns) if _chance(0.5) else slice(width - columns, width)
    pixels = pixels.clone()
    pixels[:, top, left] = int(_uniform(0, 255))
    return pixels


@dataclass(frozen=True)
class ChestXray:
    """Strong changes of one grey X-ray; each kind can be left out, for the ablation table."""

    geometry: bool = True
    intensity: bool = True
    quality: bool = True
    corners: bool = True

    def __call__(self, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment one uint8 [C, H, W] image, whose channels are alike; the label stays."""
        grey = pixels[:1]
        if self.geometry:
            grey = _xray_geometry(grey)
        if self.intensity:
            grey = _xray_intensity(grey)
        if self.quality:
            grey = degrade(grey)
        if self.corners and _chance(0.4):
            grey = erase_corner(grey)
        return grey.expand_as(pixels), target


CROP = 192
"""Side of the square that training sees of a slice: half the time of whole slices."""

_slice_geometry = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(p=0.2),
        v2.RandomAffine(degrees=20, translate=(0.06, 0.06), scale=(0.85, 1.2), shear=5),
        v2.RandomCrop(CROP),
    ]
)


@dataclass(frozen=True)
class BrainMri:
    """Changes of a slice; slice and mask change shape together.

    A third of the slices becomes FLAIR alone, replicated: what a single uploaded image looks like. In others FLAIR
    stands for one sequence that was not acquired, as in the public set, and each sequence is brightened by itself:
    contrast agents and scanners differ, and a network that leans on one sequence fails where that one is odd.
    """

    flair_alone: float = 0.3
    sequence_missing: float = 0.2

    def __call__(self, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment uint8 [3, H, W] and its mask uint8 [H, W]; both come back as squares of `CROP`."""
        pixels, target = _slice_geometry(tv_tensors.Image(pixels), tv_tensors.Mask(target[None]))
        slice_, target = pixels.as_subclass(Tensor), target.as_subclass(Tensor)[0]
        if _chance(0.7):
            gain = torch.empty(3, 1, 1).uniform_(0.7, 1.35)
            offset = torch.empty(3, 1, 1).uniform_(-20, 20)
            slice_ = (slice_.float() * gain + offset).clamp(0, 255).to(torch.uint8)
        if _chance(self.flair_alone):
            slice_ = slice_[[FLAIR, FLAIR, FLAIR]]
        elif _chance(self.sequence_missing):
            slice_ = slice_[[FLAIR, FLAIR, 2] if _chance(0.5) else [0, FLAIR, FLAIR]]
        return degrade(slice_), target


_any_geometry = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(p=0.1),
        v2.RandomAffine(degrees=25, translate=(0.1, 0.1), scale=(0.7, 1.25), shear=8),
        v2.RandomApply([v2.ColorJitter(brightness=0.4, contrast=0.5, saturation=0.5)], p=0.8),
        v2.RandomGrayscale(p=0.3),
    ]
)


BACKGROUND = 20
"""Grey levels up to this are taken for the black around a body."""


def invert(pixels: Tensor) -> Tensor:
    """Turn what is brighter than the background into its negative.

    Of an MRI that is another weighting (the fluid bright, as in T2), of an X-ray what a viewer shows that overlooks
    MONOCHROME1.
    """
    return torch.where(pixels > BACKGROUND, 255 + BACKGROUND - pixels.int(), pixels.int()).clamp(0, 255).to(torch.uint8)


def keep_inside(pixels: Tensor, share: float) -> Tensor:
    """Blank what lies outside an ellipse with `share` of the axes of the body's bounding box.

    Of a head that leaves the brain, as after skull stripping, and of other images what a collimator leaves.
    """
    body = pixels.amax(0) > BACKGROUND
    rows, columns = (body.any(axis).nonzero()[:, 0].float() for axis in (1, 0))
    if not len(rows):
        return pixels
    height, width = pixels.shape[-2:]
    away = [
        ((torch.arange(size) - (at[0] + at[-1]) / 2) / (share * (at[-1] - at[0] + 1) / 2)) ** 2
        for size, at in ((height, rows), (width, columns))
    ]
    return pixels * (away[0][:, None] + away[1][None] <= 1)


def modality(pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Everything that leaves the kind of image recognisable, for every kind alike."""
    if _chance(0.15):
        pixels = keep_inside(pixels, _uniform(0.7, 0.95))
    if _chance(0.15):
        pixels = invert(pixels)
    return degrade(_any_geometry(pixels)), target
