"""Weights that PyTorch pickled, read without running anything that the file says.

Meant for a child process under limits (specs: reliability, "Weights"); what comes out is written
as safetensors, and no other code of this program opens such a file. Beside it what the converters
of several systems share: the weights inside a training script's file, and a strict fit.
"""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import CheckpointError

MOST_BYTES = 8 << 30
# Training scripts keep their command line's options beside the weights; plain data.
_HARMLESS: list[Any] = [argparse.Namespace]
_INSIDE = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What became of every name; each tuple is sorted.

    Attributes:
        layout: which of the layouts that the system's converter knows.
        loaded: the network's names that were filled.
        missing: the network's names that the file has no value for; they keep their own.
        unexpected: the file's names, as they stand there, that were not used.
        reshaped: the network's names filled from a tensor of another shape.
    """

    layout: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()


def read_pickled(path: Path) -> Mapping[str, object]:
    """Reads a `.pth` or `.pt` file that holds a dictionary.

    Raises:
        CheckpointError: it is not one, is packed or too large, wants code to run, or holds
            tensors that are not plain ones.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} holds more than weights and was not read; ask its author for the "
            "weights alone."
        ) from error
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged; fetch it again.") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path.name} holds no dictionary of weights.")
    size = 0
    for tensor in _tensors(found):
        if not _is_plain(tensor):
            raise CheckpointError(
                f"{path.name} holds tensors of an unusual kind and was not used; it is damaged."
            )
        size += tensor.nbytes
    if size > MOST_BYTES:
        raise CheckpointError(f"{path.name} holds more than 8 GB of weights.")
    return found


def inside(outer: Mapping[str, object], *keys: str) -> Mapping[str, object]:
    """What lies under the keys, each inside the one before; a key that is not there is passed."""
    for key in keys:
        inner = outer.get(key)
        outer = inner if isinstance(inner, Mapping) else outer
    return outer


def weights_inside(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a file, out of what training scripts wrap them in; names as they stand."""
    found = inside(checkpoint, *_INSIDE)
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def bare_name(name: str, *prefixes: str) -> str:
    """A name without what trainers put before it, which may be there twice."""
    for prefix in ("module.", "model.", *prefixes) * 2:
        name = name.removeprefix(prefix)
    return name


def check_fit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], wanted: Set[str]) -> None:
    """Refuses weights that do not fit a network.

    Args:
        own: the network's tensors.
        found: weights under the network's names.
        wanted: names that must be among them; counters of batches may lack, as in old files.

    Raises:
        CheckpointError: one is missing, unknown, of another shape or not finite; the sentence
            names the first.
    """
    missing = sorted(n for n in wanted - found.keys() if not n.endswith("num_batches_tracked"))
    if missing:
        raise CheckpointError(
            f"The weights are incomplete: {len(missing)} tensors are missing, {missing[0]} first."
        )
    for name, value in sorted(found.items()):
        if name not in own:
            raise CheckpointError(f"The weights are of another network: it has no {name}.")
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"The weights are of another network: {name} is {tuple(value.shape)}, "
                f"this one needs {tuple(own[name].shape)}."
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(f"{name} holds values that are not finite; fetch the file again.")


def load_whole(network: nn.Module, found: Mapping[str, Tensor], layout: str) -> ConversionReport:
    """Loads weights that must be all that a network has, under its own names.

    Raises:
        CheckpointError: as `check_fit`.
    """
    own = network.state_dict()
    check_fit(own, found, own.keys())
    network.load_state_dict(found, strict=False)
    return ConversionReport(layout=layout, loaded=tuple(sorted(found)))


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path.name} is not a file of weights as PyTorch writes them; it is damaged, or "
            "older than PyTorch 1.6."
        ) from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path.name} is packed; PyTorch does not do that, it was not read.")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise CheckpointError(f"{path.name} is larger than 8 GB.")


def _tensors(found: object) -> Iterator[Tensor]:
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _tensors(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _tensors(value)


def _is_plain(tensor: Tensor) -> bool:
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout != torch.strided:
        return False
    if tensor.is_quantized or not tensor.is_contiguous():
        return False
    return bool(tensor.untyped_storage().nbytes() >= tensor.nbytes)
