"""Weights of SPRMamba as its training writes them, with a full account.

Read: the tensors bare, or under `model` beside optimiser and epoch. Runs wherever a foreign file
is converted; reading the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.errors import CheckpointError
from models.foreign import ConversionReport, bare_name, load_whole, weights_inside
from models.sprmamba.network import SprMamba

_FIRST = "stage1.input_proj.weight"
_LAYER = "stage1.stages.0.windowed_mamba."


def is_sprmamba(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like a SPRMamba."""
    names = {bare_name(name) for name in weights_inside(checkpoint)}
    return {_FIRST, "dim_reduction.weight", f"{_LAYER}attn.W_Q.weight"} <= names


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], SprMamba, ConversionReport]:
    """The network that a file holds. How many frames a group has is not in it: 64, as published.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor is missing, one too many, of another shape or not finite.
    """
    found = {bare_name(name): value for name, value in weights_inside(checkpoint).items()}
    options = _options_of(found)
    network = SprMamba(**options)
    return options, network, load_whole(network, found, "sprmamba")


def _options_of(found: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of the network whose weights these are, told by their names and shapes."""
    try:
        width, in_features, _ = found[_FIRST].shape
        asked, half = found[f"{_LAYER}attn.W_Q.weight"].shape
        classes = found["stage1.out_proj.weight"].shape[0]
        layers = 1 + max(int(n.split(".")[2]) for n in found if n.startswith("stage1.stages."))
        later = {int(n.split(".")[1]) for n in found if n.startswith("stages.")}
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError("The file holds no weights of SPRMamba.") from error
    if max((layers, *later)) > len(found):
        raise CheckpointError("The file names layers that it does not hold; it is damaged.")
    mixer = "mamba1" if f"{_LAYER}mamba.x_proj.weight" in found else "mamba2"
    return {
        "in_features": in_features,
        "num_classes": classes,
        "stages": 1 + max((0, *(1 + s for s in later))),
        "layers": layers,
        "heads": max(1, asked // half),
        "mixer": f"{mixer}-bi" if f"{_LAYER}mamba.A_b_log" in found else mixer,
        "width": width,
    }
