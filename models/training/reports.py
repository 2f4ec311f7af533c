"""What the training loop tells and asks while it goes on. Plain data; any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

from torch import Tensor, nn

Batches = Callable[[int], Iterator[tuple[Tensor, Any]]]
Loss = Callable[[Any, Any], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run reports while it goes on.

    Attributes:
        step: batches done.
        steps: batches in all.
        loss: mean loss since the last report.
        parts: mean of its named parts.
        learning_rate: of the weights.
        seconds: of the run, earlier processes included.
        metrics: of the evaluation at this step; empty where there was none.
        pieces: in how many pieces a batch is learnt, more than one where memory is short.
    """

    step: int
    steps: int
    loss: float
    parts: dict[str, float]
    learning_rate: float
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    pieces: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        network: the averaged weights in eval mode; the best ones by evaluation where the
            run had one.
        steps: batches done, those before a resume included.
        seconds: of the run, earlier processes included.
        ended: "done", "out of time", "no longer better", "stopped" (asked to finish early),
            "cancelled" (to be gone on with) or "diverged".
        best: metrics of the returned weights; empty without evaluation.
        pieces: see `Progress`.
    """

    network: nn.Module
    steps: int
    seconds: float
    ended: str
    best: dict[str, float]
    pieces: int = 1


class Hooks(TypedDict, total=False):
    """What `Trainer.run` asks and tells; every one may be left out.

    Keys:
        evaluate: measures a network in eval mode, every `save_every` steps and at the end.
        score: the metric by which the best weights are kept; larger is better. Without one the
            last weights are.
        on_progress: called every `report_every` steps and after every evaluation.
        on_save: called with the step and the network in eval mode before the first step, every
            `save_every` steps and at the end.
        should_stop: asked before every step; the run is kept to be gone on with.
        should_finish: likewise; the run ends as if it had been planned so.
    """

    evaluate: Callable[[nn.Module], dict[str, float]] | None
    score: str
    on_progress: Callable[[Progress], None]
    on_save: Callable[[int, nn.Module], None]
    should_stop: Callable[[], bool]
    should_finish: Callable[[], bool]
