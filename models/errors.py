"""Errors that `models` raises about material from outside: cards, weight files, options.

Every one is a `ValueError` whose text is one sentence a user can act on. `app` maps
them to its own errors at the boundary; anything else raised here is a bug.
"""


class ModelError(ValueError):
    """A model, card or weight file cannot be used; the text says which and what to do."""


class OptionError(ModelError):
    """A network was asked for with an option it does not have or a value out of range."""


class CardError(ModelError):
    """A model card is missing, unreadable, incomplete or contradicts itself."""


class CheckpointError(ModelError):
    """A weight file is missing, damaged, or does not fit the network it was given to."""
