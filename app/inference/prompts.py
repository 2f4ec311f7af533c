"""The prompts that a model knows, where it is installed. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.inference.cards import find_model, model_errors
from models.prompts import read_prompts


def prompts_of(
    model: str, weights_sha256: str, library_folder: Path
) -> dict[str, NDArray[np.float32]]:
    """Words to vectors float32 (C,); none where the model is gone or has other weights now.

    Raises:
        BadInput: the file of its prompts is damaged.
    """
    try:
        card = find_model(model, library_folder)
    except BadInput:
        return {}
    if card.weights_sha256 != weights_sha256:
        return {}
    with model_errors():
        return read_prompts(card.folder)
