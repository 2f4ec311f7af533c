"""EndoNet in its modern form: one frame encoder for tools and phases, then a causal MS-TCN."""

from typing import Any

from models.endonet.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX, Advance, EndoNet, Frames

__all__ = [
    "IMAGE_MEAN_RGB",
    "IMAGE_STD_RGB",
    "SIDE_PX",
    "Advance",
    "EndoNet",
    "Frames",
    "build",
]


def build(**options: Any) -> EndoNet:
    """Builds the network for the registry; takes the options of `EndoNet`.

    Raises:
        OptionError: where an option is out of range.
    """
    return EndoNet(**options)
