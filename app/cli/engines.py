"""``trocar engines``: what can compute a model here, whether it says the same, and how fast."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder, progress
from app.core.errors import BadInput
from app.core.prediction import SEGMENTATION

if TYPE_CHECKING:
    from app.inference.engines.ladder import Ladder


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("engines")
    def engines(
        model: Annotated[
            str | None,
            typer.Argument(
                help="Name or folder of a model that outlines. Default: the one in use.",
                show_default=False,
            ),
        ] = None,
        width: Annotated[
            int | None, typer.Option(help="Of the network's input, pixels.", min=32)
        ] = None,
        height: Annotated[
            int | None, typer.Option(help="Of the network's input, pixels.", min=32)
        ] = None,
        engine: Annotated[
            str | None, typer.Option(help="One engine beside PyTorch. Default: all.")
        ] = None,
        device: Annotated[
            str | None, typer.Option(help="cuda, mps or cpu. Default: the best that works.")
        ] = None,
        threads: Annotated[
            int | None, typer.Option(help="Processor threads. Default: all cores but one.", min=1)
        ] = None,
        frame_from_stdin: Annotated[bool, typer.Option(hidden=True)] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Hold every engine against PyTorch, measure those that say the same, and keep the result.

        The analysis then uses the fastest. It does this by itself beside its first longer run.
        """
        import numpy as np

        from app.inference.cards import default_models, find_model
        from app.inference.cores import cores
        from app.inference.device import choose_device
        from app.inference.engines.examining import examine
        from app.inference.engines.kinds import kind_of
        from app.inference.preprocess import letterbox

        folder = library_folder(library)
        card = find_model(model, folder) if model else default_models(folder, "")[0]
        if card.task != SEGMENTATION:
            raise BadInput(f"{card.name} is made for {card.task}; engines are for outlines.")
        if engine is not None:
            kind_of(engine)
        fit = letterbox(width or 16, height or 9, (width or 0, height or 0) if width and height
                        else card.input_size_px)  # fmt: skip
        size = (fit.input_width_px, fit.input_height_px)
        own = None
        if frame_from_stdin:
            _work_behind()
            data = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
            own = data.reshape(size[1], size[0], 3)
        choice = choose_device(device)
        with progress("Trying engines", quiet=as_json) as bar:
            task = bar.task_ids[0]
            ladder = examine(
                card,
                choice,
                size,
                threads=threads or max(1, cores() - 1),
                own=own,
                only=engine,
                told=lambda title: bar.update(task, description=title),
            )
        emit(ladder_json(ladder), as_json=as_json, text="\n".join(ladder_words(ladder)))


def ladder_json(ladder: Ladder) -> dict[str, Any]:
    """A ladder for ``--json``, with the engines that may be used, the fastest first."""
    return {**asdict(ladder), "usable": ladder.usable()}


def ladder_words(ladder: Ladder) -> list[str]:
    """A ladder as lines: its head, then one for each engine."""
    from app.inference.engines.kinds import kind_of

    head = (
        f"{ladder.model} at {ladder.width_px} x {ladder.height_px} on {ladder.device}, "
        f"threads: {ladder.threads}; used: {kind_of(ladder.usable()[0]).title}"
    )
    return [head] + [
        f"  {kind_of(r.engine).title:26}"
        + (f"{r.ms:8.1f} ms  " if r.ms is not None else f"{'-':>8}     ")
        + r.words
        for r in ladder.rungs
    ]


def _work_behind() -> None:
    """What is done beside an analysis takes no time from it."""
    import psutil

    process = psutil.Process()
    process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)
