"""Edits of instances as corrections: draw, relabel, reshape, delete, accept, reject, review.

Pure functions on the caller's thread; nothing is stored here. A prediction is never changed: an
edit of one makes an annotation that names it. What a human rejected stays as a rejected
annotation, so that later runs over the same frame find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from app.core.correction import (
    Annotation,
    Change,
    Correction,
    FrameReview,
    PredictionRef,
    Verdict,
)
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.prediction import Instance
from app.core.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """An instance that a run found and that no human has answered yet.

    Attributes:
        frame: where it was found.
        instance: what the run stored.
        source: the run and the place within the frame.
    """

    frame: FrameIdentity
    instance: Instance
    source: PredictionRef


Subject = Annotation | Predicted


def draw(
    case_id: str,
    frame: FrameIdentity,
    label: str,
    mask: Mask,
    taxonomy: Taxonomy,
    *,
    track: int | None = None,
) -> Correction | None:
    """A new instance drawn from nothing; None when the mask has no pixels."""
    if not mask.area_px:
        return None
    drawn = Annotation(
        annotation_id=_new_id(),
        frame=frame,
        label=label,
        mask=mask.tightened(),
        verdict=Verdict.DRAWN,
        track=track,
    )
    change = Change(object_id=drawn.annotation_id, before=None, after=drawn)
    return _correction(case_id, f"Draw {_name(taxonomy, label)}", [change])


def relabel(
    case_id: str, subjects: Sequence[Subject], label: str, taxonomy: Taxonomy
) -> Correction | None:
    """Another class for one instance or for all of a track; None when all bear it already."""
    changed = [s for s in subjects if label_of(s) != label]
    if not changed:
        return None
    old, new = _name(taxonomy, label_of(changed[0])), _name(taxonomy, label)
    changes = [_answer(s, label=label, verdict=_edited(s)) for s in changed]
    return _correction(case_id, f"Relabel {old} as {new}{_count(changes)}", changes)


def reshape(
    case_id: str, subject: Subject, mask: Mask, taxonomy: Taxonomy, title: str = "Reshape {}"
) -> Correction | None:
    """Other pixels for an instance: brush, eraser, moved corners.

    Args:
        title: what undo will say; ``{}`` becomes the instance's name.

    Returns:
        None when the pixels are the same. Without any pixel left the instance is deleted.
    """
    if mask == mask_of(subject):
        return None
    if not mask.area_px:
        return delete(case_id, [subject], taxonomy)
    change = _answer(subject, mask=mask.tightened(), verdict=_edited(subject))
    return _correction(case_id, title.format(_name(taxonomy, label_of(subject))), [change])


def accept(case_id: str, subjects: Sequence[Subject], taxonomy: Taxonomy) -> Correction | None:
    """The model's instances as they are, on a human's word; None when all are answered."""
    open_ones = [s for s in subjects if isinstance(s, Predicted)]
    if not open_ones:
        return None
    changes = [_answer(s, verdict=Verdict.ACCEPTED) for s in open_ones]
    name = _name(taxonomy, open_ones[0].instance.label)
    title = f"Accept {name}" if len(changes) == 1 else f"Accept {len(changes)} outlines"
    return _correction(case_id, title, changes)


def reject(
    case_id: str,
    subjects: Sequence[Subject],
    taxonomy: Taxonomy,
    originals: Mapping[PredictionRef, Instance] | None = None,
) -> Correction | None:
    """The instances are wrong: predictions are hidden, drawn ones go; see ``delete``."""
    return _remove(case_id, subjects, taxonomy, originals or {}, "Reject")


def delete(
    case_id: str,
    subjects: Sequence[Subject],
    taxonomy: Taxonomy,
    originals: Mapping[PredictionRef, Instance] | None = None,
) -> Correction | None:
    """Remove instances in one undo step: here, from here on, or a whole track.

    Args:
        subjects: what to remove; ``track_from`` picks those of a track.
        originals: what the runs stored for the corrected ones, where the caller knows it, so that
            the rejection remembers the prediction's own pixels; used where all lie on one frame.

    Returns:
        None when there is nothing to remove.
    """
    return _remove(case_id, subjects, taxonomy, originals or {}, "Delete")


def track_from(
    subjects: Sequence[Subject], track: int, first_pts: int | None = None
) -> tuple[Subject, ...]:
    """The subjects of a track, from ``first_pts`` on or, with None, all of them."""
    return tuple(
        s
        for s in subjects
        if track_of(s) == track and (first_pts is None or s.frame.pts >= first_pts)
    )


def review_frame(case_id: str, frame: FrameIdentity, *, complete: bool) -> Correction:
    """Say, or take back, that every instrument of a frame is outlined as it should be."""
    word = FrameReview(frame=frame)
    change = Change(
        object_id=review_id(frame),
        before=None if complete else word,
        after=word if complete else None,
    )
    return _correction(case_id, "Mark frame complete" if complete else "Reopen frame", [change])


def review_id(frame: FrameIdentity) -> str:
    """The object id of a frame's review."""
    return f"review:{frame.asset_id}:{frame.stream}:{frame.pts}"


