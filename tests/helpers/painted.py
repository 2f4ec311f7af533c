"""When a live picture was painted, and which one it was."""

from __future__ import annotations

import time

import numpy as np
from PySide6.QtGui import QPaintEvent

from app.ui.live.stage import LiveStage
from tests.helpers.clips import number_of


class Painted:
    """Notes every paint of a live stage; make it before the window."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, np.ndarray]] = []
        self._paint = LiveStage.paintEvent

        def paint(stage: LiveStage, event: QPaintEvent) -> None:
            self._paint(stage, event)
            if stage.frame is not None:
                code = stage.frame.rgb[:40, :320].copy()
                self._seen.append((time.monotonic(), code))

        LiveStage.paintEvent = paint  # type: ignore[method-assign]

    def close(self) -> None:
        """Note no more."""
        LiveStage.paintEvent = self._paint  # type: ignore[method-assign]

    def first_s(self) -> dict[int, float]:
        """Number of each picture to when it was first painted (monotonic)."""
        found: dict[int, float] = {}
        for at_s, code in self._seen:
            found.setdefault(number_of(code), at_s)
        return found
