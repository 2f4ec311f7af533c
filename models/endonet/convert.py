"""Weights that others released for EndoNet's encoder or for TeCNO's parts, with a full account.

Read: a ResNet-50 under torchvision's names (ImageNet's public files, bare), the same inside a
VISSL checkpoint (SelfSupSurg: `classy_state_dict.base_model.model.trunk`, names under
`_feature_blocks.`), and an encoder with both heads as TeCNO's training writes it (`model.*`,
`fc_phase`, `fc_tool`). Runs wherever a foreign file is converted; reading the file itself, under
limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.endonet.network import EndoNet
from models.errors import CheckpointError

_VISSL = ("classy_state_dict", "base_model", "model", "trunk")
_INSIDE = ("state_dict", "model_state_dict", "model")
# What trainers put before a network's names; TeCNO's own `model.` is one of them.
_WRAPPERS = ("_feature_blocks.", "module.", "model.")
_ENCODER = "model."
_HEADS = frozenset(
    f"{head}.{kind}" for head in ("fc_phase", "fc_tool") for kind in ("weight", "bias")
)
# No other ResNet has both of these with these shapes.
_TELLING = {"conv1.weight": (64, 3, 7, 7), "layer3.5.conv3.weight": (1024, 256, 1, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What became of every name; each tuple is sorted.

    Attributes:
        layout: "torchvision", "vissl" or "tecno".
        loaded: the network's names that were filled.
        missing: the network's names that the file has no value for; they keep their own.
        unexpected: the file's names, as they stand there, that were not used, such as a
            classifier of ImageNet's.
    """

    layout: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def is_endonet(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like a ResNet-50 in one of the layouts read here."""
    named = {_bare(name): tensor for name, tensor in _tensors(checkpoint)[1].items()}
    return all(n in named and tuple(named[n].shape) == s for n, s in _TELLING.items())


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], EndoNet, ConversionReport]:
    """The network that a file holds part of; what the file lacks is fresh.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor of the encoder is missing or has another shape.
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
    _check(own, found, wanted)
    network.load_state_dict(found, strict=False)
    report = ConversionReport(
        layout=layout,
        loaded=tuple(sorted(found)),
        missing=tuple(sorted(own.keys() - found.keys())),
        unexpected=tuple(sorted(name for name in tensors if names[name] not in wanted)),
    )
    return options, network, report


def _check(own: Mapping[str, Tensor], found: Mapping[str, Tensor], wanted: set[str]) -> None:
    # Files of before 2018 do not count batches.
    lacking = sorted(n for n in wanted - found.keys() if not n.endswith("num_batches_tracked"))
    if lacking:
        raise CheckpointError(
            f"The weights are incomplete: {len(lacking)} tensors are missing, {lacking[0]} first."
        )
    for name, value in found.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"The weights are of another network: {name} is {tuple(value.shape)}, "
                f"this one needs {tuple(own[name].shape)}."
            )


def _tensors(checkpoint: Mapping[str, object]) -> tuple[str, dict[str, Tensor]]:
    """The layout as far as the wrapping tells it, and the file's tensors."""
    layout, inner = "torchvision", checkpoint
    if isinstance(checkpoint.get(_VISSL[0]), Mapping):
        layout = "vissl"
        for key in _VISSL:
            inner = _inside(inner, key)
    for key in _INSIDE:
        inner = _inside(inner, key)
    return layout, {str(n): v for n, v in inner.items() if isinstance(v, Tensor)}


def _inside(outer: Mapping[str, object], key: str) -> Mapping[str, object]:
    inner = outer.get(key)
    return inner if isinstance(inner, Mapping) else outer


def _bare(name: str) -> str:
    for wrapper in _WRAPPERS * 2:
        name = name.removeprefix(wrapper)
    return name
