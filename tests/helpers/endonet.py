"""A real EndoNet of random weights whose tools come and go with the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import models
from app.inference.engines.eager import normalised
from app.inference.preprocess import resized
from models.card import ModelCard, ModelClass

TOOLS = ("grasper", "hook", "clipper")
PHASES = ("preparation", "calot_triangle_dissection", "clipping_cutting")
SIDE_PX = 32


def card(name: str = "endonet", tools: Sequence[str] = TOOLS) -> ModelCard:
    """Its card without weights."""
    return ModelCard(
        name=name,
        title="EndoNet",
        system="endonet",
        options={"num_classes": len(PHASES), "num_tools": len(TOOLS), "layers": 2, "maps": 4},
        task="phase-recognition",
        classes=tuple(ModelClass(key=k, name=k) for k in PHASES),
        tools=tuple(ModelClass(key=k, name=k.title()) for k in tools),
        procedures=("cholecystectomy",),
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
        frames_per_second=1.0,
        licence="Apache-2.0",
    )


def save_endonet(
    root: Path, pictures: Sequence[NDArray[np.uint8]], tools: Sequence[str] = TOOLS
) -> ModelCard:
    """Save one that tells each tool in about half of some pictures (uint8, (H, W, 3))."""
    torch.manual_seed(11)
    made = card(tools=tools)
    network = models.create_model("endonet", **made.options).eval()
    small = np.stack([resized(p, SIDE_PX, SIDE_PX) for p in pictures])
    images = normalised(torch.from_numpy(small).permute(0, 3, 1, 2).float().contiguous(), made)
    with torch.no_grad():
        logits = network.frames(images).tools
        middle, reach = logits.median(0).values, logits.std(0).clamp(min=1e-6)
        network.fc_tool.weight.mul_(3 / reach[:, None])
        network.fc_tool.bias.copy_(3 / reach * (network.fc_tool.bias - middle))
    return models.save_model(network, made, root)
