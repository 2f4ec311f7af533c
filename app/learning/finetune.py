"""Fine-tuning: from the corrections of named cases to a new model, measured beside its base.

Runs in a training process: reads the library, writes only its run folder and the new model's
folder under the library's ``models``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.core.prediction import ANTICIPATION, PHASES, SEGMENTATION
from app.core.taxonomy import find_taxonomy
from app.inference.cards import load_network, model_errors
from app.learning import finetune_phases as phases
from app.learning import publish, run_log, runs, sets
from app.learning.evaluate import mask_figures
from app.learning.finetune_phases import phase_recipe
from app.learning.lessons import evaluation_of
from app.learning.recipes import Recipe, recipe_of
from app.learning.run_record import check_alone, failures_told
from app.learning.teachable import what_teaches
from app.store import Library
from app.store.files import write_json

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.learning.filmed import RowsOf
    from models import ModelCard
    from models.training import Progress

READING, MEASURING = "Reading your corrections", "Measuring it beside its base"
LOOKING = "Looking at the recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuned:
    """What a fine-tune gave.

    Attributes:
        card: of the new model, in the library's ``models``.
        base, best: figures of the base and of the new model on the held-out frames (0 to 1);
            on the frames learnt from where none were held out.
        learnt, held_out: numbers of frames.
        steps: batches.
        seconds: of training.
        left_out: how many of the cases taught nothing, and why; "" where all did.
    """

    card: ModelCard
    base: dict[str, float]
    best: dict[str, float]
    learnt: int
    held_out: int
    steps: int
    seconds: float
    left_out: str = ""

    def told(self) -> dict[str, Any]:
        """As ``trocar finetune --json`` prints it, figures in per cent."""
        return {
            "model": self.card.name,
            "task": self.card.task,
            "epochs": self.steps,
            "best": {k: round(100 * v, 2) for k, v in self.best.items()},
            "base": {k: round(100 * v, 2) for k, v in self.base.items()},
            "learnt": self.learnt,
            "held_out": self.held_out,
            "device": self.card.trained.device,
            "seconds": round(self.seconds, 1),
            "left_out": self.left_out,
        }


def finetune(
    library: Library,
    case_ids: Sequence[str],
    base: ModelCard,
    name: str,
    run_folder: Path,
    *,
    held_out_every: int = 4,
    steps: int = 300,
    device: str | None = None,
    rows_of: RowsOf = lambda _case, _asset: None,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> FineTuned | None:
    """Fine-tune ``base`` on the corrections of cases. None when it was stopped.

    A model that outlines learns from outlines, one that names phases from the phases of a human.

    Args:
        library: open for reading is enough.
        case_ids: whose corrections.
        base: card of a model with weights that outlines instruments, names phases or foresees.
        name: of the new model.
        run_folder: of this run; a run of the same cases, base and settings found there goes on.
        held_out_every: see ``sets.freeze``; of phases each N-th case is held out, at least one
            of several.
        steps: batches; of outlines eight views each, three in ten of them from the phantom.
        device: see ``runs.device_for``.
        rows_of: the tools that label files name, for a phase model that tells tools.
        on_progress, should_stop: see ``models.training.Hooks``.

    Raises:
        BadInput: the base cannot be fine-tuned, the name cannot be used or is taken, an unfinished
            run of something else has it, or nothing was corrected.
    """
    if base.task not in (SEGMENTATION, PHASES, ANTICIPATION):
        raise BadInput(f"{base.title} cannot be fine-tuned; choose another base.")
    models_folder = library.folder / "models"
    if (models_folder / name).exists():
        raise BadInput(f"There is a model {name} already; choose another name.")
    is_of_phases = base.task != SEGMENTATION
    with model_errors():
        plan = (phase_recipe if is_of_phases else _recipe)(base, name, steps)
    offered = what_teaches(library, [library.case(case_id) for case_id in case_ids], base)
    if not offered.able and not (run_folder / run_log.PLAN).exists():
        raise BadInput(f"Nothing here can teach {base.title}: {offered.left_out_words}.")
    check_alone(run_folder)
    lesson = {
        "cases": list(case_ids),
        "base": base.name,
        "base_sha256": base.weights_sha256,
        "held_out_every": held_out_every,
        "steps": steps,
    }
    _claim(run_folder, lesson)
    (run_folder / run_log.TAUGHT).unlink(missing_ok=True)
    run_log.begin(run_folder, doing=READING)
    with failures_told(run_folder):
        with model_errors():
            if is_of_phases:
                read = _of_phases(
                    library, case_ids, base, plan, run_folder, held_out_every, rows_of
                )
            else:
                folder = run_folder / "set"
                read = _of_outlines(library, case_ids, base, plan, folder, held_out_every)
        end = runs.train(
            read.recipe,
            read.learn,
            run_folder,
            network=read.network,
            device=device,
            evaluate=evaluation_of(read.recipe, read.held_out),
            on_progress=on_progress,
            should_stop=should_stop,
        )
        if end.ended == "cancelled":
            return None
        run_log.say(run_folder, MEASURING)
        taught = _measured(read, end, base, run_folder, device, models_folder, case_ids)
        taught = replace(taught, left_out=offered.left_out_words)
        write_json(run_folder / run_log.TAUGHT, taught.told())
        run_log.end(run_folder, end.ended)
    return taught


def _claim(run_folder: Path, lesson: dict[str, Any]) -> None:
    """Write down what is asked for; what nothing was learnt of yet is forgotten."""
    if not (run_folder / run_log.PLAN).exists():
        (run_folder / run_log.LESSON).unlink(missing_ok=True)
        rmtree(run_folder / "set", ignore_errors=True)
    runs.claim(run_folder, lesson, run_log.LESSON)


def _measured(
    lesson: _Lesson,
    end: runs.RunEnd,
    base: ModelCard,
    run_folder: Path,
    device: str | None,
    models_folder: Path,
    case_ids: Sequence[str],
) -> FineTuned:
    """The finished run as a model in the library, with its figures beside its base's."""
    recipe, name = lesson.recipe, lesson.recipe.name
    card = publish.publish(
        run_folder,
        publish.card_of(
            recipe,
            end,
            command=f"trocar finetune --from {' '.join(case_ids)} --base {base.name} --name {name}",
            figures={},
            parent=base.name,
        ),
        run_folder / "model",
    )
    on = runs.device_for(device)
    before, after = lesson.measure(base, on), lesson.measure(card, on)
    from models import install_model
    from models.card import write_card

    where = "held_out" if lesson.held_out else "learnt_from"
    figures = {f"{where}_{k}": v for k, v in after.items()}
    figures |= {f"base_{where}_{k}": v for k, v in before.items()}
    card = replace(card, figures={k: round(v, 4) for k, v in figures.items()})
    write_card(card, run_folder / "model" / name)
    card = install_model(run_folder / "model" / name, models_folder)
    return FineTuned(
        card=card,
        base=before,
        best=after,
        learnt=lesson.count(lesson.learn),
        held_out=lesson.count(lesson.held_out),
        steps=end.steps,
        seconds=end.seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What a fine-tune learns from.

    Attributes:
        recipe: of the run.
        network: where it starts.
        learn, held_out: pictures or operations.
        measure: figures of a model, as shares, on those held out, or learnt from where none are.
        count: frames in some of them.
    """

    recipe: Recipe
    network: Any
    learn: Sequence[Any]
    held_out: Sequence[Any]
    measure: Callable[[ModelCard, DeviceChoice], dict[str, float]]
    count: Callable[[Sequence[Any]], int]


def _of_outlines(
    library: Library,
    case_ids: Sequence[str],
    base: ModelCard,
    recipe: Recipe,
    set_folder: Path,
    held_out_every: int,
) -> _Lesson:
    frozen = (
        sets.read(set_folder)
        if (set_folder / sets.INDEX).exists()
        else sets.freeze(library, case_ids, set_folder, held_out_every=held_out_every)
    )
    if not frozen.learn:
        raise BadInput("All corrected frames are held out; correct more frames first.")
    measured: Sequence[LabelledPicture] = frozen.held_out or frozen.learn
    return _Lesson(
        recipe=recipe,
        network=load_network(base),
        learn=frozen.learn,
        held_out=frozen.held_out,
        measure=lambda card, on: mask_figures(card, measured, on),
        count=len,
    )


def _of_phases(
    library: Library,
    case_ids: Sequence[str],
    base: ModelCard,
    recipe: Recipe,
    run_folder: Path,
    held_out_every: int,
    rows_of: RowsOf,
) -> _Lesson:
    recipe, operations = phases.operations_of(
        library,
        case_ids,
        base,
        recipe,
        run_folder / "set",
        rows_of,
        partial(run_log.say_share, run_folder, LOOKING),
    )
    learn, held = phases.apart(operations, held_out_every)
    return _Lesson(
        recipe=recipe,
        network=phases.starting_network(base),
        learn=learn,
        held_out=held,
        measure=phases.measurer(recipe, held or learn),
        count=phases.frames_in,
    )


def _recipe(base: ModelCard, name: str, steps: int) -> Recipe:
    """A short, gentle run from the base's weights; its norms stay as they are."""
    return recipe_of(
        base,
        name=name,
        batch=8,
        train=phases.gentle(steps, 3e-4) | {"freeze_norms": True},
        data={"phantom_share": 0.3 if _is_in_phantom(base) else 0.0, "workers": 1},
        said={
            "licence": "as the recordings it was corrected on",
            "demo": base.demo,
            "thresholds": dict(base.thresholds),
            "trained_on": f"{base.trained.data} Then corrections made in this library.",
            "limits": base.limits,
        },
    )


def _is_in_phantom(base: ModelCard) -> bool:
    """Whether the phantom shows what the model outlines, so that it can keep it from forgetting."""
    known = {i.key for i in find_taxonomy("cholecystectomy").instruments}
    return not known.isdisjoint(base.class_keys)
