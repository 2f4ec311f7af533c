"""What the networks said about a live frame, drawn where they run: never on the GUI thread."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

if TYPE_CHECKING:
    from app.core.foreseen import Foreseen
    from app.core.prediction import FramePrediction, PhasePrediction
    from app.inference import LiveAnswer, LiveRuns
    from app.overlay import OverlayStyle

    _Kept = tuple[
        FramePrediction | None,
        PhasePrediction | None,
        Foreseen | None,
        NDArray[np.float16] | None,
    ]

_REMEMBERED_PTS = 60 * 90_000
"""How long answers wait for a case: the seconds before Record, and a library that is late."""


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

    Of the outlines only the newest are handed over, so that a window which is late never piles
    them up; phases, one a second and small, are handed over all.

    Signals:
        drawn: (Drawn) the newest outlines.
        named: (LiveAnswer) with a phase.
    """

    drawn = Signal(object)
    named = Signal(object)
    _arrived = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._style: OverlayStyle | None = None
        self._size_px = (2, 2)
        self._runs: LiveRuns | None = None
        self._operation = 0
        self._waiting: deque[tuple[int, int, _Kept]] = deque()
        self._newest: Drawn | None = None
        self._named: list[LiveAnswer] = []
        self._told = False
        self._arrived.connect(self._deliver)

    def set_look(self, style: OverlayStyle, size_px: tuple[int, int]) -> None:
        """How, and how large, overlays are drawn from now on."""
        with self._lock:
            self._style, self._size_px = style, size_px

    def keep_in(self, runs: LiveRuns | None, start_pts: int = 0, operation: int = 0) -> None:
        """Where answers are kept from now on, and those of the last minute; None for nowhere.

        Args:
            runs: of a recording.
            start_pts: where it begins: before that somebody only watched.
            operation: that it is of. The seconds before may show it, but were looked at as the end
                of another one: of their answers the outlines alone are kept.
        """
        with self._lock:
            self._runs, self._operation = runs, operation
            waiting, self._waiting = self._waiting, deque()
        if runs is None:
            return
        for pts, of, said in waiting:
            # A source's clock may have begun again since.
            if start_pts <= pts < start_pts + 2 * _REMEMBERED_PTS:
                _keep(runs, said, is_before=of < operation)

    def take(self, answer: LiveAnswer) -> None:
        """On the inference thread: keep it, draw it, hand it over."""
        with self._lock:
            style, size_px, runs = self._style, self._size_px, self._runs
            operation = self._operation
            if runs is None:
                self._remember(answer)
        if runs is not None:
            _keep(runs, _said(answer), is_before=answer.operation < operation)
        raster = None
        if answer.frame is not None and answer.frame.instances and style is not None:
            raster = _composed(answer, style, size_px)
        with self._lock:
            if answer.frame is not None:
                self._newest = Drawn(answer=answer, raster=raster)
            if answer.phase is not None:
                self._named.append(answer)
            told, self._told = self._told, True
        if not told:
            self._arrived.emit()

    def _remember(self, answer: LiveAnswer) -> None:
        """Without its picture, which is large."""
        pts = answer.picture.pts
        self._waiting.append((pts, answer.operation, _said(answer)))
        while not 0 <= pts - self._waiting[0][0] <= _REMEMBERED_PTS:
            self._waiting.popleft()

    @Slot()
    def _deliver(self) -> None:
        with self._lock:
            named, self._named = self._named, []
            newest, self._newest = self._newest, None
            self._told = False
        for answer in named:
            self.named.emit(answer)
        if newest is not None:
            self.drawn.emit(newest)


def _said(answer: LiveAnswer) -> _Kept:
    return answer.frame, answer.phase, answer.foreseen, answer.tools


def _keep(runs: LiveRuns, said: _Kept, *, is_before: bool) -> None:
    """Of what was seen before an operation began, its outlines alone are the operation's."""
    if is_before:
        runs.keep(said[0], None)
    else:
        runs.keep(*said)


def _composed(
    answer: LiveAnswer, style: OverlayStyle, size_px: tuple[int, int]
) -> NDArray[np.uint8] | None:
    from app.overlay import Dial, compose, shown_instances

    if style.dial <= Dial.NOTHING or answer.frame is None:
        return None
    return compose(shown_instances({0: answer.frame}, ()), size_px, style)
