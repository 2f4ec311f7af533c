"""One model's way through one recording: what is stored already, what is left, what comes next.

Runs on the thread that owns the device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.frame import Frame
from app.core.prediction import Run
from app.inference.postprocess import Rules
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.store import PredictionStore
    from app.video import VideoSource

log = logging.getLogger(__name__)

STATE_EVERY_MS = 60_000.0
_SMALL_STATE_BYTES, _SMALL_STATE_EVERY_MS = 200_000, 10_000.0
Settings = dict[str, str | int | float | bool]


class Pass(Protocol):
    """What the analysis job needs of a model's way through a recording."""

    card: ModelCard
    run: Run | None
    grid: Sequence[int]
    resumed: int
    computed: int
    spent_ms: float

    def left(self) -> list[int]:
        """Indices to visit, ascending; empty when everything is stored."""

    def needs_picture(self, index: int) -> bool:
        """Whether the frame has to be decoded for the visit."""

    def begin(self, device: DeviceChoice, threads: int) -> None:
        """Load the network and take up the carried state."""

    def visit(self, index: int, frame: Frame | None) -> None:
        """Compute one frame, or pass over one that is stored; None where it does not decode."""

    def flush(self, *, keep_state: bool = False) -> None:
        """Store what was computed since the last call; the carried state when due or asked."""

    def end(self) -> None:
        """Everything was visited."""

    def close(self) -> None:
        """No more of it, whether everything was visited or not."""

    def device(self) -> DeviceChoice | None:
        """Where the network runs now, None before it was loaded."""


class StoredPass:
    """What all kinds of pass share: their run in the store."""

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        grid: Sequence[int],
        sample_every: int,
        decisive: Settings,
    ) -> None:
        self.card = card
        self.grid = grid
        self._store, self._asset, self._source = store, asset, source
        self._sample_every = sample_every
        self._decisive = {
            "input_width_px": card.input_size_px[0],
            "input_height_px": card.input_size_px[1],
            **decisive,
        }
        self.run: Run | None = self._find_run()
        self._stored: set[int] = set()
        if self.run is not None:
            known = store.stored_pts(self.run.run_id, verify=True).tolist()
            indices = {pts: i for i, pts in enumerate(source.index.pts.tolist())}
            self._stored = {indices[p] for p in known if p in indices}
        self.resumed = sum(i in self._stored for i in grid)
        self.computed = 0
        self.spent_ms = 0.0
        self._state_at_ms = 0.0
        self._visited: int | None = None

    def _find_run(self) -> Run | None:
        """The newest run of this very model with settings that give the same answers."""
        for run in reversed(self._store.runs(self._asset.asset_id)):
            same = (run.model, run.weights_sha256, run.sample_every) == (
                self.card.name,
                self.card.weights_sha256,
                self._sample_every,
            )
            # A rule that did not exist when the run was made did then what its default does now.
            settings = {**asdict(Rules()), **run.settings}
            # What was said live holds the frames that the machine managed, with tracks over gaps.
            same = same and not run.was_live
            if same and all(settings.get(k) == v for k, v in self._decisive.items()):
                return run
        return None

    def _started(self, settings: Settings) -> Run:
        if self.run is None:
            self.run = self._store.start_run(
                asset=self._asset,
                model=self.card.name,
                task=self.card.task,
                weights_sha256=self.card.weights_sha256,
                classes=self.card.class_keys,
                settings={**settings, **self._decisive},
                sample_every=self._sample_every,
                frames_expected=len(self.grid),
            )
        return self.run

    def _note(self, settings: Settings) -> None:
        """Keep with the run what was not known, or was otherwise, when it began."""
        if self.run is None or all(self.run.settings.get(k) == v for k, v in settings.items()):
            return
        before = str(self.run.settings.get("engine", ""))
        # A run that is taken up again keeps what computed its first frames.
        named = dict.fromkeys(", ".join((before, str(settings["engine"]))).split(", "))
        settings = {**settings, "engine": ", ".join(n for n in named if n)}
        if any(self.run.settings.get(k) != v for k, v in settings.items()):
            self.run = self._store.amend(self.run.run_id, settings)

    def flush(self, *, keep_state: bool = False) -> None:
        """See ``Pass``."""
        raise NotImplementedError

    def end(self) -> None:
        """Store what is left, and that the run is whole."""
        self.flush(keep_state=True)
        if self.run is not None and not self.run.finished:
            self._store.finish(self.run.run_id)

    def close(self) -> None:
        """No more of it; only a pass with threads of its own has something to end."""

    def _put_state(self, snapshot: bytes, *, at_once: bool) -> None:
        """Keep the state after the frame visited last, now and then or at once."""
        if self.run is None or self._visited is None:
            return
        now_ms = self._source.time_ms(self._visited)
        small = len(snapshot) <= _SMALL_STATE_BYTES
        every_ms = _SMALL_STATE_EVERY_MS if small else STATE_EVERY_MS
        if at_once or now_ms - self._state_at_ms >= every_ms:
            self._state_at_ms = now_ms
            self._store.put_state(self.run.run_id, self._source.pts(self._visited), snapshot)


