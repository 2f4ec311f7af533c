"""MS-TCN: dilated convolutions over frame features, refined stage after stage.

After Farha and Gall, "MS-TCN" (2019), and Czempiel et al., "TeCNO" (2020), for the causal form;
written from the specification (temporal-models, section 2.1), with the published tensor names.
Runs on the inference thread or in a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError, OptionError
from models.ms_tcn.state import State

KERNEL_SIZE = 3


class Advance(NamedTuple):
    """What T frames gave.

    Attributes:
        logits: float (stages, B, classes, T); the last are the answer.
        hidden: float (B, maps, T), what the first stage's answer was made from.
        state: to hand to the next call.
    """

    logits: Tensor
    hidden: Tensor
    state: State


class DilatedLayer(nn.Module):
    """A dilated convolution, ReLU, a 1 x 1 convolution, dropout, and the input added."""

    def __init__(self, maps: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv_dilated = nn.Conv1d(maps, maps, KERNEL_SIZE, dilation=dilation)
        self.conv_1x1 = nn.Conv1d(maps, maps, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Maps (B, maps, T), given the same with 2 x dilation columns of context, to its shape."""
        return x + self.dropout(self.conv_1x1(torch.relu(self.conv_dilated(seen))))


class Stage(nn.Module):
    """One TCN: (B, c, T) -> logits (B, classes, T)."""

    def __init__(self, layers: int, maps: int, c: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv1d(c, maps, 1)
        self.layers = nn.ModuleList(DilatedLayer(maps, 2**i, dropout) for i in range(layers))
        self.conv_out_classes = nn.Conv1d(maps, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Looks both ways."""
        x = self.conv_1x1(x)
        for layer in self.layers:
            x = layer(x, functional.pad(x, (layer.dilation, layer.dilation)))
        return self.conv_out_classes(x)

    def advance(self, x: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Looks back alone, over what is carried (B, maps, C): logits, hidden and new columns."""
        x = self.conv_1x1(x)
        kept, sizes = [], [2 * layer.dilation for layer in self.layers]
        for layer, before in zip(self.layers, columns.split(sizes, -1), strict=True):
            seen = torch.cat((before.to(x.dtype), x), -1)
            kept.append(seen[..., -2 * layer.dilation :])
            x = layer(x, seen)
        return self.conv_out_classes(x), x, torch.cat(kept, -1)


class MsTcn(nn.Module):
    """The network; its defaults are TeCNO's.

    Args:
        in_features: channels of a frame's features.
        stages: at least 1; each later one reads the class probabilities of the one before.
        layers: of every stage; layer i (from 0) looks 2^i and 2^(i+1) frames back.
        maps: channels inside.
        num_classes: phases.
        causal: sees no later frame. Without it the layers look as far ahead as back, and a
            stream cannot be followed.
        dropout: in training.

    Raises:
        OptionError: where an option is out of range.
    """

    def __init__(
        self,
        in_features: int = 2048,
        stages: int = 2,
        layers: int = 8,
        maps: int = 32,
        num_classes: int = 7,
        *,
        causal: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if min(in_features, stages, layers, maps, num_classes) < 1 or layers > 16:
            raise OptionError(
                "MS-TCN needs at least 1 feature, stage, layer, map and class, and at most 16 "
                f"layers, not {in_features}, {stages}, {layers}, {maps} and {num_classes}."
            )
        if not 0 <= dropout < 1:
            raise OptionError(f"MS-TCN's dropout must be in [0, 1), not {dropout}.")
        self.in_features, self.maps, self.num_classes = in_features, maps, num_classes
        self.causal = causal
        self.columns = 2 * (2**layers - 1)
        self.stage1 = Stage(layers, maps, in_features, num_classes, dropout)
        self.stages = nn.ModuleList(
            Stage(layers, maps, num_classes, num_classes, dropout) for _ in range(stages - 1)
        )

    @property
    def receptive_field(self) -> int:
        """Frames that an answer depends on, the frame itself included."""
        return self.columns * (1 + len(self.stages)) + 1

    def forward(self, features: Tensor) -> Tensor:
        """Labels every frame of a whole recording, or of a part that starts a stream.

        Args:
            features: float (B, in_features, T).

        Returns:
            Logits of every stage (stages, B, num_classes, T); the last are the answer.

        Raises:
            ModelError: where the features do not fit.
        """
        if self.causal:
            return self.advance(features).logits
        self._check_features(features)
        logits = [self.stage1(features)]
        for stage in self.stages:
            logits.append(stage(logits[-1].softmax(1)))
        return torch.stack(logits)

    def step(self, feature: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Labels one frame with earlier ones in mind, at a cost that never grows.

        Args:
            feature: float (B, in_features).
            state: what the previous step returned; None starts a stream. It is not changed.

        Returns:
            The last stage's logits (B, num_classes) and the state to hand to the next step.
        """
        result = self.advance(feature.unsqueeze(-1), state)
        return result.logits[-1, :, :, 0], result.state

    def advance(self, features: Tensor, state: State | None = None) -> Advance:
        """Consumes T further frames of a stream; any split of a stream gives the same numbers.

        Args:
            features: float (B, in_features, T).
            state: what the previous call returned, or None at the start. It is not changed.

        Raises:
            ModelError: the features or the state do not fit, or the network looks ahead.
        """
        self._check_features(features)
        if state is None:
            state = self.start(len(features))
        self.check(state, len(features))
        x, logits, hidden, columns = features, [], [], []
        for stage, before in zip((self.stage1, *self.stages), state.columns, strict=True):
            answer, inside, after = stage.advance(x, before)
            logits.append(answer)
            hidden.append(inside)
            columns.append(after.to(before.dtype))
            x = answer.softmax(1)
        new = State(columns=torch.stack(columns), frames=state.frames + features.shape[-1])
        return Advance(logits=torch.stack(logits), hidden=hidden[0], state=new)

    def start(self, batch: int = 1) -> State:
        """The state before the first frame."""
        like = self.stage1.conv_1x1.weight.detach()
        like = like.float() if like.dtype != torch.float64 else like
        shape = (1 + len(self.stages), batch, self.maps, self.columns)
        return State(columns=like.new_zeros(shape), frames=0)

    def check(self, state: State, batch: int) -> None:
        """Raises `ModelError` where a state is not one of this network and batch size."""
        if not self.causal:
            raise ModelError("This MS-TCN looks ahead and cannot follow a stream; run it offline.")
        expected = (1 + len(self.stages), batch, self.maps, self.columns)
        if tuple(state.columns.shape) != expected:
            raise ModelError(
                "The model state belongs to another network or batch size: "
                f"{tuple(state.columns.shape)} in place of {expected}."
            )

    def _check_features(self, features: Tensor) -> None:
        fits = features.ndim == 3 and features.shape[1] == self.in_features
        if not fits or features.shape[2] < 1:
            raise ModelError(
                f"MS-TCN takes features as (B, {self.in_features}, T) with T at least 1, not "
                f"{tuple(features.shape)}."
            )
