"""The human's word goes before the model's."""

from __future__ import annotations

import numpy as np

from app.core.correction import Annotation, PredictionRef, Verdict
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance
from app.overlay import shown_instances

FRAME = FrameIdentity(asset_id="a", stream=0, pts=100)


def square(x: int, size: int = 20) -> Mask:
    return Mask(width_px=200, height_px=100, x_px=x, y_px=30, bits=np.ones((size, size), bool))


def predicted(*places: int) -> FramePrediction:
    instances = tuple(
        Instance(label="grasper", mask=square(x), score=0.9 - 0.1 * i, track=i)
        for i, x in enumerate(places)
    )
    return FramePrediction(pts=100, index=4, instances=instances)


def annotated(mask: Mask, verdict: Verdict, source: PredictionRef | None) -> Annotation:
    return Annotation(
        annotation_id="n", frame=FRAME, label="hook", mask=mask, verdict=verdict, source=source
    )


def test_a_correction_hides_the_prediction_it_answers() -> None:
    ref = PredictionRef(run_id=1, instance=0)
    fixed = annotated(square(140), Verdict.CORRECTED, ref)
    shown = shown_instances({1: predicted(10, 80)}, [fixed])
    assert [(s.label, s.mask.x_px) for s in shown] == [("hook", 140), ("grasper", 80)]
    assert shown[0].score is None
    assert shown[0].annotation is fixed
    assert shown[1].source == PredictionRef(run_id=1, instance=1)


def test_a_rejected_prediction_is_gone() -> None:
    ref = PredictionRef(run_id=1, instance=1)
    rejected = annotated(square(80), Verdict.REJECTED, ref)
    shown = shown_instances({1: predicted(10, 80)}, [rejected])
    assert [s.mask.x_px for s in shown] == [10]


def test_a_new_run_does_not_bring_back_what_was_answered() -> None:
    old = PredictionRef(run_id=1, instance=1)
    rejected = annotated(square(82), Verdict.REJECTED, old)
    drawn = annotated(square(12), Verdict.DRAWN, None)
    shown = shown_instances({2: predicted(10, 80, 150)}, [rejected, drawn])
    assert [(s.label, s.mask.x_px) for s in shown] == [("hook", 12), ("grasper", 150)]


def test_another_object_of_the_same_run_stays_though_it_overlaps() -> None:
    ref = PredictionRef(run_id=1, instance=0)
    fixed = annotated(square(80), Verdict.CORRECTED, ref)
    shown = shown_instances({1: predicted(10, 80)}, [fixed])
    assert len(shown) == 2


def test_a_reviewed_frame_shows_the_human_alone() -> None:
    drawn = annotated(square(12), Verdict.DRAWN, None)
    shown = shown_instances({2: predicted(80)}, [drawn], reviewed=True)
    assert [s.label for s in shown] == ["hook"]


def test_predictions_come_best_first() -> None:
    one, two = predicted(10), predicted(60, 100)
    shown = shown_instances({2: two, 1: one}, [])
    assert [s.score for s in shown] == sorted((s.score for s in shown), reverse=True)
