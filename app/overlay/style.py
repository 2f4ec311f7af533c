"""How instances are drawn: one dial from nothing to everything, and colours handed in.

Colours come from the theme through the caller; this room names none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from app.core import validate

RGB = tuple[int, int, int]


class Dial(IntEnum):
    """How much is drawn; every step adds to the one before."""

    NOTHING = 0
    OUTLINE = 1
    FILL = 2
    LABELS = 3
    CONFIDENCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayStyle:
    """Everything that decides what an overlay looks like; equal styles give equal pixels.

    Attributes:
        dial: how much is drawn.
        outlines: colours of tracks, in the order objects get them; a further object repeats the
            first colour, dashed.
        halo: colour on both sides of the line.
        halo_alpha: its opacity, 0 to 1.
        text: colour of labels.
        plate: colour behind labels.
        plate_alpha: its opacity, 0 to 1.
        fill: opacity inside an instance from ``Dial.FILL`` on, 0 to 0.35.
        outline_px: width of the line in pixels of the overlay.
        halo_px: width of the halo on each side of it.
        text_px: height of labels in pixels of the overlay.
        names: (class key, word shown) pairs; a key without one stands for itself.
    """

    dial: Dial = Dial.OUTLINE
    outlines: tuple[RGB, ...]
    halo: RGB
    halo_alpha: float = 0.62
    text: RGB
    plate: RGB
    plate_alpha: float = 0.78
    fill: float = 0.25
    outline_px: float = 2.0
    halo_px: float = 1.0
    text_px: int = 14
    names: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        validate.not_empty("OverlayStyle.outlines", self.outlines)
        validate.in_range("OverlayStyle.fill", self.fill, 0.0, 0.35)
        validate.in_range("OverlayStyle.halo_alpha", self.halo_alpha, 0.0, 1.0)
        validate.in_range("OverlayStyle.plate_alpha", self.plate_alpha, 0.0, 1.0)
        validate.in_range("OverlayStyle.outline_px", self.outline_px, 1.0, 16.0)
        validate.in_range("OverlayStyle.halo_px", self.halo_px, 0.0, 16.0)
        validate.positive("OverlayStyle.text_px", self.text_px)

    def name(self, label: str) -> str:
        """The word for a class key."""
        return dict(self.names).get(label) or label.replace("_", " ").capitalize()
