"""Reads predictions ahead of the playhead and composes overlays, on the thread ``trocar-overlay``.

The GUI thread asks with ``want`` and looks into a shared cache when a frame comes on screen; the
worker answers what is on screen first, then what comes next. Stale answers carry an old
generation number and are dropped.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QThread, Signal, Slot

from app.core.case import Asset
from app.core.errors import TrocarError
from app.core.prediction import FramePrediction, Run
from app.ui.human_work import HumanWork

if TYPE_CHECKING:
    from app.overlay import OverlayStyle, ShownInstance
    from app.store import Library

CACHE_BYTES = 192 << 20
AHEAD_MS = 700.0
RECENT_MS = 250.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What decides an overlay apart from the frame; a new view starts a new generation."""

    case_id: str
    asset: Asset
    work: HumanWork
    run: Run | None
    style: OverlayStyle
    size_px: tuple[int, int]
    scenes: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composed:
    """One frame's overlay.

    Attributes:
        generation: of the view that it belongs to.
        pts: of the frame.
        raster: uint8 (H, W, 4) premultiplied BGRA, None where nothing is drawn.
        shown: the instances, human first.
        prediction: what the run stored, None where it has not looked at the frame.
        run: the run shown.
        areas: what the run of scenes sees, drawn below the instances.
    """

    generation: int
    pts: int
    raster: NDArray[np.uint8] | None
    shown: tuple[ShownInstance, ...]
    prediction: FramePrediction | None
    run: Run | None
    areas: tuple[ShownInstance, ...] = ()


class OverlayWorker(QObject):
    """Composes overlays.

    Signals:
        ready: (Composed) the overlay of the frame asked for last; where no model has looked at
            it, while playing, also that of the newest frame before it that is known.
        failed: (TrocarError)
    """

    ready = Signal(object)
    failed = Signal(object)
    _wake = Signal()

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._lock = threading.Lock()
        self._view: View | None = None
        self._generation = 0
        self._wanted: tuple[int, int] | None = None
        self._cache: OrderedDict[int, Composed] = OrderedDict()
        self._bytes = 0
        self._awake = False
        self._closing = False
        self._thread = QThread()
        self._thread.setObjectName("trocar-overlay")
        self.moveToThread(self._thread)
        self._wake.connect(self._work)
        self._thread.start()

    # Called on the GUI thread.

    def set_view(self, view: View | None) -> int:
        """Show another case, run, style or size. Returns the new generation."""
        with self._lock:
            self._view = view
            self._wanted = None
            return self._forget_all()

    def forget(self, pts: Iterable[int] | None) -> None:
        """Human work on these frames changed (None: on any)."""
        with self._lock:
            if pts is None:
                self._forget_all()
                return
            for one in pts:
                self._drop(one)

    def _forget_all(self) -> int:
        self._generation += 1
        self._cache.clear()
        self._bytes = 0
        return self._generation

    @property
    def generation(self) -> int:
        """Of the current view."""
        return self._generation

    def at_hand(self, pts: int) -> Composed | None:
        """The overlay of a frame if it is composed already."""
        with self._lock:
            return self._cache.get(pts)

    def want(self, pts: int, direction: int) -> None:
        """Compose this frame now, then those ahead of it (0: no reading ahead)."""
        with self._lock:
            if self._view is None or self._closing:
                return
            self._wanted = (pts, direction)
            if self._awake:
                return
            self._awake = True
        self._wake.emit()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._closing = True
            self._wanted = None
        self._thread.quit()
        self._thread.wait()

    # Runs on the overlay thread.

    @Slot()
    def _work(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, None
                view, generation = self._view, self._generation
                if wanted is None or view is None or self._closing:
                    self._awake = False
                    return
            try:
                self._serve(view, generation, *wanted)
            except TrocarError as error:
                self.failed.emit(error)

    def _serve(self, view: View, generation: int, pts: int, direction: int) -> None:
        now = self._composed(view, generation, pts)
        self.ready.emit(now)
        if direction == 0 or (view.run is None and view.scenes is None):
            return
        if view.run is not None and now.prediction is None:
            self._tell_recent(view, generation, pts, direction)
        span = round(AHEAD_MS / 1000 / view.asset.time_base) * direction
        first, last = sorted((pts + (1 if direction > 0 else -1), pts + span))
        ahead = self._between(view, view.run, first, last)
        areas = self._between(view, view.scenes, first, last)
        for at in sorted({*ahead, *areas}, reverse=direction < 0):
            if self._interrupted(generation):
                return
            if self.at_hand(at) is None:
                self._keep(self._compose(view, generation, at, ahead.get(at), areas.get(at)))

    def _between(
        self, view: View, run: Run | None, first: int, last: int
    ) -> dict[int, FramePrediction]:
        if run is None:
            return {}
        found = self._library.predictions(view.case_id).frames(run.run_id, first, last)
        return {prediction.pts: prediction for prediction in found}

    def _tell_recent(self, view: View, generation: int, pts: int, direction: int) -> None:
        """While playing over what is being analysed: the newest frame that is known."""
        assert view.run is not None  # noqa: S101 - asked by the caller
        span = round(RECENT_MS / 1000 / view.asset.time_base) * direction
        first, last = sorted((pts - span, pts - (1 if direction > 0 else -1)))
        known = self._library.predictions(view.case_id).frames(view.run.run_id, first, last)
        if known:
            newest = known[-1 if direction > 0 else 0]
            self.ready.emit(self._composed(view, generation, newest.pts))

    def _interrupted(self, generation: int) -> bool:
        with self._lock:
            return self._wanted is not None or self._closing or generation != self._generation

    def _composed(self, view: View, generation: int, pts: int) -> Composed:
        found = self.at_hand(pts)
        if found is not None:
            return found
        store = self._library.predictions(view.case_id)
        prediction = areas = None
        if view.run is not None:
            prediction = store.frame(view.run.run_id, pts)
        if view.scenes is not None:
            areas = store.frame(view.scenes.run_id, pts)
        made = self._compose(view, generation, pts, prediction, areas)
        if prediction is not None or areas is not None:
            self._keep(made)
        return made

    def _compose(
        self,
        view: View,
        generation: int,
        pts: int,
        prediction: FramePrediction | None,
        seen: FramePrediction | None,
    ) -> Composed:
        from app.overlay import Dial, area_looks, compose, looks_of, shown_areas, shown_instances

        predictions = {}
        if prediction is not None and view.run is not None:
            predictions[view.run.run_id] = prediction
        shown = shown_instances(
            predictions, view.work.annotations(pts), reviewed=view.work.is_reviewed(pts)
        )
        areas = () if seen is None else shown_areas(seen)
        raster = None
        if (shown or areas) and view.style.dial > Dial.NOTHING:
            looks = (*looks_of(shown, view.style), *area_looks(areas, view.style))
            raster = compose((*shown, *areas), view.size_px, view.style, looks)
        return Composed(
            generation=generation,
            pts=pts,
            raster=raster,
            shown=shown,
            prediction=prediction,
            run=view.run,
            areas=areas,
        )

    def _keep(self, made: Composed) -> None:
        with self._lock:
            if made.generation != self._generation:
                return
            self._drop(made.pts)
            self._cache[made.pts] = made
            self._bytes += _size(made)
            while self._bytes > CACHE_BYTES and len(self._cache) > 1:
                self._drop(next(iter(self._cache)))

    def _drop(self, pts: int) -> None:
        gone = self._cache.pop(pts, None)
        if gone is not None:
            self._bytes -= _size(gone)


def _size(made: Composed) -> int:
    return made.raster.nbytes if made.raster is not None else 0
