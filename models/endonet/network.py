"""EndoNet's idea in its modern form: tools and phases from shared frame features, then time.

Twinanda et al., "EndoNet" (2017), taught one encoder tool presence and phases; in place of its
AlexNet, SVM and HMM stand a ResNet-50 and a causal MS-TCN, as Czempiel et al., "TeCNO" (2020),
train them: first encoder and heads on single frames, then the MS-TCN on the stored features.
Written from the specification (temporal-models, section 2.1). Runs on the inference thread or in
a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.blocks.resnet import FEATURES, ResNet50
from models.errors import ModelError, OptionError
from models.ms_tcn.network import MsTcn
from models.ms_tcn.state import State

IMAGE_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGE_STD_RGB = (0.229, 0.224, 0.225)
SIDE_PX = 224
"""Side of the square frames that the public encoders saw; others of at least 32 work."""

_LEAST_PX = 32


class Frames(NamedTuple):
    """What single frames gave.

    Attributes:
        features: float (B, 2048), what the MS-TCN and a search for similar moments read.
        phases: float (B, K) logits of the phase head, without memory.
        tools: float (B, M) logits; sigmoid gives the probability that the tool is in the picture.
    """

    features: Tensor
    phases: Tensor
    tools: Tensor


class Advance(NamedTuple):
    """What T frames of a stream gave.

    Attributes:
        logits: float (B, T, K), the MS-TCN's last stage.
        features: float (B, T, 2048).
        tools: float (B, T, M) logits.
        state: to hand to the next call.
    """

    logits: Tensor
    features: Tensor
    tools: Tensor
    state: State


class EndoNet(nn.Module):
    """The whole network. Encoder and frame heads are `model`, `fc_phase` and `fc_tool`.

    Args:
        num_classes: phases.
        num_tools: instruments whose presence is told.
        stages, layers, maps: of the MS-TCN, see `MsTcn`.

    Raises:
        OptionError: where an option is out of range.
    """

    state_type = State

    def __init__(
        self,
        num_classes: int = 7,
        num_tools: int = 7,
        *,
        stages: int = 2,
        layers: int = 8,
        maps: int = 32,
    ) -> None:
        super().__init__()
        if num_tools < 1:
            raise OptionError(f"EndoNet needs at least 1 tool, not {num_tools}.")
        self.num_classes, self.num_tools = num_classes, num_tools
        self.feature_channels = FEATURES
        self.temporal = MsTcn(FEATURES, stages, layers, maps, num_classes)
        self.model = ResNet50()
        self.fc_phase = nn.Linear(FEATURES, num_classes)
        self.fc_tool = nn.Linear(FEATURES, num_tools)

    def frames(self, images: Tensor) -> Frames:
        """Looks at frames one by one.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1] normalised with `IMAGE_MEAN_RGB` and
                `IMAGE_STD_RGB`.

        Raises:
            ModelError: where the pictures do not fit.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < _LEAST_PX:
            raise ModelError(
                f"EndoNet takes RGB pictures of at least {_LEAST_PX} pixels a side as "
                f"(B, 3, H, W), not {tuple(images.shape)}."
            )
        features = self.model(images)
        return Frames(features, self.fc_phase(features), self.fc_tool(features))

    def forward(self, clip: Tensor) -> Tensor:
        """Labels every frame of a clip (B, 3, T, H, W) that starts a stream: (B, T, K)."""
        return self.advance(clip).logits

    def features(self, clip: Tensor) -> Tensor:
        """Returns each frame's features (B, T, 2048) without asking the MS-TCN."""
        return self.look(clip)[0]

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Labels one frame (B, 3, H, W) with earlier ones in mind.

        Returns:
            Logits (B, K) and the state to hand to the next step.
        """
        result = self.advance(frame.unsqueeze(2), state)
        return result.logits[:, 0], result.state

    def advance(self, clip: Tensor, state: State | None = None) -> Advance:
        """Consumes T further frames of a stream; any split of a stream gives the same numbers.

        Args:
            clip: float (B, 3, T, H, W), normalised as in `frames`.
            state: what the previous call returned, or None at the start. It is not changed.

        Raises:
            ModelError: where the clip or the state does not fit.
        """
        return self.follow(self.look(clip), state)

    def follow(self, looked: tuple[Tensor, Tensor], state: State | None = None) -> Advance:
        """As `advance`, from what `look` saw of the frames.

        Raises:
            ModelError: where the state does not fit.
        """
        features, tools = looked
        after = self.temporal.advance(features.transpose(1, 2), state)
        logits = after.logits[-1].transpose(1, 2)
        return Advance(logits=logits, features=features, tools=tools, state=after.state)

    def check(self, state: State, batch: int) -> None:
        """Raises `ModelError` where a state is not one of this network and batch size."""
        self.temporal.check(state, batch)

    def look(self, clip: Tensor, first_frame: int = 0) -> tuple[Tensor, Tensor]:
        """What frames are by themselves, nearly all of the work: features (B, T, 2048), tool logits
        (B, T, M). Several threads may look at a time; `follow` then goes through it in order.

        Args:
            clip: as in `forward`.
            first_frame: of no use here; networks that number their frames need it.

        Raises:
            ModelError: where the clip does not fit.
        """
        del first_frame
        if clip.ndim != 5 or clip.shape[2] < 1:
            raise ModelError(f"EndoNet takes clips as (B, 3, T, H, W), not {tuple(clip.shape)}.")
        # One frame at a time: a whole operation's activations would not fit into memory.
        seen = [self.frames(frame) for frame in clip.unbind(2)]
        return (
            torch.stack([s.features for s in seen], 1),
            torch.stack([s.tools for s in seen], 1),
        )
