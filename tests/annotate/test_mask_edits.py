"""Edits of instances: what the correction says, what it keeps, and that undo restores exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.annotate import masks
from app.annotate.masks import Predicted, Subject
from app.core.correction import Annotation, Correction, FrameReview, PredictionRef, State, Verdict
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.prediction import Instance
from app.core.taxonomy import Taxonomy, find_taxonomy
from tests.core.strategies import planes


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return find_taxonomy("cholecystectomy")


def _frame(pts: int = 0) -> FrameIdentity:
    return FrameIdentity(asset_id="a", stream=0, pts=pts)


def _square(x: int = 2, size: int = 4) -> Mask:
    plane = np.zeros((20, 20), bool)
    plane[3 : 3 + size, x : x + size] = True
    return Mask.from_full(plane)


def _predicted(pts: int = 0, label: str = "grasper", track: int | None = 7) -> Predicted:
    return Predicted(
        frame=_frame(pts),
        instance=Instance(label=label, mask=_square(), score=0.8, track=track),
        source=PredictionRef(run_id=3, instance=pts % 5),
    )


def _after(correction: Correction | None) -> Annotation:
    assert correction is not None
    assert len(correction.changes) == 1
    after = correction.changes[0].after
    assert isinstance(after, Annotation)
    return after


def test_drawing_makes_an_annotation_of_its_own(taxonomy: Taxonomy) -> None:
    correction = masks.draw("0001", _frame(), "hook", _square(), taxonomy)
    after = _after(correction)
    assert correction.title == "Draw hook"
    assert correction.changes[0].before is None
    assert (after.verdict, after.source, after.label) == (Verdict.DRAWN, None, "hook")
    assert masks.draw("0001", _frame(), "hook", Mask.empty(20, 20), taxonomy) is None


def test_relabelling_a_prediction_answers_it_and_keeps_its_pixels(taxonomy: Taxonomy) -> None:
    said = _predicted()
    correction = masks.relabel("0001", [said], "hook", taxonomy)
    after = _after(correction)
    assert correction.title == "Relabel grasper as hook"
    assert (after.verdict, after.source, after.track) == (Verdict.CORRECTED, said.source, 7)
    assert after.mask == said.instance.mask
    assert masks.relabel("0001", [after], "hook", taxonomy) is None


def test_a_drawn_instance_stays_drawn_when_edited(taxonomy: Taxonomy) -> None:
    drawn = _after(masks.draw("0001", _frame(), "hook", _square(), taxonomy))
    reshaped = _after(masks.reshape("0001", drawn, _square(5), taxonomy))
    assert reshaped.verdict is Verdict.DRAWN
    assert reshaped.annotation_id == drawn.annotation_id
    assert reshaped.mask == _square(5)


def test_the_same_pixels_are_no_correction_and_none_left_is_a_deletion(
    taxonomy: Taxonomy,
) -> None:
    said = _predicted()
    assert masks.reshape("0001", said, _square(), taxonomy) is None
    gone = _after(masks.reshape("0001", said, Mask.empty(20, 20), taxonomy))
    assert gone.verdict is Verdict.REJECTED
    assert gone.mask == said.instance.mask


def test_deleting_removes_the_drawn_and_rejects_the_predicted(taxonomy: Taxonomy) -> None:
    drawn = _after(masks.draw("0001", _frame(), "hook", _square(), taxonomy))
    correction = masks.delete("0001", [drawn], taxonomy)
    assert correction is not None
    assert correction.changes[0].after is None
    assert _after(masks.delete("0001", [_predicted()], taxonomy)).verdict is Verdict.REJECTED


def test_a_rejection_remembers_what_the_model_had_said(taxonomy: Taxonomy) -> None:
    said = _predicted()
    corrected = _after(masks.reshape("0001", said, _square(9, 8), taxonomy))
    corrected = _after(masks.relabel("0001", [corrected], "hook", taxonomy))
    gone = _after(masks.reject("0001", [corrected], taxonomy, {said.source: said.instance}))
    assert (gone.label, gone.mask) == ("grasper", said.instance.mask)
    assert masks.reject("0001", [gone], taxonomy) is None


def test_a_whole_track_goes_in_one_step(taxonomy: Taxonomy) -> None:
    frames: list[Subject] = [_predicted(pts) for pts in range(0, 50, 10)]
    frames[1] = _after(masks.accept("0001", [frames[1]], taxonomy))
    frames.append(_predicted(20, track=8))
    whole = masks.track_from(frames, 7)
    assert [s.frame.pts for s in whole] == [0, 10, 20, 30, 40]
    rest = masks.track_from(frames, 7, 20)
    assert [s.frame.pts for s in rest] == [20, 30, 40]
    correction = masks.delete("0001", whole, taxonomy)
    assert correction is not None
    assert correction.title == "Delete grasper on 5 frames"
    assert len({c.object_id for c in correction.changes}) == 5


def test_a_tracks_rejections_keep_the_pixels_of_their_own_frames(taxonomy: Taxonomy) -> None:
    here, later = _predicted(0), _predicted(5)
    assert here.source == later.source
    corrected = [
        _after(masks.reshape("0001", said, _square(x=x), taxonomy))
        for said, x in ((here, 6), (later, 10))
    ]
    gone = masks.delete("0001", corrected, taxonomy, {here.source: here.instance})
    assert gone is not None
    states = [c.after for c in gone.changes]
    assert [s.mask for s in states if isinstance(s, Annotation)] == [_square(x=6), _square(x=10)]


def test_accepting_takes_what_nobody_answered(taxonomy: Taxonomy) -> None:
    one, two = _predicted(0), _predicted(1, "hook")
    accepted = _after(masks.accept("0001", [one], taxonomy))
    assert accepted.verdict is Verdict.ACCEPTED
    both = masks.accept("0001", [accepted, one, two], taxonomy)
    assert both is not None
    assert both.title == "Accept 2 outlines"
    assert masks.accept("0001", [accepted], taxonomy) is None


def test_a_frame_is_marked_complete_and_reopened() -> None:
    done = masks.review_frame("0001", _frame(9), complete=True)
    assert done.changes[0].object_id == "review:a:0:9"
    assert done.changes[0].after == FrameReview(frame=_frame(9))
    assert masks.review_frame("0001", _frame(9), complete=False).changes[0] == (
        done.changes[0].reversed()
    )


@given(planes(), st.data())
def test_any_sequence_of_edits_is_undone_exactly(plane: np.ndarray, data: st.DataObject) -> None:
    taxonomy = find_taxonomy("cholecystectomy")
    height, width = plane.shape
    mask = Mask.from_full(plane)
    objects: dict[str, State] = {}
    history = [dict(objects)]
    corrections: list[Correction] = []
    open_ones = [
        replace(_predicted(i), instance=Instance(label="grasper", mask=mask, score=0.5))
        for i in range(3)
    ]
    for _ in range(data.draw(st.integers(1, 8))):
        pool: list[Subject] = [*open_ones, *objects.values()]  # type: ignore[list-item]
        subject = data.draw(st.sampled_from(pool))
        action = data.draw(st.sampled_from(("relabel", "reshape", "delete", "accept", "draw")))
        if action == "relabel":
            label = data.draw(st.sampled_from(("grasper", "hook", "bipolar")))
            correction = masks.relabel("c", [subject], label, taxonomy)
        elif action == "reshape":
            bits = data.draw(planes()).copy()
            other = Mask.from_full(np.resize(bits, (height, width)))
            correction = masks.reshape("c", subject, other, taxonomy)
        elif action == "draw":
            correction = masks.draw("c", _frame(), "hook", mask, taxonomy)
        else:
            correction = getattr(masks, action)("c", [subject], taxonomy)
        if correction is None:
            continue
        if isinstance(subject, Predicted) and action != "draw":
            open_ones = [o for o in open_ones if o is not subject] or [_predicted(9)]
        for change in correction.changes:
            assert objects.get(change.object_id) == change.before
            _apply(objects, change.object_id, change.after)
        corrections.append(correction)
        history.append(dict(objects))
    for correction in reversed(corrections):
        assert objects == history.pop()
        for change in correction.changes:
            _apply(objects, change.object_id, change.reversed().after)
    assert objects == {}


def _apply(objects: dict[str, State], object_id: str, state: State | None) -> None:
    if state is None:
        objects.pop(object_id)
    else:
        objects[object_id] = state
