"""Augmentations, on uint8 [C, H, W] images.

Resolution and JPEG quality vary for every class alike: some sets hold upscaled 64 x 64 originals, and a network would
tell the classes by blur.
"""

from __future__ import annotations

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
    [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(degrees=12, translate=(0.08, 0.08), scale=(0.85, 1.15), shear=6),
        v2.RandomApply([v2.ColorJitter(brightness=0.3, contrast=0.4)], p=0.8),
    ]
)


def erase_corner(pixels: Tensor) -> Tensor:
    """Blank a random rectangle in one corner, where side markers are burned in."""
    height, width = pixels.shape[-2:]
    rows, columns = int(_uniform(0.05, 0.25) * height), int(_uniform(0.05, 0.3) * width)
    top = slice(0, rows) if _chance(0.5) else slice(height - rows, height)
    left = slice(0, columns) if _chance(0.5) else slice(width - columns, width)
    pixels = pixels.clone()
    pixels[:, top, left] = int(_uniform(0, 255))
    return pixels


def chest_xray(pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Strong geometric and intensity changes of one grey X-ray; all channels change alike."""
    grey = degrade(_xray_geometry(pixels[:1]))
    if _chance(0.4):
        grey = erase_corner(grey)
    return grey.expand_as(pixels), target


_slice_geometry = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(p=0.2),
        v2.RandomAffine(degrees=20, translate=(0.06, 0.06), scale=(0.85, 1.2), shear=5),
        v2.RandomApply([v2.ElasticTransform(alpha=40.0, sigma=6.0)], p=0.15),
    ]
)


def brain_mri(pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Slice and mask change shape together; a third of the slices becomes FLAIR alone, replicated."""
    pixels, target = _slice_geometry(tv_tensors.Image(pixels), tv_tensors.Mask(target[None]))
    pixels, target = pixels.as_subclass(Tensor), target.as_subclass(Tensor)[0]
    if _chance(0.35):
        pixels = pixels[FLAIR : FLAIR + 1].expand_as(pixels)
    if _chance(0.7):
        gain, offset = _uniform(0.75, 1.3), _uniform(-20, 20)
        pixels = (pixels.float() * gain + offset).clamp(0, 255).to(torch.uint8)
    return degrade(pixels), target


_any_geometry = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(p=0.1),
        v2.RandomAffine(degrees=25, translate=(0.1, 0.1), scale=(0.7, 1.25), shear=8),
        v2.RandomApply([v2.ColorJitter(brightness=0.4, contrast=0.5, saturation=0.5)], p=0.8),
        v2.RandomGrayscale(p=0.3),
    ]
)


def modality(pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Everything that leaves the kind of image recognisable."""
    return degrade(_any_geometry(pixels)), target
