"""What the networks said about a live frame, drawn where they run: never on the GUI thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from app.inference import LiveAnswer, LiveRuns
    from app.overlay import OverlayStyle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """An answer with its overlay.

    Attributes:
        answer: what was said.
        raster: uint8 (H, W, 4) premultiplied BGRA, None where nothing is drawn.
    """

    answer: LiveAnswer
    raster: NDArray[np.uint8] | None


class AnswerDrawer(QObject):
    """Draws each answer on the thread that gives it, and hands it to the GUI thread.

    Signals:
        drawn: (Drawn)
    """

    drawn = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._style: OverlayStyle | None = None
        self._size_px = (2, 2)
        self._runs: LiveRuns | None = None

    def set_look(self, style: OverlayStyle, size_px: tuple[int, int]) -> None:
        """How, and how large, overlays are drawn from now on."""
        with self._lock:
            self._style, self._size_px = style, size_px

    def keep_in(self, runs: LiveRuns | None) -> None:
        """Where answers are kept from now on, None for nowhere."""
        with self._lock:
            self._runs = runs

    def take(self, answer: LiveAnswer) -> None:
        """On the inference thread: keep it, draw it, hand it over."""
        with self._lock:
            style, size_px, runs = self._style, self._size_px, self._runs
        if runs is not None:
            runs.keep(answer)
        raster = None
        if answer.frame is not None and answer.frame.instances and style is not None:
            raster = _composed(answer, style, size_px)
        self.drawn.emit(Drawn(answer=answer, raster=raster))


def _composed(
    answer: LiveAnswer, style: OverlayStyle, size_px: tuple[int, int]
) -> NDArray[np.uint8] | None:
    from app.overlay import Dial, compose, shown_instances

    if style.dial <= Dial.NOTHING or answer.frame is None:
        return None
    return compose(shown_instances({0: answer.frame}, ()), size_px, style)
