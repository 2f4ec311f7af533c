"""``trocar analyze``: models over recordings, without a window; goes on where it stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library, progress
from app.core.errors import Refused

if TYPE_CHECKING:
    from app.inference.analysis import AnalysisResult
    from app.inference.device import DeviceChoice


class PartOrder(StrEnum):
    """By what the parts of a recording are ordered."""

    NAME = "name"
    TIME = "time"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("analyze")
    def analyze(
        files: Annotated[
            list[Path] | None,
            typer.Argument(
                help="Video files of one case, in order, or a recorder's folder.",
                show_default=False,
            ),
        ] = None,
        model: Annotated[
            list[str] | None,
            typer.Option(
                "--model", help="Name or folder of a model; may be repeated. Default: one per task."
            ),
        ] = None,
        join: Annotated[
            bool, typer.Option("--join", help="The files are the parts of one recording.")
        ] = False,
        order: Annotated[
            PartOrder | None,
            typer.Option(help="Of the parts. Default: as given; in a folder what both agree on."),
        ] = None,
        case: Annotated[
            str | None, typer.Option(help="An existing case.", show_default=False)
        ] = None,
        procedure: Annotated[
            str | None,
            typer.Option(help="Procedure of a new case, such as cholecystectomy."),
        ] = None,
        title: Annotated[
            str | None, typer.Option(help="Title of a new case; no patient's name.")
        ] = None,
        stream: Annotated[
            int | None,
            typer.Option(help="Which video stream, where a file has several.", show_default=False),
        ] = None,
        every: Annotated[
            int, typer.Option(help="Outline instruments in every N-th frame.", min=1)
        ] = 1,
        device: Annotated[
            str | None, typer.Option(help="cuda, mps or cpu. Default: the best that works.")
        ] = None,
        threads: Annotated[
            int | None, typer.Option(help="Processor threads. Default: all cores but one.", min=1)
        ] = None,
        engine: Annotated[
            str,
            typer.Option(
                help="What computes the outlines: auto, or one that “trocar engines” lists. "
                "Default: the fastest that is known to say what PyTorch says."
            ),
        ] = "auto",
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Run models over video files and keep what they say; resumes where it stopped."""
        from app.inference.analysis import AnalysisJob
        from app.inference.cards import default_models, find_model
        from app.inference.engines.kinds import AUTOMATIC, kind_of
        from app.inference.new_case import case_of, complete_fingerprints

        if engine != AUTOMATIC:
            kind_of(engine)
        chosen = _device(device)
        with (
            open_library(library, "write", recordings=True) as opened,
            stop_on_interrupt() as stopped,
        ):
            named = dict.fromkeys(model or ())
            cards = tuple(find_model(name, opened.folder) for name in named)
            parts, joined = _recording(files or [], join, order)
            found = case_of(
                opened,
                parts,
                joined=joined,
                case_id=case,
                procedure=procedure,
                title=title,
                stream=stream,
            )
            if procedure not in (None, found.procedure):
                raise Refused(
                    f"Case {found.case_id} is there already, of the procedure "
                    f"“{found.procedure}”; leave --procedure out, or change it in the window."
                )
            cards = cards or default_models(opened.folder, found.procedure)
            with progress(f"Case {found.case_id}", quiet=as_json) as bar:
                task = bar.task_ids[0]
                result = AnalysisJob(
                    opened,
                    found,
                    cards,
                    every=every,
                    device=chosen,
                    threads=threads,
                    engine=engine,
                ).run(
                    lambda p: bar.update(task, completed=p.done, total=p.total),
                    should_cancel=stopped,
                )
            if result.cancelled:
                raise typer.Abort
            complete_fingerprints(opened, found)
        emit(result.as_json(), as_json=as_json, text=_words(result))


def _recording(
    named: list[Path], join: bool, order: PartOrder | None
) -> tuple[Sequence[Path], bool]:
    """The files of a case in order, and whether they are the parts of one recording."""
    from app.video.dicom.folder import is_dicomdir
    from app.video.split.joining import one_recording

    if not join and not any(p.is_dir() or is_dicomdir(p) for p in named):
        if order is not None:
            raise Refused("--order needs --join, or a folder: it orders the parts of a recording.")
        return named, False
    parts = one_recording(named, join=join, order=str(order) if order else None)
    return parts, len(parts) > 1


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a tidy end inside; the callable says whether it was pressed."""
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _device(asked: str | None) -> DeviceChoice | None:
    """The device asked for; None leaves the choice to the first frame that is computed."""
    if asked is None:
        return None
    from app.inference.device import choose_device

    return choose_device(asked)


def _words(result: AnalysisResult) -> str:
    lines = [
        f"Case {result.case_id}: {result.frames} frames, {result.instances} instruments outlined.",
        result.device_reason,
    ]
    for m in result.models:
        speed = f", {m.ms_per_frame:.0f} ms each" if m.ms_per_frame is not None else ""
        stored = f", {m.resumed} stored before" if m.resumed else ""
        lines.append(f"{m.name}: {m.computed} of {m.frames} frames computed{speed}{stored}")
    return "\n".join(lines)
