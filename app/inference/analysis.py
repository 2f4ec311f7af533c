"""The analysis of a case: all models over all of its recordings in one decode pass each.

Runs on the thread that owns the device; ``look_at`` may be called from any thread. What is stored
is never computed again: a cancelled, crashed or repeated analysis goes on at the first frame that
is missing. What is on screen goes first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.frame import Frame
from app.core.prediction import ACTIVITIES, ANTICIPATION, PHASES, RETRIEVAL, SEGMENTATION
from app.inference.area_pass import AreaPass
from app.inference.cards import CARRIES_A_STATE, with_encoders
from app.inference.cores import cores
from app.inference.embedding_pass import EmbeddingPass
from app.inference.engines.kinds import EAGER
from app.inference.mask_pass import MaskPass
from app.inference.offline_pass import OfflinePass
from app.inference.passes import CarriedPass, FramePass, Pass
from app.inference.phase_pass import PhasePass
from app.inference.scene_stream_pass import SceneStreamPass
from app.video import OpenCancelled, UndecodableFrame, VideoSource, open_recording
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.store import Library

log = logging.getLogger(__name__)

_TASKS = (SEGMENTATION, PHASES, ANTICIPATION, ACTIVITIES, RETRIEVAL)
_FLUSH_AFTER_S = 0.7
_PAUSE_POLL_S = 0.05
_RATE_WINDOW_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an analysis is; everything counted in it is stored.

    Attributes:
        done, total: frames that at least one model looks at, over all recordings.
        fps: of the last half minute, 0 while nothing is measured yet.
        eta_s: seconds left, None while unknown.
        paused: waiting to go on.
        asset_id: the recording that is being looked at.
        pts: the frame stored last in it, None before the first.
        device: where it runs, with the reason.
        decode_ms, store_ms: mean per frame so far.
        model_ms: mean per frame so far by model, pre- and post-processing included.
    """

    done: int
    total: int
    fps: float = 0.0
    eta_s: float | None = None
    paused: bool = False
    asset_id: str = ""
    pts: int | None = None
    device: DeviceChoice | None = None
    decode_ms: float = 0.0
    store_ms: float = 0.0
    model_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """What one model did in one analysis, over all recordings of the case.

    Attributes:
        name, task: of its card.
        frames: that it looks at; ``computed + resumed`` once finished.
        computed: in this analysis.
        resumed: stored before.
        replayed: looked at again only to rebuild the carried state after a crash.
        ms_per_frame: mean over what was computed here, None without any.
    """

    name: str
    task: str
    frames: int
    computed: int
    resumed: int
    replayed: int
    ms_per_frame: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisResult:
    """How an analysis ended.

    Attributes:
        case_id: which case.
        frames: of all its recordings.
        instances: stored for the case by the segmentation models of this analysis.
        device: where it ran last; of the stored run where nothing had to be computed.
        device_reason: why there.
        models: one per model.
        cancelled: it was stopped; what was done is kept.
        seconds: it took.
        decode_ms, store_ms: mean per frame that was visited.
    """

    case_id: str
    frames: int
    instances: int
    device: str
    device_reason: str
    models: tuple[ModelResult, ...]
    cancelled: bool
    seconds: float
    decode_ms: float
    store_ms: float

    def as_json(self) -> dict[str, Any]:
        """What ``trocar analyze --json`` prints."""
        return {
            "case": self.case_id,
            "frames": self.frames,
            "instances": self.instances,
            "device": self.device,
            "device_reason": self.device_reason,
            "models": [
                {
                    "name": m.name,
                    "task": m.task,
                    "frames": m.frames,
                    "computed": m.computed,
                    "resumed": m.resumed,
                    "replayed": m.replayed,
                    "ms_per_frame": m.ms_per_frame,
                }
                for m in self.models
            ],
            "cancelled": self.cancelled,
            "seconds": self.seconds,
            "decode_ms": self.decode_ms,
            "store_ms": self.store_ms,
        }


