"""``trocar demo``: the demo case in the window; without a display, its report and a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    JsonOption,
    LibraryOption,
    emit,
    library_folder,
    open_library,
    progress,
)
from app.cli.open_window import has_display, open_window
from app.core.errors import EnvironmentProblem
from app.core.resources import demo_recording

# Where Qt draws windows that nobody sees.
UNSEEN = ("offscreen", "minimal")
PROCEDURE, TITLE = "cholecystectomy", "Demo case"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo")
    def demo(
        out: Annotated[
            Path | None,
            typer.Option("--out", help="Where report and picture go without a display."),
        ] = None,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> int:
        """Open the demo case; without a display, analyse it and write a report and a picture."""
        unseen = os.environ.get("QT_QPA_PLATFORM") in UNSEEN
        if out is None and not as_json and has_display() and not unseen:
            return open_window(library_folder(library), [], demo=True)
        _without_display(library, _out_folder(out), as_json=as_json)
        return 0


def _out_folder(given: Path | None) -> Path:
    folder = given or Path("trocar-demo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"The folder {folder} cannot be made ({error.strerror}); name another with --out.",
            str(error),
        ) from error
    return folder.absolute()


def _without_display(library: Path | None, out: Path, *, as_json: bool) -> None:
    recording = demo_recording()
    if recording is None:
        raise EnvironmentProblem("The demo case is not part of this installation; set up again.")
    from app.analysis.report import write_report
    from app.inference.analysis import AnalysisJob
    from app.inference.cards import default_models
    from app.inference.new_case import case_of

    with open_library(library, "write", recordings=True) as opened:
        case = case_of(opened, [recording], procedure=PROCEDURE, title=TITLE)
        cards = default_models(opened.folder, case.procedure)
        with progress("Analysing the demo case", quiet=as_json) as bar:
            result = AnalysisJob(opened, case, cards).run(
                lambda p: bar.update(bar.task_ids[0], completed=p.done, total=p.total)
            )
        report = out / "report.html"
        write_report(opened, case.case_id, report)
    picture = _picture(library_folder(library), case.case_id, out / "window.png")
    emit(
        {**result.as_json(), "report": report, "picture": picture},
        as_json=as_json,
        text=f"The demo case is analysed.\nReport: {report}\nPicture of the window: {picture}",
    )


def _picture(folder: Path, case_id: str, path: Path) -> Path:
    """A picture of the real window playing the case, drawn without a display."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from app.ui.picture import window_picture

    window_picture(folder, case_id, path)
    return path
