"""Checks whose messages state what was expected and what was got."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from numpy.typing import NDArray


def positive(name: str, value: float) -> None:
    """Raise ValueError unless ``value > 0``."""
    if not value > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low} to {high}, got {value!r}")


def not_empty(name: str, value: Sized) -> None:
    """Raise ValueError for an empty string or collection."""
    if not len(value):
        raise ValueError(f"{name}: expected something, got nothing")


def array(name: str, value: NDArray[np.generic], ndim: int, dtype: type) -> None:
    """Raise ValueError unless ``value`` has ``ndim`` dimensions and dtype ``dtype``."""
    if value.ndim != ndim or value.dtype != np.dtype(dtype):
        raise ValueError(
            f"{name}: expected {ndim} dimensions of {np.dtype(dtype).name}, "
            f"got {value.ndim} of {value.dtype.name}"
        )