class AnalysisJob:
    """One analysis of one case.

    Args:
        library: open for writing.
        case: with at least one recording.
        models: cards, each of a task that can be run.
        every: frames between two that are outlined.
        device: where to run; chosen when the first frame has to be computed.
        threads: of the processor; all but one when None, so that the window stays awake.
        engine: that outlines, a key of ``engines.kinds``, or ``auto``.

    Raises:
        BadInput: no recording, no model, or a model of a task that cannot be run.
    """

    def __init__(
        self,
        library: Library,
        case: Case,
        models: Sequence[ModelCard],
        *,
        every: int = 1,
        device: DeviceChoice | None = None,
        threads: int | None = None,
        engine: str = EAGER,
    ) -> None:
        if not case.assets:
            raise BadInput(f"Case {case.case_id} has no recording to analyse.")
        if not models:
            raise BadInput("No model was named; “trocar models list” shows what is installed.")
        if every < 1:
            raise BadInput("Every how many frames: give a whole number from 1.")
        for card in models:
            if card.task not in _TASKS:
                raise BadInput(f"{card.name} is made for {card.task}, which analysis does not run.")
        self._library, self._case = library, case
        self._models = with_encoders(models, library.folder)
        self._every, self._device, self._threads = every, device, threads
        self._engine = engine
        self._asked: tuple[Frame, str | None] | None = None
        self._asked_lock = threading.Lock()
        self._meter = _Meter()

    def look_at(self, frame: Frame, asset_id: str | None = None) -> None:
        """Compute a frame of the recording under way before anything else, unless it is stored.

        The newest request replaces one that was not served yet.

        Args:
            frame: as decoded.
            asset_id: its recording; one that is not under way is left to its turn. None where the
                case has but one.
        """
        with self._asked_lock:
            self._asked = frame, asset_id

    def run(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        should_pause: Callable[[], bool] = lambda: False,
        should_cancel: Callable[[], bool] = lambda: False,
    ) -> AnalysisResult:
        """Analyse until done or cancelled.

        Args:
            progress: called on this thread after each batch was stored.
            should_pause: asked before each frame; what is on screen is served while pausing.
            should_cancel: asked before each frame, and while a recording is indexed; what was done
                is kept.

        Raises:
            BadInput: a recording or a model cannot be read.
            EnvironmentProblem: the disk is full.
        """
        started = time.perf_counter()
        self._hooks = _Hooks(progress, should_pause, should_cancel)
        store = self._library.predictions(self._case.case_id)
        self._meter = _Meter()
        visited: list[list[Pass]] = []
        cancelled = False
        for place, asset in enumerate(self._case.assets):
            try:
                opened = open_recording(asset, cancelled=should_cancel)
            except OpenCancelled:
                cancelled = True
                break
            with opened as source:
                passes: list[Pass] = [self._pass(store, asset, source, c) for c in self._models]
                visited.append(passes)
                later = sum(a.frames for a in self._case.assets[place + 1 :])
                self._meter.enter(asset, passes, later)
                try:
                    cancelled = not self._analyse(source, passes)
                finally:
                    for each in passes:
                        each.close()
            if cancelled:
                break
        return self._result(visited, cancelled=cancelled, seconds=time.perf_counter() - started)

    def _pass(self, store: Any, asset: Asset, source: VideoSource, card: ModelCard) -> Pass:
        if card.task == SEGMENTATION:
            return MaskPass(store, asset, source, card, self._every, self._engine)
        if card.task == RETRIEVAL:
            return EmbeddingPass(store, asset, source, card)
        if card.task == ACTIVITIES and card.system == CARRIES_A_STATE:
            return SceneStreamPass(store, asset, source, card, self._every)
        if card.task == ACTIVITIES:
            return AreaPass(store, asset, source, card, self._every)
        if card.features_of:
            encoder = next(m for m in self._models if m.name == card.features_of)
            threads = self._threads or max(1, cores() - 1)
            return OfflinePass(store, asset, source, card, encoder, self._device, threads)
        read = any(m.features_of == card.name for m in self._models)
        return PhasePass(store, asset, source, card, read=read)

    def _analyse(self, source: VideoSource, passes: Sequence[Pass]) -> bool:
        """One recording; False when cancelled."""
        busy = [p for p in passes if p.left()]
        if busy and not self._load(busy):
            return False
        plans = {id(p): set(p.left()) for p in busy}
        flushed = time.perf_counter()
        self._hooks.progress(self._meter.report(self._device))
        for index in sorted(set().union(*plans.values())):
            if not self._wait_for_turn(busy):
                self._flush(busy, keep_state=True)
                return False
            self._visit(source, [p for p in busy if index in plans[id(p)]], index)
            if time.perf_counter() - flushed >= _FLUSH_AFTER_S:
                self._flush(busy)
                self._hooks.progress(self._meter.report(self._device))
                flushed = time.perf_counter()
        for each in passes:
            with self._meter.storing():
                each.end()
        self._hooks.progress(self._meter.report(self._device))
        return True

    def _load(self, passes: Sequence[Pass]) -> bool:
        """The networks, of which each may take seconds; False when cancelled."""
        from app.inference.device import choose_device

        self._device = self._device or choose_device()
        threads = self._threads or max(1, cores() - 1)
        for each in passes:
            if self._hooks.should_cancel():
                return False
            each.begin(self._device, threads)
            self._note_device(each)
        return True

    def _visit(self, source: VideoSource, passes: Sequence[Pass], index: int) -> None:
        frame = None
        if any(p.needs_picture(index) for p in passes):
            with self._meter.decoding():
                try:
                    frame = source.frame(index)
                except UndecodableFrame:
                    log.info("frame %d does not decode and counts as empty", index)
        for each in passes:
            each.visit(index, frame)
            self._note_device(each)
        self._meter.advance(source.pts(index))

    def _wait_for_turn(self, passes: Sequence[Pass]) -> bool:
        """Serve what is on screen and wait while paused; False when cancelled."""
        told = False
        while True:
            if self._hooks.should_cancel():
                return False
            self._serve_screen(passes)
            if not self._hooks.should_pause():
                return True
            if not told:
                self._flush(passes, keep_state=True)
                self._hooks.progress(self._meter.report(self._device, paused=True))
                told = True
            self._meter.rest()
            time.sleep(_PAUSE_POLL_S)

    def _serve_screen(self, passes: Sequence[Pass]) -> None:
        with self._asked_lock:
            asked, self._asked = self._asked, None
        if asked is None:
            return
        frame, asset_id = asked
        if asset_id is None and len(self._case.assets) > 1:
            return
        if asset_id is not None and asset_id != self._meter.asset_id:
            return
        fresh = [p.look_at(frame) for p in passes if isinstance(p, FramePass)]
        if any(fresh):
            self._hooks.progress(self._meter.report(self._device))

    def _flush(self, passes: Sequence[Pass], *, keep_state: bool = False) -> None:
        with self._meter.storing():
            for each in passes:
                each.flush(keep_state=keep_state)

    def _note_device(self, each: Pass) -> None:
        """Once a card failed a model, the analysis is said to run on the processor."""
        used, known = each.device(), self._device
        if used is not None and known is not None and used.is_cpu and not known.is_cpu:
            log.info("%s", used.reason)
            self._device = used

    def _result(
        self, visited: Sequence[Sequence[Pass]], *, cancelled: bool, seconds: float
    ) -> AnalysisResult:
        runs = [p.run for passes in visited for p in passes if p.run is not None]
        stored_device = str(runs[-1].settings.get("device", "")) if runs else ""
        loaded = any(p.device() is not None for passes in visited for p in passes)
        device = self._device if loaded else None
        return AnalysisResult(
            case_id=self._case.case_id,
            frames=sum(a.frames for a in self._case.assets),
            instances=sum(p.instances for v in visited for p in v if isinstance(p, MaskPass)),
            device=device.device if device else stored_device,
            device_reason=device.reason if device else "Everything was stored already.",
            models=tuple(
                _model_result(card, [passes[place] for passes in visited])
                for place, card in enumerate(self._models)
            ),
            cancelled=cancelled,
            seconds=seconds,
            decode_ms=self._meter.decode_ms,
            store_ms=self._meter.store_ms,
        )


