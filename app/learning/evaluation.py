"""What measures a network while it is trained, and shows how it sees held-out material.

Every task has one of its own; the run asks it every so often and keeps the best weights by its
score. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.taxonomy import find_taxonomy
from app.learning.recipes import Recipe
from app.overlay import Dial, ShownInstance, blended, compose
from app.overlay.palette import report_style

if TYPE_CHECKING:
    from torch import nn

SAMPLES = 4
_LEAST_WIDTH_PX = 320
T = TypeVar("T")


class Evaluation(Protocol):
    """Measures a network in eval mode; call it with the network.

    Attributes:
        score: the figure by which the best weights are kept; larger is better.
    """

    score: str

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures by name."""

    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """How the network sees some held-out pictures, uint8 (H, W, 3) each.

        Args:
            network: in eval mode; None for what is true.
        """


def score_of(recipe: Recipe, known: Sequence[str]) -> str:
    """The figure that the recipe's ``data.score`` names, else the first one.

    Raises:
        BadInput: it names one that is not measured.
    """
    score = str(recipe.data.get("score", known[0]))
    if score not in known:
        raise BadInput(
            f"The recipe keeps the weights of the best {score}, which is not measured; give "
            f"{', '.join(known)}."
        )
    return score


def spread(material: Sequence[T], count: int = SAMPLES) -> list[T]:
    """Some of many, evenly spread."""
    places = np.linspace(0, len(material) - 1, min(count, len(material)))
    return [material[round(place)] for place in places]


def outlined(
    rgb: NDArray[np.uint8], masks: Sequence[NDArray[np.generic]], labels: Sequence[str]
) -> NDArray[np.uint8]:
    """A picture with outlines, enlarged where it is too small to see them.

    Args:
        rgb: uint8 (H, W, 3).
        masks: bool (H, W) each.
        labels: class key of each.

    Returns:
        A new uint8 picture.
    """
    height, width = rgb.shape[:2]
    factor = max(1, -(-_LEAST_WIDTH_PX // width))
    size = (width * factor, height * factor)
    shown = [
        ShownInstance(label=label, mask=Mask.from_full(mask))
        for mask, label in zip(masks, labels, strict=True)
    ]
    style = replace(report_style(find_taxonomy("unknown"), size[1]), dial=Dial.OUTLINE)
    large = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return blended(large, compose(shown, size, style))
