"""A synthetic data folder in the layout of the public sets, with random weights in the place of ImageNet's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

PATIENTS = 14
"""With a brain MRI, with two X-rays that show a finding, and with two that show none, each."""


def write_data(folder: Path) -> None:
    """Write it into a folder that is there."""
    random = np.random.default_rng(3)
    for kind, names, level in (
        ("NORMAL", ["IM-{:04d}-0001.jpeg", "NORMAL2-IM-{:04d}-0001.jpeg"], 80),
        ("PNEUMONIA", ["person{}_bacteria_1.jpeg", "person{}_virus_2.jpeg"], 170),
    ):
        target = folder / "chest-xray/train" / kind
        target.mkdir(parents=True)
        for patient in range(PATIENTS):
            for name in names:
                _picture(random, (224, 224), level).save(target / name.format(patient))
    for patient in range(PATIENTS):
        name = f"TCGA_{('CS', 'DU')[patient % 2]}_{patient:04d}_19990101"
        target = folder / "brain-mri" / name
        target.mkdir(parents=True)
        for number in (1, 2, 10):
            _picture(random, (256, 256, 3), 90).save(target / f"{name}_{number}.jpg")
            mask = np.zeros((256, 256), bool)
            mask[60:120, 60:120] = number > 1
            Image.fromarray(mask).save(target / f"{name}_{number}_mask.png")
    (folder / "other/photo").mkdir(parents=True)
    for number in range(PATIENTS):
        _picture(random, (64, 64, 3), 128).save(folder / f"other/photo/{number}.png")
    (folder / "pretrained").mkdir()
    torch.manual_seed(0)
    weights = timm.create_model("tf_efficientnetv2_b0").state_dict()
    torch.save(weights, folder / "pretrained/tf_efficientnetv2_b0_imagenet.pth")


def _picture(random: np.random.Generator, shape: tuple[int, ...], level: int) -> Image.Image:
    return Image.fromarray(np.clip(random.normal(level, 25, shape), 0, 255).astype(np.uint8))
