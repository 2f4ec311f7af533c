"""SurgVLP, HecVL and PeskaVLP: pictures and sentences in one space; here, the pictures' side."""

from typing import Any

from models.surgvlp.network import (
    IMAGE_MEAN_RGB,
    IMAGE_STD_RGB,
    RESIZED_PX,
    SIDE_PX,
    SurgVlp,
)

__all__ = ["IMAGE_MEAN_RGB", "IMAGE_STD_RGB", "RESIZED_PX", "SIDE_PX", "SurgVlp", "build"]


def build(**options: Any) -> SurgVlp:
    """Builds the network for the registry; takes the options of `SurgVlp`.

    Raises:
        OptionError: where an option is out of range.
    """
    return SurgVlp(**options)
