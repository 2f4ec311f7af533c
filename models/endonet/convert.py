"""Weights that others released for EndoNet's encoder or for TeCNO's parts, with a full account.

Read: a ResNet-50 under torchvision's names (ImageNet's public files, bare), the same inside a
VISSL checkpoint (SelfSupSurg: `classy_state_dict.base_model.model.trunk`, names under
`_feature_blocks.`), and an encoder with both heads as TeCNO's training writes it (`model.*`,
`fc_phase`, `fc_tool`). Runs wherever a foreign file is converted; reading the file itself, under
limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.endonet.network import EndoNet
from models.foreign import ConversionReport, bare_name, check_fit, inside, weights_inside

_VISSL = ("classy_state_dict", "base_model", "model", "trunk")
_ENCODER = "model."
_HEADS = frozenset(f"{h}.{kind}" for h in ("fc_phase", "fc_tool") for kind in ("weight", "bias"))
# No other ResNet has both of these with these shapes.
_TELLING = {"conv1.weight": (64, 3, 7, 7), "layer3.5.conv3.weight": (1024, 256, 1, 1)}


def is_endonet(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like a ResNet-50 in one of the layouts read here."""
    named = {_bare(name): tensor for name, tensor in _tensors(checkpoint)[1].items()}
    return all(n in named and tuple(named[n].shape) == s for n, s in _TELLING.items())


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], EndoNet, ConversionReport]:
    """The network that a file holds part of; what the file lacks is fresh.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor of the encoder is missing, of another shape or not finite.
    """
    layout, tensors = _tensors(checkpoint)
    bare = {name: _bare(name) for name in tensors}
    options: dict[str, Any] = {}
    if set(bare.values()) >= _HEADS:
        layout = "tecno"
        sizes = {short: tensors[name].numel() for name, short in bare.items()}
        options = {"num_classes": sizes["fc_phase.bias"], "num_tools": sizes["fc_tool.bias"]}
    torch.manual_seed(0)
    network = EndoNet(**options)
    own = network.state_dict()
    wanted = {n for n in own if n.startswith(_ENCODER)} | (_HEADS if options else set())
    names = {name: short if short in _HEADS else _ENCODER + short for name, short in bare.items()}
    found = {names[name]: tensors[name] for name in tensors if names[name] in wanted}
    check_fit(own, found, wanted)
    network.load_state_dict(found, strict=False)
    report = ConversionReport(
        layout=layout,
        loaded=tuple(sorted(found)),
        missing=tuple(sorted(own.keys() - found.keys())),
        unexpected=tuple(sorted(name for name in tensors if names[name] not in wanted)),
    )
    return options, network, report


def _tensors(checkpoint: Mapping[str, object]) -> tuple[str, dict[str, Tensor]]:
    """The layout as far as the wrapping tells it, and the file's tensors."""
    if _VISSL[0] in checkpoint:
        return "vissl", weights_inside(inside(checkpoint, *_VISSL))
    return "torchvision", weights_inside(checkpoint)


def _bare(name: str) -> str:
    return bare_name(name, "_feature_blocks.")
