"""EndoMamba with the heads of its released segmentation and localisation networks.

Written from the specification (temporal-models, sections 1.1, 1.6 and 1.10) under the released
tensor names. Both follow a stream like the phase network: a frame at a time, with its state. Run
on the inference thread or in a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.network import Advance, EndoMamba
from models.endomamba.state import State
from models.errors import OptionError

_DECODER_FIRST = 512
_DECODER_CHANNELS = (256, 128, 64, 16)
_UPSAMPLED = 2 ** len(_DECODER_CHANNELS)
_LOCALISER_WIDTH = 512


class ConvReLU(nn.Sequential):
    """A 3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__(nn.Conv2d(c_in, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU())


class DecoderBlock(nn.Module):
    """Twice the size, then two convolutions: (B, c_in, H, W) to (B, c, 2 H, 2 W)."""

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.conv1 = ConvReLU(c_in, c)
        self.conv2 = ConvReLU(c, c)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.conv2(self.conv1(x))


class Decoder(nn.Module):
    """Patches on their grid (B, width, h, w) to maps (B, 16, 16 h, 16 w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_more = ConvReLU(width, _DECODER_FIRST)
        self.blocks = nn.ModuleList(
            DecoderBlock(c_in, c)
            for c_in, c in zip(
                (_DECODER_FIRST, *_DECODER_CHANNELS[:-1]), _DECODER_CHANNELS, strict=True
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_more(x)
        for block in self.blocks:
            x = block(x)
        return x


class SegmentingEndoMamba(nn.Module):
    """The released segmentation network, without the skips its published run left out.

    Args:
        num_classes: areas, the background among them.
        **options: `EndoMamba`'s but its head; patches must be of 16 pixels.

    Raises:
        OptionError: where an option is out of range.
    """

    state_type = State

    def __init__(self, size: str = "small", num_classes: int = 2, **options: Any) -> None:
        super().__init__()
        if num_classes < 1 or options.get("patch_size", _UPSAMPLED) != _UPSAMPLED:
            raise OptionError(
                "EndoMamba's segmentation needs at least 1 class and patches of 16 pixels."
            )
        self.encoder = EndoMamba(size, head="none", **options)
        self.decoder = Decoder(self.encoder.width)
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(_DECODER_CHANNELS[-1], num_classes, 3, padding=1)
        )
        self.image_size, self.num_classes = self.encoder.image_size, num_classes

    def forward(self, clip: Tensor) -> Tensor:
        """Outlines every frame of a clip (B, 3, T, H, W) that starts a stream.

        Returns:
            Logits (B, T, num_classes, H, W); a frame's logits depend on no later frame.
        """
        return self.advance(clip).logits

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Outlines one frame (B, 3, H, W) with all earlier ones in mind: logits and new state."""
        result = self.advance(frame.unsqueeze(2), state)
        return result.logits[:, 0], result.state

    def advance(self, clip: Tensor, state: State | None = None) -> Advance:
        """As `EndoMamba.advance`; its logits are those of `forward`."""
        tokens, state = self.encoder.encode(clip, state)
        side = self.image_size // _UPSAMPLED
        grid = tokens[:, :, 1:].flatten(0, 1).transpose(1, 2).unflatten(2, (side, side))
        maps = self.segmentation_head(self.decoder(grid))
        logits = maps.unflatten(0, tokens.shape[:2])
        return Advance(logits=logits, features=tokens.mean(2), state=state)

    def check(self, state: State, batch: int) -> None:
        """Raises `ModelError` where a state is not one of this network and batch size."""
        self.encoder.check(state, batch)


class Places(NamedTuple):
    """Where things are in T frames.

    Attributes:
        visibility: float (B, T, classes, 2) logits; sigmoid gives the probability.
        positions: float (B, T, classes, 2), as the training scaled them.
        state: to hand to the next call.
    """

    visibility: Tensor
    positions: Tensor
    state: State


class LocalisationHead(nn.Module):
    """Three linear layers, 512 wide, with dropout between them or ReLU."""

    def __init__(self, width: int, outputs: int, *, relu: bool) -> None:
        super().__init__()

        def between() -> nn.Module:
            return nn.ReLU() if relu else nn.Dropout(0.5)

        self.head = nn.Sequential(
            nn.Linear(width, _LOCALISER_WIDTH),
            between(),
            nn.Linear(_LOCALISER_WIDTH, _LOCALISER_WIDTH),
            between(),
            nn.Linear(_LOCALISER_WIDTH, outputs),
        )
        for layer in self.head:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


class LocalisingEndoMamba(EndoMamba):
    """The released localisation network: per class, what is visible and where, from the mean of a
    frame's tokens. How it was trained is not published.

    Args:
        num_classes: things to be found.
        **options: `EndoMamba`'s but its head.

    Raises:
        OptionError: where an option is out of range.
    """

    def __init__(self, size: str = "small", num_classes: int = 7, **options: Any) -> None:
        super().__init__(size, num_classes, head="none", **options)
        self.vis_head = LocalisationHead(self.width, 2 * num_classes, relu=False)
        self.pos_head = LocalisationHead(self.width, 2 * num_classes, relu=True)

    def locate(self, clip: Tensor, state: State | None = None) -> Places:
        """As `advance`, with the two heads."""
        features, state = self.advance(clip, state)[1:]
        visible, where = (
            head(features).unflatten(-1, (self.num_classes, 2))
            for head in (self.vis_head, self.pos_head)
        )
        return Places(visibility=visible, positions=where, state=state)

    def forward(self, clip: Tensor) -> Tensor:
        """Finds things in every frame of a clip that starts a stream.

        Returns:
            (B, T, num_classes, 4): the two logits of visibility, then the two of the position.
        """
        found = self.locate(clip)
        return torch.cat((found.visibility, found.positions), -1)

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Finds things in one frame (B, 3, H, W): (B, num_classes, 4) and the new state."""
        found = self.locate(frame.unsqueeze(2), state)
        return torch.cat((found.visibility, found.positions), -1)[:, 0], found.state
