"""EndoARSS: activity and semantic areas of endoscopic surgery from one adapted DINOv2 encoder."""

from typing import Any

from models import dinov2
from models.endoarss.network import ACTIVITY, AREAS, TASKS, EndoARSS, resized_areas

__all__ = ["ACTIVITY", "AREAS", "TASKS", "EndoARSS", "build", "resized_areas"]

ENCODER_OPTIONS = (
    "width",
    "depth",
    "heads",
    "registers",
    "image_size",
    "patch_size",
    "layer_scale",
)
"""Options that are `DinoV2`'s."""


def build(*, backbone: str = "vitb14", **options: Any) -> EndoARSS:
    """Builds the network for the registry, its encoder with fresh weights.

    Args:
        backbone: one of `dinov2.VARIANTS`; empty to say everything by options.
        **options: `EndoARSS`'s, and those of `DinoV2` named in `ENCODER_OPTIONS`.

    Raises:
        OptionError: where an option is out of range.
    """
    inner = {name: options.pop(name) for name in ENCODER_OPTIONS if name in options}
    return EndoARSS(dinov2.build(variant=backbone, **inner), **options)
