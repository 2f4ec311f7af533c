"""Operations made into a lesson for networks that read frame features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.common import library_folder, open_library, progress
from app.cli.lesson import Lesson
from app.cli.library_cases import LIBRARY, cases_of, held_apart, learns_from_cases
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.recipes import Recipe
    from models import ModelCard

DRAWN_SIZE_PX = (176, 99)
HELD_OUT_FROM = 950_000


def check_options(
    recipe: Recipe, data: Path | None, base: str | None, *, pictures: Path | None, protocol: str
) -> None:
    """See that nothing is asked for that a network of frame features cannot take.

    Raises:
        BadInput: it is.
    """
    if pictures is not None or (data is not None and str(data) != LIBRARY):
        raise BadInput(
            f"{recipe.title} reads frame features of {recipe.card['features_of']}, not pictures: "
            "import the labels, analyse the recordings with it, and give --data library."
        )
    if base is not None:
        raise BadInput(f"{recipe.title} starts from no other model; leave --base out.")
    if protocol and data is None:
        raise BadInput("A protocol is of the library's cases; give --data library with it.")


def drawn_lesson(recipe: Recipe, encoder: ModelCard, folder: Path, *, quiet: bool) -> Lesson:
    """Phantom operations, kept in a folder, so that each is drawn once.

    A recipe's ``data`` says by ``seed`` and ``operations`` which teach, their phases cut to
    ``longest_phase_s``, and by ``held_out`` how many whole ones measure.

    Raises:
        BadInput: the recipe does not learn from the phantom.
    """
    from app.learning.courses import speaks_of_the_phantom
    from app.learning.recorded import phantom_recordings

    if recipe.data.get("source") != "phantom" or not speaks_of_the_phantom(recipe):
        raise BadInput(
            f"{recipe.title} has no phantom to learn from; name labelled cases with --data library."
        )
    first, count = int(recipe.data["seed"]) * 100_000, int(recipe.data["operations"])
    held = int(recipe.data["held_out"])
    with progress("Looking at phantom operations", quiet=quiet) as bar:
        task = bar.task_ids[0]
        bar.update(task, total=count + held)
        learn = phantom_recordings(
            encoder,
            range(first, first + count),
            folder,
            DRAWN_SIZE_PX,
            longest_phase_s=int(recipe.data["longest_phase_s"]),
            on_done=lambda done: bar.update(task, completed=done),
        )
        measure = phantom_recordings(
            encoder,
            range(HELD_OUT_FROM, HELD_OUT_FROM + held),
            folder,
            DRAWN_SIZE_PX,
            on_done=lambda done: bar.update(task, completed=count + done),
        )
    return Lesson(learn=learn, measure=measure)


def library_lesson(
    recipe: Recipe,
    encoder: ModelCard,
    library: Path | None,
    protocol: str,
    hold_out: float,
) -> Lesson:
    """Labelled cases of the library; from here on the recipe learns from their own courses.

    Args:
        recipe: its classes are what counts.
        encoder: whose stored features are read.
        library: folder of it.
        protocol: an official split as ``layout:split``, such as ``cholec80:32/8/40``; "" takes
            every case and holds out a share.
        hold_out: share of the cases to hold out where the protocol names none.

    Raises:
        BadInput: no case can be learnt from, or there is no such protocol.
    """
    from app.learning.library_features import library_recordings

    with open_library(library, mode="read") as opened:
        learn = cases_of(opened, protocol, "train")
        measure = cases_of(opened, protocol, "val") if protocol else []
        learnt = library_recordings(opened, learn, encoder, recipe.classes)
        held = library_recordings(opened, measure, encoder, recipe.classes)
    if not learnt:
        raise BadInput(
            f"No case can teach {recipe.title}: it takes cases with phases by a human and frame "
            f"features of {encoder.name} (analyse them with it)"
            + (f" in the training part of {protocol}." if protocol else ".")
        )
    if not held and hold_out:
        learnt, held = held_apart(learnt, hold_out, int(recipe.data.get("seed", 0)))
    learns_from_cases(recipe, len(learnt), protocol)
    sys.stderr.write(
        f"Learning from {len(learnt)} recordings, measuring on {len(held)}: "
        f"{sum(len(r.labels) for r in learnt)} and {sum(len(r.labels) for r in held)} samples.\n"
    )
    return Lesson(learn=learnt, measure=held)


def encoder_of(recipe: Recipe, library: Path | None) -> ModelCard:
    """The model whose frame features a recipe reads.

    Raises:
        BadInput: it is not installed, or looks at another rate than the recipe says.
    """
    from app.inference.cards import find_model

    card = find_model(str(recipe.card["features_of"]), library_folder(library))
    if (card.frames_per_second or 1.0) != float(recipe.card.get("frames_per_second", 0.0)):
        raise BadInput(
            f"{recipe.title} reads {recipe.card.get('frames_per_second', 0):g} samples a second, "
            f"{card.name} looks {card.frames_per_second or 1.0:g} times; change "
            "card.frames_per_second."
        )
    return card
