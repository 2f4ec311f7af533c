"""A clip of a case's recording with its outlines burnt in. Runs on the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.analysis.summary import telling_run
from app.core.case import Asset, Case
from app.core.errors import BadInput, Refused
from app.core.frame import Frame
from app.core.prediction import SEGMENTATION, FramePrediction, Run
from app.core.taxonomy import find_taxonomy
from app.overlay import OverlayStyle, picture_with_overlay, shown_instances
from app.overlay.palette import report_style
from app.store import Library
from app.video import quick_hash
from app.video.clip.export import Draw

_OLDEST_MS = 250.0
"""A model that skips frames speaks for those after the one it looked at, as on the stage."""


def case_of_file(library: Library, path: Path) -> tuple[Case, Asset]:
    """The newest case that was made of a file, wherever the file lay then.

    Raises:
        BadInput: no case of the library has it.
    """
    known = quick_hash(path)
    for case in sorted(library.cases(), key=lambda c: c.created_utc_ms, reverse=True):
        for asset in case.assets:
            if asset.quick_hash == known:
                return case, asset
    raise BadInput(
        f"No case of the library was made of {path.name}, so it has no overlay; analyse it first."
    )


def refuse_recordings(library: Library, path: Path) -> None:
    """Make sure that a clip takes no recording's place, wherever the recording lies by now.

    Raises:
        Refused: a recording of the library, or a part of one, lies at ``path``.
        EnvironmentProblem: what lies there cannot be read.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    cases = library.cases()
    files = [(c, f.path, f.quick_hash) for c in cases for a in c.assets for f in a.files]
    made_of = [(c, "", a.quick_hash) for c in cases for a in c.assets]
    known = quick_hash(path)
    there = [c for c, lies, _ in files if Path(lies).exists() and path.samefile(lies)]
    alike = [c for c, _, quick in (*files, *made_of) if quick == known]
    if found := there or alike:
        raise Refused(
            f"{path.name} is a recording of case {found[0].case_id}; give the clip another name."
        )


def overlay_drawer(
    library: Library,
    case: Case,
    asset: Asset,
    *,
    run: Run | None = None,
    style: OverlayStyle | None = None,
) -> Draw:
    """What burns outlines and the research mark into frames of a recording.

    Args:
        library: the open library.
        case, asset: whose predictions and corrections.
        run: whose outlines; default: the newest that saw the whole recording.
        style: how they are drawn; default: outlines with names.
    """
    store = library.predictions(case.case_id)
    run = run or telling_run(store.runs(asset.asset_id), SEGMENTATION)
    reviewed = {f.pts for f in library.reviewed_frames(asset.asset_id)}
    said = _said(library, case, run, asset)
    taxonomy = find_taxonomy(case.procedure)

    def draw(frame: Frame) -> NDArray[np.uint8]:
        human = library.annotations(asset.asset_id, frame.pts, frame.pts)
        found = said(frame.pts)
        predictions = {} if run is None or found is None else {run.run_id: found}
        shown = shown_instances(predictions, human, reviewed=frame.pts in reviewed)
        look = style or report_style(taxonomy, frame.rgb.shape[0])
        return picture_with_overlay(frame.rgb, shown, look)

    return draw


def _said(
    library: Library, case: Case, run: Run | None, asset: Asset
) -> Callable[[int], FramePrediction | None]:
    """What a run says of a frame: itself, or of the newest one before it that it looked at."""
    store = library.predictions(case.case_id)
    reach = round(_OLDEST_MS / 1000 / asset.time_base)

    def at(pts: int) -> FramePrediction | None:
        if run is None:
            return None
        found = store.frame(run.run_id, pts)
        if found is None and run.sample_every != 1:
            before = store.frames(run.run_id, pts - reach, pts)
            found = before[-1] if before else None
        return found

    return at
