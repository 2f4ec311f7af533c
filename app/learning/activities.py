"""Training EndoARSS on the phantom: what goes on in a frame, and the areas in it.

Half of what it sees are frames of phantom operations, around moments of every activity; the other
pictures are the instruments' stills. Runs in a training process; batches are made in a loader
process beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from app.core.errors import BadInput
from app.learning.phantom import PhantomStills
from app.learning.phantom.script import Procedure, write_procedure
from app.learning.phantom.stills import PhantomInstance
from app.learning.phantom.video import PhantomVideo
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, photometric
from models import create_model
from models.endoarss import resized_areas
from models.endoarss.training import ActivityAreaLoss, TaskWeighting
from models.metrics.confusion import Confusion
from models.training import Progress, TrainConfig, Trainer, TrainResult
from models.types import UNKNOWN, ActivityTargets

OUTSIDE, INSPECTING, OPERATING, BAGGING = "outside_body", "inspecting", "operating", "bagging"
BAG, INSTRUMENT = "specimen_bag", "instrument"
COLOUR = Augmentation(hue=4, saturation=0.2, brightness=0.2, blur_px=0.8, jpeg=50)
WINDOW = 8
KEPT_SCENES = 1500
# Moments of each activity: in an operation's own shares the rare ones would hardly be seen.
SHARES = {OUTSIDE: 0.13, INSPECTING: 0.25, OPERATING: 0.37, BAGGING: 0.25}
# Held-out operations come from numbers that no training run reaches.
HELD_OUT_FROM = 950_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One labelled frame.

    Attributes:
        rgb: uint8 (H, W, 3), the network's input size.
        areas: int64 (H, W), class of each pixel, -1 where it is not known.
        activity: index of the activity, -1 where it is not known.
    """

    rgb: NDArray[np.uint8]
    areas: NDArray[np.int64]
    activity: int


def activity_of(instances: Sequence[PhantomInstance], *, away: bool = False) -> str:
    """What goes on, by what shows: the scope outside, a bag, other instruments, or nothing."""
    if away:
        return OUTSIDE
    kinds = {instance.key for instance in instances}
    if BAG in kinds:
        return BAGGING
    return OPERATING if kinds else INSPECTING


def areas_of(
    instances: Sequence[PhantomInstance], shape: tuple[int, int], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Class of each pixel; kinds that are no class count as instrument, else as background."""
    areas = np.zeros(shape, np.int64)
    for instance in instances:
        other = INSTRUMENT if instance.key != BAG and INSTRUMENT in classes else classes[0]
        areas[instance.mask] = classes.index(instance.key if instance.key in classes else other)
    return areas


def draw_window(
    rng: np.random.Generator, recipe: Recipe, procedure_seed: int, activity: str
) -> list[Scene]:
    """Frames of one operation, a second or some apart, around a moment of an activity."""
    procedure = write_procedure(procedure_seed)
    gap_s = float(rng.uniform(0.7, 4.0))
    middle_s = moment_of(rng, procedure, activity)
    start_s = min(max(middle_s - gap_s * WINDOW / 2, 0.0), procedure.seconds - gap_s * WINDOW)
    video = PhantomVideo(
        procedure_seed,
        fps=1 / gap_s,
        size_px=recipe.input_size_px,
        start_s=start_s,
        seconds=gap_s * WINDOW,
        procedure=procedure,
    )
    return [
        Scene(
            rgb=frame.rgb,
            areas=areas_of(frame.instances, frame.rgb.shape[:2], recipe.classes),
            activity=recipe.activities.index(activity_of(frame.instances, away=frame.away)),
        )
        for frame in video
    ]


def moment_of(rng: np.random.Generator, procedure: Procedure, activity: str) -> float:
    """A second at which the operation's script has this activity, or any where it never has."""
    for _ in range(200):
        second = float(rng.uniform(0, procedure.seconds))
        away = any(s.start_s <= second < s.end_s for s in procedure.away)
        tools = procedure.tools_at(second)
        planned = OUTSIDE if away else BAGGING if BAG in tools else OPERATING
        if (planned if tools or away else INSPECTING) == activity:
            return second
    return float(rng.uniform(0, procedure.seconds))


class _Batches(IterableDataset):  # type: ignore[misc]
    """Batches without end. A third of each is new; the rest is from what was drawn before, seen
    through another mirror and other colours."""

    def __init__(self, recipe: Recipe, seed: int, first: int) -> None:
        self.recipe, self.seed, self.first = recipe, seed, first
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)

    def __iter__(self) -> Iterator[tuple[Tensor, ActivityTargets]]:
        rng = np.random.default_rng((self.seed, self.first))
        fresh = self._scenes(rng)
        kept: list[Scene] = []
        batch = self.recipe.batch
        while True:
            wanted = batch if len(kept) < batch else (batch + 2) // 3
            new = [next(fresh) for _ in range(wanted)]
            again = [kept[int(i)] for i in rng.integers(len(kept) or 1, size=batch - wanted)]
            kept = (kept + new)[-KEPT_SCENES:]
            yield self._collated([*new, *again], rng)

    def _scenes(self, rng: np.random.Generator) -> Iterator[Scene]:
        """New scenes: by turns a window of an operation, and as many stills."""
        recipe, names = self.recipe, list(SHARES)
        stills = PhantomStills(seed=self.seed, size_px=recipe.input_size_px)
        while True:
            number = int(rng.integers(int(recipe.data["operations"])))
            activity = names[int(rng.choice(len(names), p=list(SHARES.values())))]
            window = draw_window(rng, recipe, self.seed * 100_000 + number, activity)
            for scene in window:
                yield scene
                if rng.random() < float(recipe.data["still_share"]):
                    yield self._still(stills, int(rng.integers(2**40)))

    def _still(self, stills: PhantomStills, number: int) -> Scene:
        sample = stills.sample(number)
        areas = areas_of(sample.instances, sample.rgb.shape[:2], self.recipe.classes)
        areas[sample.ignore] = UNKNOWN
        activity = self.recipe.activities.index(activity_of(sample.instances))
        if not sample.instances and sample.ignore.any():
            activity = UNKNOWN  # an instrument may be what is not known
        return Scene(rgb=sample.rgb, areas=areas, activity=activity)

    def _collated(
        self, scenes: Sequence[Scene], rng: np.random.Generator
    ) -> tuple[Tensor, ActivityTargets]:
        pictures, areas = [], []
        for scene in scenes:
            step = -1 if rng.random() < 0.5 else 1
            pictures.append(photometric(scene.rgb, COLOUR, rng)[:, ::step])
            areas.append(scene.areas[:, ::step])
        targets = ActivityTargets(
            activities=torch.tensor([s.activity for s in scenes]),
            areas=torch.from_numpy(np.ascontiguousarray(np.stack(areas))),
        )
        return network_input(pictures, self.mean, self.std), targets


