"""EndoARSS: one adapted DINOv2 encoder that names the activity and outlines areas.

Paper: arXiv 2506.06830. Where paper, released code and counts disagree, the specification
(segmentation-models, section 2) decides. Used on the inference thread and in training processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.dinov2.network import DinoV2, Tokens
from models.endoarss import adapters
from models.endoarss.adapters import AdaptedLinear, adapted_layers
from models.endoarss.decoders import ActivityDecoder, AreaDecoder, PooledActivityDecoder
from models.endoarss.spatial import SpatialAttention
from models.errors import OptionError
from models.types import ActivityOutput

ACTIVITY, AREAS = "activity", "areas"
TASKS = (ACTIVITY, AREAS)
PASSES = ("joint", "separate")


class EndoARSS(nn.Module):
    """Activity and areas of (B, 3, H, W), RGB normalised as the encoder asks.

    Args:
        encoder: taken over; H and W must be multiples of its patches, and of 7 with `spatial`.
        num_classes: S, areas with the background, which comes first.
        num_activities: K.
        rank: of the low-rank updates; 0 for none.
        adapt: which of q, k, v, fc1 and fc2 carry them.
        tesla: each task has an update of its own besides the shared one.
        frozen_scales: with the released code's frozen factors (DV-LoRA).
        passes: "joint" sends both tasks through the encoder as one batch, "separate" one after
            the other, which needs less memory; the answers are the same.
        spatial: with attention over the picture (SMA) before the encoder.
        spatial_width: its d.
        decoder_width: channels in both decoders.
        rates: of the area decoder's dilated branches.
        activity_from: what the activity is told from, the class "token" as in the paper, or the
            "patches" as in the released code.
        norm: "bn", or "gn" to train with tiny batches.
        freeze: the encoder's own weights are not trained.
    """

    def __init__(
        self,
        encoder: DinoV2,
        *,
        num_classes: int = 7,
        num_activities: int = 3,
        rank: int = 4,
        adapt: Sequence[str] = ("q", "v"),
        tesla: bool = True,
        frozen_scales: bool = False,
        passes: str = "joint",
        spatial: bool = True,
        spatial_width: int = 64,
        decoder_width: int = 256,
        rates: Sequence[int] = (12, 24, 36),
        activity_from: str = "token",
        norm: str = "bn",
        freeze: bool = True,
    ) -> None:
        super().__init__()
        if min(num_classes, num_activities) < 2 or min(spatial_width, decoder_width, *rates) < 1:
            raise OptionError(
                "endoarss: num_classes and num_activities must be at least 2, widths and rates "
                "at least 1."
            )
        if passes not in PASSES or norm not in ("bn", "gn"):
            raise OptionError('endoarss: passes is "joint" or "separate", norm "bn" or "gn".')
        if activity_from not in ("token", "patches"):
            raise OptionError('endoarss: activity_from is "token" or "patches".')
        self.passes = passes
        self.spatial = SpatialAttention(spatial_width) if spatial else None
        self.encoder = encoder.requires_grad_(not freeze)
        # Part of the layout, and nothing is masked here.
        encoder.mask_token.requires_grad_(requires_grad=False)
        tasks = TASKS if tesla else ()
        adapters.adapt(encoder, adapt, tasks, rank, frozen_scales=frozen_scales)
        self.num_classes, self.num_activities = num_classes, num_activities
        size = (encoder.width, decoder_width, num_activities)
        self.activity_decoder = (
            ActivityDecoder(*size)
            if activity_from == "token"
            else PooledActivityDecoder(*size, norm)
        )
        self.area_decoder = AreaDecoder(encoder.width, decoder_width, num_classes, rates, norm)

    def forward(self, x: Tensor) -> ActivityOutput:
        """Answers for pictures; see `ActivityOutput`."""
        activity, areas = self.encode(x)
        return ActivityOutput(
            activities=self.activity_decoder(activity.whole, activity.patches),
            areas=self.area_decoder(areas.patches),
        )

    def areas(self, x: Tensor) -> Tensor:
        """The areas that `forward` answers with, alone: half the encoder's work where each task has
        an update of its own."""
        tasks = (AREAS,) if self._is_adapted_by_task else ()
        return self.area_decoder(self._through(self._embedded(x), tasks, *self._grid(x)).patches)

    def encode(self, x: Tensor) -> tuple[Tokens, Tokens]:
        """What the encoder says to each task, in the order of `TASKS`."""
        first, grid = self._embedded(x), self._grid(x)
        if not self._is_adapted_by_task:
            both = self._through(first, (), *grid)
            return both, both
        if self.passes == "separate":
            one, other = (self._through(first, (task,), *grid) for task in TASKS)
            return one, other
        both = self._through(first.repeat(2, 1, 1), TASKS, *grid)
        halves = [part.chunk(2) for part in both]
        return Tokens(*(h[0] for h in halves)), Tokens(*(h[1] for h in halves))

    @property
    def _is_adapted_by_task(self) -> bool:
        return any(layer.tasks for layer in adapted_layers(self.encoder))

    def _grid(self, x: Tensor) -> tuple[int, int]:
        """Rows and columns of patches."""
        return x.shape[2] // self.encoder.patch_px, x.shape[3] // self.encoder.patch_px

    def _embedded(self, x: Tensor) -> Tensor:
        return self.encoder.embed(x if self.spatial is None else self.spatial(x))

    def _through(self, tokens: Tensor, tasks: tuple[str, ...], rows: int, columns: int) -> Tokens:
        for layer in adapted_layers(self.encoder):
            layer.active = tasks
        for block in self.encoder.blocks:
            tokens = block(tokens)
        return self.encoder.tokens(self.encoder.norm(tokens), rows, columns)

    @torch.no_grad()
    def merged_encoder(self, task: str) -> DinoV2:
        """A plain encoder, of the official layout, that answers as this one does to one task."""
        encoder = deepcopy(self.encoder)
        for block in encoder.blocks:
            for owner, name in ((block.attn, "qkv"), (block.mlp, "fc1"), (block.mlp, "fc2")):
                layer = getattr(owner, name)
                if isinstance(layer, AdaptedLinear):
                    plain = nn.Linear(layer.in_features, layer.out_features).to(layer.weight)
                    plain.weight.copy_(layer.merged(task))
                    plain.bias.copy_(layer.bias)
                    setattr(owner, name, plain)
        return encoder

    def parameters_of(self, task: str) -> list[nn.Parameter]:
        """The trained parameters that one task alone has: its updates and its decoder."""
        decoder = self.activity_decoder if task == ACTIVITY else self.area_decoder
        own = list(decoder.parameters())
        for layer in adapted_layers(self.encoder):
            if task in layer.tasks:
                own += layer.tasks[task].parameters()
        return own

    def shared_parameters(self) -> list[nn.Parameter]:
        """The trained parameters that both tasks have."""
        own = {id(p) for task in TASKS for p in self.parameters_of(task)}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in own]


def resized_areas(areas: Tensor, height_px: int, width_px: int) -> Tensor:
    """Area logits (B, S, h, w) at another size: float (B, S, height, width).

    Resized bilinearly with aligned corners, as the released code does.
    """
    size = (height_px, width_px)
    return functional.interpolate(areas, size=size, mode="bilinear", align_corners=True)
