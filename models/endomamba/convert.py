"""Weights of the released EndoMamba files, mapped onto this network with a full account.

The released training code writes four layouts (names and prefixes read in its repository): phases
(`model`, the network's own names), classification (`backbone_state_dict`, names under `module.`),
pre-training (`model`, names under `encoder.`, no class token, one position row per patch) and
segmentation (bare, names under `encoder.`). Runs wherever a foreign file is converted; reading
the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from models.endomamba.network import EndoMamba
from models.errors import CheckpointError

_ABSENT_BY_LAYOUT = {
    "phase": frozenset[str](),
    "classification": frozenset({"head.weight", "head.bias"}),
    "pretraining": frozenset({"head.weight", "head.bias", "cls_token", "pos_embed"}),
    "segmentation": frozenset({"head.weight", "head.bias"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What became of every name, the network's and the file's; each tuple is sorted.

    Attributes:
        layout: "phase", "classification", "pretraining" or "segmentation".
        loaded: the network's names that were filled.
        missing: the network's names that the file has no value for; they keep their own.
        unexpected: the file's names, as they stand there, that were not used.
        reshaped: the network's names filled from a tensor of another shape.
    """

    layout: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]


def convert(
    checkpoint: Mapping[str, object], *, keep_positions: bool = False
) -> tuple[dict[str, object], EndoMamba, ConversionReport]:
    """The network that a released file is of, with its weights.

    What the file lacks is as the released training starts it: a class token of zeros, random
    position rows. A file without a head gets one of a single class that says nothing.

    Args:
        checkpoint: the file's content.
        keep_positions: see `load_released`.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: it is not a file of EndoMamba.
    """
    options = _options_of(checkpoint)
    torch.manual_seed(0)
    network = EndoMamba(**options)
    report = load_released(network, checkpoint, keep_positions=keep_positions)
    if "head.weight" in report.missing:
        torch.nn.init.zeros_(network.head.weight)
    return options, network, report


def load_released(
    network: EndoMamba, checkpoint: Mapping[str, object], *, keep_positions: bool = False
) -> ConversionReport:
    """Fills a network from a released checkpoint; on an error the network is as it was.

    Args:
        network: of the file's width, depth and image size.
        checkpoint: the file's content.
        keep_positions: copy the position rows of a pre-training file to the patches' slots. The
            released loader discards them, so this is not the published procedure.

    Raises:
        CheckpointError: where the file is of another network, or lacks what its layout has.
    """
    layout, entries = _entries(checkpoint)
    own = network.state_dict()
    found: dict[str, Tensor] = {}
    unexpected, reshaped = [], []
    for original, (name, value) in entries.items():
        if name not in own:
            unexpected.append(original)
        elif value.shape == own[name].shape:
            found[name] = value
        elif name == "pos_embed" and layout == "pretraining" and _lacks_class_row(value, own[name]):
            if keep_positions:
                found[name] = own[name].clone()
                found[name][:, 1:] = value
                reshaped.append(name)
            else:
                unexpected.append(original)
        else:
            raise CheckpointError(
                f"The weights are of another network: {original} is {tuple(value.shape)}, "
                f"this one needs {tuple(own[name].shape)}."
            )
    missing = sorted(set(own) - set(found))
    if lacking := [name for name in missing if name not in _ABSENT_BY_LAYOUT[layout]]:
        raise CheckpointError(
            f"The weights are incomplete: {len(lacking)} tensors are missing, {lacking[0]} first."
        )
    network.load_state_dict(found, strict=False)
    return ConversionReport(
        layout=layout,
        loaded=tuple(sorted(found)),
        missing=tuple(missing),
        unexpected=tuple(sorted(unexpected)),
        reshaped=tuple(reshaped),
    )


def _options_of(checkpoint: Mapping[str, object]) -> dict[str, Any]:
    """The options of the network whose weights the file holds, told by their shapes."""
    layout, entries = _entries(checkpoint)
    shapes = {name: tuple(value.shape) for name, value in entries.values()}
    try:
        _, _, _, patch_px, _ = shapes["patch_embed.proj.weight"]
        _, rows, width = shapes["pos_embed"]
        depth = 1 + max(int(n.split(".")[1]) for n in shapes if n.startswith("layers."))
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError("The file holds no weights of EndoMamba.") from error
    if depth > len(shapes):
        raise CheckpointError("The file names blocks that it does not hold; it is damaged.")
    side = isqrt(rows if layout == "pretraining" else rows - 1)
    return {
        "width": width,
        "depth": depth,
        "image_size": side * patch_px,
        "patch_size": patch_px,
        "num_classes": shapes.get("head.bias", (1,))[0],
        "state_reset": "staggered",
        "temporal_position": "frozen",
    }


def _entries(checkpoint: Mapping[str, object]) -> tuple[str, dict[str, tuple[str, Tensor]]]:
    """The layout, and per name of the file the name in the network and the value."""
    inner = checkpoint.get("backbone_state_dict", checkpoint.get("model", checkpoint))
    if not isinstance(inner, Mapping):
        raise CheckpointError("The file holds no weights where EndoMamba's files have them.")
    tensors = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    bare = {name: name.removeprefix("module.") for name in tensors}
    encoder = any(name.startswith("encoder.") for name in bare.values())
    if "backbone_state_dict" in checkpoint:
        layout = "classification"
    elif not encoder:
        layout = "phase"
    else:
        layout = "pretraining" if "mask_token" in bare.values() else "segmentation"
    if encoder:
        bare = {name: _below_encoder(short) for name, short in bare.items()}
    return layout, {name: (bare[name], value) for name, value in tensors.items()}


def _below_encoder(name: str) -> str:
    """The name under `encoder.`; other parts of the file get a name no network has."""
    return name.removeprefix("encoder.") if name.startswith("encoder.") else f"beside.{name}"


def _lacks_class_row(value: Tensor, own: Tensor) -> bool:
    return value.shape == (1, own.shape[1] - 1, own.shape[2])