def label_of(subject: Subject) -> str:
    """Class key of an annotation or a prediction."""
    return subject.label if isinstance(subject, Annotation) else subject.instance.label


def mask_of(subject: Subject) -> Mask:
    """Pixels of an annotation or a prediction."""
    return subject.mask if isinstance(subject, Annotation) else subject.instance.mask


def track_of(subject: Subject) -> int | None:
    """Track number of an annotation or a prediction."""
    return subject.track if isinstance(subject, Annotation) else subject.instance.track


def _remove(
    case_id: str,
    subjects: Sequence[Subject],
    taxonomy: Taxonomy,
    originals: Mapping[PredictionRef, Instance],
    verb: str,
) -> Correction | None:
    there = [s for s in subjects if isinstance(s, Predicted) or s.verdict is not Verdict.REJECTED]
    if not there:
        return None
    # A reference counts places within a frame: over several frames it would name others as well.
    known = originals if len({s.frame for s in there}) == 1 else {}
    changes = [_removal(s, known) for s in there]
    title = f"{verb} {_name(taxonomy, label_of(there[0]))}{_count(changes)}"
    return _correction(case_id, title, changes)


def _removal(subject: Subject, originals: Mapping[PredictionRef, Instance]) -> Change:
    if isinstance(subject, Predicted):
        return _answer(subject, verdict=Verdict.REJECTED)
    if subject.source is None:
        return Change(object_id=subject.annotation_id, before=subject, after=None)
    said = originals.get(subject.source)
    if said is None:
        return _answer(subject, verdict=Verdict.REJECTED)
    return _answer(subject, verdict=Verdict.REJECTED, label=said.label, mask=said.mask)


def _answer(
    subject: Subject,
    *,
    verdict: Verdict,
    label: str | None = None,
    mask: Mask | None = None,
) -> Change:
    """The change that puts a human's word in place of a subject's present state."""
    if isinstance(subject, Annotation):
        before: Annotation | None = subject
        after = replace(
            subject, verdict=verdict, label=label or subject.label, mask=mask or subject.mask
        )
    else:
        said = subject.instance
        before = None
        after = Annotation(
            annotation_id=_new_id(),
            frame=subject.frame,
            label=label or said.label,
            mask=mask or said.mask,
            verdict=verdict,
            source=subject.source,
            track=said.track,
        )
    return Change(object_id=after.annotation_id, before=before, after=after)


def _edited(subject: Subject) -> Verdict:
    drawn = isinstance(subject, Annotation) and subject.verdict is Verdict.DRAWN
    return Verdict.DRAWN if drawn else Verdict.CORRECTED


def _name(taxonomy: Taxonomy, label: str) -> str:
    return taxonomy.instrument_name(label).lower()


def _count(changes: Sequence[Change]) -> str:
    return f" on {len(changes)} frames" if len(changes) > 1 else ""


def _correction(case_id: str, title: str, changes: Sequence[Change]) -> Correction:
    return Correction(case_id=case_id, title=title, changes=tuple(changes))


def _new_id() -> str:
    return uuid4().hex
