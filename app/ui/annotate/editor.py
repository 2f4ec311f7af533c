"""What is being edited: outlines of the frame on screen, which one is selected, and the edits.

Canvas, panels and keys all go through here; every edit is one ``Correction`` handed to the
session. GUI thread; a whole track is read from the library on the thread ``trocar-annotate``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.annotate import masks
from app.annotate.masks import Predicted, Subject
from app.core.correction import Annotation, Correction, PredictionRef, Verdict
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance, Run
from app.core.taxonomy import Taxonomy
from app.overlay import ShownInstance, is_answered, shown_instances
from app.ui.background import Background
from app.ui.messages import Message, Tone, from_error
from app.ui.session import Session
from app.ui.words import numbered

if TYPE_CHECKING:
    from app.store import Library

Key = PredictionRef | str
Edit = Callable[[Sequence[Subject]], Correction | None]
Answer = Callable[[str, Sequence[Subject], Taxonomy], Correction | None]


def key_of(shown: ShownInstance) -> Key:
    """What stays the same when a prediction becomes an annotation: where it came from."""
    if shown.source is not None:
        return shown.source
    return shown.annotation.annotation_id if shown.annotation else ""


class Editor(QObject):
    """Outlines of the frame on screen and the edits on them.

    Attributes:
        instances: in an order that an edit does not change: drawn ones, then the model's.
        painted: the same as the overlay paints them.
        label: class of the next outline that is drawn.
        locked_reason: why nothing can be edited, "" when it can.

    Signals:
        changed: the outlines, or what is known about them, changed.
        selection_changed: another outline, or none, is selected.
        said: (Message)
    """

    changed = Signal()
    selection_changed = Signal()
    said = Signal(object)

    def __init__(self, session: Session, library: Library) -> None:
        super().__init__()
        self._session = session
        self._library = library
        self._background = Background("trocar-annotate")
        self._selected: Key | None = None
        self._object: tuple[int | None, int] | None = None
        self._pts: int | None = None
        self._asset = ""
        self._said: FramePrediction | None = None
        self._run: Run | None = None
        self.instances: tuple[ShownInstance, ...] = ()
        self.painted: tuple[ShownInstance, ...] = ()
        self.label = ""
        self.locked_reason = ""
        session.case_opened.connect(self._on_case)
        session.frame_shown.connect(self._refresh)
        session.instances_changed.connect(self._on_prediction)
        session.human_changed.connect(self._refresh)
        self._on_case()

    def stop(self) -> None:
        """End the thread."""
        self._background.close()

    # What there is

    @property
    def selected(self) -> ShownInstance | None:
        """The selected outline."""
        return next((s for s in self.instances if key_of(s) == self._selected), None)

    @property
    def identity(self) -> FrameIdentity | None:
        """The frame on screen."""
        return self._session.identity

    @property
    def is_complete(self) -> bool:
        """Whether a human said that every instrument of this frame is outlined."""
        work, frame = self._session.work, self._session.frame
        return work is not None and frame is not None and work.is_reviewed(frame.pts)

    def name_of(self, shown: ShownInstance) -> str:
        """``Grasper``, or ``Grasper 2`` where there are several."""
        names = [self._session.taxonomy.instrument_name(s.label) for s in self.instances]
        return numbered(names, self.instances.index(shown))

    def new_name(self) -> str:
        """The class of the next outline that is drawn, in words."""
        return self._session.taxonomy.instrument_name(self.label)

    def original_of(self, shown: ShownInstance) -> Instance | None:
        """What the run on screen had said where a human answered it."""
        run, said = self._run, self._said
        source, frame = shown.source, self._session.frame
        if source is None or run is None or said is None or frame is None:
            return None
        if source.run_id != run.run_id or said.pts != frame.pts:
            return None
        return said.instances[source.instance] if source.instance < len(said.instances) else None

    def is_of_run(self, shown: ShownInstance) -> bool:
        """Whether the run on screen found it; only then is its track number one of that run."""
        return self._run is not None and _run_of(shown) == self._run.run_id

    def select(self, shown: ShownInstance | None) -> None:
        """Select an outline, or none."""
        self._select(None if shown is None else key_of(shown))

    def select_next(self, by: int = 1, *, open_only: bool = False) -> bool:
        """Select the next outline in order; False where there is none."""
        found = [s for s in self.instances if not open_only or s.annotation is None]
        if not found:
            return False
        keys = [key_of(s) for s in found]
        at = keys.index(self._selected) if self._selected in keys else (-1 if by > 0 else 0)
        self._select(keys[(at + by) % len(keys)])
        return True

    def at(self, x_px: float, y_px: float) -> ShownInstance | None:
        """The outline around a point of the raster, the smallest where several are."""
        around = [s for s in self.instances if s.mask.contains(x_px, y_px)]
        return min(around, key=lambda s: s.mask.area_px, default=None)

    # Edits

    def draw(self, mask: Mask) -> None:
        """A new outline of the chosen class; it is selected."""
        session, frame = self._session, self.identity
        if session.case is None or frame is None or not self._may_edit():
            return
        done = masks.draw(session.case.case_id, frame, self.label, mask, session.taxonomy)
        if done is not None:
            self._selected = done.changes[0].object_id
            self._commit(done)
            self.selection_changed.emit()

    def reshape(self, shown: ShownInstance, mask: Mask, title: str) -> None:
        """Other pixels; ``{}`` in the title becomes the name."""
        case_id, subject = self._case_id(), self._subject(shown)
        if subject is not None and self._may_edit():
            self._commit(masks.reshape(case_id, subject, mask, self._session.taxonomy, title))

    def relabel(self, label: str) -> None:
        """Another class for the selected outline, and for the next that is drawn."""
        self.label = label
        shown = self.selected
        subject = self._subject(shown) if shown else None
        if subject is not None and self._may_edit():
            self._commit(masks.relabel(self._case_id(), [subject], label, self._session.taxonomy))
        self.changed.emit()

    def relabel_track(self, label: str) -> None:
        """Another class for the selected object wherever it appears."""
        self.label = label
        self._on_track(
            None,
            lambda subjects: masks.relabel(
                self._case_id(), subjects, label, self._session.taxonomy
            ),
        )

    def accept(self) -> None:
        """The selected outline is right; the next open one is selected."""
        self._answer_selected(masks.accept)

    def reject(self) -> None:
        """The selected outline is wrong; the next open one is selected."""
        self._answer_selected(
            lambda case_id, subjects, taxonomy: masks.reject(
                case_id, subjects, taxonomy, self._originals()
            )
        )

    def accept_all(self) -> None:
        """All open outlines of this frame are right."""
        subjects = [s for s in map(self._subject, self.instances) if s is not None]
        if self._may_edit():
            self._commit(masks.accept(self._case_id(), subjects, self._session.taxonomy))

    def delete_here(self) -> None:
        """Remove the selected outline from this frame."""
        shown = self.selected
        subject = self._subject(shown) if shown else None
        if subject is None:
            self._nothing_selected()
        elif self._may_edit():
            self._commit(
                masks.delete(self._case_id(), [subject], self._session.taxonomy, self._originals())
            )

    def delete_track(self, *, from_here: bool) -> None:
        """Remove the selected object from this frame on, or from the whole recording."""
        frame = self.identity
        self._on_track(
            frame.pts if from_here and frame else None,
            lambda subjects: masks.delete(
                self._case_id(), subjects, self._session.taxonomy, self._originals()
            ),
        )

    def set_complete(self, *, complete: bool) -> None:
        """Every instrument of this frame is outlined as it should be, or not any more."""
        frame = self.identity
        if frame is not None and complete != self.is_complete and self._may_edit():
            self._commit(masks.review_frame(self._case_id(), frame, complete=complete))

    # Inside

    def _case_id(self) -> str:
        return self._session.case.case_id if self._session.case else ""

    def _subject(self, shown: ShownInstance | None) -> Subject | None:
        frame = self.identity
        if shown is None or frame is None:
            return None
        if shown.annotation is not None:
            return shown.annotation
        if shown.source is None:
            return None
        said = Instance(label=shown.label, mask=shown.mask, score=shown.score, track=shown.track)
        return Predicted(frame=frame, instance=said, source=shown.source)

    def _originals(self) -> dict[PredictionRef, Instance]:
        found = {s.source: self.original_of(s) for s in self.instances if s.source}
        return {ref: said for ref, said in found.items() if said is not None}

    def _answer_selected(self, answer: Answer) -> None:
        shown = self.selected
        subject = self._subject(shown)
        if subject is None or shown is None:
            self._nothing_selected()
            return
        if not self._may_edit():
            return
        following = self._next_open(shown)
        done = answer(self._case_id(), [subject], self._session.taxonomy)
        self._commit(done)
        if following is not None:
            self._select(following)

    def _next_open(self, shown: ShownInstance) -> Key | None:
        """The open prediction after this one, in order and round the end."""
        at = self.instances.index(shown)
        others = self.instances[at + 1 :] + self.instances[:at]
        return next((key_of(s) for s in others if s.annotation is None), None)

    def _on_track(self, first_pts: int | None, edit: Edit) -> None:
        """Gather the selected object's appearances off the GUI thread, then edit them all.

        Track numbers count within a run: what answers another run is another object. Of the model's
        word only the run on screen is edited, never what nobody sees.
        """
        shown, session = self.selected, self._session
        asset, run, work = session.asset, self._run, session.work
        if shown is None or asset is None or work is None or session.case is None:
            self._nothing_selected()
            return
        subject = self._subject(shown)
        if shown.track is None:
            if subject is not None and self._may_edit():
                self._commit(edit([subject]))
            return
        if not self._may_edit():
            return
        track, case_id = shown.track, session.case.case_id
        first = asset.start_pts if first_pts is None else first_pts
        run_id = _run_of(shown)
        same_run = [a for a in work.all_annotations() if _run_of(a) == run_id]
        human = masks.track_from(same_run, track, first)

        def read() -> tuple[Subject, ...]:
            if run is None or run.run_id != run_id:
                return human
            found = self._library.predictions(case_id).track(
                run.run_id, track, first, asset.end_pts
            )
            return human + tuple(
                Predicted(frame=frame, instance=said, source=ref)
                for pts, place, said in found
                if (ref := PredictionRef(run_id=run.run_id, instance=place))
                and not is_answered(ref, said, work.annotations(pts))
                for frame in [FrameIdentity(asset_id=asset.asset_id, stream=asset.stream, pts=pts)]
            )

        def apply(subjects: tuple[Subject, ...]) -> None:
            if self._case_id() == case_id:
                self._commit(edit(subjects))

        self._background.run(read, apply, lambda e: self.said.emit(from_error(e)))

    def _commit(self, correction: Correction | None) -> None:
        self._session.commit(correction)

    def _may_edit(self) -> bool:
        if self.locked_reason:
            self.said.emit(Message(text=self.locked_reason, tone=Tone.WARN, lasting_s=4))
        return not self.locked_reason

    def _nothing_selected(self) -> None:
        self.said.emit(Message(text="Pick an outline first.", lasting_s=3, key="pick"))

    def _select(self, key: Key | None) -> None:
        if key != self._selected:
            self._selected = key
            shown = self.selected
            self._object = None if shown is None else _object_of(shown)
            self.selection_changed.emit()

    def _on_case(self) -> None:
        instruments = self._session.taxonomy.instruments
        if self.label not in {i.key for i in instruments}:
            self.label = instruments[0].key if instruments else "instrument"
        asset = self._session.asset.asset_id if self._session.asset else ""
        if asset != self._asset:
            self._asset = asset
            self._selected = self._object = self._said = self._run = None
            self._refresh()
            self.selection_changed.emit()
        else:
            self._refresh()

    def _on_prediction(self) -> None:
        """A prediction and the run that made it come together; the session's run may be ahead."""
        self._said, self._run = self._session.prediction, self._session.segment_run
        self._refresh()

    def _refresh(self, *_: object) -> None:
        """Put the model's word and the human's together again."""
        session = self._session
        frame, said, run = session.frame, self._said, self._run
        if frame is None:
            self.painted = ()
        else:
            predictions = {}
            if said is not None and run is not None and said.pts == frame.pts:
                predictions[run.run_id] = said
            self.painted = shown_instances(
                predictions, session.annotations, reviewed=self.is_complete
            )
        self.instances = tuple(sorted(self.painted, key=_place))
        self._keep_selection(None if frame is None else frame.pts)
        self.changed.emit()

    def _keep_selection(self, pts: int | None) -> None:
        """Within a frame the same outline stays selected, from frame to frame the same object."""
        shown = self.selected if pts == self._pts else None
        if shown is None and self._object is not None:
            shown = next((s for s in self.instances if _object_of(s) == self._object), None)
        key = None if shown is None else key_of(shown)
        if key != self._selected or pts != self._pts:
            self._selected, self._pts = key, pts
            self.selection_changed.emit()


def _place(shown: ShownInstance) -> tuple[int, int, int]:
    """Drawn ones first, tracks in their order, the others where the model had put them."""
    if shown.source is None:
        return 0, shown.track or 0, 0
    return 1, shown.track or 0, shown.source.instance


def verdict_words(shown: ShownInstance) -> str:
    """Who says so: ``Model``, ``Model, accepted``, ``Model, corrected by you``, ``You``."""
    if shown.annotation is None:
        return "Model"
    return {
        Verdict.ACCEPTED: "Model, accepted",
        Verdict.CORRECTED: "Model, corrected by you",
        Verdict.DRAWN: "You",
        Verdict.REJECTED: "Rejected",
    }[shown.annotation.verdict]


def _run_of(shown: ShownInstance | Annotation) -> int | None:
    """The run within which its track number counts, None where a human drew it."""
    return None if shown.source is None else shown.source.run_id


def _object_of(shown: ShownInstance) -> tuple[int | None, int] | None:
    """What stays the same from frame to frame: the run and the track number within it."""
    return None if shown.track is None else (_run_of(shown), shown.track)
