"""Reading and writing weight files: safetensors only, checked before a network sees them.

Half precision on disk is allowed and becomes float32 in memory; integer tensors keep their
type. A file whose hash, names, shapes or values are wrong is refused with one sentence.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from models.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Writes a safetensors file so that either the old or the whole new file is there.

    Args:
        path: where; its folder is made.
        tensors: what, from any device.
        metadata: strings for the file's header.

    Returns:
        SHA-256 of the file, in hexadecimal.
    """
    whole = torch.contiguous_format
    data = save(
        {k: v.detach().cpu().clone(memory_format=whole) for k, v in tensors.items()}, metadata
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads all tensors and the header's strings of a safetensors file.

    Raises:
        CheckpointError: the file is missing, unreadable or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"The weight file {path.name} is missing; import the model again.")
    try:
        with safe_open(path, "pt") as stream:
            return {k: stream.get_tensor(k) for k in stream.keys()}, stream.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole safetensors file; import the model again."
        ) from error


def save_weights(network: nn.Module, path: Path, *, half: bool = False) -> str:
    """Writes a network's weights.

    Args:
        network: whose state is written.
        path: the safetensors file.
        half: store floating point tensors as float16 where every value survives it
            (finite, and not flushed to zero where it is a variance); others stay float32.

    Returns:
        SHA-256 of the file.

    Raises:
        CheckpointError: a tensor holds a value that is not finite.
    """
    tensors = network.state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{name} holds values that are not finite; the network is not saved."
            )
        if half and tensor.dtype == torch.float32 and _survives_half(name, tensor):
            tensors[name] = tensor.half()
    return write_tensors(path, tensors, {"format": "trocar-weights-1"})


def _survives_half(name: str, tensor: Tensor) -> bool:
    if name.endswith(("running_var", "running_mean")):
        return False  # a variance of 1e-7 becomes 0 in half, and the whole channel explodes
    return bool(torch.isfinite(tensor.half()).all())


def load_weights(network: nn.Module, path: Path, sha256: str | None = None) -> None:
    """Loads a weight file into a network, or refuses it and leaves the network as it was.

    Args:
        network: gets the weights as float32.
        path: the safetensors file.
        sha256: what its hash must be; None to not check.

    Raises:
        CheckpointError: missing, damaged, another hash, names or shapes, or values that are
            not finite; the sentence names the file and the first tensor that is wrong.
    """
    if sha256 is not None and path.is_file() and file_sha256(path) != sha256:
        raise CheckpointError(
            f"{path.name} is not the file its card names (another SHA-256); import the model again."
        )
    tensors, _ = read_tensors(path)
    wanted = network.state_dict()
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise CheckpointError(
            f"{path.name} lacks {missing[0]} ({len(missing)} of {len(wanted)} tensors are "
            "missing); it belongs to another network or other options."
        )
    if extra := sorted(tensors.keys() - wanted.keys()):
        raise CheckpointError(
            f"{path.name} holds {extra[0]}, which this network has not ({len(extra)} such "
            "tensors); it belongs to another network or other options."
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{name} in {path.name} is {_shape(tensor)}, the network wants "
                f"{_shape(wanted[name])}; it belongs to other options."
            )
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise CheckpointError(
                f"{name} in {path.name} is of type {tensor.dtype}; export the weights again."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{name} in {path.name} holds values that are not finite; train or import again."
            )
    network.load_state_dict({k: v.to(wanted[k].dtype) for k, v in tensors.items()})


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
