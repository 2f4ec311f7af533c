"""State-change learning for the next event: a research option, of which much is inferred."""

from typing import Any

from models.surgfutr.network import Foreseen, SurgFutr, sinkhorn

__all__ = ["Foreseen", "SurgFutr", "build", "sinkhorn"]


def build(**options: Any) -> SurgFutr:
    """Builds the network for the registry; takes the options of `SurgFutr`.

    Raises:
        OptionError: where an option is out of range.
    """
    return SurgFutr(**options)
