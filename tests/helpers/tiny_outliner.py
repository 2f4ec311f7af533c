"""A tiny untrained network that outlines, as a model of a library."""

from __future__ import annotations

from pathlib import Path

import torch

import models
from models import ModelCard
from models.card import ModelClass


def tiny_outliner(folder: Path) -> ModelCard:
    """``base``, an LMSF-A, in a folder of models."""
    torch.manual_seed(3)
    options = {"num_classes": 1, "width": 0.125, "depth": 0.1}
    card = ModelCard(
        name="base",
        title="Base",
        system="lmsf_a",
        options=options,
        task="instance-segmentation",
        classes=(ModelClass(key="instrument", name="Instrument"),),
        input_size_px=(160, 96),
        thresholds={"score": 0.2},
        demo=True,
    )
    return models.save_model(models.create_model("lmsf_a", **options), card, folder)
