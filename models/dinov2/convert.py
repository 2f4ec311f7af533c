"""DINOv2 weights in the layouts that are about, mapped onto the official one with a full account.

Read: the official files (bare), those with a trainer's or a bigger network's prefix, blocks in
chunks as the official training writes them, and Hugging Face's names. Runs wherever a foreign file
is converted; reading the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from models.dinov2.network import SIZES, DinoV2
from models.errors import CheckpointError
from models.foreign import ConversionReport

# The more specific first: a file of a teacher has a student beside it.
PREFIXES = ("teacher.backbone.", "pretrained.", "backbone.", "module.")
_INSIDE = ("model", "teacher", "state_dict")
_FIRST = "patch_embed.proj.weight"
_FIRST_OF_HUGGING_FACE = "embeddings.patch_embeddings.projection.weight"

_HUGGING_FACE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
_HUGGING_FACE_BLOCK = {
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
_QKV = ("query", "key", "value")


def is_dinov2(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like a DINOv2 encoder in one of the layouts read here."""
    names = _tensors(checkpoint)
    patches = next((t for n, t in names.items() if _plain(n).endswith(_FIRST)), None)
    return any(n.endswith(_FIRST_OF_HUGGING_FACE) for n in names) or (
        patches is not None and patches.ndim == 4 and any("ls1.gamma" in n for n in names)
    )


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], DinoV2, ConversionReport]:
    """The encoder that a file holds.

    Args:
        checkpoint: the file's content.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: it holds no such encoder, or one with tensors missing, more, or of
            other shapes; the sentence names the first.
    """
    weights, report = official_weights(checkpoint)
    options = options_of(weights)
    with torch.device("meta"):
        network = DinoV2(**options)
    load_official(network.to_empty(device="cpu"), weights)
    return options, network, report


def official_weights(
    checkpoint: Mapping[str, object],
) -> tuple[dict[str, Tensor], ConversionReport]:
    """The encoder's tensors under their official names, and what became of every name.

    Raises:
        CheckpointError: there is no encoder in it.
    """
    tensors = _tensors(checkpoint)
    named = {_plain(name): name for name in tensors}
    if any(n.endswith(_FIRST_OF_HUGGING_FACE) for n in named):
        layout, prefix = "hugging-face", _prefix_before(named, _FIRST_OF_HUGGING_FACE)
    else:
        layout, prefix = "official", _prefix_before(named, _FIRST)
    inside = {n.removeprefix(prefix): o for n, o in named.items() if n.startswith(prefix)}
    beside = [o for n, o in named.items() if not n.startswith(prefix)]
    if layout == "hugging-face":
        weights, left = _from_hugging_face({n: tensors[o] for n, o in inside.items()})
        beside += [inside[n] for n in left]
    else:
        weights = {n: tensors[o] for n, o in inside.items()}
    return weights, ConversionReport(
        layout=f"{layout} ({prefix.rstrip('.')})" if prefix else layout,
        loaded=tuple(sorted(weights)),
        unexpected=tuple(sorted(beside)),
    )


def options_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of the network whose weights these are, told by their shapes.

    Raises:
        CheckpointError: they are of no encoder that is known here.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    try:
        width, _, patch_px, _ = shapes[_FIRST]
        _, rows, _ = shapes["pos_embed"]
        blocks = {int(n.split(".")[1]) for n in shapes if n.startswith("blocks.")}
        depth = 1 + max(blocks)
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError("The file holds no weights of DINOv2.") from error
    if depth > len(shapes):
        raise CheckpointError("The file names blocks that it does not hold; it is damaged.")
    if any("mlp.w12" in name or "mlp.weights_in" in name for name in shapes):
        raise CheckpointError(
            "The file holds DINOv2's giant model, which Trocar does not have; take vits14, "
            "vitb14 or vitl14."
        )
    known = {size[0]: size[2] for size in SIZES.values()}
    registers = shapes.get("register_tokens", (1, 0, width))[1]
    return {
        "width": width,
        "depth": depth,
        # All official models have heads of 64 channels, and so have those trained like them.
        "heads": known.get(width, max(1, width // 64)),
        "registers": registers,
        "image_size": isqrt(rows - 1) * patch_px,
        "patch_size": patch_px,
    }


def load_official(network: DinoV2, weights: Mapping[str, Tensor]) -> None:
    """Fills an encoder strictly; on an error it is as it was.

    Raises:
        CheckpointError: a tensor is missing, is one too many, has another shape, or holds values
            that are not finite; the sentence names the first.
    """
    wanted = network.state_dict()
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing:
        raise CheckpointError(
            f"The weights are incomplete: {missing[0]} is missing, the first of {len(missing)}."
        )
    if extra:
        raise CheckpointError(
            f"The weights hold {extra[0]}, which this encoder has not, the first of {len(extra)}."
        )
    for name, value in weights.items():
        if value.shape != wanted[name].shape:
            raise CheckpointError(
                f"The weights are of another network: {name} is {tuple(value.shape)}, this one "
                f"needs {tuple(wanted[name].shape)}."
            )
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{name} holds values that are not finite; fetch the file again.")
    network.load_state_dict({n: v.float() for n, v in weights.items()})


def _tensors(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    found = {n: v for n, v in checkpoint.items() if isinstance(v, Tensor)}
    for key in _INSIDE:
        inner = checkpoint.get(key)
        if not found and isinstance(inner, Mapping):
            return _tensors(inner)
    return found


def _plain(name: str) -> str:
    """The name without what wrappers put into it, blocks counted through."""
    name = name.replace("_fsdp_wrapped_module.", "").replace("_orig_mod.", "")
    return re.sub(r"(^|\.)blocks\.\d+\.(\d+)\.", r"\1blocks.\2.", name)


def _prefix_before(names: Mapping[str, str], first: str) -> str:
    """What stands before the encoder's names; the teacher's where there are several."""
    found = [n.removesuffix(first) for n in names if n == first or n.endswith(f".{first}")]
    if not found:
        raise CheckpointError("The file holds no weights of DINOv2.")
    return min(found, key=lambda p: (p != "", "teacher" not in p, len(p), p))


def _from_hugging_face(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors under official names, and the names that have none here."""
    weights: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    left = []
    for name, value in tensors.items():
        block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", name)
        if name in _HUGGING_FACE:
            weights[_HUGGING_FACE[name]] = value
        elif block is None:
            left.append(name)
        elif part := re.fullmatch(
            r"attention\.attention\.(query|key|value)\.(weight|bias)", block[2]
        ):
            parts.setdefault(f"blocks.{block[1]}.attn.qkv.{part[2]}", {})[part[1]] = value
        else:
            own = block[2]
            for theirs, ours in _HUGGING_FACE_BLOCK.items():
                own = own.replace(theirs, ours)
            weights[f"blocks.{block[1]}.{own}"] = value
    for name, found in parts.items():
        if set(found) != set(_QKV):
            lacking = ", ".join(sorted(set(_QKV) - set(found)))
            raise CheckpointError(f"The weights are incomplete: {name} lacks {lacking}.")
        weights[name] = torch.cat([found[key] for key in _QKV])
    return weights, left
