"""SuPRA's task: the phase that runs, the one that follows, and the time until each of them."""

from typing import Any

from models.supra.network import Forecast, State, Supra
from models.supra.targets import Anticipation, anticipation_of
from models.supra.timing import expected_minutes

__all__ = [
    "Anticipation",
    "Forecast",
    "State",
    "Supra",
    "anticipation_of",
    "build",
    "expected_minutes",
]


def build(**options: Any) -> Supra:
    """Builds the network for the registry; takes the options of `Supra`.

    Raises:
        OptionError: where an option is out of range.
    """
    return Supra(**options)
