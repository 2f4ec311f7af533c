"""Labelled frames for EndoARSS: from phantom operations, from its stills, and from pictures.

numpy and cv2 apart from the network's input; runs in training processes and their loaders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.inference.preprocess import resized
from app.learning.collate import class_of
from app.learning.phantom import PhantomStills
from app.learning.phantom.script import Procedure, write_procedure
from app.learning.phantom.stills import PhantomInstance
from app.learning.phantom.video import PhantomVideo
from models.types import UNKNOWN

OUTSIDE, INSPECTING, OPERATING, BAGGING = "outside_body", "inspecting", "operating", "bagging"
BAG, INSTRUMENT = "specimen_bag", "instrument"
WINDOW = 8


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


class Told(Protocol):
    """What a network is to tell apart, and at which size; a recipe's or a card's."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Of areas, the background first."""

    @property
    def activities(self) -> tuple[str, ...]:
        """In output order."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the network's input."""


def draw_window(
    rng: np.random.Generator, task: Told, procedure_seed: int, activity: str
) -> list[Scene]:
    """Frames of one operation, a second or some apart, around a moment of an activity."""
    procedure = write_procedure(procedure_seed)
    gap_s = float(rng.uniform(0.7, 4.0))
    middle_s = moment_of(rng, procedure, activity)
    start_s = min(max(middle_s - gap_s * WINDOW / 2, 0.0), procedure.seconds - gap_s * WINDOW)
    video = PhantomVideo(
        procedure_seed,
        fps=1 / gap_s,
        size_px=task.size_px,
        start_s=start_s,
        seconds=gap_s * WINDOW,
        procedure=procedure,
    )
    return [
        Scene(
            rgb=frame.rgb,
            areas=areas_of(frame.instances, frame.rgb.shape[:2], task.classes),
            activity=task.activities.index(activity_of(frame.instances, away=frame.away)),
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


def draw_still(task: Told, stills: PhantomStills, number: int) -> Scene:
    """One of the instruments' stills."""
    sample = stills.sample(number)
    areas = areas_of(sample.instances, sample.rgb.shape[:2], task.classes)
    areas[sample.ignore] = UNKNOWN
    activity = task.activities.index(activity_of(sample.instances))
    if not sample.instances and sample.ignore.any():
        activity = UNKNOWN  # an instrument may be what is not known
    return Scene(rgb=sample.rgb, areas=areas, activity=activity)


def scene_of(
    picture: LabelledPicture,
    classes: Sequence[str],
    activities: Sequence[str],
    size_px: tuple[int, int],
) -> Scene:
    """A labelled picture, stretched to the network's input as EndoARSS is published.

    Areas of a label that is no class are not known; an activity is a key or, counted from 1, a
    number, as in folders of EndoARSS.

    Raises:
        BadInput: its activity is none of those.
    """
    height, width = picture.rgb.shape[:2]
    areas = np.zeros((height, width), np.int16)
    for instance in picture.instances:
        kind = class_of(instance.label, classes)
        x0, y0, x1, y1 = instance.mask.box
        areas[y0:y1, x0:x1][instance.mask.bits] = UNKNOWN if kind is None else kind
    if picture.ignore is not None:
        areas[picture.ignore.full()] = UNKNOWN
    return Scene(
        rgb=resized(picture.rgb, *size_px),
        areas=cv2.resize(areas, size_px, interpolation=cv2.INTER_NEAREST).astype(np.int64),
        activity=_activity_number(picture, activities),
    )


def _activity_number(picture: LabelledPicture, activities: Sequence[str]) -> int:
    said = picture.activity
    if not said:
        return UNKNOWN
    if said in activities:
        return activities.index(said)
    if said.isdecimal() and 1 <= int(said) <= len(activities):
        return int(said) - 1
    raise BadInput(
        f"{picture.name} shows the activity {said}, which is none of {', '.join(activities)}; name "
        "it in the task."
    )


def network_input(
    pictures: Sequence[NDArray[np.uint8]], mean: NDArray[np.float32], std: NDArray[np.float32]
) -> Tensor:
    """Pictures of the network's size as float32 (B, 3, H, W), normalised."""
    values = (np.stack(pictures).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
