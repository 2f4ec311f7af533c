"""DINOv2, the frozen image encoder that EndoARSS adapts."""

from typing import Any

from models.dinov2.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES, VARIANTS, DinoV2, Tokens
from models.errors import OptionError

__all__ = ["IMAGE_MEAN_RGB", "IMAGE_STD_RGB", "SIZES", "VARIANTS", "DinoV2", "Tokens", "build"]


def build(*, variant: str = "", **options: Any) -> DinoV2:
    """Builds the network for the registry.

    Args:
        variant: one of `VARIANTS`; empty to say everything by options.
        **options: `DinoV2`'s.

    Raises:
        OptionError: there is no such variant, or an option is out of range.
    """
    if not variant:
        return DinoV2(**options)
    if variant not in VARIANTS:
        raise OptionError(f'dinov2: there is no "{variant}"; there are {", ".join(VARIANTS)}.')
    return DinoV2(**{**VARIANTS[variant], **options})
