"""Activity and areas of single frames: a card's EndoARSS from a frame to both answers.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference import device as devices
from app.inference.cards import load_network
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
        activities: float64 (K,), probabilities that sum to 1, in the card's order.
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

    def read(self, rgb: NDArray[np.uint8]) -> Scene:
        """Look at one frame.

        The frame is stretched to the network's input, as the network learnt it.

        Args:
            rgb: uint8 (H, W, 3) in the asset's raster.
        """
        start = time.perf_counter()
        picture = resized(rgb, *self.card.input_size_px)
        with devices.threads(self._threads):
            (activities, areas), self.device = devices.run_or_fall_back(
                self.device, lambda choice: self._forward(picture, choice)
            )
        height, width = rgb.shape[:2]
        scene = Scene(activities=activities, areas=self._instances(areas, width, height))
        self.total_ms = 1000 * (time.perf_counter() - start)
        return scene

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        return self.device.in_full_precision(self._threads)

    def _forward(
        self, picture: NDArray[np.uint8], choice: DeviceChoice
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Probabilities of the activities, and of the areas at the input's size (S, h, w)."""
        network = self._placed.on(choice)
        device = torch.device(choice.device)
        with torch.inference_mode():
            frame = torch.from_numpy(picture).to(device).permute(2, 0, 1).unsqueeze(0)
            output = network(normalised(frame.float().contiguous(), self.card))
            areas = resized_areas(output.areas.float(), *picture.shape[:2]).softmax(1)
            activities = output.activities[0].double().softmax(0)
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
