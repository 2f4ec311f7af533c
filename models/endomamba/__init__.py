"""EndoMamba, the temporal network: phases of a procedure from a stream of frames."""

from typing import Any

from models.endomamba.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES, Advance, EndoMamba
from models.endomamba.state import State

__all__ = ["IMAGE_MEAN_RGB", "IMAGE_STD_RGB", "SIZES", "Advance", "EndoMamba", "State", "build"]


def build(**options: Any) -> EndoMamba:
    """Builds the network for the registry; takes the options of `EndoMamba`.

    Raises:
        OptionError: where an option is out of range.
    """
    return EndoMamba(**options)