def network_input(
    pictures: Sequence[NDArray[np.uint8]], mean: NDArray[np.float32], std: NDArray[np.float32]
) -> Tensor:
    """Pictures of the network's size as float32 (B, 3, H, W), normalised."""
    values = (np.stack(pictures).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def _single_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


@torch.no_grad()
def held_out(network: nn.Module, recipe: Recipe, operations: int = 8) -> dict[str, float]:
    """What the network is worth on phantom operations it has not learnt from.

    A window around a moment of each activity is taken from every operation.

    Returns:
        ``areas_miou``, ``areas_mdice`` and ``instrument_iou`` of the areas, ``activity_accuracy``
        and ``activity_f1`` of the activities; see ``models.metrics.confusion``.
    """
    areas, activities = Confusion(recipe.classes), Confusion(recipe.activities)
    mean, std = (np.array(recipe.card[k], np.float32) for k in ("mean_rgb", "std_rgb"))
    device = next(network.parameters()).device
    for number in range(operations):
        rng = np.random.default_rng((HELD_OUT_FROM, number))
        for activity in recipe.activities:
            scenes = draw_window(rng, recipe, HELD_OUT_FROM + number, activity)
            output = network(network_input([s.rgb for s in scenes], mean, std).to(device))
            height, width = scenes[0].areas.shape
            called = resized_areas(output.areas.float(), height, width).argmax(1).cpu().numpy()
            areas.add(np.stack([s.areas for s in scenes]), called)
            said = output.activities.argmax(1).cpu().numpy()
            activities.add(np.array([s.activity for s in scenes]), said)
    figures, each = areas.figures(), areas.per_class()
    return {
        "areas_miou": figures["miou"],
        "areas_mdice": figures["mdice"],
        **{f"{name}_iou": float(np.nan_to_num(v["iou"])) for name, v in each.items()},
        "activity_accuracy": activities.figures()["accuracy"],
        "activity_f1": activities.figures()["f1"],
    }


def train_activities(
    recipe: Recipe,
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    """Train a recipe's EndoARSS on the phantom; the last weights are measured and kept.

    Args:
        recipe: its ``data`` names ``seed``, ``operations`` (how many different ones),
            ``still_share`` (stills for each frame of an operation) and, if wanted, ``weighting``
            (see ``TaskWeighting``) and ``class_weights`` of the areas.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        on_progress, should_stop: see ``models.training.Trainer.run``.

    Raises:
        BadInput: the recipe lacks one of these.
    """
    needed = {"data": ("seed", "operations", "still_share"), "card": ("mean_rgb", "std_rgb")}
    for table, names in needed.items():
        for name in names:
            if name not in getattr(recipe, table):
                raise BadInput(f"The recipe {recipe.name} lacks {table}.{name}.")
    if unknown := {OUTSIDE, INSPECTING, OPERATING, BAGGING} - set(recipe.activities):
        raise BadInput(f"The phantom also shows {min(unknown)}; name it among the activities.")
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = (network or create_model(recipe.system, **recipe.options)).to(device)
    weighting = TaskWeighting(network, str(recipe.data.get("weighting", "equal")))
    trainer = Trainer(network, config, run_folder, weighting)
    trainer.resume()

    def batches(first: int) -> Iterator[tuple[Tensor, ActivityTargets]]:
        loader = DataLoader(
            _Batches(recipe, int(recipe.data["seed"]), first),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
            worker_init_fn=_single_thread,
            # A fork would copy torch's and OpenCV's locks as they happen to stand.
            multiprocessing_context="spawn",
        )
        return iter(loader)

    weights = tuple(float(w) for w in recipe.data.get("class_weights", ()))
    result = trainer.run(
        batches,
        ActivityAreaLoss(class_weights=weights),
        on_progress=on_progress,
        should_stop=should_stop,
    )
    if result.ended in ("cancelled", "diverged"):
        return result
    return replace(result, best=held_out(result.network, recipe))
