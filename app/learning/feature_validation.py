"""What measures a network of frame features while it learns: whole recordings held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.learning.evaluation import score_of
from app.learning.foresight import HORIZONS_MIN, errors_of, minutes_left
from app.learning.recipes import Recipe
from app.learning.recorded import Recorded
from models.metrics.phases import phase_metrics
from models.supra import Forecast, Supra, expected_minutes
from models.supra.network import QUANTILES
from models.supra.training import spread_for
from models.surgfutr import SurgFutr
from models.surgfutr.clips import events_of


class FeatureValidation:
    """Measures a network in eval mode.

    Args:
        recipe: of the run.
        recordings: held out.

    Attributes:
        score: the recipe's ``data.score``, else ``jaccard``; of one that names no phase ``next``.

    Raises:
        BadInput: the recipe keeps the best by a figure that is not measured.
    """

    def __init__(self, recipe: Recipe, recordings: Sequence[Recorded]) -> None:
        known = {"supra": ("foresight", "jaccard", "accuracy"), "surgfutr": ("next",)}
        self.recipe, self._recordings = recipe, recordings
        self.score = score_of(recipe, known.get(recipe.system, ("jaccard", "accuracy", "f1")))
        self._per_minute = 60.0 * float(recipe.card["frames_per_second"])

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``accuracy``, ``jaccard`` and ``f1`` of every sample by itself, as shares; of a network
        that foresees also ``mae_2``, ``mae_3`` and ``mae_5``, weighted, and ``left``, in minutes,
        and ``foresight``, 1 minus the mean of those three over their horizons. SurgFUTR has
        ``next``, the share of events that were foreseen, and ``left``."""
        device = next(network.parameters()).device
        inputs = [torch.from_numpy(r.features.astype(np.float32)).T[None] for r in self._recordings]
        if isinstance(network, SurgFutr):
            return self._of_events(network, inputs, device)
        said = [network(x.to(device)) for x in inputs]
        stages = [s.logits if isinstance(s, Forecast) else s for s in said]
        figures = phase_metrics(
            [r.labels for r in self._recordings],
            [s[-1, 0].argmax(0).cpu().numpy() for s in stages],
            self.recipe.classes,
        ).pooled
        found = {name: figures[name] / 100 for name in ("accuracy", "jaccard", "f1")}
        if isinstance(network, Supra):
            found |= self._of_times(network, said)
        return found

    def _of_times(self, network: Supra, said: Sequence[Forecast]) -> dict[str, float]:
        truth = [r.labels for r in self._recordings]
        shares = [network.shares_of_times(s)[0].cpu() for s in said]
        told = {
            h: [expected_minutes(one, network.horizon_min, h).double().numpy() for one in shares]
            for h in HORIZONS_MIN
        }
        errors = errors_of(truth, told, len(self.recipe.classes), self._per_minute)
        found = {f"mae_{h}": row["weighted"] for h, row in errors.items()}
        found["foresight"] = 1 - float(
            np.mean([errors[f"{h:g}"]["weighted"] / h for h in HORIZONS_MIN])
        )
        left = [s.minutes_left[0, :, 1].double().cpu().numpy() for s in said]
        return found | {"left": self._left(left)}

    @torch.no_grad()
    def calibrate(self, network: Supra) -> None:
        """Moves the outer quantiles of the minutes left, so that as many moments of operations
        never seen lie between them as should; not where too few operations are held out."""
        device = next(network.parameters()).device
        network.spread.fill_(1.0)
        told = []
        for one in self._recordings:
            x = torch.from_numpy(one.features.astype(np.float32)).T[None]
            told.append(network(x.to(device)).minutes_left[0].double().cpu().numpy())
        truth = [minutes_left(one.labels, self._per_minute) for one in self._recordings]
        spread = spread_for(told, truth, QUANTILES[-1] - QUANTILES[0])
        if spread is not None:
            network.spread.fill_(spread)

    def _of_events(
        self, network: SurgFutr, inputs: Sequence[torch.Tensor], device: torch.device
    ) -> dict[str, float]:
        right = known = 0
        left = []
        for one, x in zip(self._recordings, inputs, strict=True):
            said = network.foresee(x[0].to(device))
            events = events_of(
                one.labels,
                len(self.recipe.classes),
                horizon_min=network.horizon_min,
                frames_per_minute=self._per_minute,
            )
            named = said.events.argmax(-1).cpu().numpy()
            right += int(((named == events) & (events >= 0)).sum())
            known += int((events >= 0).sum())
            left.append(said.minutes_left.double().cpu().numpy())
        return {"next": right / max(known, 1), "left": self._left(left)}

    def _left(self, said: Sequence[NDArray[np.float64]]) -> float:
        """Mean error of the minutes left, over all samples."""
        errors = [
            np.abs(found - minutes_left(one.labels, self._per_minute))
            for one, found in zip(self._recordings, said, strict=True)
        ]
        return float(np.concatenate(errors).mean())

    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """None: a phase is not to be seen in a picture."""
        del network
        yield from ()
