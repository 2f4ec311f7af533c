"""A small real case: a phantom clip, corrected frames that are true, a human timeline."""

from __future__ import annotations

from pathlib import Path

from app.annotate import masks as edits
from app.core.case import Case
from app.core.correction import (
    Annotation,
    Change,
    Correction,
    HumanTimeline,
    Verdict,
)
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Timeline
from app.learning.phantom import PhantomVideo
from app.store import Library
from app.video import describe_asset
from app.video.encode import write_video

SEED, FPS, SIZE_PX, SECONDS = 11, 5, (320, 180), 8


def phantom_clip(folder: Path) -> Path:
    """Eight seconds of a phantom operation, 40 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "operation.mp4"
    video = PhantomVideo(SEED, fps=FPS, size_px=SIZE_PX, start_s=300, seconds=SECONDS)
    write_video(path, (f.rgb for f in video), fps=FPS, gop=10)
    return path


def make_case(library: Library, clip: Path, *, every: int = 5) -> Case:
    """A case whose every ``every``-th frame is annotated with the truth and called complete."""
    asset = describe_asset(clip, "rec-1")
    case = library.writer.create_case("Phantom", "cholecystectomy", (asset,)).result()
    step = (asset.end_pts - asset.start_pts) // asset.frames
    video = PhantomVideo(SEED, fps=FPS, size_px=SIZE_PX, start_s=300, seconds=SECONDS)
    for frame in video:
        if frame.index % every:
            continue
        identity = FrameIdentity(
            asset_id="rec-1", stream=asset.stream, pts=asset.start_pts + frame.index * step
        )
        for n, instance in enumerate(frame.instances):
            annotation = Annotation(
                annotation_id=f"{frame.index}-{n}",
                frame=identity,
                label=instance.key,
                mask=Mask.from_full(instance.mask),
                verdict=Verdict.DRAWN,
            )
            change = Change(object_id=annotation.annotation_id, before=None, after=annotation)
            library.writer.commit(
                Correction(case_id=case.case_id, title="Draw", changes=(change,))
            ).result()
        library.writer.commit(edits.review_frame(case.case_id, identity, complete=True)).result()
    half = (asset.start_pts + asset.end_pts) // 2
    timeline = Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts)
    timeline = timeline.painted(asset.start_pts, half, "calot_triangle_dissection")
    timeline = timeline.painted(half, asset.end_pts, "clipping_cutting")
    after = HumanTimeline(asset_id="rec-1", timeline=timeline)
    library.writer.commit(
        Correction(
            case_id=case.case_id,
            title="Phases",
            changes=(Change(object_id="timeline:rec-1", before=None, after=after),),
        )
    ).result()
    return library.case(case.case_id)
