"""``trocar export``: a case's annotations in formats others read."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library, progress
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.exchange.case_export import Exported
    from app.store import Library


class Format(StrEnum):
    """What can be written."""

    COCO = "coco"
    PHASE_CSV = "phase-csv"
    DICOM_VIDEO = "dicom-video"
    DICOM_SEG = "dicom-seg"
    LABELS = "labels"
    TOOLS = "tools"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    case: Annotated[
        str, typer.Argument(help="The case's number; for labels also “all” that were imported.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made where missing.")],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Write the frames as PNG too (COCO).")
    ] = True,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="COCO polygons instead of exact run lengths.")
    ] = False,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="Burn outlines and the research line in (DICOM video)."),
    ] = False,
    start: Annotated[
        float | None, typer.Option("--from", help="Seconds; a stretch alone (DICOM video).")
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", help="Seconds; where the stretch ends.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Labels: a new file of your phases in this layout, as cholec80.")
    ] = "",
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a case: outlines as COCO or DICOM SEG, phases as CSV, the recording as DICOM video.

    “labels” writes the label files that it was imported from, with its phases as they are now;
    “tools” what a model told of tools, as scores in a file like Cholec80's.
    """
    from app.exchange.case_export import export_coco, export_phases

    if (start is None) != (end is None):
        raise typer.BadParameter("give both --from and --to, or neither")
    with open_library(library, "read", recordings=True) as lib:
        if form is Format.COCO:
            done = export_coco(lib, case, out, pictures=pictures, polygons=polygons)
        elif form is Format.PHASE_CSV:
            done = export_phases(lib, case, out)
        elif form is Format.LABELS:
            from app.exchange.labels.library import export_anew, export_labels

            if layout:
                done = export_anew(lib, case, layout, out)
            else:
                done = export_labels(lib, _imported(lib) if case == "all" else [case], out)
        elif form is Format.TOOLS:
            from app.exchange.labels.told import export_told

            done = export_told(lib, case, out)
        elif form is Format.DICOM_SEG:
            from app.exchange.dicom_seg import export_dicom_seg

            done = export_dicom_seg(lib, case, out)
        else:
            stretch = None if start is None or end is None else (start, end)
            done = _dicom_video(lib, case, out, stretch, overlay=overlay, quiet=as_json)
    emit(
        {"case": case, "format": form.value, **done.counts, "path": str(done.path)},
        as_json=as_json,
        text=f"Wrote {done.words} to {done.path}",
    )


def _imported(lib: Library) -> list[str]:
    found = [c.case_id for c in lib.cases() if lib.label_files(c.case_id)]
    if not found:
        raise BadInput("No case of this library was imported from label files.")
    return found


def _dicom_video(
    lib: Library,
    case: str,
    out: Path,
    stretch: tuple[float, float] | None,
    *,
    overlay: bool,
    quiet: bool,
) -> Exported:
    from app.analysis.case_clip import overlay_drawer
    from app.exchange.dicom_video import export_dicom_video

    with progress("DICOM video", quiet=quiet) as bar:
        return export_dicom_video(
            lib,
            case,
            out,
            stretch_s=stretch,
            drawer=partial(overlay_drawer, lib) if overlay else None,
            progress=lambda done, of: bar.update(bar.task_ids[0], completed=done, total=of),
        )
