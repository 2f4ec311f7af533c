"""Weights of TeCNO's temporal network, as its training writes them, with a full account.

Read: the tensors bare, or in a Lightning checkpoint's `state_dict`. Runs wherever a foreign file is
converted; reading the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.errors import CheckpointError
from models.foreign import ConversionReport, bare_name, load_whole, weights_inside
from models.ms_tcn.network import MsTcn

_FIRST = "stage1.conv_1x1.weight"
_LAST = "stage1.conv_out_classes.weight"


def is_ms_tcn(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like an MS-TCN."""
    names = {bare_name(name) for name in weights_inside(checkpoint)}
    return {_FIRST, _LAST, "stage1.layers.0.conv_dilated.weight"} <= names


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], MsTcn, ConversionReport]:
    """The network that a file holds, causal as TeCNO trains it.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor is missing, one too many, of another shape or not finite.
    """
    found = {bare_name(name): value for name, value in weights_inside(checkpoint).items()}
    options = _options_of(found)
    network = MsTcn(**options)
    return options, network, load_whole(network, found, "tecno")


def _options_of(found: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of the network whose weights these are, told by their names and shapes."""
    try:
        maps, in_features, _ = found[_FIRST].shape
        classes = found[_LAST].shape[0]
        layers = 1 + max(int(n.split(".")[2]) for n in found if n.startswith("stage1.layers."))
        later = {int(n.split(".")[1]) for n in found if n.startswith("stages.")}
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError("The file holds no weights of an MS-TCN.") from error
    if max((layers, *later)) > len(found):
        raise CheckpointError("The file names layers that it does not hold; it is damaged.")
    return {
        "in_features": in_features,
        "stages": 1 + max((0, *(1 + s for s in later))),
        "layers": layers,
        "maps": maps,
        "num_classes": classes,
    }
