"""``trocar clip``: an excerpt of a recording as a file of its own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import (
    JsonOption,
    LibraryOption,
    emit,
    library_folder,
    open_library,
    progress,
)
from app.core.errors import BadInput, Refused

if TYPE_CHECKING:
    from app.video import VideoSource
    from app.video.clip.export import Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The recording, and what draws on its frames."""

    source: VideoSource
    draw: Draw | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clip")(clip)


def clip(
    file: Annotated[Path | None, typer.Argument(help="The video file.", show_default=False)] = None,
    *,
    start: Annotated[
        float, typer.Option("--from", help="Seconds; the frame on screen then is the first.")
    ],
    end: Annotated[
        float, typer.Option("--to", help="Seconds; the frame on screen just before is the last.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write: .mp4, .mov or .mkv.")],
    case: Annotated[
        str | None, typer.Option(help="A case's number, in place of a file.", show_default=False)
    ] = None,
    recording: Annotated[
        int, typer.Option(min=1, help="Which recording of the case, where it has several.")
    ] = 1,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Burn outlines and the research line in.")
    ] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact/--lossless",
            help="Exactly these frames, encoded anew where the cut asks for it; or copied as they "
            "are, from the keyframe before to the next place where that can be.",
        ),
    ] = True,
    sound: Annotated[bool, typer.Option("--sound", help="Keep the sound.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there; never a recording.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save an excerpt, without the recording's metadata and sound."""
    from app.video.clip.export import frames_between, write_clip

    if (file is None) == (case is None):
        raise typer.BadParameter("give either a file or --case")
    if out.exists() and not overwrite:
        raise BadInput(f"{out.name} is there already; name another file, or give --overwrite.")
    _refuse_originals(file, library, out)
    with ExitStack() as stack:
        opened = _open(stack, file, (case, recording), library, overlay=overlay)
        source = opened.source
        first, last = frames_between(source, start, end)
        with progress("Clip", quiet=as_json) as bar:
            made = write_clip(
                source,
                first,
                last,
                out,
                draw=opened.draw,
                exact=exact,
                sound=sound,
                progress=lambda done, of: bar.update(bar.task_ids[0], completed=done, total=of),
            )
        found = {
            "out": str(out),
            "first": made.first,
            "last": made.last,
            "frames": made.frames,
            "start_s": source.time_ms(made.first) / 1000,
            "lossless": made.lossless,
            "overlay": overlay,
            "sound": made.sound,
            "repeated": made.repeated,
        }
    how = "copied as they are" if made.lossless else "encoded anew"
    text = f"Frames {made.first} to {made.last}, {made.frames} in all, {how}: {out}"
    if made.repeated:
        text += f"\n{made.repeated} damaged frames show the one before them."
    emit(found, as_json=as_json, text=text)


def _refuse_originals(file: Path | None, library: Path | None, out: Path) -> None:
    """Make sure that nothing is replaced that was recorded: by the library, and by its name."""
    from app.analysis.case_clip import refuse_recordings
    from app.store.opening import DATABASE
    from app.video.split.recorders import group_by_name

    if not out.exists():
        return
    folder = library_folder(library)
    if (folder / DATABASE).is_file():
        with open_library(folder, "read") as lib:
            refuse_recordings(lib, out)
    if file is None or not file.exists() or out.samefile(file):
        return  # the source's own files are refused where they are known
    if len(group_by_name((file.resolve(), out.resolve()))) == 1:
        raise Refused(
            f"{out.name} may be a part of the same recording as {file.name}; give the clip another "
            "name."
        )


def _open(
    stack: ExitStack,
    file: Path | None,
    named: tuple[str | None, int],
    library: Path | None,
    *,
    overlay: bool,
) -> _Opened:
    from app.video import open_recording, open_video

    if file is not None and not overlay:
        return _Opened(source=stack.enter_context(open_video(file)), draw=None)
    from app.analysis.case_clip import case_of_file, overlay_drawer

    lib = stack.enter_context(open_library(library, "read", recordings=True))
    if file is not None:
        case, asset = case_of_file(lib, file)
        source = stack.enter_context(open_video(file, stream=asset.stream))
    else:
        case_id, place = named
        case = lib.case(case_id or "")
        count = len(case.assets)
        if place > count:
            raise BadInput(f"Case {case.case_id} has no recording {place}, only {count}.")
        asset = case.assets[place - 1]
        source = stack.enter_context(open_recording(asset))
    draw = overlay_drawer(lib, case, asset) if overlay else None
    return _Opened(source=source, draw=draw)
