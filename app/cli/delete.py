"""``trocar delete CASE``: a case removed everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import Refused
from app.core.recording import recorded_files


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("delete")
    def delete(
        case: Annotated[str, typer.Argument(help="Its number in “trocar cases”.")],
        with_recording: Annotated[
            bool,
            typer.Option(
                "--with-recording",
                help="Delete the file too that Trocar recorded live; an original never is.",
            ),
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Remove a case from the library and all its backups. The video file is not touched.

        A recording that Trocar made live stays too, unless --with-recording is given.

        Copies made with "trocar backup --to" lie outside the library and are not reached.
        """
        with open_library(library, "write", must_exist=True) as opened:
            found = opened.case(case)
            files = tuple(map(Path, recorded_files(found, opened.recordings(case))))
            what = f"Remove case {case} “{found.title}” with its corrections and predictions"
            if not yes and not typer.confirm(
                f"{what}{_and_files(files, deleted=with_recording)} for good?", err=True
            ):
                raise Refused(f"Case {case} was not removed.")
            if with_recording:
                from app.live import delete_with_recording

                files = delete_with_recording(opened, case)
            else:
                opened.writer.delete_case(case).result()
        data: dict[str, object] = {"deleted": case}
        if files or with_recording:
            data |= {"recording": [str(f) for f in files], "recording_deleted": with_recording}
        emit(data, as_json=as_json, text=_text(case, files, deleted=with_recording))


def _and_files(files: Sequence[Path], *, deleted: bool) -> str:
    if not files:
        return ""
    names = ", ".join(map(str, files))
    if deleted:
        return f", and its recording {names},"
    return f" (its recording stays: {names})"


def _text(case: str, files: Sequence[Path], *, deleted: bool) -> str:
    if not files:
        kept = " No recording of it was found unchanged, so no file was deleted." if deleted else ""
        return f"Case {case} is removed.{kept}"
    names = ", ".join(map(str, files))
    return f"Case {case} is removed. Its recording {'is deleted' if deleted else 'stays'}: {names}"
