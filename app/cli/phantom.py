"""``trocar phantom``: write a synthetic operation as a video, with its truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, emit, progress
from app.core.errors import BadInput, EnvironmentProblem

SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def phantom(
        out: Annotated[Path, typer.Option("--out", help="The video to write.", show_default=False)],
        *,
        seed: Annotated[int, typer.Option(min=0, help="Chooses the operation.")] = 0,
        seconds: Annotated[
            float | None,
            typer.Option(min=0.04, help="How long. Default: 30, or the whole with --procedure."),
        ] = None,
        start: Annotated[float, typer.Option(min=0, help="First second of the operation.")] = 0.0,
        procedure: Annotated[
            bool, typer.Option("--procedure", help="The whole operation, at 1 frame a second.")
        ] = False,
        fps: Annotated[
            float | None,
            typer.Option(min=0.1, max=120, help="Frames a second; 25, or 1 with --procedure."),
        ] = None,
        size: Annotated[str, typer.Option(help="Width x height in pixels, even.")] = "854x480",
        crf: Annotated[int, typer.Option(min=0, max=51, help="Lower is better.")] = 23,
        truth: Annotated[
            Path | None,
            typer.Option("--truth", help="Folder for truth.json: phases, tools, masks."),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Draw a synthetic operation: real tissue, instruments with exact masks, phases."""
        from app.learning.phantom import PhantomVideo
        from app.learning.phantom.truth import TruthWriter
        from app.video.encode import write_video

        size_px = _size(size)
        _check_folder(out)
        rate = fps or (1.0 if procedure else 25.0)
        length = seconds or (None if procedure else SECONDS)
        video = PhantomVideo(seed, fps=rate, size_px=size_px, start_s=start, seconds=length)
        if not len(video):
            raise BadInput(
                f"This operation lasts {video.procedure.seconds} s; --start {start:g} is past it."
            )
        writer = TruthWriter(rate, size_px, seed)
        with progress("Drawing", quiet=json) as bar:
            bar.update(bar.task_ids[0], total=len(video))

            def drawn():
                for frame in writer.watch(video):
                    bar.update(bar.task_ids[0], advance=1)
                    yield frame.rgb

            count = write_video(out, drawn(), rate, crf=crf, gop=max(round(2 * rate), 1))
        found = {"out": str(out), "frames": count, "fps": rate, "seed": seed, "truth": None}
        if truth is not None:
            try:
                found["truth"] = str(writer.write(truth))
            except OSError as error:
                raise EnvironmentProblem(
                    f"{truth} cannot be written; choose another folder.", str(error)
                ) from error
        emit(found, as_json=json, text=f"{out}: {count} frames of operation {seed}.")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise typer.BadParameter("write the size as 854x480")
    found = int(width), int(height)
    if any(v % 2 or not 64 <= v <= 4096 for v in found):
        raise typer.BadParameter("width and height must be even, from 64 to 4096")
    return found


def _check_folder(out: Path) -> None:
    if not out.absolute().parent.is_dir() or not os.access(out.absolute().parent, os.W_OK):
        raise EnvironmentProblem(f"{out} cannot be written; choose a folder that exists.")
