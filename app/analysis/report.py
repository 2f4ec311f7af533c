"""The report of a case: one HTML file with its pictures inside, to be read offline or printed."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from numpy.typing import NDArray

from app import __version__
from app.analysis.agreement import figures
from app.analysis.lengths import lengths_in_words, phase_lengths
from app.analysis.summary import AssetSummary, CaseSummary, InView, summarise
from app.core.errors import BadInput, EnvironmentProblem
from app.core.resources import RESEARCH_USE, RESEARCH_USE_SHORT
from app.core.timeline import Segment
from app.overlay import palette, picture_with_overlay, shown_instances
from app.store import Library, files
from app.video import UndecodableFrame, open_recording

log = logging.getLogger(__name__)

PICTURE_WIDTH_PX = 640
MOST_PICTURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One phase segment as the report draws it; shares are of the recording's length."""

    name: str
    code: str
    colour: str
    start: str
    end: str
    length: str
    left_percent: float
    width_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A key frame as a data URI, with its words."""

    uri: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One recording in the report."""

    summary: AssetSummary
    length: str
    bands: tuple[Band, ...]
    pictures: tuple[Picture, ...]
    in_view: tuple[tuple[str, str], ...]
    told: tuple[tuple[str, str], ...]
    agreement: tuple[tuple[str, str], ...]


def write_report(library: Library, case_id: str, path: Path) -> None:
    """Write the HTML report of a case.

    Raises:
        BadInput: there is no such case.
        EnvironmentProblem: the file cannot be written.
    """
    html = _render("report.html", library, case_id, colours=palette.tokens())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, html.encode())
    except OSError as error:
        raise EnvironmentProblem(
            f"The report could not be written to {path} ({error.strerror}); choose another place.",
            str(error),
        ) from error


def print_html(library: Library, case_id: str, *, picture_px: int) -> str:
    """The report as plain HTML in tables, black on white, for a printer that knows little CSS.

    Args:
        library: the open library.
        case_id: which case.
        picture_px: width of a picture, two of which stand side by side.

    Raises:
        BadInput: there is no such case.
    """
    return _render("print.html", library, case_id, picture_px=picture_px)


def _render(template: str, library: Library, case_id: str, **more: object) -> str:
    summary = summarise(library, case_id)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        case=summary.case,
        taxonomy=summary.taxonomy,
        whose=_whose(summary),
        parts=[_part(library, summary, a) for a in summary.assets],
        lengths=_lengths(library, summary),
        research=RESEARCH_USE,
        research_short=RESEARCH_USE_SHORT,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **more,
    )


def clock(ms: float) -> str:
    """``h:mm:ss`` of milliseconds."""
    seconds = round(ms / 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def length_words(ms: float) -> str:
    """A length as people say it: ``42 s``, ``3:53`` or ``1 h 09``."""
    seconds = round(ms / 1000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d}"


def _part(library: Library, summary: CaseSummary, one: AssetSummary) -> Part:
    segments = one.timeline.segments if one.timeline else ()
    return Part(
        summary=one,
        length=clock(one.asset.duration_ms),
        bands=tuple(_band(summary, one, s) for s in segments),
        pictures=tuple(_pictures(library, summary, one)),
        in_view=_lengths_in_view(summary, one.in_view),
        told=_lengths_in_view(summary, one.told),
        agreement=figures(one.agreement) if one.agreement else (),
    )


def _whose(summary: CaseSummary) -> str:
    """Who named the phases of a human tier, in words."""
    if not summary.imported_from:
        return "as corrected by a person"
    return f"as imported from {' and '.join(summary.imported_from)}, or corrected by a person since"


def _lengths_in_view(
    summary: CaseSummary, found: tuple[InView, ...]
) -> tuple[tuple[str, str], ...]:
    named = summary.taxonomy.instrument_name
    return tuple((named(v.label), length_words(1000 * v.seconds)) for v in found)


def _lengths(library: Library, summary: CaseSummary) -> dict[str, object]:
    """The phases beside the library's other cases; nothing where there are none."""
    found = phase_lengths(library, summary.case.case_id)
    rows = [
        (found.taxonomy.phase_name(p.phase), lengths_in_words(p, lambda s: length_words(1000 * s)))
        for p in found.phases
    ]
    return {"cases": found.cases, "rows": rows if found.cases else []}


def _band(summary: CaseSummary, one: AssetSummary, segment: Segment) -> Band:
    start, end = one.asset.time_ms(segment.start_pts), one.asset.time_ms(segment.end_pts)
    phase = summary.taxonomy.phase(segment.phase)
    total = one.asset.duration_ms
    return Band(
        name=summary.taxonomy.phase_name(segment.phase),
        code=phase.code if phase else "?",
        colour=phase.colour if phase else palette.tokens()["control_edge"],
        start=clock(start),
        end=clock(end),
        length=length_words(end - start),
        left_percent=round(100 * start / total, 3),
        width_percent=round(100 * (end - start) / total, 3),
    )


def _pictures(library: Library, summary: CaseSummary, one: AssetSummary) -> Iterator[Picture]:
    """The middle frame of each phase, or of the recording, with its outlines.

    None where the recording is not where it was, is damaged, or another file took its place.
    """
    asset = one.asset
    try:
        source = open_recording(asset, missing_ok=True)
    except BadInput as error:
        log.info("the report has no pictures: %s", type(error).__name__)
        return
    segments = one.timeline.segments[:MOST_PICTURES] if one.timeline else ()
    moments = [
        ((s.start_pts + s.end_pts) // 2, summary.taxonomy.phase_name(s.phase)) for s in segments
    ] or [((asset.start_pts + asset.end_pts) // 2, "")]
    store = library.predictions(summary.case.case_id)
    reviewed = {f.pts for f in library.reviewed_frames(asset.asset_id)}
    with source:
        for pts, name in moments:
            index = source.index_at_ms(asset.time_ms(pts))
            try:
                frame = source.frame(index)
            except UndecodableFrame:
                continue
            said = {}
            if one.segmentation is not None:
                found = store.frame(one.segmentation.run_id, frame.pts)
                if found is not None:
                    said[one.segmentation.run_id] = found
            human = library.annotations(asset.asset_id, frame.pts, frame.pts)
            shown = shown_instances(said, human, reviewed=frame.pts in reviewed)
            style = palette.report_style(summary.taxonomy, frame.rgb.shape[0])
            words = ", ".join(w for w in (clock(frame.time_ms), name) if w)
            yield Picture(uri=_uri(picture_with_overlay(frame.rgb, shown, style)), words=words)


def _uri(rgb: NDArray[np.uint8]) -> str:
    height, width = rgb.shape[:2]
    if width > PICTURE_WIDTH_PX:
        size = (PICTURE_WIDTH_PX, round(height * PICTURE_WIDTH_PX / width))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 85))
    if not done:
        raise ValueError("JPEG encoding failed")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
