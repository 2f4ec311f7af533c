"""Weights of released VideoMamba files; the reading under limits is the caller's work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from torch import Tensor

from models.errors import CheckpointError
from models.foreign import ConversionReport, bare_name, load_whole, weights_inside
from models.videomamba.network import VideoMamba

_MARK = "temporal_pos_embedding"


def is_videomamba(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content is of VideoMamba on video."""
    return any(bare_name(name) == _MARK for name in weights_inside(checkpoint))


def convert(
    checkpoint: Mapping[str, object],
) -> tuple[dict[str, Any], VideoMamba, ConversionReport]:
    """The encoder that a file holds; its classifier is left out and reported.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor is missing, or of another shape than its layout has.
    """
    weights = weights_inside(checkpoint)
    names = {original: bare_name(original) for original in weights}
    found = {names[k]: v for k, v in weights.items() if not names[k].startswith("head.")}
    beside = tuple(sorted(k for k in weights if names[k].startswith("head.")))
    options = _options_of(found)
    network = VideoMamba(**options)
    return options, network, replace(load_whole(network, found, "videomamba"), unexpected=beside)


def _options_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    try:
        _, frames, width = weights[_MARK].shape
        _, _, thick, patch_px, _ = weights["patch_embed.proj.weight"].shape
        side = isqrt(weights["pos_embed"].shape[1] - 1)
        depth = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("layers."))
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError("The file holds no whole VideoMamba.") from error
    if thick != 1 or depth > len(weights):
        raise CheckpointError(
            "The file's VideoMamba joins several frames into one patch, or is damaged; EndoMamba's "
            "teacher has a patch for every frame."
        )
    return {
        "width": width,
        "depth": depth,
        "frames": frames,
        "image_size": side * patch_px,
        "patch_size": patch_px,
    }
