"""``trocar frame``: the exact frame of a video as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, emit
from app.core.errors import BadInput, EnvironmentProblem


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def frame(
        file: Annotated[Path, typer.Argument(help="The video file.", show_default=False)],
        out: Annotated[Path, typer.Option(help="The PNG to write.", show_default=False)],
        *,
        index: Annotated[
            int | None, typer.Option(help="Display index, from 0.", show_default=False)
        ] = None,
        seconds: Annotated[
            float | None, typer.Option(help="Seconds after the first frame.", show_default=False)
        ] = None,
        stream: Annotated[
            int | None,
            typer.Option(help="Which video stream, where there are several.", show_default=False),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Write the exact frame at an index or a time."""
        if (index is None) == (seconds is None):
            raise typer.BadParameter("give either --index or --seconds")
        if out.suffix.lower() != ".png":
            raise BadInput(f"{out.name} cannot be written; name it with .png.")
        from app.video import open_video

        with open_video(file, stream=stream) as source:
            length_s = source.info.duration_ms / 1000
            if seconds is not None and not 0 <= seconds <= length_s:
                raise BadInput(
                    f"{file.name} is {length_s:.3f} seconds long; it has no frame at {seconds:g}."
                )
            at = source.index_at_ms(seconds * 1000) if seconds is not None else index or 0
            last = len(source) - 1
            if not 0 <= at <= last:
                raise BadInput(f"{file.name} has the frames 0 to {last}; it has no frame {at}.")
            shown = source.frame(at)
        _write_png(out, shown.rgb)
        found = {
            "index": shown.index,
            "pts": shown.pts,
            "seconds": shown.time_ms / 1000,
            "width": shown.rgb.shape[1],
            "height": shown.rgb.shape[0],
            "damaged": shown.damaged,
            "out": str(out),
        }
        text = f"Frame {shown.index} at {shown.time_ms / 1000:.3f} s (pts {shown.pts}): {out}"
        emit(found, as_json=json, text=text)


def _write_png(path: Path, rgb: object) -> None:
    import cv2
    import numpy as np

    done, png = cv2.imencode(".png", np.ascontiguousarray(np.asarray(rgb)[..., ::-1]))
    if not done:
        raise BadInput("This picture cannot be written as PNG.")
    try:
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise EnvironmentProblem(
            f"{path.name} could not be written ({error.strerror}); choose another folder."
        ) from error
