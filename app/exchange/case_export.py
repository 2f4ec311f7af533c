"""A case's human work in foreign formats: what the export command and the window both call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app import __version__
from app.core.case import Asset, Case
from app.core.correction import Verdict
from app.core.errors import EnvironmentProblem, TrocarError
from app.core.prediction import PHASES, Instance
from app.core.resources import RESEARCH_USE
from app.core.taxonomy import find_taxonomy
from app.core.timeline import timeline_of_run
from app.exchange import coco, phase_csv
from app.exchange.images import write_png
from app.store import Library
from app.video import open_recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        path: the annotation file.
        words: how much, for people.
        counts: how much, by name.
    """

    path: Path
    words: str
    counts: dict[str, int]


def export_coco(
    library: Library, case_id: str, out: Path, *, pictures: bool = True, polygons: bool = False
) -> Exported:
    """Write the corrected frames of a case as COCO, with the frames as PNG where wanted.

    Raises:
        BadInput: there is no such case, or a recording is not where it was or not the same.
        EnvironmentProblem: the folder cannot be written.
    """
    case = library.case(case_id)
    with writing(out):
        frames: list[coco.AnnotatedFrame] = []
        for asset in case.assets:
            with open_recording(asset) as source:
                for frame in annotated_frames(library, asset, source.index_of):
                    frames.append(frame)
                    if pictures:
                        write_png(out / coco.file_name(frame), source.frame(frame.index).rgb)
        path = out / "annotations.json"
        coco.write(path, frames, find_taxonomy(case.procedure), _info(case), polygons=polygons)
        write_readme(out, case, "COCO instance annotations")
    count = sum(len(f.instances) for f in frames)
    return Exported(
        path=path,
        words=f"{count} outlines in {len(frames)} frames",
        counts={"frames": len(frames), "instances": count},
    )


def export_phases(library: Library, case_id: str, out: Path) -> Exported:
    """Write the phases of a case as CSV: the human tier, then each model's.

    Raises: as ``export_coco``.
    """
    case = library.case(case_id)
    with writing(out):
        tiers: list[phase_csv.Tier] = []
        for asset in case.assets:
            if not asset.has_recording:
                tiers += _tiers(library, case, asset, lambda pts: pts)
                continue
            with open_recording(asset) as source:
                times = [source.pts(i) for i in range(len(source))]
                tiers += _tiers(library, case, asset, partial(bisect_left, times))
        path = out / "phases.csv"
        phase_csv.write(path, tiers, find_taxonomy(case.procedure))
        write_readme(out, case, "phase segments")
    count = sum(len(t.timeline.segments) for t in tiers)
    return Exported(
        path=path,
        words=f"{count} phase segments",
        counts={"tiers": len(tiers), "segments": count},
    )


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """The folder exists within; what the disk refuses becomes one sentence. A refusal leaves no
    empty folder behind."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except TrocarError:
        if is_new and not any(out.iterdir()):
            out.rmdir()
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"The export could not be written to {out} ({error.strerror}); choose another folder.",
            str(error),
        ) from error


def annotated_frames(
    library: Library, asset: Asset, index_of: Callable[[int], int]
) -> list[coco.AnnotatedFrame]:
    """Frames that a human worked on, with what is there after corrections, by time."""
    complete = {f.pts for f in library.reviewed_frames(asset.asset_id)}
    by_pts: dict[int, list[Instance]] = {pts: [] for pts in complete}
    for a in library.annotations(asset.asset_id):
        kept = by_pts.setdefault(a.frame.pts, [])
        if a.verdict is not Verdict.REJECTED:
            kept.append(Instance(label=a.label, mask=a.mask, track=a.track))
    return [
        coco.AnnotatedFrame(
            asset=asset,
            pts=pts,
            index=index_of(pts),
            instances=tuple(by_pts[pts]),
            complete=pts in complete,
        )
        for pts in sorted(by_pts)
    ]


def _tiers(
    library: Library, case: Case, asset: Asset, index_of: Callable[[int], int]
) -> list[phase_csv.Tier]:
    tiers = []
    human = library.human_timeline(asset.asset_id)
    if human is not None:
        tiers.append(
            phase_csv.Tier(name="human", asset=asset, timeline=human.timeline, index_of=index_of)
        )
    store = library.predictions(case.case_id)
    runs = [r for r in store.runs(asset.asset_id) if r.task == PHASES]
    # One tier per model: its newest run that saw the whole recording, else its newest.
    telling = {r.model: r for r in sorted(runs, key=lambda r: r.finished)}
    for name, run in sorted(telling.items()):
        said = timeline_of_run(run, store.phases(run.run_id), asset.start_pts, asset.end_pts)
        tiers.append(phase_csv.Tier(name=name, asset=asset, timeline=said, index_of=index_of))
    return tiers


def _info(case: Case) -> dict[str, Any]:
    taxonomy = find_taxonomy(case.procedure)
    return {
        "description": f"Trocar case {case.case_id}: corrected frames",
        "version": __version__,
        "taxonomy": f"{taxonomy.procedure} {taxonomy.version}",
        "frame_index_base": 0,
        "time": "time_ms counts from the first presentable frame; pts is in the asset's time base",
        "time_bases": {a.asset_id: str(a.time_base) for a in case.assets},
        "start_pts": {a.asset_id: a.start_pts for a in case.assets},
        "use": RESEARCH_USE,
    }


def write_readme(out: Path, case: Case, what: str) -> None:
    """Say beside an export what it is and what its numbers mean."""
    (out / "README.txt").write_text(
        f"Trocar {__version__}, case {case.case_id}: {what}.\n"
        "Frame indices are 0-based in display order; times count from the first presentable "
        "frame; pts are in each asset's own time base.\n"
        f"{RESEARCH_USE}\n",
        encoding="utf-8",
    )
