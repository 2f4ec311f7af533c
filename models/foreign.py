"""Weights that PyTorch pickled, read without running anything that the file says.

Meant for a child process under limits (specs: reliability, "Weights"); what comes out is written
as safetensors, and no other code of this program opens such a file.
"""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.errors import CheckpointError

MOST_BYTES = 8 << 30
# Training scripts keep their command line's options beside the weights; plain data.
_HARMLESS: list[Any] = [argparse.Namespace]


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
