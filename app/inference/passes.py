"""One model's way through one recording: what is stored already, what is left, what comes next.

Runs on the thread that owns the device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.frame import Frame
from app.core.prediction import LIVE, FramePrediction, Instance, PhasePrediction, Run
from app.inference.cards import settings_of_tools
from app.inference.engines.kinds import EAGER
from app.inference.postprocess import Rules, rules_of
from app.inference.tracking import Tracker
from models import ModelCard
from models.card import BACKBONE

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.phases import PhaseStream
    from app.inference.segmenter import Segmenter
    from app.store import PredictionStore
    from app.video import VideoSource

log = logging.getLogger(__name__)

STATE_EVERY_MS = 60_000.0
_SMALL_STATE_BYTES, _SMALL_STATE_EVERY_MS = 200_000, 10_000.0
_NEWEST_PTS = 2**62
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
            same = same and not run.settings.get(LIVE)
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


class MaskPass(FramePass):
    """Instances of every n-th frame, with tracks."""

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        every: int = 1,
        engine: str = EAGER,
    ) -> None:
        super().__init__(store, asset, source, card, every, asdict(rules_of(card)))
        self._engine = engine
        self._segmenter: Segmenter | None = None
        self._tracker = Tracker()
        self._untracked: set[int] = set()
        self._batch: list[FramePrediction] = []
        self.instances = 0
        if self.run is not None:
            self._take_up()

    def left(self) -> list[int]:
        front = self._front()
        return [i for i in self.grid if i >= front]

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.segmenter import Segmenter

        if self._segmenter is None:
            self._segmenter = Segmenter(self.card, device, threads=threads, engine=self._engine)
        self._started(self._segmenter.describe())

    def visit(self, index: int, frame: Frame | None) -> None:
        time_ms = self._source.time_ms(index)
        self._visited = index
        if index in self._stored:
            self._pass_over(index, time_ms)
            return
        found, computed_ms = self._look(frame)
        tracked = self._tracker.update(found, time_ms)
        self._keep(index, tracked, computed_ms)
        self.computed += 1

    def _look_early(self, frame: Frame) -> None:
        """Its tracks come when its turn comes."""
        found, computed_ms = self._look(frame)
        self._keep(frame.index, found, computed_ms)
        self.instances -= len(found)
        self._untracked.add(frame.index)
        self.computed += 1

    def flush(self, *, keep_state: bool = False) -> None:
        if self.run is None:
            return
        self._store.put_frames(self.run.run_id, self._batch)
        self._batch.clear()
        self._put_state(self._snapshot(), at_once=keep_state)

    def device(self) -> DeviceChoice | None:
        return None if self._segmenter is None else self._segmenter.device

    def _look(self, frame: Frame | None) -> tuple[tuple[Instance, ...], float]:
        assert self._segmenter is not None  # noqa: S101 - begin comes first
        if frame is None:
            return (), 0.0
        found = self._segmenter.predict(frame.rgb)
        self._note(self._segmenter.computed_by())
        self.spent_ms += self._segmenter.cost.total_ms
        return found, self._segmenter.cost.total_ms

    def _keep(self, index: int, instances: tuple[Instance, ...], computed_ms: float) -> None:
        self._batch.append(
            FramePrediction(
                pts=self._source.pts(index),
                index=index,
                instances=instances,
                computed_ms=computed_ms,
            )
        )
        self._stored.add(index)
        self.instances += len(instances)

    def _pass_over(self, index: int, time_ms: float) -> None:
        """A stored frame's turn: take its tracks over, or give it some."""
        assert self.run is not None  # noqa: S101 - something is stored
        kept = self._store.frame(self.run.run_id, self._source.pts(index))
        if kept is None:
            return
        self._untracked.discard(index)
        if all(i.track is not None for i in kept.instances):
            self._tracker.follow(kept.instances, time_ms)
            self.instances += len(kept.instances)
            return
        self._keep(index, self._tracker.update(kept.instances, time_ms), kept.computed_ms)

    def _front(self) -> int:
        """The first frame whose turn has not come."""
        for index in self.grid:
            if index not in self._stored or index in self._untracked:
                return index
        return len(self._source)

    def _take_up(self) -> None:
        """Rebuild tracks and counts from the store, up to the first frame that is missing."""
        assert self.run is not None  # noqa: S101 - called with a run
        run_id, front = self.run.run_id, self._front()
        newest = self._store.state_before(run_id, _NEWEST_PTS)
        if newest is not None:
            self._restore(newest[1])
        numbers_used = self._tracker.numbers_used
        last_pts = self._source.pts(front) - 1 if front < len(self._source) else _NEWEST_PTS
        state = self._store.state_before(run_id, last_pts)
        first_pts = self._asset.start_pts
        self._tracker, self.instances = Tracker(), 0
        if state is not None and self._restore(state[1]):
            first_pts = state[0] + 1
        self._tracker.skip_to(numbers_used)
        self._follow(first_pts, last_pts)

    def _follow(self, first_pts: int, last_pts: int) -> None:
        assert self.run is not None  # noqa: S101 - called with a run
        for kept in self._store.frames(self.run.run_id, first_pts, last_pts):
            if any(i.track is None for i in kept.instances):
                # Looked at out of turn before a crash: go on from here.
                self._untracked.add(kept.index)
                return
            self._tracker.follow(kept.instances, self._source.time_ms(kept.index))
            self.instances += len(kept.instances)

    def _snapshot(self) -> bytes:
        state = {"instances": self.instances, "tracker": self._tracker.snapshot().decode()}
        return json.dumps(state).encode()

    def _restore(self, state: bytes) -> bool:
        try:
            data = json.loads(state)
            self._tracker.restore(data["tracker"].encode())
            self.instances = int(data["instances"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.info("a stored tracker state cannot be read: %s", type(error).__name__)
            return False
        return True


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


class PhasePass(CarriedPass):
    """Phase probabilities, frame features and what is told of tools at the card's rate, through the
    carried state. A frame without the tools that the card names counts as not stored.

    Args:
        read: another model reads the features, so that a frame without them counts as not stored.
    """

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        *,
        read: bool = False,
    ) -> None:
        per_second = card.frames_per_second or 1.0
        grid, every = phase_grid(source, per_second)
        # Tools decide: a run from before they were kept, or with other names, is another one.
        decisive: Settings = {"frames_per_second": per_second, **settings_of_tools(card)}
        super().__init__(store, asset, source, card, grid, every, decisive)
        self._stream: PhaseStream | None = None
        self._last_rgb: NDArray[np.uint8] | None = None
        self._shown: deque[int] = deque()
        self._batch: list[PhasePrediction] = []
        self._features: list[tuple[int, NDArray[np.float16]]] = []
        self._tools: list[tuple[int, NDArray[np.float16]]] = []
        self._names_phases = card.task != BACKBONE
        if self.run is not None:
            self._leave_out(self.run.run_id, read=read)

    def _leave_out(self, run_id: int, *, read: bool) -> None:
        """Frames of which not all is there that is wanted of them count as not stored."""
        pts = {self._source.pts(i): i for i in self.grid}
        if read or not self._names_phases:
            kept = {pts[p] for p in self._store.features(run_id)[0].tolist() if p in pts}
            self._stored = self._stored & kept if self._names_phases else kept
        if self.card.tools:
            told = self._store.tools(run_id).pts.tolist()
            self._stored &= {pts[p] for p in told if p in pts}
        self.resumed = sum(i in self._stored for i in self.grid)

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.phases import PhaseStream

        if self._stream is None:
            self._stream = PhaseStream(self.card, device, threads=threads)
        self._take_up_state(self._started(self._stream.describe()), self._stream)

    def visit(self, index: int, frame: Frame | None) -> None:
        assert self._stream is not None  # noqa: S101 - begin comes first
        if frame is not None:
            self._last_rgb = frame.rgb
        if self._last_rgb is None:
            self._last_rgb = np.zeros((self._asset.height_px, self._asset.width_px, 3), np.uint8)
        # A frame that does not decode is looked at as the player shows it: the last good picture.
        self._stream.show(self._last_rgb)
        self._shown.append(index)
        if len(self._shown) > self._stream.ahead:
            self._tell()

    def _tell(self) -> None:
        """Take down what the oldest frame shown and not told yet is."""
        assert self._stream is not None  # noqa: S101 - it was shown to it
        self._visited = index = self._shown.popleft()
        probabilities = self._stream.tell()
        self.spent_ms += self._stream.step_ms
        if index in self._stored:
            self.replayed += 1
            return
        pts = self._source.pts(index)
        if self._names_phases:
            self._batch.append(
                PhasePrediction(pts=pts, index=index, probabilities=tuple(probabilities.tolist()))
            )
        if self._stream.features is not None:
            self._features.append((pts, self._stream.features))
        if self._stream.tools is not None:
            self._tools.append((pts, self._stream.tools))
        self._stored.add(index)
        self.computed += 1

    def flush(self, *, keep_state: bool = False) -> None:
        while self._shown:
            self._tell()
        if self.run is None or self._stream is None or not (self._features or keep_state):
            return
        self._store.put_features(self.run.run_id, self._features)
        if self._tools:
            self._store.put_tools(self.run.run_id, self._tools)
        self._store.put_phases(self.run.run_id, self._batch)
        self._features.clear()
        self._tools.clear()
        self._batch.clear()
        self._put_state(self._stream.snapshot(), at_once=keep_state)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def device(self) -> DeviceChoice | None:
        return None if self._stream is None else self._stream.device


def phase_grid(source: VideoSource, per_second: float) -> tuple[tuple[int, ...], int]:
    """Frames that a phase model looks at, and the run's ``sample_every``."""
    every = 0 if per_second == 1.0 else max(1, round(source.info.frame_rate / per_second))
    return time_grid(source, 1000.0 / per_second), every


def time_grid(source: VideoSource, step_ms: float) -> tuple[int, ...]:
    """Indices of the frames on screen every ``step_ms``, each once."""
    count = max(1, int(np.ceil(source.info.duration_ms / step_ms - 1e-6)))
    indices = [source.index_at_ms(k * step_ms) for k in range(count)]
    return tuple(dict.fromkeys(indices))
