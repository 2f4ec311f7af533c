"""EndoMamba: a video backbone that labels surgical phases frame by frame with a constant state.

After Tian et al., "EndoMamba: An Efficient Foundation Model for Endoscopic Videos via Hierarchical
Pre-training" (2025), and the released code, whose parameter names it keeps. The first half of the
blocks reads each frame's tokens in both directions; the second half scans all tokens of all frames
as one causal sequence, frame after frame, so that one state per layer is all a stream needs.

Runs on the inference thread or in a training process; a network is used by one thread at a time.
On a CPU, set `torch.set_num_threads(1)`: the scan is serial, more threads only collide (9 times
slower, measured on two busy cores). One step at 224 pixels, CPU milliseconds on one core of an AMD
EPYC, float32: tiny 125, small 260; width 112, depth 8 at 96 pixels 7.5.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.endomamba.blocks import Block, PatchEmbed
from models.endomamba.mixer import EXPAND, KERNEL_SIZE, STATE_SIZE, full_precision
from models.endomamba.resets import reset_due_stream, segments, shown_stream
from models.endomamba.state import State
from models.errors import ModelError, OptionError

IMAGE_MEAN_RGB = (0.485, 0.456, 0.406)
"""Subtracted from RGB in [0, 1] before `forward` and `step` (ImageNet's mean)."""

IMAGE_STD_RGB = (0.229, 0.224, 0.225)
"""Divided by after the mean is subtracted (ImageNet's standard deviation)."""

SIZES = {"tiny": (192, 24), "small": (384, 24), "middle": (576, 32)}
"""Width and depth of the published sizes."""

Head = Literal["phase", "classification", "none"]
StateReset = Literal["none", "staggered"]
TemporalPosition = Literal["running", "frozen"]


class Advance(NamedTuple):
    """What T frames gave: logits (B, T, classes), frame features (B, T, width), the new state."""

    logits: Tensor
    features: Tensor
    state: State


class Encoded(NamedTuple):
    """What T frames gave: tokens after the final norm (B, T, N, width), first the class token's,
    then the patches' in row order; and the new state."""

    tokens: Tensor
    state: State


class EndoMamba(nn.Module):
    """The network of the released code, with its phase head.

    Args:
        size: "tiny", "small" or "middle"; `width` and `depth` override it.
        num_classes: labels of the head, at least 1.
        width: channels of a token, an even number.
        depth: blocks, at least 2; the first half is spatial.
        image_size: side of the square input in pixels, a multiple of `patch_size`.
        patch_size: side of a patch in pixels.
        head: "phase" gives each frame's logits from the mean of its tokens, "classification" from
            its class token; a clip's logits are then the mean over its frames. "none" is the
            backbone alone, whose logits are the mean of the tokens.
        state_reset: "none" carries one state for ever. "staggered" runs two streams that start
            afresh every 32 frames, 16 frames apart, and reports the one with 16 to 31 earlier
            frames, as the released test does.
        temporal_position: "running" numbers frames from the stream's start; "frozen" gives every
            frame the code of frame 0, as the released streaming test does. May be set later.
        drop_path: rate of the last block in training; it grows linearly from 0 over the blocks.

    Raises:
        OptionError: where an option is unknown or out of range.
    """

    state_type = State

    def __init__(
        self,
        size: str = "small",
        num_classes: int = 7,
        *,
        width: int | None = None,
        depth: int | None = None,
        image_size: int = 224,
        patch_size: int = 16,
        head: Head = "phase",
        state_reset: StateReset = "none",
        temporal_position: TemporalPosition = "running",
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        _require_known("size", size, tuple(SIZES))
        _require_known("head", head, ("phase", "classification", "none"))
        _require_known("state_reset", state_reset, ("none", "staggered"))
        _require_known("temporal_position", temporal_position, ("running", "frozen"))
        self.width = SIZES[size][0] if width is None else width
        self.depth = SIZES[size][1] if depth is None else depth
        if self.width < 2 or self.width % 2 or self.depth < 2 or num_classes < 1:
            raise OptionError(
                "EndoMamba needs an even width, at least 2 blocks and at least 1 class, "
                f"not {self.width}, {self.depth} and {num_classes}."
            )
        if not 0 <= drop_path < 1:
            raise OptionError(f"EndoMamba's drop path must be in [0, 1), not {drop_path}.")
        if patch_size < 1 or image_size < patch_size or image_size % patch_size:
            raise OptionError(
                f"EndoMamba's image size ({image_size}) must be a multiple of its patch size "
                f"({patch_size})."
            )
        self.image_size, self.num_classes = image_size, num_classes
        self.feature_channels = self.width
        self.head_kind, self.state_reset = head, state_reset
        self.temporal_position = temporal_position
        self.spatial_depth = self.depth // 2
        tokens = (image_size // patch_size) ** 2 + 1
        self.patch_embed = PatchEmbed(self.width, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.width))
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, self.width))
        drops = torch.linspace(0, drop_path, self.depth, device="cpu").tolist()
        self.layers = nn.ModuleList(
            Block(self.width, self.depth, drop, bidirectional=index < self.spatial_depth)
            for index, drop in enumerate(drops)
        )
        self.norm_f = nn.RMSNorm(self.width, eps=1e-5)
        self.head: nn.Module = nn.Identity()
        if head != "none":
            self.head = nn.Linear(self.width, num_classes)
            nn.init.trunc_normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)
        for weight in (self.pos_embed, self.patch_embed.proj.weight):
            nn.init.trunc_normal_(weight, std=0.02)
        for code in (self.pos_embed, self.cls_token):
            code._no_weight_decay = True  # type: ignore[attr-defined]
        nn.init.zeros_(self.patch_embed.proj.bias)

    def layer_of(self, name: str) -> int:
        """Place of a parameter: 0 for what makes tokens, then the blocks, the head's last."""
        if name.startswith("layers."):
            return int(name.split(".")[1]) + 1
        return self.depth + 1 if name.startswith(("norm_f.", "head.")) else 0

    def forward(self, clip: Tensor) -> Tensor:
        """Labels every frame of a clip that starts a stream.

        Args:
            clip: float (B, 3, T, image_size, image_size), RGB in [0, 1] normalised with
                `IMAGE_MEAN_RGB` and `IMAGE_STD_RGB`.

        Returns:
            Logits (B, T, num_classes); a frame's logits depend on no later frame.
        """
        return self.advance(clip).logits

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Labels one frame with all earlier ones in mind, at a cost that never grows.

        Args:
            frame: float (B, 3, image_size, image_size), normalised as in `forward`.
            state: what the previous step returned; None starts a stream. It is not changed.

        Returns:
            Logits (B, num_classes) and the state to hand to the next step.
        """
        result = self.advance(frame.unsqueeze(2), state)
        return result.logits[:, 0], result.state

    def features(self, clip: Tensor) -> Tensor:
        """Returns the mean of each frame's tokens (B, T, width): the head's input, and a key to
        find similar moments by."""
        return self.advance(clip).features

    def advance(self, clip: Tensor, state: State | None = None) -> Advance:
        """Consumes T further frames of a stream; any split of a stream gives the same numbers.

        Args:
            clip: as in `forward`.
            state: what the previous call returned, or None at the start. It is not changed.

        Raises:
            ModelError: where the clip's size or the state does not fit this network.
        """
        return self._told(self.encode(clip, state))

    def look(self, clip: Tensor, first_frame: int = 0) -> Tensor:
        """What frames are by themselves: the blocks that know no other frame, more than half the
        work. Several threads may look at a time; `follow` then goes through what they saw in order.

        Args:
            clip: as in `forward`.
            first_frame: how many frames of the stream come before it.

        Returns:
            Tokens (B, T, N, width) in full precision.

        Raises:
            ModelError: where the clip's size does not fit this network.
        """
        fits = clip.ndim == 5 and clip.shape[1] == 3 and clip.shape[3:] == (self.image_size,) * 2
        if not fits or clip.shape[2] < 1:
            raise ModelError(
                f"EndoMamba takes RGB clips of {self.image_size} x {self.image_size} pixels as "
                f"(B, 3, T, H, W), not {tuple(clip.shape)}."
            )
        residual = self._embed(clip, first_frame).flatten(0, 1)
        for block in self.layers[: self.spatial_depth]:
            residual, _, _ = block(residual)
        return residual.unflatten(0, (len(clip), -1))

    def follow(self, looked: Tensor, state: State | None = None) -> Advance:
        """As `advance`, from what `look` saw of the frames.

        Raises:
            ModelError: where the state does not fit this network.
        """
        return self._told(self._followed(looked, state))

    def encode(self, clip: Tensor, state: State | None = None) -> Encoded:
        """As `advance`, without pooling and head."""
        return self._followed(self.look(clip, 0 if state is None else state.frames), state)

    def _told(self, encoded: Encoded) -> Advance:
        tokens, state = encoded
        features = tokens.mean(2)
        pooled = tokens[:, :, 0] if self.head_kind == "classification" else features
        return Advance(logits=self.head(pooled), features=features, state=state)

    def _followed(self, looked: Tensor, state: State | None) -> Encoded:
        batch, frames = looked.shape[:2]
        streams = 2 if self.state_reset == "staggered" else 1
        if state is None:
            state = self._start(batch * streams)
        self.check(state, batch)
        shown = []
        for first, last in segments(state.frames, frames, streams):
            part = looked[:, first:last].repeat(streams, 1, 1, 1)
            tokens, state = self._consume(part, state)
            part = tokens.unflatten(0, (streams, batch))[shown_stream(state, streams)]
            shown.append(self.norm_f(part))
        return Encoded(tokens=torch.cat(shown, 1), state=state)

    def _embed(self, clip: Tensor, first_frame: int) -> Tensor:
        """Tokens (B, T, N, width) of a clip, with both position codes, in full precision."""
        patches = full_precision(self.patch_embed(clip))
        batch, frames = patches.shape[:2]
        if self.temporal_position == "frozen":
            code = temporal_code(0, 1, self.width)
        else:
            code = temporal_code(first_frame, frames, self.width)
        patches = patches + code.to(patches).unsqueeze(1) + self.pos_embed[:, 1:]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, frames, 1, self.width)
        return torch.cat((full_precision(first), patches), 2)

    def _consume(self, residual: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs the temporal blocks over frames (S, T, N, width) within one reset interval."""
        if self.state_reset == "staggered":
            state = reset_due_stream(state)
        frames, tokens = residual.shape[1:3]
        residual = residual.flatten(1, 2)
        conv, ssm = [], []
        for block, conv_state, ssm_state in zip(
            self.layers[self.spatial_depth :], state.conv, state.ssm, strict=True
        ):
            residual, conv_state, ssm_state = block(residual, conv_state, ssm_state)
            conv.append(conv_state)
            ssm.append(ssm_state)
        residual = residual.unflatten(1, (frames, tokens))
        new = State(conv=torch.stack(conv), ssm=torch.stack(ssm), frames=state.frames + frames)
        return residual, new

    def _start(self, sequences: int) -> State:
        layers, inner = self.depth - self.spatial_depth, EXPAND * self.width
        like = full_precision(self.cls_token.detach())
        return State(
            conv=like.new_zeros(layers, sequences, KERNEL_SIZE - 1, inner),
            ssm=like.new_zeros(layers, sequences, STATE_SIZE, inner),
            frames=0,
        )

    def check(self, state: State, batch: int) -> None:
        """Raises `ModelError` where a state is not one of this network and batch size."""
        streams = 2 if self.state_reset == "staggered" else 1
        layers, inner = self.depth - self.spatial_depth, EXPAND * self.width
        for part, rows in ((state.ssm, STATE_SIZE), (state.conv, KERNEL_SIZE - 1)):
            expected = (layers, batch * streams, rows, inner)
            if tuple(part.shape) != expected:
                raise ModelError(
                    "The model state belongs to another network, batch size or reset mode: "
                    f"{tuple(part.shape)} in place of {expected}."
                )


def temporal_code(first_frame: int, frames: int, width: int) -> Tensor:
    """Sinusoidal codes of frame numbers, for any length of stream: float64 (frames, width).

    Even channels sin(t / 10000^(2i/width)), odd ones cos (Vaswani et al. 2017, section 3.5). The
    released code reads the same values from a table that ends at frame 8,192.
    """
    time = torch.arange(first_frame, first_frame + frames, dtype=torch.float64).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000) / width))
    return torch.stack((torch.sin(time * rate), torch.cos(time * rate)), -1).flatten(1)


def _require_known(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"EndoMamba has no {option} {value!r}; it knows {', '.join(known)}.")
