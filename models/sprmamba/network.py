"""SPRMamba: phases from a whole recording's frame features, refined in four stages.

After Zhang et al., "SPRMamba" (2024), its released code's tensor names and what that code does in
fact (specification: temporal-models, section 2.2): no normalisation between layers, convolutions,
windows and far groups that look ahead. It therefore labels recordings and never a live picture.
Runs on the inference thread or in a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError, OptionError
from models.sprmamba.branches import MIXERS, Branch

WHY_NOT_LIVE = (
    "It looks ahead: every answer leans on later frames of the recording, so that it cannot say "
    "what goes on now."
)


class DilatedConv(nn.Module):
    """A dilated convolution that looks both ways, and GELU."""

    def __init__(self, c: int, dilation: int) -> None:
        super().__init__()
        self.dilated_conv = nn.Conv1d(c, c, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.dilated_conv(x))


class Layer(nn.Module):
    """A dilated convolution, windows, far frames, a 1 x 1 convolution, and the input added."""

    def __init__(
        self, c: int, dilation: int, heads: int, mixer: str, group_frames: int, drop: float
    ) -> None:
        super().__init__()
        self.drop = drop
        self.dilated_conv = DilatedConv(c, dilation)
        self.windowed_mamba = Branch(c, heads, mixer, group_frames, far=False)
        self.ltc_mamba = Branch(c, heads, mixer, group_frames, far=True)
        self.out_linear = nn.Conv1d(c, c, 1)

    def forward(self, x: Tensor, asking: Tensor | None) -> Tensor:
        y = self.dilated_conv(x)
        y = y + self.windowed_mamba(y, asking)
        y = y + self.ltc_mamba(y, asking)
        y = self.out_linear(y)
        if self.training and self.drop > 0:
            y = y * y.new_empty(len(y), 1, 1).bernoulli_(1 - self.drop) / (1 - self.drop)
        return x + y


class Stage(nn.Module):
    """(B, c_in, T) to logits (B, classes, T) and the channels that went through attention."""

    def __init__(self, c_in: int, c: int, classes: int, layers: list[Layer]) -> None:
        super().__init__()
        self.input_proj = nn.Conv1d(c_in, c, 1)
        self.stages = nn.ModuleList(layers)
        self.out_proj = nn.Conv1d(c, classes, 1)

    def forward(self, x: Tensor, asking: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.input_proj(x)
        for layer in self.stages:
            x = layer(x, asking)
        return self.out_proj(x), x.chunk(2, 1)[1]


class SprMamba(nn.Module):
    """The network.

    Args:
        in_features: channels of a frame's features.
        num_classes: phases.
        stages: at least 1; each later one reads the class probabilities of the one before, and
            asks by the features that its attention gave.
        layers: of every stage; layer i (from 0) looks 2^i frames back and ahead.
        heads: of the attention.
        mixer: "mamba2", or "mamba1" or "mamba1-bi" for the released variants.
        width: channels of the first stage, a multiple of 16; later ones have half.
        group_frames: of a window, and between two frames of a far group.
        drop_path: rate in training.

    Attributes:
        causal: False, for whoever asks before following a stream.

    Raises:
        OptionError: where an option is out of range.
    """

    def __init__(
        self,
        in_features: int = 2048,
        num_classes: int = 7,
        *,
        stages: int = 4,
        layers: int = 10,
        heads: int = 1,
        mixer: str = "mamba2",
        width: int = 64,
        group_frames: int = 64,
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        if min(in_features, num_classes, stages, layers, heads, group_frames) < 1 or layers > 16:
            raise OptionError(
                "SPRMamba needs at least 1 feature, class, stage, layer, head and frame of a "
                f"group, and at most 16 layers, not {in_features}, {num_classes}, {stages}, "
                f"{layers}, {heads} and {group_frames}."
            )
        if mixer not in MIXERS:
            raise OptionError(f"SPRMamba has no mixer {mixer!r}; it knows {', '.join(MIXERS)}.")
        if width < 16 or width % 16 or not 0 <= drop_path < 1:
            raise OptionError(
                "SPRMamba's width must be a multiple of 16 and its drop path in [0, 1), not "
                f"{width} and {drop_path}."
            )
        self.in_features, self.num_classes, self.causal = in_features, num_classes, False

        def stage(c_in: int, c: int) -> Stage:
            made = [Layer(c, 2**i, heads, mixer, group_frames, drop_path) for i in range(layers)]
            return Stage(c_in, c, num_classes, made)

        half = width // 2
        self.stage1 = stage(in_features, width)
        self.dim_reduction = nn.Conv1d(half, half // 2, 1)
        self.stages = nn.ModuleList(stage(num_classes, half) for _ in range(stages - 1))

    def forward(self, features: Tensor) -> Tensor:
        """Labels every frame of a whole recording.

        Args:
            features: float (B, in_features, T), usually one a second.

        Returns:
            Logits of every stage (stages, B, num_classes, T); the last are the answer.

        Raises:
            ModelError: where the features do not fit.
        """
        fits = features.ndim == 3 and features.shape[1] == self.in_features
        if not fits or features.shape[2] < 1:
            raise ModelError(
                f"SPRMamba takes features as (B, {self.in_features}, T) with T at least 1, not "
                f"{tuple(features.shape)}."
            )
        answer, asking = self.stage1(features)
        logits, asking = [answer], self.dim_reduction(asking)
        for stage in self.stages:
            answer, asking = stage(answer.softmax(1), asking)
            logits.append(answer)
        return torch.stack(logits)

    def step(self, *_: object) -> None:
        """There is no live form.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"SPRMamba cannot follow a stream. {WHY_NOT_LIVE}")
