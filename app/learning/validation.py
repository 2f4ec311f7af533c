"""Figures of a network while it is trained: on held-out pictures at the network's input size.

What the model is worth in a frame's own pixels, ``evaluate.py`` says afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.picture import LabelledPicture
from app.learning.collate import class_of
from app.learning.evaluation import outlined, score_of, spread
from app.learning.instruments import MAP_SYSTEMS, join_of
from app.learning.recipes import Recipe
from app.learning.views import View, fitted
from models.lmsf_a.detect import detect
from models.metrics.maps import overlap
from models.metrics.masks import LabelledMask, encode, mask_metrics
from models.types import MapOutput

if TYPE_CHECKING:
    from torch import nn

LOWEST_SCORE = 0.001


class Validation:
    """Measures a network in eval mode; call it with the network.

    Args:
        recipe: of the run.
        pictures: held out.

    Attributes:
        score: the figure by which the best weights are kept: the recipe's ``data.score``, else
            ``mdice`` for maps and ``map50_95`` for instances.

    Raises:
        BadInput: the recipe names another figure.
    """

    def __init__(self, recipe: Recipe, pictures: Sequence[LabelledPicture]) -> None:
        self.recipe, self.pictures = recipe, pictures
        self.join = join_of(recipe)
        is_map = recipe.system in MAP_SYSTEMS
        known = ("mdice", "miou") if is_map else ("map50_95", "map50", "mdice", "miou")
        self.score = score_of(recipe, known)

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``mdice`` and ``miou`` of a network of maps, else also ``map50`` and ``map50_95``."""
        device = next(network.parameters()).device
        overlaps, truth, found = [], [], []
        for picture in self.pictures:
            view = fitted(picture, self.recipe.input_size_px)
            images, _ = self.join([view])
            output: Any = network(images.to(device))
            if isinstance(output, MapOutput):
                marked = (output.logits[0, 0] > 0).cpu().numpy()
                overlaps.append(overlap(marked & ~view.ignore, self._union(view)))
            else:
                truth.append(self._truth(view))
                found.append(_detected(output))
        if overlaps:
            dice, iou = np.mean(overlaps, axis=0)
            return {"mdice": float(dice), "miou": float(iou)}
        got = mask_metrics(truth, found, self.recipe.classes)
        return {k: getattr(got, k) for k in ("map50", "map50_95", "mdice", "miou")}

    @torch.no_grad()
    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """See ``Evaluation.samples``; outlines of what the model's card would let through."""
        least = float(self.recipe.card.get("thresholds", {}).get("score", 0.25))
        for picture in spread(self.pictures):
            view = fitted(picture, self.recipe.input_size_px)
            masks: Sequence[NDArray[np.generic]] = view.masks
            labels: Sequence[str] = view.labels
            if network is not None:
                images, _ = self.join([view])
                output: Any = network(images.to(next(network.parameters()).device))
                if isinstance(output, MapOutput):
                    masks = [(output.logits[0, 0] > 0).cpu().numpy()]
                    labels = self.recipe.classes[:1]
                else:
                    (found,) = detect(output, score_above=least)
                    masks = list(found.masks)
                    labels = [self.recipe.classes[int(k)] for k in found.classes]
            yield outlined(view.rgb, masks, labels)

    def _union(self, view: View) -> np.ndarray[Any, np.dtype[np.bool_]]:
        plane = np.zeros(view.ignore.shape, bool)
        for mask, label in zip(view.masks, view.labels, strict=True):
            if class_of(label, self.recipe.classes) is not None:
                plane |= mask
        return plane & ~view.ignore

    def _truth(self, view: View) -> list[LabelledMask]:
        rows = []
        for mask, label in zip(view.masks, view.labels, strict=True):
            kind = class_of(label, self.recipe.classes)
            if kind is not None:
                rows.append(LabelledMask(rle=encode(mask), label=kind))
        if view.ignore.any():
            zone = encode(view.ignore)
            kinds = range(len(self.recipe.classes))
            rows += [LabelledMask(rle=zone, label=k, ignore=True) for k in kinds]
        return rows


def _detected(output: Any) -> list[LabelledMask]:
    (found,) = detect(output, score_above=LOWEST_SCORE)
    return [
        LabelledMask(rle=encode(mask), label=int(kind), score=float(score))
        for mask, kind, score in zip(found.masks, found.classes, found.scores, strict=True)
    ]
