"""What a phase model is taught with in a fine-tune: the cases whose phases a human named.

Networks that read pictures learn from the recordings themselves, those that read frame features
from what their encoder stored. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput
from app.inference.cards import find_model, load_network
from app.inference.device import DeviceChoice
from app.learning.filmed import LIBRARY, Filmed, RowsOf, filmed_cases
from app.learning.finetune_labels import keep_labels, with_kept_labels
from app.learning.lessons import ENDONET, evaluation_of
from app.learning.library_features import library_recordings
from app.learning.recipes import Recipe, recipe_of
from app.learning.recorded import Recorded
from app.learning.run_log import SECOND_TRAIN
from app.learning.teachable import held_out_of
from models.types import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from app.store import Library
    from models import ModelCard

    Operations = Sequence[Filmed] | Sequence[Recorded]

SHARES = ("accuracy", "jaccard", "f1", "tools_map", "next", "foresight")
"""Figures that are shares of 1, so that before and after can be told in percent."""

_BATCHES = {"endomamba": 8, ENDONET: 16, "surgfutr": 32}
_RATES = {"endomamba": 2e-4, ENDONET: 1e-4}


def gentle(steps: int, learning_rate: float) -> dict[str, Any]:
    """How a fine-tune learns: a short run from weights that are good already."""
    return {
        "steps": steps,
        "optimiser": "adamw",
        "learning_rate": learning_rate,
        "weight_decay": 0.02,
        "warmup_steps": min(30, steps),
        "average_decay": 0.98,
        "average_tau": 20,
        "save_every": 100,
        "report_every": 5,
    }


def phase_recipe(base: ModelCard, name: str, steps: int) -> Recipe:
    """A short, gentle run from a phase model's weights."""
    train = gentle(steps, _RATES.get(base.system, 3e-4))
    said: dict[str, Any] = {
        "licence": "as the recordings it was taught on",
        "demo": False,
        "causal": base.causal,
        "frames_per_second": base.frames_per_second or 1.0,
        "trained_on": f"{base.trained.data} Then cases of this library with phases by a human.",
        "limits": "Knows the operation that it was taught, as it is done in this library's cases.",
    }
    if base.features_of:
        said["features_of"] = base.features_of
    if base.course:
        said["course"] = base.course
    return recipe_of(
        base,
        name=name,
        batch=_BATCHES.get(base.system, 1),
        train=train,
        data={
            "source": LIBRARY,
            "seed": 1,
            "workers": 1,
            "window": 16,
            "most_gap_s": 5.0,
            "phase_power": 0.5,
            "as_recorded": 0.3,
            "noise": 0.3,
            "future": 60,
            SECOND_TRAIN: dict(train),
        },
        said=said,
    )


def operations_of(
    library: Library,
    case_ids: Sequence[str],
    base: ModelCard,
    recipe: Recipe,
    set_folder: Path,
    rows_of: RowsOf,
    on_looked: Callable[[float], object] = lambda _: None,
) -> tuple[Recipe, Operations]:
    """The recipe and what of the cases it can learn from.

    A network that tells tools keeps them where label files name the cases' tools.

    Args:
        library: that holds the cases.
        case_ids: in order.
        base: where the run starts.
        recipe: of the run.
        set_folder: the labels that the run began with are kept there, and stay as they are.
        rows_of: see ``filmed_cases``.
        on_looked: told which share of the recordings is looked through.

    Raises:
        BadInput: nothing; the sentence says what a case would need. Or a recording that the run
            began with is gone.
    """
    cases = [library.case(case_id) for case_id in case_ids]
    if base.features_of:
        encoder = find_model(base.features_of, library.folder)
        recordings = with_kept_labels(
            library_recordings(library, cases, encoder, recipe.classes), set_folder
        )
        if not recordings:
            raise BadInput(
                f"{base.title} reads frame features of {encoder.name}: name phases in these cases "
                "and analyse them with it first."
            )
        keep_labels(recordings, set_folder)
        return recipe, recordings
    films = filmed_cases(
        library,
        cases,
        recipe,
        library.cache_folder,
        rows_of=rows_of,
        on_done=lambda done: on_looked(done / len(cases)),
    )
    found = with_kept_labels(films.found, set_folder)
    named = [film for film in found if (film.labels != UNKNOWN).any()]
    if not named:
        why = f" {films.problems[0]}" if films.problems else ""
        raise BadInput(f"No phase in these cases can teach {base.title}; name some first.{why}")
    keep_labels(named, set_folder)
    if recipe.tools and not any((film.tools != UNKNOWN).any() for film in named):
        # Its encoder changes, and nothing would hold the tools to the truth.
        named = [replace(film, tools=film.tools[:, :0]) for film in named]
        recipe = replace(recipe, tools=())
    return recipe, named


def apart(operations: Operations, every: int) -> tuple[Operations, Operations]:
    """To learn from, and to be measured on: each N-th case, at least one where there are two."""
    groups = list(dict.fromkeys(one.group for one in operations))
    held = held_out_of(groups, every)
    learn: Any = [one for one in operations if one.group not in held]
    return learn, [one for one in operations if one.group in held]  # type: ignore[return-value]


def starting_network(base: ModelCard) -> Any:
    """The model's network; its stream is cut into clips, so that nothing resets it meanwhile."""
    network: Any = load_network(base)
    if hasattr(network, "state_reset"):
        network.state_reset = "none"
    return network


def measurer(recipe: Recipe, operations: Operations) -> Callable[[ModelCard, DeviceChoice], Any]:
    """What measures a model on whole operations: its figures that are shares."""

    def measure(card: ModelCard, on: DeviceChoice) -> dict[str, float]:
        evaluation = evaluation_of(recipe, operations)
        assert evaluation is not None  # noqa: S101 - there are operations
        found = evaluation(load_network(card).to(on.device).eval())
        return {name: found[name] for name in SHARES if name in found}

    return measure


def frames_in(operations: Operations) -> int:
    """Frames whose phase is known."""
    return sum(int((one.labels != UNKNOWN).sum()) for one in operations)
