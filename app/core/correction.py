"""A correction: what a human decided about a mask, a timeline or a case, as one undoable row.

A correction is a list of changes. A change replaces the state of one object: an annotation, the
human timeline of an asset, or the case's own fields. Undo applies the states the other way round.
Predictions are never among them: a correction that starts from a prediction names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core import validate
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Timeline


class Verdict(StrEnum):
    """How a human stands to an instance."""

    DRAWN = "drawn"
    CORRECTED = "corrected"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRef:
    """Which instance of which run an annotation answers: run id and place in its frame."""

    run_id: int
    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A human-made or human-accepted instance of one frame.

    Attributes:
        annotation_id: for life; undo and redo bring the same one back.
        frame: which frame.
        label: class key.
        mask: its pixels; of a rejected prediction, the prediction's.
        verdict: how it came about. ``REJECTED`` hides the prediction it names.
        source: the prediction that it answers, None when drawn from nothing.
        track: object number within the case, None when not tracked.
    """

    annotation_id: str
    frame: FrameIdentity
    label: str
    mask: Mask
    verdict: Verdict
    source: PredictionRef | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        validate.not_empty("Annotation.annotation_id", self.annotation_id)
        validate.not_empty("Annotation.label", self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReview:
    """A human's word that every instrument of a frame is annotated as it should be.

    Such a frame may teach: what is not annotated on it is background.
    """

    frame: FrameIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """A moment that a human wants to find again, with a note that may be empty."""

    frame: FrameIdentity
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanTimeline:
    """The human tier of one asset."""

    asset_id: str
    timeline: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFields:
    """What a user may change about a case itself."""

    title: str
    procedure: str
    state: str


State = Annotation | FrameReview | Bookmark | HumanTimeline | CaseFields


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object's state before and after; None where it did not or does not exist.

    Attributes:
        object_id: annotation id, ``review:<asset>:<stream>:<pts>``,
            ``bookmark:<asset>:<stream>:<pts>``, ``timeline:<asset>`` or ``case``.
    """

    object_id: str
    before: State | None
    after: State | None

    def __post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise ValueError("Change: expected a state before or after")

    def reversed(self) -> Change:
        """The change that undoes this one."""
        return Change(object_id=self.object_id, before=self.after, after=self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One step of a human's work on a case: one committed row, one undo step.

    Attributes:
        case_id: which case.
        title: what undo will say, such as ``Relabel grasper as hook``.
        changes: all that changes together.
    """

    case_id: str
    title: str
    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        validate.not_empty("Correction.title", self.title)
        validate.not_empty("Correction.changes", self.changes)
