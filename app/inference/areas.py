"""Activity and areas of frames: a card's EndoARSS from one frame to both answers, or an EndoMamba
that tells one of the two with the frames before in mind.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference import device as devices
from app.inference.cards import CARRIES_A_STATE, load_network
from app.inference.carried import packed, unpacked
from app.inference.cores import cores
from app.inference.device import DeviceChoice
from app.inference.engines.eager import normalised
from app.inference.placed import PlacedNetwork
from app.inference.preprocess import resized
from models import ModelCard
from models.endoarss import resized_areas

LEAST_SHARE = 0.002
"""Of the frame, that an area must cover to be told; a card's ``min_part_share`` overrides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What one frame shows.

    Attributes:
        activities: float64 (K,), probabilities that sum to 1, in the card's order; empty where
            they were not asked for.
        areas: one instance for each class of area that shows, background left out; its track is
            the class's number, its score the mean probability of its pixels.
    """

    activities: NDArray[np.float64]
    areas: tuple[Instance, ...]


class SceneReader:
    """A loaded model of activities and areas.

    Args:
        card: a model of the task ``activity-and-segmentation`` with weights.
        device: where to run; chosen when None.
        threads: of the processor; all but one when None, so that the window stays awake.

    Attributes:
        card: as given.
        device: where it runs now; changes when a graphics card fails.
        total_ms: what the last frame took.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """

    def __init__(
        self, card: ModelCard, device: DeviceChoice | None = None, *, threads: int | None = None
    ) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: load_network(card))
        self.device = device or devices.choose_device()
        self._threads = threads or max(1, cores() - 1)
        self._least_share = float(card.thresholds.get("min_part_share", LEAST_SHARE))
        self.total_ms = 0.0

    def read(self, rgb: NDArray[np.uint8], *, activity: bool = True) -> Scene:
        """Look at one frame.

        The frame is stretched to the network's input, as the network learnt it.

        Args:
            rgb: uint8 (H, W, 3) in the asset's raster.
            activity: tell what goes on too; areas alone take about half the time.
        """
        start = time.perf_counter()
        picture = resized(rgb, *self.card.input_size_px)
        with devices.threads(self._threads):
            (activities, areas), self.device = devices.run_or_fall_back(
                self.device, lambda choice: self._forward(picture, choice, activity=activity)
            )
        height, width = rgb.shape[:2]
        scene = Scene(activities=activities, areas=self._instances(areas, width, height))
        self.total_ms = 1000 * (time.perf_counter() - start)
        return scene

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        return self.device.in_full_precision(self._threads)

    def _forward(
        self, picture: NDArray[np.uint8], choice: DeviceChoice, *, activity: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Probabilities of the activities, and of the areas at the input's size (S, h, w)."""
        network = self._placed.on(choice)
        with torch.inference_mode():
            frame = normalised(_frame(picture, torch.device(choice.device)), self.card)
            if activity:
                output = network(frame)
                areas, activities = output.areas, output.activities[0].double().softmax(0)
            else:
                areas, activities = network.areas(frame), torch.empty(0, dtype=torch.float64)
            areas = resized_areas(areas.float(), *picture.shape[:2]).softmax(1)
            return activities.cpu().numpy(), areas[0].cpu().numpy()

    def _instances(
        self, areas: NDArray[np.float32], width_px: int, height_px: int
    ) -> tuple[Instance, ...]:
        found = []
        for number, key in enumerate(self.card.class_keys[1:], 1):
            others = np.delete(areas, number, axis=0).max(axis=0)
            # How far a class leads is enlarged, not who leads: edges stay smooth, and of two
            # classes no more than one leads anywhere.
            lead = cv2.resize(areas[number] - others, (width_px, height_px))
            bits = lead > 0
            if bits.mean() < self._least_share:
                continue
            here = areas[number] > others
            score = float(areas[number][here].mean()) if here.any() else 0.0
            mask = Mask.from_full(bits)
            found.append(Instance(label=key, mask=mask, score=min(score, 1.0), track=number))
        found.sort(key=lambda area: -(area.score or 0.0))
        return tuple(found)


class SceneStream(SceneReader):
    """A loaded EndoMamba with a head of areas or of classes, and where it stands in a recording.

    Args:
        card: of the task ``activity-and-segmentation``, with classes or with activities.
        device: where to run; chosen when None.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """

    def __init__(self, card: ModelCard, device: DeviceChoice | None = None) -> None:
        super().__init__(card, device, threads=1)  # the scan is serial: two would collide
        self._state: Any = None

    def reset(self) -> None:
        """Stand before the first frame."""
        self._state = None

    def snapshot(self) -> bytes:
        """The carried state, to be stored; empty before the first frame."""
        return packed(self._state)

    def restore(self, snapshot: bytes) -> None:
        """Stand where a snapshot was taken.

        Raises:
            BadInput: the bytes are not a state of this network.
        """
        self._state = unpacked(snapshot, self._placed.network)

    def _forward(
        self, picture: NDArray[np.uint8], choice: DeviceChoice, *, activity: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        del activity  # it tells one of the two as it is
        network = self._placed.on(choice)
        device = torch.device(choice.device)
        with torch.inference_mode():
            frame = _frame(picture, device)
            if self.card.classes:
                frame = _stretched(frame)
            before = None if self._state is None else self._state.to(device)
            logits, state = network.step(normalised(frame, self.card), before)
            # Kept on the host, where a failing card cannot take it along.
            self._state = state.to(devices.CPU)
            likely = logits[0].double().softmax(0).cpu().numpy()
        if self.card.classes:
            return np.empty(0), likely.astype(np.float32)
        return likely, np.empty((0, *picture.shape[:2]), np.float32)


def scene_reader(card: ModelCard, device: DeviceChoice | None = None) -> SceneReader:
    """What reads scenes with a card's network."""
    kind = SceneStream if card.system == CARRIES_A_STATE else SceneReader
    return kind(card, device)


def _frame(picture: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """A picture uint8 (H, W, 3) as float (1, 3, H, W), 0 to 255."""
    return torch.from_numpy(picture).to(device).permute(2, 0, 1).unsqueeze(0).float().contiguous()


def _stretched(frame: torch.Tensor) -> torch.Tensor:
    """From its own darkest value to its brightest, as the released areas were trained (specs:
    temporal-models, section 1.10)."""
    darkest, brightest = frame.aminmax()
    return 255 * (frame - darkest) / (brightest - darkest).clamp(min=1)
