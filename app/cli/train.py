"""``trocar train``: a model from a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import film_lesson
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
from app.cli.feature_lesson import (
    check_options,
    drawn_lesson,
    encoder_of,
    library_lesson,
)
from app.cli.lesson import Lesson, needs_pictures, read_lesson
from app.cli.trained import command_line, publish_and_tell
from app.core.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run there goes on.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of labelled pictures to learn from, in one of the public layouts; its "
            "own validation split, if any, is measured on. A network that knows the time: "
            "`library`, for the library's cases with phases by a human.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="With --data library: the official split of a public data set to keep to, as "
            "LAYOUT:SPLIT, such as cholec80:32/8/40.",
        ),
    ] = "",
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            help="Folder in which what is looked at is kept for other runs, of networks that know "
            "the time: drawn operations (default: in OUT), frames of recordings (default: the "
            "library's cache).",
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option("--validation", help="Another folder, to be measured on."),
    ] = None,
    hold_out: Annotated[
        float,
        typer.Option(
            "--hold-out",
            min=0.0,
            max=0.9,
            help="Share of the pictures to hold out by operation and to be measured on, where "
            "there is no validation split.",
        ),
    ] = 0.0,
    base: Annotated[
        str | None,
        typer.Option("--base", help="Model whose weights to start from, such as a backbone."),
    ] = None,
    library: LibraryOption = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="End after this long."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Of the weights and of the order and views of the pictures, in place of the "
            "recipe's; what is held out of DATA stays the same.",
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="The same weights from the same seed on this machine, where the network allows; "
            "slower.",
        ),
    ] = False,
    tensorboard: TensorboardOption = False,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    lines: LinesOption = False,
) -> None:
    """Train a network. What comes out lies in OUT as a model folder with its card.

    Ctrl+C stops where the same command goes on. On several graphics cards: torchrun
    --nproc-per-node N -m app train RECIPE …
    """
    from app.core.prediction import ACTIVITIES, PHASES, SEGMENTATION
    from app.inference.cards import find_model
    from app.learning import publish, recipes, runs
    from app.learning.start import head_left_out, start_from
    from models.card import BACKBONE
    from models.training.ranks import ranks

    plan, network = recipes.read_recipe(recipe), None
    if plan.task == BACKBONE:
        raise BadInput(
            f"{plan.title} learns without labels; start it with “trocar pretrain {plan.name} "
            "--data FOLDER --out DIR”."
        )
    if plan.reads_features:
        check_options(plan, data, base, pictures=validation, protocol=protocol)
    elif plan.task == PHASES:
        film_lesson.check_options(plan, data, validation, protocol, hold_out)
    elif protocol or features is not None:
        raise BadInput("--protocol and --features are for networks that know the time.")
    elif data is not None and plan.task not in (SEGMENTATION, ACTIVITIES):
        raise BadInput(f"{plan.title} learns from the phantom alone; leave --data out.")
    elif data is None and (validation is not None or hold_out or needs_pictures(plan)):
        raise BadInput(f"{plan.title} needs pictures for that; name their folder with --data.")
    if seed is not None:
        plan.train["seed"] = seed
    if base is not None:
        card = find_model(base, library_folder(library))
        if sentence := head_left_out(card, plan):
            sys.stderr.write(f"Note: {sentence}\n")
        plan, network = start_from(card, plan)
    if deterministic:
        plan.train["deterministic"] = True
    if seconds is not None:
        plan.train["max_seconds"] = seconds
    quiet = as_json or lines or not ranks().is_first
    lesson = Lesson()
    if plan.reads_features:
        encoder = encoder_of(plan, library)
        if data is not None:
            lesson = library_lesson(plan, encoder, library, protocol, hold_out)
        else:
            lesson = drawn_lesson(plan, encoder, features or out / "features", quiet=quiet)
    elif data is not None and plan.task == PHASES:
        lesson = film_lesson.film_lesson(plan, library, protocol, hold_out, features, quiet=quiet)
    elif data is not None:
        lesson = read_lesson(plan, data, validation, hold_out, quiet=quiet)
    if seed is not None:
        plan.data["seed"] = seed
    measure = lesson.validation_of(plan)
    with progress(f"Training {plan.title}", quiet=quiet) as bar, stoppable() as is_stopped:
        end = runs.train(
            plan,
            lesson.learn,
            out,
            network=network,
            device=device,
            evaluate=measure,
            tensorboard=tensorboard,
            on_progress=training_report(bar, lines=lines),
            should_stop=is_stopped,
        )
    if end.ended == "cancelled":
        raise typer.Abort
    if not ranks().is_first:
        return
    command = command_line(
        f"trocar train {Path(recipe).stem}",
        {
            "--base": Path(base) if base else None,
            "--data": data,
            "--protocol": protocol,
            "--validation": validation,
            "--hold-out": hold_out or None,
            "--seed": seed,
            "--deterministic": deterministic,
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
        save=publish.publish,
        as_json=as_json or lines,
    )
