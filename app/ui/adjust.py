"""The picture made brighter, steeper or sharper for the eye alone.

What is shown is changed, never the frame: masks, models, snapshots and exports see the recording.
``Adjustment.apply`` runs on the decode thread for frames that arrive and on ``trocar-adjust`` when
a slider moves over a still one; 8 ms at 1920 x 1080 on one core (measured), so never on the GUI's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.ui.background import Background

Picture = NDArray[np.uint8]

_SHARPEST = 0.8
"""Weight of the four neighbours at full sharpening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """How the picture is shown; all zero is the recording as it is.

    Attributes:
        brightness: -100 to 100, added in hundredths of the range.
        contrast: -100 to 100, steeper or flatter around middle grey.
        gamma: -100 to 100; above 0 the shadows come up, at 100 with the exponent 1/3.
        sharpen: 0 to 100.
    """

    brightness: int = 0
    contrast: int = 0
    gamma: int = 0
    sharpen: int = 0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "gamma"):
            validate.in_range(f"Adjustment.{name}", getattr(self, name), -100, 100)
        validate.in_range("Adjustment.sharpen", self.sharpen, 0, 100)

    @property
    def is_neutral(self) -> bool:
        """Whether the recording is shown as it is."""
        return self == Adjustment()

    def table(self) -> Picture:
        """What each value becomes: uint8 (256,)."""
        value = np.linspace(0.0, 1.0, 256) ** (3.0 ** (-self.gamma / 100))
        value = (value - 0.5) * 3.0 ** (self.contrast / 100) + 0.5 + self.brightness / 100
        return np.clip(np.round(value * 255), 0, 255).astype(np.uint8)

    def apply(self, rgb: Picture) -> Picture:
        """A new picture, uint8 (H, W, 3); the frame's own memory is left alone."""
        import cv2  # with the first case, not with the window

        if self.sharpen:
            side = _SHARPEST * self.sharpen / 100
            kernel = np.array([[0, -side, 0], [-side, 1 + 4 * side, -side], [0, -side, 0]])
            rgb = np.asarray(cv2.filter2D(rgb, -1, kernel.astype(np.float32)), np.uint8)
        return np.asarray(cv2.LUT(rgb, self.table()), np.uint8)

    def words(self) -> str:
        """What is changed, such as ``brightness +20, sharpen 40``."""
        parts = [
            f"{name} {value:+d}"
            for name, value in (
                ("brightness", self.brightness),
                ("contrast", self.contrast),
                ("gamma", self.gamma),
            )
            if value
        ]
        if self.sharpen:
            parts.append(f"sharpen {self.sharpen}")
        return ", ".join(parts)


class Adjuster:
    """The adjustment in force, and the thread that applies it to a frame that stands still."""

    def __init__(self) -> None:
        self.now = Adjustment()
        self._background = Background("trocar-adjust")

    def of_arriving(self, rgb: Picture) -> Picture | None:
        """On the decode thread: the picture to show in the frame's place, None for the frame."""
        now = self.now
        return None if now.is_neutral else now.apply(rgb)

    def of_standing(self, rgb: Picture, done: Callable[[Picture], object]) -> None:
        """``done`` gets the picture on the GUI thread; of several requests the newest is done."""
        now = self.now
        self._background.run(
            lambda: now.apply(rgb), lambda made: now is self.now and done(made), newest="adjust"
        )

    def close(self) -> None:
        """End the thread."""
        self._background.close()
