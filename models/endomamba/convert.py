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
