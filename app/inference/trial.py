"""One model on one made-up picture: does it run here, and how fast. For commands and the window."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.prediction import ACTIVITIES, ENHANCEMENT, PHASES, RETRIEVAL, SEGMENTATION
from app.inference.areas import SceneReader, scene_reader
from app.inference.desmoke import Desmoker
from app.inference.device import DeviceChoice, choose_device
from app.inference.embedding import PictureEncoder
from app.inference.offline import OfflinePhases
from app.inference.phases import PhaseStream
from app.inference.segmenter import Segmenter
from models import ModelCard

_ROUNDS = 3


def trial_ms(card: ModelCard, device: DeviceChoice | None = None) -> tuple[float, DeviceChoice]:
    """Load a model and run it on a 1080p picture.

    Returns:
        The shortest of three frames in milliseconds, and where it ran.

    Raises:
        BadInput: its weights are missing or damaged, or it is of a task that cannot be run here.
    """
    model: Segmenter | PhaseStream | SceneReader | Desmoker | PictureEncoder
    run: Callable[[NDArray[np.uint8]], object]
    if card.task == SEGMENTATION:
        model = Segmenter(card, device or choose_device())
        run = model.predict
    elif card.features_of:
        return _offline_ms(card, device or choose_device())
    elif card.task == PHASES:
        model = PhaseStream(card, device or choose_device())
        run = model.step
    elif card.task == ACTIVITIES:
        model = scene_reader(card, device or choose_device())
        run = model.read
    elif card.task == ENHANCEMENT:
        model = Desmoker(card, device or choose_device())
        run = model.veil
    elif card.task == RETRIEVAL:
        model = PictureEncoder(card, device or choose_device())
        run = model.embed
    else:
        raise BadInput(f"{card.name} is made for {card.task}, which cannot be run here yet.")
    picture = trial_picture()
    run(picture)  # the first one allocates
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run(picture)
        times.append(1000 * (time.perf_counter() - start))
    return min(times), model.device


def _offline_ms(card: ModelCard, device: DeviceChoice) -> tuple[float, DeviceChoice]:
    """Milliseconds per frame of ten minutes of made-up features."""
    network = OfflinePhases(card, device)
    channels = int(card.options.get("in_features", 2048))
    features = np.random.default_rng(0).normal(0, 1, (600, channels)).astype(np.float16)
    network.label(features)
    return network.total_ms / len(features), network.device


def trial_picture(width_px: int = 1920, height_px: int = 1080) -> NDArray[np.uint8]:
    """A smooth reddish picture with some noise, uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    light = 1 - ((x / width_px - 0.5) ** 2 + (y / height_px - 0.5) ** 2)
    picture = light[..., None] * np.array([170, 80, 70])
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
