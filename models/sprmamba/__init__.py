"""SPRMamba: phases of a whole recording, looking both ways; never of a live picture."""

from typing import Any

from models.sprmamba.network import SprMamba

__all__ = ["SprMamba", "build"]


def build(**options: Any) -> SprMamba:
    """Builds the network for the registry; takes the options of `SprMamba`.

    Raises:
        OptionError: where an option is out of range.
    """
    return SprMamba(**options)
