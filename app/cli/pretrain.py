"""``trocar pretrain``: a backbone from recordings without labels, such as a hospital's archive."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    DeviceOption,
    JsonOption,
    LibraryOption,
    LinesOption,
    TensorboardOption,
    library_folder,
    progress,
    stoppable,
    training_report,
)
from app.cli.trained import command_line, publish_and_tell
from app.core.errors import BadInput

_NAMED = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pretrain")(pretrain)


def pretrain(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a TOML file.")],
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of recordings and pictures, with folders in it."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run there goes on.")],
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher", help="An imported VideoMamba, with which it is to agree; else none."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", help="EndoMamba whose weights to start from; its size counts."),
    ] = None,
    hold_out: Annotated[
        float,
        typer.Option("--hold-out", min=0.0, max=0.9, help="Share to be measured on, by operation."),
    ] = 0.05,
    keep_positions: Annotated[
        bool,
        typer.Option(
            "--keep-positions/--drop-positions",
            help="Whether the backbone keeps its position rows; the published way drops them.",
        ),
    ] = True,
    library: LibraryOption = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="End after this long.")] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Of weights, clips and masks, for the recipe's."),
    ] = None,
    tensorboard: TensorboardOption = False,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    lines: LinesOption = False,
) -> None:
    """Pre-train EndoMamba on recordings without labels.

    What comes out lies in OUT as a backbone, for “trocar train … --base”. Ctrl+C stops where the
    same command goes on.
    """
    from app.exchange.unlabelled import pictures_below
    from app.inference.cards import find_model
    from app.learning import publish, recipes, runs
    from app.learning.lessons import evaluation_of
    from app.learning.pretraining import INDICES, start_from_backbone
    from app.learning.pretraining_footage import find_footage
    from models.card import BACKBONE
    from models.training.ranks import ranks

    plan, network = recipes.read_recipe(recipe), None
    if plan.task != BACKBONE:
        raise BadInput(f"{plan.title} learns from labels; start it with “trocar train”.")
    if not data.is_dir():
        raise BadInput(f"There is no folder {data.name}; name the archive's with --data.")
    if seed is not None:
        plan.train["seed"] = plan.data["seed"] = seed
    if base is not None:
        plan, network = start_from_backbone(find_model(base, library_folder(library)), plan)
    if teacher is not None:
        plan.data["teacher"] = str(find_model(teacher, library_folder(library)).folder)
    if seconds is not None:
        plan.train["max_seconds"] = seconds
    quiet = as_json or lines or not ranks().is_first
    with progress("Looking through the archive", quiet=quiet) as bar:
        archive, problems = find_footage(
            data,
            pictures_below(data).entries,
            out / INDICES,
            lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    if problems and not quiet:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        sys.stderr.write(f"Note: Left out: {' '.join(problems[:_NAMED])}{more}\n")
    learn, measure = archive.split(hold_out, int(plan.data.get("seed", 0)))
    with progress(f"Training {plan.title}", quiet=quiet) as bar, stoppable() as is_stopped:
        end = runs.train(
            plan,
            learn,
            out,
            network=network,
            device=device,
            evaluate=evaluation_of(plan, measure),
            tensorboard=tensorboard,
            on_progress=training_report(bar, lines=lines),
            should_stop=is_stopped,
        )
    if end.ended == "cancelled":
        raise typer.Abort
    if not ranks().is_first:
        return
    command = command_line(
        f"trocar pretrain {Path(recipe).stem}",
        {
            "--data": data,
            "--teacher": Path(teacher) if teacher else None,
            "--base": Path(base) if base else None,
            "--hold-out": hold_out,
            "--drop-positions": not keep_positions,
            "--seed": seed,
            "--seconds": seconds,
            "--out": out,
        },
    )
    publish_and_tell(
        plan,
        end,
        out,
        command=command,
        base=base,
        save=partial(publish.publish_backbone, keep_positions=keep_positions),
        as_json=as_json or lines,
        more={
            "recordings": sum(f.video is not None for f in archive),
            "pictures": sum(len(f.pictures) for f in archive),
            "left_out": len(problems),
        },
    )
