"""What teaches the network of a recipe, and what measures it while it learns; by its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.core.prediction import ACTIVITIES, ENHANCEMENT, PHASES, SEGMENTATION
from app.learning.evaluation import Evaluation
from app.learning.recipes import Recipe
from models.card import BACKBONE

if TYPE_CHECKING:
    from app.learning.filmed import Filmed
    from app.learning.pretraining_footage import Archive
    from app.learning.recorded import Recorded
    from models.training import TrainResult

    Material = Sequence[LabelledPicture] | Sequence[Filmed] | Sequence[Recorded] | Archive


ENDONET = "endonet"


def lesson_of(recipe: Recipe, pictures: Material) -> Callable[..., TrainResult]:
    """What teaches it: called with a folder, where to start, a device and the loop's hooks.

    Raises:
        BadInput: Trocar trains no network for this task.
    """
    if recipe.reads_features:
        from app.learning.feature_networks import train_on_features

        return partial(train_on_features, recipe, pictures)
    if recipe.task == SEGMENTATION:
        from app.learning.instruments import train_instruments

        return partial(train_instruments, recipe, pictures)
    if recipe.system == ENDONET:
        from app.learning.endonet import train_endonet

        return partial(train_endonet, recipe, pictures)
    if recipe.task == PHASES:
        from app.learning.phases import train_phases

        return partial(train_phases, recipe, pictures)
    if recipe.task == ENHANCEMENT:
        from app.learning.smoke import train_desmoking

        return partial(train_desmoking, recipe)
    if recipe.task == ACTIVITIES:
        from app.learning.activities import train_activities

        return partial(train_activities, recipe, pictures)
    if recipe.task == BACKBONE:
        from app.learning.pretraining import train_backbone

        return partial(train_backbone, recipe, pictures)
    raise BadInput(f"Trocar cannot train a model for {recipe.task}.")


def evaluation_of(recipe: Recipe, held_out: Material) -> Evaluation | None:
    """What measures it.

    Args:
        recipe: of the run.
        held_out: pictures, or footage, to be measured on; without any a task that learns from the
            phantom is measured on what the phantom holds out, where it has that.

    Returns:
        None where nothing measures it.

    Raises:
        BadInput: the recipe keeps the best by a figure that is not measured.
    """
    if recipe.reads_features:
        from app.learning.feature_validation import FeatureValidation

        return FeatureValidation(recipe, held_out) if held_out else None
    if recipe.task == SEGMENTATION and held_out:
        from app.learning.validation import Validation

        return Validation(recipe, held_out)
    if recipe.task == ACTIVITIES:
        from app.learning.measure_scenes import SceneValidation

        return SceneValidation(recipe, held_out)
    if recipe.task == PHASES:
        return _of_phases(recipe, held_out)
    if recipe.task == ENHANCEMENT:
        from app.learning.smoke import SmokeValidation

        return SmokeValidation(recipe)
    if recipe.task == BACKBONE and held_out:
        from app.learning.pretraining import PretrainingValidation

        return PretrainingValidation(recipe, held_out)
    return None


def _of_phases(recipe: Recipe, held_out: Material) -> Evaluation | None:
    from app.learning.filmed import LIBRARY
    from app.learning.phases import PhaseValidation

    if recipe.data.get("source") != LIBRARY:
        return PhaseValidation(recipe)
    if not held_out:
        return None
    from app.learning.film_validation import FilmValidation

    return FilmValidation(recipe, held_out)
