"""Counts a network's work three ways, so that published figures can be met and true ones told.

- "paper": as LMSF-A's table was made, 2 x the multiply-adds of thop 0.1.1 with its quirks
  (specification 1.6): a transposed convolution counted by its whole kernel for every output,
  BatchNorm at 4 operations per element until folded, GroupNorm and activations at nothing,
  nearest upsampling modules and adaptive poolings at about one operation per element.
- "layers": 2 x the multiply-adds of every convolution, linear layer and matrix product as the
  layer is defined, and nothing else.
- "executed": what this code really runs, as torch counts it; less than "layers" where a
  layer is computed by a shorter way.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.blocks.fusion import SSFF
from models.blocks.repvit import EMA
from models.errors import OptionError
from models.lmsf_a.head import LMSH, DecoupledHead, Levels, Proto
from models.lmsf_a.network import LMSFA

CONVENTIONS = ("paper", "layers", "executed")


@torch.no_grad()
def count_flops(
    network: nn.Module, height_px: int = 640, width_px: int = 640, convention: str = "layers"
) -> int:
    """Floating point operations of one picture, batch 1.

    Args:
        network: LMSF-A in any of its forms, fused or not; left as it is.
        height_px: input height.
        width_px: input width.
        convention: one of `CONVENTIONS`.

    Raises:
        OptionError: another convention.
    """
    if convention not in CONVENTIONS:
        raise OptionError(f'FLOPs are counted by {", ".join(CONVENTIONS)}, not "{convention}".')
    # Shapes are all that counts: a copy without data costs no arithmetic.
    network = deepcopy(network).to("meta").eval()
    image = torch.zeros(1, 3, height_px, width_px, device="meta")
    if convention == "executed":
        with FlopCounterMode(display=False) as counter:
            network(image)
        return int(counter.get_total_flops())
    return 2 * _operations(network, image, _PAPER if convention == "paper" else _LAYERS)


Rules = dict[type[nn.Module], Callable[[Any, Any, Any], int]]


def _operations(network: nn.Module, image: Tensor, rules: Rules) -> int:
    """Multiply-adds by the rule of each module's kind; a rule for SSFF covers its children."""
    total = 0
    inside = {
        id(part) for m in network.modules() if isinstance(m, SSFF) for part in (m.project, m.norm)
    }

    def add(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        rule = rules.get(type(module))
        if rule is not None and id(module) not in inside:
            total += rule(module, inputs[0], output)

    for module in network.modules():
        module.register_forward_hook(add)
    network(image)
    return total


def _conv(conv: nn.Conv2d, _: Tensor, output: Tensor) -> int:
    return output.numel() * prod(conv.kernel_size) * conv.in_channels // conv.groups


def _linear(linear: nn.Linear, _: Tensor, output: Tensor) -> int:
    return output.numel() * linear.in_features


def _proto(proto: Proto, inputs: Tensor, _: Tensor) -> int:
    """The transposed convolution alone; its neighbours are modules and count themselves."""
    up, (image, _c, height, width) = proto.upsample, inputs.shape
    return image * height * width * up.in_channels * up.out_channels * 4


def _ema(ema: EMA, inputs: Tensor, _: Tensor) -> int:
    """The 1 x 1 convolution of the strips and the 3 x 3 one of the map, in every group."""
    image, channels, height, width = inputs.shape
    return image * channels * ema.width * (height + width + 9 * height * width)


def _ema_products(_ema: EMA, inputs: Tensor, _: Tensor) -> int:
    """The two cross terms, each a row of weights times the group's map."""
    return 2 * inputs.numel()


def _ema_pools(_ema: EMA, inputs: Tensor, _: Tensor) -> int:
    image, channels, height, width = inputs.shape
    strips = height * (width + 1) + width * (height + 1)
    return image * channels * (strips + 2 * (height * width + 1))


def _ssff(ssff: SSFF, _: Tensor, output: Tensor) -> int:
    """The volume convolution over three scales at the finest one's size."""
    return 3 * output.numel() * ssff.project.in_channels


def _head(_head: nn.Module, _: Any, output: Levels) -> int:
    """The frozen convolution that decodes the bins."""
    return sum(boxes.numel() for boxes in output.boxes)


def _norm(_norm: nn.Module, _: Tensor, output: Tensor) -> int:
    return 4 * output.numel()


def _upsampled(network: LMSFA, image: Tensor, _: Any) -> int:
    """YOLOv8's two upsampling modules; LMSF-A's neck upsamples by function and counts nothing."""
    if network.neck_fusion:
        return 0
    cells = image.shape[0] * image.shape[2] * image.shape[3]
    deep = network.pool.expand.conv.out_channels * cells // 16**2
    middle = network.top4.merge.conv.out_channels * cells // 8**2
    return deep + middle


_LAYERS: Rules = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    Proto: _proto,
    EMA: lambda m, x, y: _ema(m, x, y) + _ema_products(m, x, y),
    SSFF: _ssff,
    LMSH: _head,
    DecoupledHead: _head,
}
_PAPER: Rules = {
    **_LAYERS,
    nn.BatchNorm2d: _norm,
    Proto: lambda m, x, y: 4 * _proto(m, x, y),
    EMA: lambda m, x, y: _ema(m, x, y) + _ema_pools(m, x, y),
    SSFF: lambda m, x, y: _ssff(m, x, y) + 4 * 3 * y.numel(),
    LMSFA: _upsampled,
}
