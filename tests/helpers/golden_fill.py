"""The rule by which the golden values of public networks were made: weights from a hash wave.

The wave of tensor k is an integer hash of the flat index, uniform with variance 1/2; tensors are
numbered in the order of their sorted names, integer ones left out.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EMBEDDINGS = ("cls_token", "pos_embed", "register_tokens", "mask_token")


def wave(k: int, count: int) -> NDArray[np.float64]:
    """The first values of tensor k's wave, float64 (count,), in -1.2247 to 1.2247."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
        h += np.uint32((k * 40503 * 65536 + 12345) % 2**32)
        h = (h ^ (h >> 15)) * np.uint32(2246822519)
        h = (h ^ (h >> 13)) * np.uint32(3266489917)
        h ^= h >> 16
    return np.sqrt(1.5) * (h / 2147483648 - 1)


def fill(network: nn.Module) -> nn.Module:
    """Gives a network the weights of the rule, and returns it in eval mode."""
    state = network.state_dict()
    names = sorted(n for n, t in state.items() if t.is_floating_point())
    for k, name in enumerate(names):
        value = _values(name, state[name], wave(k, state[name].numel()))
        state[name].copy_(torch.from_numpy(value).float().view_as(state[name]))
    return network.eval()


def _values(name: str, tensor: Tensor, w: NDArray[np.float64]) -> NDArray[np.float64]:
    last = name.rpartition(".")[2]
    if last == "running_var":
        return 1 + 0.1 * w
    if last == "gamma":
        return 0.1 + 0.02 * w
    if last in ("running_mean", "bias"):
        return 0.05 * w
    if last in EMBEDDINGS:
        return 0.1 * w
    if last == "weight" and tensor.ndim == 1:
        return 1 + 0.05 * w
    return w * np.sqrt(2 * tensor.shape[0] / tensor.numel())


def picture(height_px: int, width_px: int) -> Tensor:
    """The picture of the rule, float32 (1, 3, H, W), normalised as ImageNet's are."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(height_px), np.arange(width_px), indexing="ij")
    rgb = 0.5 + 0.5 * np.sin(0.05 * y + 0.03 * x + 0.7 * c)
    mean = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    return torch.from_numpy((rgb - mean) / std).float().unsqueeze(0)
