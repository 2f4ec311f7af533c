"""From a finished run to a model with a card that the window can choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.prediction import ANTICIPATION, PHASES
from app.core.taxonomy import find_taxonomy
from app.learning.course import phantom_course
from app.learning.recipes import Recipe
from app.learning.runs import RESULT, RunEnd

if TYPE_CHECKING:
    from models import ModelCard


def card_of(
    recipe: Recipe,
    end: RunEnd,
    *,
    command: str,
    figures: Mapping[str, float],
    parent: str = "",
) -> ModelCard:
    """The card of what a run produced; hash and parameter count are filled in on saving."""
    from models.card import ModelCard, ModelClass, Training

    taxonomy = find_taxonomy(recipe.procedures[0] if recipe.procedures else "unknown")
    said = recipe.card
    is_phases = recipe.task in (PHASES, ANTICIPATION)
    name_of = taxonomy.phase_name if is_phases else taxonomy.instrument_name
    return ModelCard(
        name=recipe.name,
        title=recipe.title,
        system=recipe.system,
        options=dict(recipe.options),
        task=recipe.task,
        classes=tuple(ModelClass(key=k, name=name_of(k)) for k in recipe.classes),
        activities=tuple(ModelClass(key=k, name=_words(k)) for k in recipe.activities),
        tools=tuple(ModelClass(key=k, name=taxonomy.instrument_name(k)) for k in recipe.tools),
        procedures=recipe.procedures,
        picture=said.get("picture", ""),
        licence=said.get("licence", "Apache-2.0"),
        demo=bool(said.get("demo", True)),
        causal=bool(said.get("causal", True)),
        features_of=said.get("features_of", ""),
        input_size_px=tuple(said.get("input_size_px", recipe.input_size_px)),
        mean_rgb=tuple(said.get("mean_rgb", (0.0, 0.0, 0.0))),
        std_rgb=tuple(said.get("std_rgb", (1.0, 1.0, 1.0))),
        frames_per_second=float(said.get("frames_per_second", 0.0)),
        thresholds=dict(said.get("thresholds", {})),
        course=_course(recipe),
        trained=Training(
            command=command,
            seconds=round(end.seconds, 1),
            device=end.device,
            data=" ".join(said[k] for k in ("trained_on", "begun") if said.get(k)),
        ),
        figures={k: round(v, 4) for k, v in figures.items()},
        limits=said.get("limits", ""),
        parent=parent,
        created=datetime.now(UTC).date().isoformat(),
    )


def _course(recipe: Recipe) -> dict[str, Any]:
    """How the operations that it learnt from go on, where the recipe gives that a weight."""
    said = recipe.card
    if "course" in said:
        return dict(said["course"])
    is_phantom = "course_weight" in said and recipe.data.get("source", "phantom") == "phantom"
    return phantom_course(recipe).as_values() if is_phantom else {}


def publish_backbone(
    run_folder: Path, card: ModelCard, root: Path, *, keep_positions: bool
) -> ModelCard:
    """Write what a pre-training learnt as a backbone, in the way a released file becomes one.

    Args:
        run_folder: of the finished run; its result has the released names.
        card: its options and limits are filled in here.
        root: a folder of models.
        keep_positions: copy the position rows too; the released loader discards them.
    """
    from models import save_model
    from models.checkpoint import read_tensors
    from models.endomamba.convert import convert

    weights = {k: v.float() for k, v in read_tensors(run_folder / RESULT)[0].items()}
    options, network, report = convert({"model": weights}, keep_positions=keep_positions)
    fresh = [name for name in ("cls_token", "pos_embed") if name in report.missing]
    limits = f"{card.limits} Untrained: {', '.join(fresh)}."
    card = replace(card, options=options, limits=limits.strip())
    return save_model(network.eval(), card, root, half=True)


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def publish(run_folder: Path, card: ModelCard, root: Path) -> ModelCard:
    """Write the run's weights and the card as a model folder under ``root``."""
    from models import create_model, save_model
    from models.checkpoint import load_weights

    network = create_model(card.system, **card.options)
    load_weights(network, run_folder / RESULT)
    return save_model(network.eval(), card, root, half=True)
