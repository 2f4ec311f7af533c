"""What to draw on a frame once the model's word and the human's are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.correction import Annotation, PredictionRef, Verdict
from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance

SAME_OBJECT_IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownInstance:
    """One instance as the frame shows it.

    Attributes:
        label: class key.
        mask: its pixels in the raster.
        score: the model's confidence; None where a human decided.
        track: number of the object, None when not tracked.
        annotation: the human's decision, None for an unanswered prediction.
        source: the prediction it is or answers, None when drawn from nothing.
    """

    label: str
    mask: Mask
    score: float | None = None
    track: int | None = None
    annotation: Annotation | None = None
    source: PredictionRef | None = None


def shown_instances(
    predictions: Mapping[int, FramePrediction],
    annotations: Sequence[Annotation],
    *,
    reviewed: bool = False,
) -> tuple[ShownInstance, ...]:
    """Merge predictions and annotations of one frame.

    A human's word hides the prediction that it names. Of another run, it hides the prediction
    that covers the same object, so that a new model does not bring back what was answered.

    Args:
        predictions: run id to what that run found in the frame.
        annotations: all human decisions on the frame.
        reviewed: a human said that everything in the frame is annotated: no prediction is shown.

    Returns:
        Human instances first, in their order, then open predictions, best first.
    """
    by_human = tuple(
        ShownInstance(label=a.label, mask=a.mask, track=a.track, annotation=a, source=a.source)
        for a in annotations
        if a.verdict is not Verdict.REJECTED
    )
    if reviewed:
        return by_human
    open_ones = [
        ShownInstance(
            label=i.label,
            mask=i.mask,
            score=i.score,
            track=i.track,
            source=PredictionRef(run_id=run_id, instance=place),
        )
        for run_id, prediction in sorted(predictions.items())
        for place, i in enumerate(prediction.instances)
        if not is_answered(PredictionRef(run_id=run_id, instance=place), i, annotations)
    ]
    return by_human + tuple(sorted(open_ones, key=lambda s: -(s.score or 0.0)))


def shown_areas(prediction: FramePrediction) -> tuple[ShownInstance, ...]:
    """Semantic areas of one frame as they are drawn: looked at, never answered by a human."""
    return tuple(
        ShownInstance(label=i.label, mask=i.mask, score=i.score, track=i.track)
        for i in prediction.instances
    )


def is_answered(ref: PredictionRef, instance: Instance, annotations: Sequence[Annotation]) -> bool:
    """Whether a human's word hides a prediction.

    Args:
        ref: the prediction's run and place.
        instance: what it says.
        annotations: all human decisions on its frame.
    """
    return any(a.source == ref for a in annotations) or any(
        (a.source is None or a.source.run_id != ref.run_id)
        and (a.mask.width_px, a.mask.height_px) == (instance.mask.width_px, instance.mask.height_px)
        and a.mask.iou(instance.mask) >= SAME_OBJECT_IOU
        for a in annotations
    )
