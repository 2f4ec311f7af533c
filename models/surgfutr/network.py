"""What comes next, learned from how a scene's state changes: SurgFUTR's idea, reimplemented small.

No code of SurgFUTR is public. From its abstract: a clip becomes a state by Sinkhorn-Knopp
clustering; a teacher sees the clip and what follows it, a student the clip alone, and an action
dynamics module foresees the state to come. Everything else here (prototypes, sizes, heads, that
frame features are read) is inferred (specification: temporal-models, section 2.4).

Runs on the inference thread or in a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError, OptionError

SINKHORN_ITERATIONS = 3
SINKHORN_EPSILON = 0.05
_STUDENT_TEMPERATURE = 0.1


class Foreseen(NamedTuple):
    """What B clips let foresee.

    Attributes:
        assignment: float (B, P) logits over the prototypes of the state to come.
        events: float (B, K + 1) logits of the next event; K is none within the horizon.
        minutes_left: float (B,), until the recording ends, at least 0.
    """

    assignment: Tensor
    events: Tensor
    minutes_left: Tensor


def sinkhorn(
    scores: Tensor, iterations: int = SINKHORN_ITERATIONS, epsilon: float = SINKHORN_EPSILON
) -> Tensor:
    """Shares tokens out among prototypes, every prototype the same amount.

    Cuturi, "Sinkhorn Distances" (2013), as Caron et al., "SwAV" (2020), use it; in logarithms, so
    that no score is too large.

    Args:
        scores: float (N, P), likeness of tokens and prototypes.
        iterations: of scaling columns, then rows.
        epsilon: the smaller, the harder the choice.

    Returns:
        float (N, P): rows sum to 1, columns to N / P as far as the iterations brought them.
    """
    shares = scores.float() / epsilon
    for _ in range(iterations):
        shares = shares - shares.logsumexp(0, keepdim=True)
        shares = shares - shares.logsumexp(1, keepdim=True)
    return shares.exp()


class SurgFutr(nn.Module):
    """The network, on frame features.

    Args:
        in_features: channels of a frame's features.
        num_classes: events.
        prototypes: of scene states, P.
        width: channels inside.
        clip: frames that are looked at, where a whole recording is gone through.
        horizon_min: minutes within which the next event is foreseen.

    Raises:
        OptionError: where an option is out of range.
    """

    def __init__(
        self,
        in_features: int = 2048,
        num_classes: int = 7,
        *,
        prototypes: int = 64,
        width: int = 256,
        clip: int = 60,
        horizon_min: float = 5.0,
    ) -> None:
        super().__init__()
        if min(in_features, num_classes, width) < 1 or prototypes < 2:
            raise OptionError(
                "SurgFUTR needs at least 1 feature, class and channel and 2 prototypes, not "
                f"{in_features}, {num_classes}, {width} and {prototypes}."
            )
        if clip < 1 or horizon_min <= 0:
            raise OptionError("SurgFUTR's clip and horizon must be above 0.")
        self.in_features, self.num_classes = in_features, num_classes
        self.clip, self.horizon_min, self.causal = clip, horizon_min, True
        self.causal = True
        self.project = nn.Linear(in_features, width)
        self.prototypes = nn.Parameter(torch.empty(prototypes, width))
        nn.init.normal_(self.prototypes)
        self.dynamics = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.events = nn.Linear(2 * width, num_classes + 1)
        self.time_left = nn.Linear(2 * width, 1)

    def forward(self, clip: Tensor) -> Foreseen:
        """Foresees from clips that end now.

        Args:
            clip: float (B, in_features, T), features of the last T frames.

        Raises:
            ModelError: where the features do not fit.
        """
        scores, tokens = self._scores(clip)
        chosen = (scores / _STUDENT_TEMPERATURE).softmax(-1).mean(1)
        state = chosen @ functional.normalize(self.prototypes, dim=-1)
        # How the clip ends against its state tells where it is going.
        seen = torch.cat((state, tokens[:, -1] - state), -1)
        future = functional.normalize(state + self.dynamics(seen), dim=-1)
        known = torch.cat((state, future), -1)
        return Foreseen(
            assignment=future
            @ functional.normalize(self.prototypes, dim=-1).T
            / _STUDENT_TEMPERATURE,
            events=self.events(known),
            minutes_left=10.0 * functional.softplus(self.time_left(known)).squeeze(-1),
        )

    def foresee(self, features: Tensor, at_once: int = 256) -> Foreseen:
        """Foresees from every frame of a recording (in_features, T), each from the clip that ends
        there; before the first frame it is repeated. The forecasts' B is T."""
        before = features[:, :1].expand(-1, self.clip - 1)
        clips = torch.cat((before, features), -1).unfold(-1, self.clip, 1).transpose(0, 1)
        said = [self(some) for some in clips.split(at_once)]
        return Foreseen(*(torch.cat(parts) for parts in zip(*said, strict=True)))

    @torch.no_grad()
    def teach(self, clip: Tensor, future: Tensor) -> Tensor:
        """The state to come as the teacher sees it, who looks at both; no gradient flows back.

        Args:
            clip, future: float (B, in_features, T) and (B, in_features, F).

        Returns:
            float (B, P), rows that sum to 1: of the future's tokens, shared out together with
            those of the clip.
        """
        scores, _ = self._scores(torch.cat((clip, future), -1))
        shares = sinkhorn(scores.flatten(0, 1)).unflatten(0, scores.shape[:2])
        return shares[:, clip.shape[-1] :].mean(1)

    def _scores(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Likeness of frames and prototypes (B, T, P), and the frames' tokens (B, T, width)."""
        if clip.ndim != 3 or clip.shape[1] != self.in_features or clip.shape[2] < 1:
            raise ModelError(
                f"SurgFUTR takes features as (B, {self.in_features}, T) with T at least 1, not "
                f"{tuple(clip.shape)}."
            )
        tokens = functional.normalize(self.project(clip.transpose(1, 2)), dim=-1)
        return tokens @ functional.normalize(self.prototypes, dim=-1).T, tokens
