"""The open case: what the window shows and what a human changes in it. GUI thread.

Panels read from here and are told by signals; a ``Correction`` goes through ``commit``. Nothing
here reads a file: the overlay worker and the store thread answer by signals.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.core.case import Asset, Case
from app.core.correction import Annotation, Correction
from app.core.differences import Difference, differences
from app.core.errors import TrocarError
from app.core.foreseen import Foreseen
from app.core.frame import Frame, FrameIdentity
from app.core.prediction import FramePrediction, Run
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy
from app.core.timeline import Timeline
from app.core.uncertainty import Uncertainty
from app.ui.human_work import HumanWork
from app.ui.messages import Message, Tone, from_error
from app.ui.timeline.lanes import Lane, named_lanes

if TYPE_CHECKING:
    from app.overlay import ShownInstance
    from app.store import Library, Presence

CASE = "case"
READ_ONLY = "This library is open for reading; nothing in it can be changed."
STEP_UNDER_WAY = "Undo is still under way; make this change again when it is done."
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTier:
    """What one run says of the phases: ``confidence`` as in ``ModelTier``."""

    run: Run
    timeline: Timeline
    confidence: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTier:
    """What the models say about the asset so far.

    Attributes:
        timeline: its segments up to ``analysed_to_pts``.
        confidence: (pts, highest probability 0 to 1) per sampled frame, by pts.
        analysed_to_pts: end of the stretch that was looked at.
        run: which run said it, None before the first.
        presence: per second, what the segmentation run saw; None before its first frame.
        scenes: the run whose areas are drawn and whose activities are told, None without one.
        activity: what that run says goes on, None before it has said enough.
        beside: of a run that knew the whole recording and of one that looked at it as it went, the
            one that ``run`` is not; None where there is but one kind.
        differences: where ``timeline`` and ``beside`` name different phases.
        uncertainty: how torn ``run`` and ``beside`` are, None before the first.
        lanes: what lies beside the phases: the tier beside, uncertainty, activity, instruments.
        foreseen: what comes next and when, by pts; empty where no model foresees.
        foreseen_run: which run foresees.
    """

    timeline: Timeline
    confidence: tuple[tuple[int, float], ...] = ()
    analysed_to_pts: int
    run: Run | None = None
    presence: Presence | None = None
    scenes: Run | None = None
    activity: Timeline | None = None
    beside: PhaseTier | None = None
    differences: tuple[Difference, ...] = ()
    uncertainty: Uncertainty | None = None
    lanes: tuple[Lane, ...] = ()
    foreseen: tuple[Foreseen, ...] = ()
    foreseen_run: Run | None = None

    @property
    def came_after(self) -> bool:
        """Whether ``run`` is the one of two that named phases afterwards."""
        beside = self.beside.run if self.beside is not None else None
        return self.run is not None and came_after(self.run, beside)


def came_after(run: Run, beside: Run | None) -> bool:
    """Whether of two runs this one knew the whole recording, or else was not said live."""
    if beside is None or run.is_offline != beside.is_offline:
        return run.is_offline
    return not run.was_live


class Session(QObject):
    """The open case.

    Attributes:
        taxonomy: of the case's procedure; what a human names comes from here.
        shown_taxonomy: names phases on screen: the same, or while nobody said which operation it
            is, that of the procedure which the model was made for.

    Signals:
        case_opened: another case, or none, is open; read everything again.
        frame_shown: (Frame) the frame on screen changed.
        instances_changed: instances of the frame on screen changed (overlay came, correction).
        human_changed: human masks or the human timeline changed.
        model_changed: the model's tier grew or another run is shown.
        saving: a correction was handed to the store and is not durable yet.
        saved: (utc ms) everything handed over is durable.
        said: (Message) something to tell the user.
        frames_touched: (frozenset of pts, or None for any) masks of these frames changed.
        fields_changed: the case's own fields changed in the library.
        reread_asked: something was not stored, and nothing is on its way any more: read the human
            work anew and hand it to ``replace_work``.

    Attributes:
        unsaved: how many changes are not durable yet.
        edits: how many changes were handed to the store so far.
        problem: why saving has to wait, None while it need not.
        gone: positions of the parts of the recording that are not there.
        missing: why nothing of the recording can be shown, in a sentence; "" where it can.
        label_lanes: what imported label files say beside the phases.
        imported: whether the case keeps label files that can be written again.
    """

    case_opened = Signal()
    frame_shown = Signal(object)
    instances_changed = Signal()
    human_changed = Signal()
    model_changed = Signal()
    saving = Signal()
    saved = Signal(object)
    said = Signal(object)
    frames_touched = Signal(object)
    fields_changed = Signal()
    reread_asked = Signal()
    _stored = Signal(object, object)
    _undone = Signal(object)
    _waiting = Signal(object)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self.case: Case | None = None
        self.asset: Asset | None = None
        self.taxonomy: Taxonomy = find_taxonomy(UNKNOWN_PROCEDURE)
        self.shown_taxonomy = self.taxonomy
        self._made_for: Mapping[str, str] = {}
        self.work: HumanWork | None = None
        self.frame: Frame | None = None
        self.instances: tuple[ShownInstance, ...] = ()
        self.gone: frozenset[int] = frozenset()
        self.missing = ""
        self.label_lanes: tuple[Lane, ...] = ()
        self.imported = False
        self.prediction: FramePrediction | None = None
        self.segment_run: Run | None = None
        self.model: ModelTier | None = None
        self._compared: tuple[Timeline, ModelTier, tuple[Difference, ...]] | None = None
        self.unsaved = self.edits = 0
        self.problem: TrocarError | None = None
        self._steps_under_way = 0
        self._is_stale = False
        self.saved_utc_ms: int | None = None
        self._stored.connect(self._on_stored)
        self._undone.connect(self._on_undone)
        self._waiting.connect(self._on_waiting)
        if library.is_writable:
            library.writer.on_problem(self._waiting.emit)

    @property
    def identity(self) -> FrameIdentity | None:
        """Identity of the frame on screen."""
        if self.asset is None or self.frame is None:
            return None
        return FrameIdentity(
            asset_id=self.asset.asset_id, stream=self.asset.stream, pts=self.frame.pts
        )

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Human decisions on the masks of the frame on screen."""
        if self.work is None or self.frame is None:
            return ()
        return self.work.annotations(self.frame.pts)

    @property
    def bookmarked_pts(self) -> tuple[int, ...]:
        """Moments that were marked, sorted."""
        return tuple(b.frame.pts for b in self.work.bookmarks) if self.work else ()

    @property
    def human_timeline(self) -> Timeline | None:
        """The human tier, None while it is empty."""
        return self.work.timeline if self.work else None

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """What lies beside the phases, from top to bottom."""
        said = self.model.lanes if self.model else ()
        return named_lanes((*said, *self.label_lanes), self.shown_taxonomy)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Where the human and the model, or else two models, name different phases."""
        human, model = self.human_timeline, self.model
        if model is None or human is None:
            return model.differences if model else ()
        known = self._compared
        if known is None or known[0] is not human or known[1] is not model:
            found = differences(
                human,
                model.timeline,
                model.beside.timeline if model.beside else None,
                imported=self.imported,
                model_came_after=model.came_after,
            )
            self._compared = human, model, found
        return self._compared[2]

    def empty_timeline(self) -> Timeline:
        """A timeline over the whole asset without segments."""
        assert self.asset is not None  # noqa: S101 - asked for an open case only
        return Timeline(start_pts=self.asset.start_pts, end_pts=self.asset.end_pts)

    def open(
        self,
        case: Case,
        work: HumanWork,
        gone: frozenset[int] = frozenset(),
        missing: str = "",
        label_lanes: tuple[Lane, ...] = (),
        *,
        imported: bool = False,
    ) -> None:
        """Make ``case`` the open one, as the attributes of the same names say."""
        self._forget()
        self.gone, self.missing, self.label_lanes = gone, missing, label_lanes
        self.imported = imported
        self.case, self.asset, self.work = case, case.assets[0], work
        self._is_stale = self.unsaved > 0
        self._name(find_taxonomy(case.procedure))
        self.case_opened.emit()

    def close(self) -> None:
        """No case is open any more."""
        if self.case is not None:
            self._forget()
            self.case_opened.emit()

    def _forget(self) -> None:
        self.case = self.asset = self.work = self.frame = None
        self.prediction = self.segment_run = self.model = None
        self.instances = ()
        self.gone, self.missing, self.label_lanes = frozenset(), "", ()
        self.imported = False

    def replace_case(self, case: Case) -> None:
        """The case's own fields changed."""
        self.case = case
        self._name(find_taxonomy(case.procedure))
        self.case_opened.emit()

    def replace_work(self, work: HumanWork, edits: int) -> None:
        """The human work was read anew.

        Args:
            work: what the library holds.
            edits: as they were when the reading began; it is of no use where more came since.
        """
        if edits == self.edits:
            self.work = work
            self.frames_touched.emit(None)
            self.human_changed.emit()
        else:
            self._is_stale = True
            self._ask_reread()

    def show_frame(self, frame: Frame) -> None:
        """A frame is on screen now."""
        self.frame = frame
        self.frame_shown.emit(frame)

    def show_instances(
        self, shown: tuple[ShownInstance, ...], prediction: FramePrediction | None, run: Run | None
    ) -> None:
        """What is known about the frame on screen."""
        self.instances, self.prediction, self.segment_run = shown, prediction, run
        self.instances_changed.emit()

    def show_model(self, model: ModelTier | None) -> None:
        """The model's tier grew."""
        run_before = self.model.run if self.model else None
        self.model = model
        if (model.run if model else None) != run_before:
            self._name(self.taxonomy)
        self.model_changed.emit()

    def know_models(self, made_for: Mapping[str, str]) -> None:
        """Which procedure each model was made for, by the model's name."""
        if made_for != self._made_for:
            self._made_for = made_for
            self._name(self.taxonomy)
            self.model_changed.emit()

    def _name(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = self.shown_taxonomy = taxonomy
        run = self.model.run if self.model else None
        if taxonomy.procedure == UNKNOWN_PROCEDURE and run is not None:
            self.shown_taxonomy = find_taxonomy(self._made_for.get(run.model, UNKNOWN_PROCEDURE))

    def commit(self, correction: Correction | None) -> None:
        """Show a correction at once and make it durable; None (nothing to do) is ignored."""
        if correction is None or self.work is None or self._refuses():
            return
        if self._steps_under_way:  # nobody knows yet what it will change
            self.said.emit(Message(text=STEP_UNDER_WAY, tone=Tone.WARN, lasting_s=4, key="step"))
            self.human_changed.emit()
            return
        self._take_over(correction)
        self._begin_saving()
        future = self._library.writer.commit(correction)
        future.add_done_callback(lambda done: self._stored.emit(correction, done))

    def undo(self) -> None:
        """Take back the last correction of the case."""
        if self.case is not None and not self._refuses():
            self._step(self._library.writer.undo(self.case.case_id))

    def redo(self) -> None:
        """Bring back the correction undone last."""
        if self.case is not None and not self._refuses():
            self._step(self._library.writer.redo(self.case.case_id))

    def _step(self, future: Future[Correction | None]) -> None:
        self._steps_under_way += 1
        self._begin_saving()
        future.add_done_callback(self._undone.emit)

    def _refuses(self) -> bool:
        """Whether nothing may be changed here; the user is told."""
        if self._library.is_writable:
            return False
        self.said.emit(Message(text=READ_ONLY, tone=Tone.WARN, lasting_s=4, key="locked"))
        return True

    def _begin_saving(self) -> None:
        self.unsaved += 1
        self.edits += 1
        self.saving.emit()

    def _take_over(self, correction: Correction) -> None:
        if self.work is None or self.case is None or correction.case_id != self.case.case_id:
            return
        touched = self.work.apply(correction)
        self.frames_touched.emit(touched)
        self.human_changed.emit()

    def _settle(self, utc_ms: int | None) -> None:
        self.unsaved -= 1
        if utc_ms is not None:
            self.saved_utc_ms = utc_ms
        if self.unsaved == 0 and self.saved_utc_ms is not None:
            self.saved.emit(self.saved_utc_ms)
        self._ask_reread()

    def _ask_reread(self) -> None:
        """What was shown ahead of the store is not what it holds: show what it holds."""
        if self._is_stale and self.unsaved == 0 and self.case is not None:
            self._is_stale = False
            self.reread_asked.emit()

    def _on_stored(self, correction: Correction, done: Future[object]) -> None:
        error = done.exception()
        if error is None:
            self._settle(done.result().utc_ms)  # type: ignore[attr-defined]
            self._tell_fields(correction)
        else:
            self._failed(error)

    def _on_undone(self, done: Future[Correction | None]) -> None:
        error = done.exception()
        self._steps_under_way -= 1
        if error is not None:
            self._failed(error)
            return
        correction = done.result()
        if correction is None:
            self.said.emit(Message(text="There is nothing more to take back.", lasting_s=3))
        else:
            self._take_over(correction)
            self._tell_fields(correction)
        self._settle(time.time_ns() // 1_000_000)

    def _tell_fields(self, correction: Correction) -> None:
        if any(c.object_id == CASE for c in correction.changes):
            self.fields_changed.emit()

    def _on_waiting(self, problem: TrocarError | None) -> None:
        """Saving has to wait, for a full disk for one; nothing is lost meanwhile."""
        self.problem = problem
        if problem is None:
            self.said.emit(
                Message(text="Everything is saved now.", tone=Tone.OK, key="wait", lasting_s=4)
            )
            return
        self.said.emit(
            Message(
                text=problem.user_message,
                tone=Tone.ERROR,
                button="Try again",
                action=self._library.writer.retry,
                detail=problem.detail,
                key="wait",
            )
        )

    def _failed(self, error: BaseException) -> None:
        self._is_stale = True
        self._settle(None)
        if isinstance(error, TrocarError):
            self.said.emit(from_error(error, key="save"))
            return
        log.error("a correction was not stored: %s", type(error).__name__, exc_info=error)
        text = "The change was not saved; it was taken back."
        self.said.emit(Message(text=text, tone=Tone.ERROR, detail=repr(error), key="save"))
