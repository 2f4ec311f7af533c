"""EndoARSS's two decoders: the activity from the class token, areas from the patches.

Specification, segmentation-models, section 2.3. Used on the inference thread and in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks.conv import group_norm


class ActivityDecoder(nn.Sequential):
    """What the encoder says, (B, D) and (B, D, h, w), to activity logits (B, K): the paper's, from
    the class token."""

    def __init__(self, width: int, hidden: int, classes: int) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, whole: Tensor, patches: Tensor) -> Tensor:
        del patches
        return super().forward(whole)  # type: ignore[no-any-return]


class PooledActivityDecoder(nn.Module):
    """The same from the patches, by a 3 x 3 convolution and the mean, as the released code does.

    An encoder that is not taught yet finds its way from patches sooner than to its class token.
    """

    def __init__(self, width: int, hidden: int, classes: int, norm: str) -> None:
        super().__init__()
        self.refine = _Branch(width, hidden, 3, 1, norm)
        self.classify = nn.Linear(hidden, classes)

    def forward(self, whole: Tensor, patches: Tensor) -> Tensor:
        del whole
        return self.classify(self.refine(patches).mean((2, 3)))


class AreaDecoder(nn.Module):
    """Patches (B, D, h, w) to area logits (B, S, h, w), by atrous spatial pyramid pooling.

    Args:
        width: D.
        hidden: channels of every branch.
        classes: S, the background included.
        rates: of the dilated branches. The published 12, 24 and 36 see nothing but their centre on
            a grid of 16 x 16; 3, 6 and 9 suit such a grid.
        norm: "bn", or "gn" to train with tiny batches.
    """

    def __init__(
        self, width: int, hidden: int, classes: int, rates: Sequence[int], norm: str
    ) -> None:
        super().__init__()
        branches = [_Branch(width, hidden, 1, 1, norm)]
        branches += [_Branch(width, hidden, 3, rate, norm) for rate in rates]
        self.branches = nn.ModuleList(branches)
        self.pool = _Branch(width, hidden, 1, 1, norm)
        self.project = _Branch(hidden * (len(branches) + 1), hidden, 1, 1, norm)
        self.dropout = nn.Dropout(0.5)
        self.refine = _Branch(hidden, hidden, 3, 1, norm)
        self.classify = nn.Conv2d(hidden, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [branch(x) for branch in self.branches]
        pooled = self.pool(x.mean((2, 3), keepdim=True))
        seen.append(pooled.expand(-1, -1, *x.shape[2:]))
        y = self.dropout(self.project(torch.cat(seen, 1)))
        return self.classify(self.refine(y))


class _Branch(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, rate: int, norm: str) -> None:
        super().__init__()
        padding = rate * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=rate, bias=False)
        # Groups of 16 channels: the pooled branch has one value per channel to normalise with.
        self.norm = (
            group_norm(outputs, max(outputs // 16, 1)) if norm == "gn" else nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        norm = self.norm
        if isinstance(norm, nn.BatchNorm2d) and y.shape[0] * y.shape[2] * y.shape[3] == 1:
            # One value has no variance: a single picture's pooled branch goes by what was seen.
            y = functional.batch_norm(
                y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            y = norm(y)
        return functional.relu(y)
