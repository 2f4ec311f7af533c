"""Metrics of tool presence: average precision per tool, conventions named. Percent.

EndoNet (Twinanda et al. 2017) pools the frames of all videos; ivtmetrics takes each video alone. A
tool that never occurs is absent from the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.metrics.average_precision import Bools, Floats, mean_known, per_class


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMetrics:
    """Average precision of tools, percent.

    Attributes:
        pooled: per tool over all frames of all videos; nan for one that never occurs.
        mean_ap: mean of ``pooled`` over the tools that occur.
        per_video: per tool, mean over the videos in which it occurs.
        mean_per_video: mean of ``per_video`` over the tools that occur.
    """

    pooled: dict[str, float]
    mean_ap: float
    per_video: dict[str, float]
    mean_per_video: float


def tool_metrics(
    truth: Sequence[Bools], scores: Sequence[Floats], tools: Sequence[str]
) -> ToolMetrics:
    """Compares scores of tools with their presence.

    Args:
        truth: per video (T, tools).
        scores: per video (T, tools), higher is surer.
        tools: keys by column.
    """
    pooled = per_class(np.concatenate(list(truth)), np.concatenate(list(scores)))
    videos = np.stack([per_class(t, s) for t, s in zip(truth, scores, strict=True)])
    alone = np.array([mean_known(videos[:, c]) for c in range(len(tools))])
    return ToolMetrics(
        pooled=dict(zip(tools, pooled.tolist(), strict=True)),
        mean_ap=mean_known(pooled),
        per_video=dict(zip(tools, alone.tolist(), strict=True)),
        mean_per_video=mean_known(alone),
    )
