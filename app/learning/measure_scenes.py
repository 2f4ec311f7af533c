"""What a model of activities and areas is worth: two tables of what was called what.

At the network's input size, on phantom operations it has not learnt from or on labelled pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.picture import LabelledPicture
from app.learning.evaluation import outlined, score_of, spread
from app.learning.recipes import Recipe
from app.learning.scenes import Scene, draw_window, network_input, scene_of
from models.endoarss import resized_areas
from models.metrics.confusion import Confusion

if TYPE_CHECKING:
    from torch import nn

    from models import ModelCard

# Held-out operations come from numbers that no training run reaches.
HELD_OUT_FROM = 950_000
HELD_OUT_OPERATIONS = 8
Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTask:
    """What a model of activities and areas tells apart, and what it is shown.

    Attributes:
        classes: of areas, the background first.
        activities: in output order.
        size_px: (width, height) of the network's input.
        mean_rgb, std_rgb: of its normalisation.
    """

    classes: tuple[str, ...]
    activities: tuple[str, ...]
    size_px: tuple[int, int]
    mean_rgb: tuple[float, ...]
    std_rgb: tuple[float, ...]

    @classmethod
    def of_card(cls, card: ModelCard) -> SceneTask:
        """As the card says."""
        return cls(
            classes=card.class_keys,
            activities=card.activity_keys,
            size_px=card.input_size_px,
            mean_rgb=card.mean_rgb,
            std_rgb=card.std_rgb,
        )

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> SceneTask:
        """As the recipe says."""
        return cls(
            classes=recipe.classes,
            activities=recipe.activities,
            size_px=recipe.input_size_px,
            mean_rgb=tuple(recipe.card["mean_rgb"]),
            std_rgb=tuple(recipe.card["std_rgb"]),
        )

    def scene(self, picture: LabelledPicture) -> Scene:
        """A labelled picture as this task sees it; see ``scene_of``."""
        return scene_of(picture, self.classes, self.activities, self.size_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFigures:
    """Both tables, pixels by area and frames by activity, and how many frames there were."""

    images: int
    areas: Confusion
    activities: Confusion

    def figures(self) -> dict[str, float]:
        """The figures of a card, as shares; what has no truth is left out."""
        found = {f"areas_{k}": v for k, v in self.areas.figures().items() if k in ("miou", "mdice")}
        for name, values in self.areas.per_class().items():
            found[f"{name}_iou"] = values["iou"]
        said = self.activities.figures()
        found |= {"activity_accuracy": said["accuracy"], "activity_f1": said["f1"]}
        return {name: float(value) for name, value in found.items() if not np.isnan(value)}

    def as_json(self) -> dict[str, Any]:
        """Percentages; ``dice`` and ``iou`` are the areas' means."""
        areas = self.areas.as_json()
        return {
            "images": self.images,
            "dice": areas["mdice"],
            "iou": areas["miou"],
            "per_class": areas["per_class"],
            "areas": areas,
            "activities": self.activities.as_json(),
            "convention": areas["convention"],
        }


@torch.no_grad()
def measured(
    network: nn.Module,
    task: SceneTask,
    scenes: Iterable[Scene],
    change: Change | None = None,
) -> SceneFigures:
    """Shows a network scenes, one after another.

    Args:
        network: in eval mode, on any device.
        task: what it tells apart.
        scenes: of the task's input size.
        change: what is done to a picture, given its number, before the network sees it.
    """
    areas, activities = Confusion(task.classes), Confusion(task.activities)
    mean, std = (np.array(v, np.float32) for v in (task.mean_rgb, task.std_rgb))
    device = next(network.parameters()).device
    number = -1
    for number, scene in enumerate(scenes):
        rgb = scene.rgb if change is None else change(scene.rgb, number)
        output = network(network_input([rgb], mean, std).to(device))
        called = resized_areas(output.areas.float(), *scene.areas.shape).argmax(1)
        areas.add(scene.areas, called[0].cpu().numpy())
        said = output.activities.argmax(1).cpu().numpy()
        activities.add(np.array([scene.activity]), said)
    return SceneFigures(images=number + 1, areas=areas, activities=activities)


def phantom_scenes(task: SceneTask, operations: int) -> Iterator[Scene]:
    """A window around a moment of each activity of held-out phantom operations."""
    for number in range(operations):
        rng = np.random.default_rng((HELD_OUT_FROM, number))
        for activity in task.activities:
            yield from draw_window(rng, task, HELD_OUT_FROM + number, activity)


class SceneValidation:
    """Measures a network in eval mode on held-out scenes; call it with the network.

    Args:
        recipe: of the run; ``data.score`` is one of ``areas_miou``, ``areas_mdice``,
            ``activity_accuracy`` and ``activity_f1``.
        pictures: held out; where there are none, scenes of held-out phantom operations.

    Attributes:
        score: the figure by which the best weights are kept.
    """

    def __init__(self, recipe: Recipe, pictures: Sequence[LabelledPicture] = ()) -> None:
        self.recipe, self.pictures = recipe, pictures
        known = ("areas_miou", "areas_mdice", "activity_accuracy", "activity_f1")
        self.score = score_of(recipe, known)
        self._drawn: list[Scene] = []

    @cached_property
    def task(self) -> SceneTask:
        """What the network is to tell apart."""
        return SceneTask.of_recipe(self.recipe)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """The figures; see ``SceneFigures.figures``."""
        return measured(network, self.task, self._scenes()).figures()

    @torch.no_grad()
    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """See ``Evaluation.samples``; outlines of the areas."""
        shown = [self.task.scene(p) for p in spread(self.pictures)] or spread(self._phantom())
        mean, std = (np.array(v, np.float32) for v in (self.task.mean_rgb, self.task.std_rgb))
        for scene in shown:
            areas: NDArray[np.generic] = scene.areas
            if network is not None:
                device = next(network.parameters()).device
                output: Any = network(network_input([scene.rgb], mean, std).to(device))
                called = resized_areas(output.areas.float(), *scene.areas.shape).argmax(1)
                areas = called[0].cpu().numpy()
            kinds = [k for k in range(1, len(self.task.classes)) if (areas == k).any()]
            labels = [self.task.classes[k] for k in kinds]
            yield outlined(scene.rgb, [areas == k for k in kinds], labels)

    def _scenes(self) -> Iterable[Scene]:
        if self.pictures:
            return (self.task.scene(picture) for picture in self.pictures)
        return self._phantom()

    def _phantom(self) -> list[Scene]:
        self._drawn = self._drawn or list(phantom_scenes(self.task, HELD_OUT_OPERATIONS))
        return self._drawn