class FramePass(StoredPass):
    """Every n-th frame is looked at, and any of them may be out of turn."""

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        every: int,
        decisive: Settings,
    ) -> None:
        super().__init__(store, asset, source, card, range(0, len(source), every), every, decisive)

    def needs_picture(self, index: int) -> bool:
        return index not in self._stored

    def look_at(self, frame: Frame) -> bool:
        """Compute and store a frame out of turn.

        Returns:
            False where it is stored already or not among the frames that are looked at.
        """
        if frame.index in self._stored or frame.index not in self.grid:
            return False
        self._look_early(frame)
        self.flush()
        return True

    def _look_early(self, frame: Frame) -> None:
        """Compute a frame whose turn has not come."""
        raise NotImplementedError

    def flush(self, *, keep_state: bool = False) -> None:
        """See ``Pass``."""
        raise NotImplementedError


class Carries(Protocol):
    """A loaded network that stands somewhere in a recording."""

    def reset(self) -> None:
        """Stand before the first frame."""

    def restore(self, snapshot: bytes) -> None:
        """Stand where a snapshot was taken; BadInput where it is of another network."""


class CarriedPass(StoredPass):
    """Frames come in their order, through a state that is stored now and then.

    Attributes:
        replayed: frames that were stored already, and looked at again for the state's sake.
    """

    replayed = 0
    _states_usable = True

    def left(self) -> list[int]:
        missing = next((i for i, index in enumerate(self.grid) if index not in self._stored), None)
        if missing is None:
            return []
        return list(self.grid[self._resume_place(missing) :])

    def needs_picture(self, index: int) -> bool:
        del index  # the carried state needs every frame, stored or not
        return True

    def _take_up_state(self, run: Run, stream: Carries) -> None:
        """Let the network stand before the first frame that is left."""
        place = self.grid.index(self.left()[0])
        if place == 0:
            stream.reset()
            return
        state = self._store.state_before(run.run_id, self._source.pts(self.grid[place - 1]))
        try:
            stream.restore(state[1] if state else b"")
        except BadInput as error:
            log.info("%s %s", error, error.detail)
            self._states_usable = False
            stream.reset()

    def _resume_place(self, missing: int) -> int:
        """The grid place to go on from: just after the newest usable state."""
        if self.run is None or missing == 0 or not self._states_usable:
            return 0
        pts = [self._source.pts(i) for i in self.grid]
        state = self._store.state_before(self.run.run_id, pts[missing - 1])
        if state is None or state[0] not in pts:
            return 0
        return pts.index(state[0]) + 1


def phase_grid(source: VideoSource, per_second: float) -> tuple[tuple[int, ...], int]:
    """Frames that a phase model looks at, and the run's ``sample_every``."""
    every = 0 if per_second == 1.0 else max(1, round(source.info.frame_rate / per_second))
    return time_grid(source, 1000.0 / per_second), every


def time_grid(source: VideoSource, step_ms: float) -> tuple[int, ...]:
    """Indices of the frames on screen every ``step_ms``, each once."""
    count = max(1, int(np.ceil(source.info.duration_ms / step_ms - 1e-6)))
    indices = [source.index_at_ms(k * step_ms) for k in range(count)]
    return tuple(dict.fromkeys(indices))
