"""Weights of the released EndoMamba files, mapped onto this network with a full account.

The released training code writes five layouts (names and prefixes read in its repository): phases
(`model`, the network's own names), classification (`backbone_state_dict`, names under `module.`),
pre-training (`model`, names under `encoder.`, no class token, one position row per patch),
segmentation (bare, names under `encoder.`, beside a decoder's) and localisation (the network's own
names and two heads'). Runs wherever a foreign file is converted; reading the file itself, under
limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from models.endomamba import build
from models.endomamba.network import EndoMamba
from models.errors import CheckpointError
from models.foreign import ConversionReport, load_whole

_ABSENT_BY_LAYOUT = {
    "phase": frozenset[str](),
    "classification": frozenset({"head.weight", "head.bias"}),
    "pretraining": frozenset({"head.weight", "head.bias", "cls_token", "pos_embed"}),
    "segmentation": frozenset({"head.weight", "head.bias"}),
    "localisation": frozenset({"head.weight", "head.bias"}),
}
_SEGMENTS, _LOCATES = "segmentation_head.0.bias", "vis_head.head.4.bias"


def convert(
    checkpoint: Mapping[str, object],
    *,
    keep_positions: bool = False,
    keep_head: bool = False,
    state_reset: str = "",
    temporal_position: str = "",
) -> tuple[dict[str, object], nn.Module, ConversionReport]:
    """The network that a released file is of, with its weights.

    What the file lacks is as the released training starts it: a class token of zeros, random
    position rows. A file without a head gets one of a single class that says nothing. Files of
    segmentation and localisation give those networks, whole; one of classification gives its
    backbone, whole with `keep_head`.

    Args:
        checkpoint: the file's content.
        keep_positions: see `load_released`.
        keep_head: of a classification file.
        state_reset, temporal_position: `EndoMamba`'s; empty for what the released test of phases
            does, "staggered" and "frozen" (specs: temporal-models, section 1.5), and for "none" and
            "running" where the file has another head: areas were published with a clip as one
            sequence (section 1.10).

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: it is not a file of EndoMamba.
        OptionError: there is no such state reset or temporal position.
    """
    options = _options_of(checkpoint, keep_head=keep_head)
    usual = ("none", "running") if "head" in options else ("staggered", "frozen")
    options["state_reset"] = state_reset or usual[0]
    options["temporal_position"] = temporal_position or usual[1]
    torch.manual_seed(0)
    if "head" in options:
        return _whole(checkpoint, options)
    network = EndoMamba(**options)
    report = load_released(network, checkpoint, keep_positions=keep_positions)
    if "head.weight" in report.missing:
        nn.init.zeros_(network.head.weight)
    return options, network, report


def _whole(
    checkpoint: Mapping[str, object], options: dict[str, Any]
) -> tuple[dict[str, object], nn.Module, ConversionReport]:
    """A network whose released names are its own."""
    layout, entries = _entries(checkpoint)
    found = {_plain(original): value for original, (_, value) in entries.items()}
    network = build(**options)
    return options, network, load_whole(network, found, layout)


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
        # What a class token was taught to be says nothing of the mean of all tokens.
        of_clips = layout == "classification" and network.head_kind != layout
        if name not in own or (of_clips and name.startswith("head.")):
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


def _options_of(checkpoint: Mapping[str, object], *, keep_head: bool) -> dict[str, Any]:
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
    plain = {_plain(name): value for name, (_, value) in entries.items()}
    head: dict[str, Any] = {}
    if layout == "segmentation" and _SEGMENTS in plain:
        head = {"head": layout, "num_classes": plain[_SEGMENTS].numel()}
    elif layout == "localisation":
        head = {"head": layout, "num_classes": plain[_LOCATES].numel() // 2}
    elif layout == "classification":
        kept = keep_head and "head.bias" in shapes
        head = {"head": layout} if kept else {"num_classes": 1}
    return {
        "width": width,
        "depth": depth,
        "image_size": side * patch_px,
        "patch_size": patch_px,
        "num_classes": shapes.get("head.bias", (1,))[0],
        **head,
    }


def _entries(checkpoint: Mapping[str, object]) -> tuple[str, dict[str, tuple[str, Tensor]]]:
    """The layout, and per name of the file the name in the network and the value."""
    inner = checkpoint.get("backbone_state_dict", checkpoint.get("model", checkpoint))
    if not isinstance(inner, Mapping):
        raise CheckpointError("The file holds no weights where EndoMamba's files have them.")
    tensors = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    bare = {name: _plain(name) for name in tensors}
    encoder = any(name.startswith("encoder.") for name in bare.values())
    if "backbone_state_dict" in checkpoint:
        layout = "classification"
    elif not encoder:
        layout = "localisation" if _LOCATES in bare.values() else "phase"
    else:
        layout = "pretraining" if "mask_token" in bare.values() else "segmentation"
    if encoder:
        bare = {name: _below_encoder(short) for name, short in bare.items()}
    return layout, {name: (bare[name], value) for name, value in tensors.items()}


def _plain(name: str) -> str:
    return name.removeprefix("module.")


def _below_encoder(name: str) -> str:
    """The name under `encoder.`; other parts of the file get a name no network has."""
    return name.removeprefix("encoder.") if name.startswith("encoder.") else f"beside.{name}"


def _lacks_class_row(value: Tensor, own: Tensor) -> bool:
    return value.shape == (1, own.shape[1] - 1, own.shape[2])
