"""EndoMamba, the temporal network: phases of a procedure from a stream of frames."""

from typing import Any

from models.endomamba.heads import LocalisingEndoMamba, Places, SegmentingEndoMamba
from models.endomamba.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES, Advance, EndoMamba
from models.endomamba.pretraining import PretrainingEndoMamba
from models.endomamba.state import State

__all__ = [
    "IMAGE_MEAN_RGB",
    "IMAGE_STD_RGB",
    "SIZES",
    "Advance",
    "EndoMamba",
    "LocalisingEndoMamba",
    "Places",
    "PretrainingEndoMamba",
    "SegmentingEndoMamba",
    "State",
    "build",
]


def build(
    *, head: str = "phase", **options: Any
) -> EndoMamba | SegmentingEndoMamba | LocalisingEndoMamba | PretrainingEndoMamba:
    """Builds the network for the registry.

    Args:
        head: "phase", "classification", "segmentation", "localisation", "none" for the backbone, or
            "pretraining" for the encoder with the decoder that it is pre-trained with.
        **options: those of the network's class.

    Raises:
        OptionError: where an option is out of range.
    """
    if head == "segmentation":
        return SegmentingEndoMamba(**options)
    if head == "localisation":
        return LocalisingEndoMamba(**options)
    if head == "pretraining":
        return PretrainingEndoMamba(**options)
    return EndoMamba(head=head, **options)  # type: ignore[arg-type]
