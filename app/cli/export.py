"""``trocar export``: a case's annotations in formats others read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import __version__
from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.case import Asset, Case
from app.core.errors import BadInput, EnvironmentProblem
from app.core.resources import RESEARCH_USE

if TYPE_CHECKING:
    from app.exchange.coco import AnnotatedFrame
    from app.exchange.phase_csv import Tier
    from app.store import Library


class Format(StrEnum):
    """What can be written."""

    COCO = "coco"
    PHASE_CSV = "phase-csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    case: Annotated[str, typer.Argument(help="The case's number.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made where missing.")],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Write the frames as PNG too (COCO).")
    ] = True,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="COCO polygons instead of exact run lengths.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a case's corrections: outlines as COCO, or phases as CSV."""
    with open_library(library, "read") as lib:
        found = lib.case(case)
        try:
            out.mkdir(parents=True, exist_ok=True)
            if form is Format.COCO:
                result = _coco(lib, found, out, pictures=pictures, polygons=polygons)
            else:
                result = _phases(lib, found, out)
            _readme(out, found, form)
        except OSError as error:
            raise EnvironmentProblem(
                f"The export could not be written to {out} ({error.strerror}).", str(error)
            ) from error
    emit(result, as_json=as_json, text=f"Wrote {result['written']} to {out}")


def _coco(lib: Library, case: Case, out: Path, *, pictures: bool, polygons: bool) -> dict[str, Any]:
    from app.core.taxonomy import find_taxonomy
    from app.exchange import coco
    from app.exchange.images import write_png
    from app.video import open_video

    frames: list[AnnotatedFrame] = []
    for asset in case.assets:
        with open_video(_recording(asset)) as source:
            for frame in _annotated(lib, asset, source.index_of):
                frames.append(frame)
                if pictures:
                    write_png(out / coco.file_name(frame), source.frame(frame.index).rgb)
    taxonomy = find_taxonomy(case.procedure)
    info = {
        "description": f"Trocar case {case.case_id}: corrected frames",
        "version": __version__,
        "taxonomy": f"{taxonomy.procedure} {taxonomy.version}",
        "frame_index_base": 0,
        "time": "time_ms counts from the first presentable frame; pts is in the asset's time base",
        "time_bases": {a.asset_id: str(a.time_base) for a in case.assets},
        "start_pts": {a.asset_id: a.start_pts for a in case.assets},
        "use": RESEARCH_USE,
    }
    coco.write(out / "annotations.json", frames, taxonomy, info, polygons=polygons)
    count = sum(len(f.instances) for f in frames)
    return {
        "case": case.case_id,
        "format": Format.COCO.value,
        "frames": len(frames),
        "instances": count,
        "written": f"{count} outlines in {len(frames)} frames",
        "path": str(out / "annotations.json"),
    }


def _annotated(lib: Library, asset: Asset, index_of: Any) -> list[AnnotatedFrame]:
    from app.core.correction import Verdict
    from app.core.prediction import Instance
    from app.exchange.coco import AnnotatedFrame

    complete = {f.pts for f in lib.reviewed_frames(asset.asset_id)}
    by_pts: dict[int, list[Instance]] = {pts: [] for pts in complete}
    for a in lib.annotations(asset.asset_id):
        kept = by_pts.setdefault(a.frame.pts, [])
        if a.verdict is not Verdict.REJECTED:
            kept.append(Instance(label=a.label, mask=a.mask, track=a.track))
    return [
        AnnotatedFrame(
            asset=asset,
            pts=pts,
            index=index_of(pts),
            instances=tuple(by_pts[pts]),
            complete=pts in complete,
        )
        for pts in sorted(by_pts)
    ]


def _phases(lib: Library, case: Case, out: Path) -> dict[str, Any]:
    from app.core.taxonomy import find_taxonomy
    from app.core.timeline import timeline_from_phases
    from app.exchange import phase_csv
    from app.video import open_video

    tiers: list[Tier] = []
    for asset in case.assets:
        with open_video(_recording(asset)) as source:
            # The end of the last segment is one past the last frame.
            index = {source.pts(i): i for i in range(len(source))}
        index[asset.end_pts] = asset.frames

        def index_of(pts: int, known: dict[int, int] = index) -> int:
            return known[pts] if pts in known else sum(p < pts for p in known)

        human = lib.human_timeline(asset.asset_id)
        if human is not None:
            tiers.append(
                phase_csv.Tier(
                    name="human", asset=asset, timeline=human.timeline, index_of=index_of
                )
            )
        store = lib.predictions(case.case_id)
        for run in store.runs(asset.asset_id):
            if run.task != "phase-recognition":
                continue
            said = timeline_from_phases(
                store.phases(run.run_id), run.classes, asset.start_pts, asset.end_pts
            )
            tiers.append(
                phase_csv.Tier(name=run.model, asset=asset, timeline=said, index_of=index_of)
            )
    phase_csv.write(out / "phases.csv", tiers, find_taxonomy(case.procedure))
    count = sum(len(t.timeline.segments) for t in tiers)
    return {
        "case": case.case_id,
        "format": Format.PHASE_CSV.value,
        "tiers": [t.name for t in tiers],
        "segments": count,
        "written": f"{count} phase segments",
        "path": str(out / "phases.csv"),
    }


def _recording(asset: Asset) -> Path:
    path = Path(asset.path)
    if not path.exists():
        raise BadInput(f"The recording {path.name} is not where it was; put it back and try again.")
    return path


def _readme(out: Path, case: Case, form: Format) -> None:
    (out / "README.txt").write_text(
        f"Trocar {__version__}, case {case.case_id}, {form.value}.\n"
        "Frame indices are 0-based in display order; times count from the first presentable "
        "frame; pts are in each asset's own time base.\n"
        f"{RESEARCH_USE}\n",
        encoding="utf-8",
    )
