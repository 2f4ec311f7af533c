"""``trocar frame``: the exact frame of a video as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder
from app.core.errors import BadInput, EnvironmentProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
        clear_smoke: Annotated[
            bool,
            typer.Option(
                "--clear-smoke",
                help="Write what a model that clears smoke makes of it; not the recorded pixels.",
            ),
        ] = False,
        library: LibraryOption = None,
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
        rgb, model = shown.rgb, ""
        if clear_smoke:
            rgb, model = _without_smoke(rgb, library_folder(library))
        _write_png(out, rgb, f"smoke cleared by {model}" if model else "as recorded")
        found = {
            "index": shown.index,
            "pts": shown.pts,
            "seconds": shown.time_ms / 1000,
            "width": shown.rgb.shape[1],
            "height": shown.rgb.shape[0],
            "damaged": shown.damaged,
            "smoke_cleared_by": model,
            "out": str(out),
        }
        text = f"Frame {shown.index} at {shown.time_ms / 1000:.3f} s (pts {shown.pts}): {out}"
        if model:
            text += f", smoke cleared by {model}; not the recorded pixels"
        emit(found, as_json=json, text=text)


def _without_smoke(rgb: NDArray[np.uint8], library: Path) -> tuple[NDArray[np.uint8], str]:
    """The frame as the window shows it without smoke, and the name of the model that says so."""
    from app.inference.cards import desmoking_model
    from app.inference.desmoke import Desmoker

    card = desmoking_model(library)
    return Desmoker(card).veil(rgb).lift(rgb), card.name


def _write_png(path: Path, rgb: NDArray[np.uint8], pixels: str) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_text("Pixels", pixels)
    try:
        Image.fromarray(rgb).save(path, "PNG", pnginfo=said)
    except OSError as error:
        raise EnvironmentProblem(
            f"{path.name} could not be written ({error.strerror}); choose another folder."
        ) from error
