"""DINOv2, the frozen image encoder that EndoARSS adapts."""

from typing import Any

from models.dinov2.network import (
    IMAGE_MEAN_RGB,
    IMAGE_STD_RGB,
    REGISTERS,
    SIZES,
    DinoV2,
    Tokens,
)

__all__ = [
    "IMAGE_MEAN_RGB",
    "IMAGE_STD_RGB",
    "REGISTERS",
    "SIZES",
    "DinoV2",
    "Tokens",
    "build",
]


def build(**options: Any) -> DinoV2:
    """Builds the network for the registry; takes the options of `DinoV2`.

    Raises:
        OptionError: where an option is out of range.
    """
    return DinoV2(**options)
