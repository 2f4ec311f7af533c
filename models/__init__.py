"""The networks' code: one folder per system, shared blocks, registry, cards, weights, training.

Imports nothing of `app`. Importing `models` does not import torch; building a network does.
"""

from models.registry import create_model

__all__ = ["create_model"]
