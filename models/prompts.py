"""Prompts of a model whose pictures and sentences share a space: words, and their vectors.

The vectors were computed elsewhere by the text tower that belongs to the model; they lie beside its
weights. Needs numpy and safetensors alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.errors import CheckpointError

PROMPTS_FILE = "prompts.safetensors"
SUFFIXES = (".npz", ".safetensors")
MOST = 10_000
_LONGEST = 300
_PAIR = {"names", "vectors"}


def read_prompts(folder: Path | None) -> dict[str, NDArray[np.float32]]:
    """The prompts of a model by their words, vectors of length 1; none where it has none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / PROMPTS_FILE if folder is not None else None
    if path is None or not path.is_file():
        return {}
    return read_prompt_file(path)


def write_prompts(prompts: Mapping[str, NDArray[np.float32]], folder: Path) -> None:
    """Puts prompts beside a model's weights, the whole file or none."""
    beside = folder / f"{PROMPTS_FILE}.part"
    save_file({words: np.ascontiguousarray(v, np.float32) for words, v in prompts.items()}, beside)
    beside.replace(folder / PROMPTS_FILE)


def read_prompt_file(path: Path, channels: int | None = None) -> dict[str, NDArray[np.float32]]:
    """A file of prompts as a user made it.

    Args:
        path: `.npz` or `.safetensors`; one vector under the words of each prompt, or in an `.npz`
            the two arrays `names` (N,) and `vectors` (N, C).
        channels: of the model's space, where it is known.

    Returns:
        Words to float32 (C,), of length 1, in the file's order.

    Raises:
        CheckpointError: it is not such a file, or its vectors do not fit the model.
    """
    arrays = _arrays(path)
    if set(arrays) == _PAIR:
        names, vectors = arrays["names"], arrays["vectors"]
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) != len(vectors):
            raise CheckpointError(f"In {path.name}, names must be as many words as vectors.")
        if len(set(names.tolist())) != len(names):
            raise CheckpointError(f"In {path.name} two prompts have the same words.")
        arrays = dict(zip(names.tolist(), vectors, strict=True))
    if not 0 < len(arrays) <= MOST:
        raise CheckpointError(
            f"{path.name} holds {len(arrays)} prompts; 1 to {MOST:,} can be used."
        )
    size = channels or next(iter(arrays.values())).size
    return {words.strip(): _unit(path.name, words, v, size) for words, v in arrays.items()}


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"{path.name} is no file of prompts; give an .npz or .safetensors.")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path.name}.") from error
    except (SafetensorError, zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError) as error:
        raise CheckpointError(f"{path.name} cannot be read as prompts; write it again.") from error


def _unit(file: str, words: str, vector: NDArray[Any], size: int) -> NDArray[np.float32]:
    if not words.strip() or len(words) > _LONGEST:
        raise CheckpointError(f"In {file} a prompt has no words, or more than {_LONGEST} letters.")
    if vector.shape != (size,) or vector.dtype.kind != "f":
        raise CheckpointError(
            f"In {file} the prompt “{words[:40]}” is {vector.dtype} {vector.shape}; the model "
            f"needs {size} decimal numbers."
        )
    found = vector.astype(np.float64)
    length = float(np.linalg.norm(found))
    if not np.isfinite(length) or not length:
        raise CheckpointError(f"In {file} the prompt “{words[:40]}” has no direction.")
    return (found / length).astype(np.float32)
