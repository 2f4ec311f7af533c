"""Which models can run here. Reads cards alone; torch is imported when a network is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import models
from app.core.errors import BadInput
from app.core.prediction import ANTICIPATION, ENHANCEMENT, PHASES, SEGMENTATION, TOOL_NAMES
from models import ModelCard
from models.card import BACKBONE

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

RUNNABLE_TASKS = (SEGMENTATION, PHASES, ANTICIPATION)

CARRIES_A_STATE = "endomamba"
"""The system whose areas and activities rest on earlier frames."""


def model_folder(library_folder: Path) -> Path:
    """Where a library keeps the models that were made or imported into it."""
    return library_folder / "models"


def model_cards(library_folder: Path, problems: list[str] | None = None) -> tuple[ModelCard, ...]:
    """Models that ship with Trocar and those of a library, by name; damaged ones are left out.

    Args:
        library_folder: of the library.
        problems: gets one sentence for each model that is left out.
    """
    damaged: list[models.CardError] = []
    cards = models.list_cards(model_folder(library_folder), damaged=damaged)
    for error in damaged:
        log.info("a model is left out: %s", error)
    if problems is not None:
        problems += [str(error) for error in damaged]
    return cards


def find_model(name: str, library_folder: Path) -> ModelCard:
    """A model by name, by its folder or by its card's file.

    Raises:
        BadInput: there is none, or its card is damaged.
    """
    with model_errors():
        return models.find_card(name, model_folder(library_folder))


def default_models(library_folder: Path, procedure: str) -> tuple[ModelCard, ...]:
    """One model per task that can be run: one that looks at pictures itself before those that read
    another's features, made for the procedure before others, then an imported one before the demo
    models, then the newest. A taught one is used only where it is chosen. With them come those that
    read their features (see ``with_readers``).

    Raises:
        BadInput: no model with weights is installed.
    """
    ready = [c for c in model_cards(library_folder) if c.weights_path is not None]
    chosen = []
    for task in (SEGMENTATION, PHASES):
        fitting = [c for c in ready if c.task == task]
        fitting.sort(
            key=lambda c: (
                not c.why_not_live,
                c.suits(procedure),
                not c.parent,
                not c.demo,
                c.created,
                c.name,
            )
        )
        chosen += fitting[-1:]
    if not chosen:
        raise BadInput("No model is installed; import one with “trocar models import FOLDER”.")
    return with_readers(chosen, ready, procedure)


def with_readers(
    cards: Sequence[ModelCard], installed: Sequence[ModelCard], procedure: str
) -> tuple[ModelCard, ...]:
    """Cards, and those that read the frame features of one of them: they cost next to nothing.

    Of each task one that looks ahead and one that does not, where none of that task and kind is
    chosen already: made for the procedure before others, then one that is no demo, then the newest.

    Args:
        cards: chosen.
        installed: to choose from.
        procedure: key of the case's.
    """
    makers = {c.name for c in cards}
    readers: dict[tuple[str, bool], list[ModelCard]] = {}
    for card in installed:
        kind = (card.task, card.causal)
        able = card.features_of in makers and card.weights_path is not None
        taken = any((c.task, c.causal) == kind for c in cards)
        if able and card.task in (PHASES, ANTICIPATION) and not taken:
            readers.setdefault(kind, []).append(card)
    best = [
        max(some, key=lambda c: (c.suits(procedure), not c.parent, not c.demo, c.created, c.name))
        for some in readers.values()
    ]
    return (*cards, *best)


def context_words(card: ModelCard) -> str:
    """How much of what came before an answer of an EndoMamba rests on, as a sentence; "" of others.

    With staggered resets that is 16 to 31 frames once 64 were seen (``models.endomamba.resets``).
    """
    if card.system != "endomamba" or card.task == BACKBONE:
        return ""
    if card.options.get("state_reset", "none") == "none":
        return "Its state is never reset: an answer rests on everything since the beginning."
    rate, unit = (card.frames_per_second, "s") if card.frames_per_second else (1, "frames")
    begins, first, last = (f"{frames / rate:g}" for frames in (64, 16, 31))
    return (
        f"An answer rests on the last {first} to {last} {unit}, in the first {begins} {unit} on "
        "all of them."
    )


def settings_of_tools(card: ModelCard) -> dict[str, str | int | float | bool]:
    """A run's settings that hold the keys of the tools whose presence the model tells."""
    return {TOOL_NAMES: ",".join(card.tool_keys)} if card.tools else {}


def desmoking_model(library_folder: Path) -> ModelCard:
    """The model that clears smoke from the view: an imported one before the demo, then the newest.

    Raises:
        BadInput: there is none with weights.
    """
    able = [
        c
        for c in model_cards(library_folder)
        if c.task == ENHANCEMENT and c.weights_path is not None
    ]
    if not able:
        raise BadInput(
            "No model that clears smoke is installed; import one with "
            "“trocar models import FOLDER”."
        )
    return max(able, key=lambda c: (not c.demo, c.created, c.name))


def with_encoders(cards: Sequence[ModelCard], library_folder: Path) -> tuple[ModelCard, ...]:
    """Cards, and before those that read frame features the models that make them.

    Raises:
        BadInput: such a model is not installed, or has no weights.
    """
    chosen = list(cards)
    for card in cards:
        if card.features_of and all(c.name != card.features_of for c in chosen):
            try:
                encoder = find_model(card.features_of, library_folder)
            except BadInput as error:
                raise BadInput(
                    f"{card.name} reads frame features of {card.features_of}, which is not "
                    "installed; import that model too."
                ) from error
            chosen.append(encoder)
    return tuple(sorted(chosen, key=lambda c: bool(c.features_of)))


def load_network(card: ModelCard) -> nn.Module:
    """The card's network with its weights, checked, on the processor.

    Raises:
        BadInput: the weights are missing, damaged, or belong to another network.
    """
    with model_errors():
        return models.load_model(card)


@contextmanager
def model_errors() -> Iterator[None]:
    """Errors of ``models`` about material from outside become errors of the program."""
    try:
        yield
    except models.ModelError as error:
        raise BadInput(str(error), type(error).__name__) from error
