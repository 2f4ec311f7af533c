"""``trocar show CASE``: what the library knows about one case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.taxonomy import find_taxonomy

if TYPE_CHECKING:
    from app.core.case import Asset, Case
    from app.core.prediction import Run
    from app.store import Library

HISTORY_ROWS = 20


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("show")
    def show(
        case: Annotated[str, typer.Argument(help="Its number in “trocar cases”.")],
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show one case: recordings, analyses, corrections."""
        with open_library(library, "read") as opened:
            data = _describe(opened, case)
        emit(data, as_json=as_json, text=_text(data))


def _describe(library: Library, case_id: str) -> dict[str, Any]:
    case = library.case(case_id)
    store = library.predictions(case_id)
    history = library.corrections(case_id)
    runs = [
        {
            "run": run.run_id,
            "asset": run.asset_id,
            "model": run.model,
            "task": run.task,
            "frames": len(store.stored_pts(run.run_id)),
            "frames_expected": run.frames_expected,
            "finished": run.finished,
            "weights_sha256": run.weights_sha256,
            "settings": run.settings,
            "tools_s": _tools_s(library, case, run),
        }
        for run in store.runs()
    ]
    return {
        "case": case.case_id,
        "title": case.title,
        "procedure": case.procedure,
        "state": case.state.value,
        "created_utc_ms": case.created_utc_ms,
        "assets": [_describe_asset(library, asset) for asset in case.assets],
        "duration_s": round(sum(a.duration_ms for a in case.assets) / 1000, 3),
        "labels": _labels(library, case_id),
        "models": sorted({str(run["model"]) for run in runs}),
        "runs": runs,
        "corrections": case.corrections,
        "undo": library.undo_title(case_id),
        "redo": library.redo_title(case_id),
        "history": [
            {
                "seq": entry.seq,
                "utc_ms": entry.utc_ms,
                "user": entry.user,
                "kind": entry.kind,
                "title": entry.title,
                "in_force": entry.in_force,
            }
            for entry in history[-HISTORY_ROWS:]
        ],
    }


def _tools_s(library: Library, case: Case, run: Run) -> dict[str, float]:
    """Seconds for which the run tells that each of its tools was there; empty where it tells of
    none."""
    asset = next((a for a in case.assets if a.asset_id == run.asset_id), None)
    if asset is None or not run.tools:
        return {}
    from app.analysis.summary import told_in_view

    told = told_in_view(library.predictions(case.case_id), asset, run)
    return dict.fromkeys(run.tools, 0.0) | {v.label: v.seconds for v in told}


def _labels(library: Library, case_id: str) -> dict[str, Any] | None:
    """What the case's label files say, None where it has none."""
    files = library.label_files(case_id)
    if not files:
        return None
    from app.exchange.labels.reading import read_again, splits_of

    said = read_again(files)
    return {
        "layout": said.layout,
        "name": said.name,
        "files": [file.name for file in files],
        "rows": {row.name: len(row.segments) for row in said.rows},
        "facts": list(said.facts),
        "splits": splits_of(said.layout, said.name),
    }


def _label_lines(labels: dict[str, Any] | None) -> list[str]:
    if labels is None:
        return []
    splits = [f"{part} of {split}" for split, part in labels["splits"].items()]
    said = [*labels["facts"], *splits, *(f"{n}: {c}" for n, c in labels["rows"].items() if c)]
    files = ", ".join(labels["files"])
    return [f"  imported   {files}" + (f"  ({'; '.join(said)})" if said else "")]


def _describe_asset(library: Library, asset: Asset) -> dict[str, Any]:
    human = library.human_timeline(asset.asset_id)
    return {
        "asset": asset.asset_id,
        "path": asset.path,
        "sha256": asset.sha256,
        "parts": [
            {
                "path": part.path,
                "sha256": part.sha256,
                "start_s": round(asset.time_ms(part.first_pts) / 1000, 3),
                "frames": part.frames,
                "gap_s": None if part.gap_ms is None else round(part.gap_ms / 1000, 3),
            }
            for part in asset.parts
        ],
        "frames": asset.frames,
        "duration_s": round(asset.duration_ms / 1000, 3),
        "width": asset.width_px,
        "height": asset.height_px,
        "codec": asset.codec,
        "annotations": len(library.annotations(asset.asset_id)),
        "reviewed_frames": len(library.reviewed_frames(asset.asset_id)),
        "phase_segments": len(human.timeline.segments) if human else 0,
    }


def _text(data: dict[str, Any]) -> str:
    lines = [
        f"Case {data['case']}: {data['title']} ({data['procedure']}, {data['state']})",
        *(
            "  "
            + (
                f"recording  {a['path']}  {a['frames']} frames, {a['width']} x {a['height']}, "
                if a["path"]
                else f"labels     of {a['duration_s']:.0f} s without a recording, "
            )
            + f"{a['annotations']} annotations, {a['phase_segments']} phase segments"
            + "".join(f"\n    part     {p['path']}  from {p['start_s']:.1f} s" for p in a["parts"])
            for a in data["assets"]
        ),
        *_label_lines(data["labels"]),
        *(
            f"  analysis   {r['model']}: {r['frames']} of {r['frames_expected']} frames"
            + _tool_words(data["procedure"], r["tools_s"])
            for r in data["runs"]
        ),
        f"  {data['corrections']} correction{'' if data['corrections'] == 1 else 's'} in force",
        *(f"  {h['seq']:>6}  {h['kind']:<4}  {h['title']}  ({h['user']})" for h in data["history"]),
    ]
    return "\n".join(lines)


def _tool_words(procedure: str, seconds: dict[str, float]) -> str:
    """What a model tells of tools, longest first, on a line of its own."""
    if not seconds:
        return ""
    named = find_taxonomy(procedure).instrument_name
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    said = ", ".join(f"{named(key)} {value:.0f} s" for key, value in longest if value)
    return f"\n    tells      {said or 'none of its instruments'}"
