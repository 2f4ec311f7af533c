"""The networks this build knows, by name, built when first asked for.

The list is explicit, so that a frozen bundle finds the same networks as a checkout.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from models.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

SYSTEMS = {
    "lmsf_a": "models.lmsf_a",
    "endomamba": "models.endomamba",
}
"""System name -> module with `build(**options) -> nn.Module`."""


def create_model(name: str, **options: object) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        name: a key of `SYSTEMS`.
        **options: the network's own options; see its class.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        OptionError: the name or an option is unknown, or a value out of range.
    """
    if name not in SYSTEMS:
        raise OptionError(f'There is no network "{name}"; there are {", ".join(sorted(SYSTEMS))}.')
    module = import_module(SYSTEMS[name])
    try:
        return module.build(**options)  # type: ignore[no-any-return]
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise OptionError(f"{name}: {str(error).rpartition(') ')[2]}.") from error