@dataclass(frozen=True, slots=True)
class _Hooks:
    progress: Callable[[Progress], None]
    should_pause: Callable[[], bool]
    should_cancel: Callable[[], bool]


class _Meter:
    """Counts frames and time for progress and result."""

    def __init__(self) -> None:
        self._done = self._total = self._later = self._visited = 0
        self._before = 0
        self._decode_s = self._store_s = 0.0
        self.asset_id, self._pts = "", None
        self._passes: Sequence[Pass] = ()
        self._recent: deque[tuple[float, int]] = deque()

    def enter(self, asset: Asset, passes: Sequence[Pass], later: int) -> None:
        """A recording begins; ``later`` frames are in those after it."""
        self._before += self._total
        grid = set().union(*(set(p.grid) for p in passes))
        left = set().union(*(set(p.left()) for p in passes))
        self._total, self._done, self._later = len(grid), len(grid) - len(left), later
        self.asset_id, self._pts, self._passes = asset.asset_id, None, passes

    def advance(self, pts: int) -> None:
        """A frame was visited."""
        self._done += 1
        self._visited += 1
        self._pts = pts
        now = time.perf_counter()
        self._recent.append((now, self._visited))
        while now - self._recent[0][0] > _RATE_WINDOW_S:
            self._recent.popleft()

    def rest(self) -> None:
        """Time that passes now does not count for the rate."""
        self._recent.clear()

    def decoding(self) -> _Stopwatch:
        """Time spent inside counts as decoding."""
        return _Stopwatch(self, "_decode_s")

    def storing(self) -> _Stopwatch:
        """Time spent inside counts as storing."""
        return _Stopwatch(self, "_store_s")

    @property
    def decode_ms(self) -> float:
        """Mean per visited frame."""
        return 1000 * self._decode_s / max(1, self._visited)

    @property
    def store_ms(self) -> float:
        """Mean per visited frame."""
        return 1000 * self._store_s / max(1, self._visited)

    def report(self, device: DeviceChoice | None, *, paused: bool = False) -> Progress:
        """The state of things."""
        fps = 0.0
        if len(self._recent) > 1:
            (first_s, first), (last_s, last) = self._recent[0], self._recent[-1]
            fps = (last - first) / max(1e-6, last_s - first_s)
        done, total = self._before + self._done, self._before + self._total + self._later
        return Progress(
            done=done,
            total=total,
            fps=fps,
            eta_s=(total - done) / fps if fps else None,
            paused=paused,
            asset_id=self.asset_id,
            pts=self._pts,
            device=device,
            decode_ms=self.decode_ms,
            store_ms=self.store_ms,
            model_ms={
                p.card.name: p.spent_ms / max(1, p.computed) for p in self._passes if p.computed
            },
        )


class _Stopwatch:
    """Adds the time between entering and leaving to a field of the meter."""

    def __init__(self, meter: _Meter, field_name: str) -> None:
        self._meter, self._field = meter, field_name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._start
        setattr(self._meter, self._field, getattr(self._meter, self._field) + spent)


def _model_result(card: ModelCard, passes: Sequence[Pass]) -> ModelResult:
    computed = sum(p.computed for p in passes)
    replayed = sum(p.replayed for p in passes if isinstance(p, CarriedPass))
    looked_at = computed + replayed
    return ModelResult(
        name=card.name,
        task=card.task,
        frames=sum(len(p.grid) for p in passes),
        computed=computed,
        resumed=sum(p.resumed for p in passes),
        replayed=replayed,
        ms_per_frame=sum(p.spent_ms for p in passes) / looked_at if looked_at else None,
    )
