"""The networks' code: one folder per system, shared blocks, registry, cards, weights, training.

Imports nothing of `app`. Importing `models` does not import torch; building a network does.
"""

from models.card import ModelCard, find_card, list_cards, read_card
from models.errors import CardError, CheckpointError, ModelError, OptionError
from models.registry import create_model, install_model, list_models, load_model, save_model

__all__ = [
    "CardError",
    "CheckpointError",
    "ModelCard",
    "ModelError",
    "OptionError",
    "create_model",
    "find_card",
    "install_model",
    "list_cards",
    "list_models",
    "load_model",
    "read_card",
    "save_model",
]
