"""MS-TCN, causal as in TeCNO or looking both ways: phases from a stream of frame features."""

from typing import Any

from models.ms_tcn.network import Advance, MsTcn
from models.ms_tcn.state import State

__all__ = ["Advance", "MsTcn", "State", "build"]


def build(**options: Any) -> MsTcn:
    """Builds the network for the registry; takes the options of `MsTcn`.

    Raises:
        OptionError: where an option is out of range.
    """
    return MsTcn(**options)
