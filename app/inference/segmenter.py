"""Segmentation of single frames: a card's network from a frame to masks in its raster.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.prediction import Instance
from app.inference import device as devices
from app.inference.cores import cores
from app.inference.device import DeviceChoice
from app.inference.engines.choice import Engines
from app.inference.engines.kinds import EAGER
from app.inference.outputs import Output, instances_in
from app.inference.parts import probability_map
from app.inference.postprocess import rules_of
from app.inference.preprocess import Fit, fit_frame, letterbox
from models import ModelCard
from models.types import MapOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Milliseconds that the last frame took."""

    preprocess_ms: float
    forward_ms: float
    post_ms: float

    @property
    def total_ms(self) -> float:
        """Everything from the decoded frame to instances."""
        return self.preprocess_ms + self.forward_ms + self.post_ms


class Segmenter:
    """A loaded instance segmentation model.

    Args:
        card: a model of the task ``instance-segmentation`` with weights.
        device: where to run; chosen when None.
        threads: of the processor; all but one when None, so that the window stays awake.
        engine: that computes, a key of ``engines.kinds``, or ``auto`` for the fastest that says
            the same as PyTorch in full precision.
        may_measure: where it is not known which is the fastest, find out beside a longer analysis.

    Attributes:
        card: as given.
        device: where it runs now; changes when a graphics card fails.
        cost: of the last frame.

    Raises:
        BadInput: the model's weights are missing or damaged, or there is no such engine.
    """

    def __init__(
        self,
        card: ModelCard,
        device: DeviceChoice | None = None,
        *,
        threads: int | None = None,
        engine: str = EAGER,
        may_measure: bool = True,
    ) -> None:
        self.card = card
        self.rules = rules_of(card)
        self.device = device or devices.choose_device()
        self._threads = threads or max(1, cores() - 1)
        self._engines = Engines(card, self._threads, engine, may_measure=may_measure)
        self._fit: Fit | None = None
        self._picture: NDArray[np.uint8] | None = None
        self.cost = Cost(preprocess_ms=0, forward_ms=0, post_ms=0)

    def predict(self, rgb: NDArray[np.uint8]) -> tuple[Instance, ...]:
        """Instances of one frame.

        A graphics card that fails is left for the processor; ``device`` then says so.

        Args:
            rgb: uint8 (H, W, 3) in the asset's raster.

        Returns:
            Best first, masks in the same raster, without tracks.

        Raises:
            EnvironmentProblem: the engine that was asked for cannot be here.
            Refused: it does not say what PyTorch says.
        """
        start = time.perf_counter()
        fit = self._fitted(rgb)
        preprocess_ms = 1000 * (time.perf_counter() - start)

        def look(choice: DeviceChoice) -> tuple[tuple[Instance, ...], Cost]:
            assert self._picture is not None  # noqa: S101 - _fitted came first
            self._engines.settle(self._picture, choice)
            start = time.perf_counter()
            output = self._forward(choice)
            middle = time.perf_counter()
            instances = self._instances(output, fit)
            cost = Cost(
                preprocess_ms=preprocess_ms,
                forward_ms=1000 * (middle - start),
                post_ms=1000 * (time.perf_counter() - middle),
            )
            better = self._engines.checked(output, instances, self._picture, fit, choice)
            return (instances if better is None else self._instances(better, fit)), cost

        with devices.threads(self._threads):
            (instances, self.cost), self.device = devices.run_or_fall_back(self.device, look)
        return instances

    def raw(self, rgb: NDArray[np.uint8]) -> Output:
        """The network's raw output for one frame, synchronised with the device."""
        self._fitted(rgb)
        return self.forward()

    def forward(self) -> Output:
        """The network alone, on the frame that was prepared last."""
        with devices.threads(self._threads):
            return self._forward(self.device)

    def instances_from(self, output: Output) -> tuple[Instance, ...]:
        """Instances of the frame that ``raw`` was called with last."""
        assert self._fit is not None  # noqa: S101 - raw comes first
        with devices.threads(self._threads):
            return self._instances(output, self._fit)

    def map_from(self, output: Output) -> NDArray[np.float32] | None:
        """The probability of every pixel of the frame that ``raw`` was called with last.

        float32 (H, W) in 0 to 1; None where the network answers with instances.
        """
        if not isinstance(output, MapOutput):
            return None
        assert self._fit is not None  # noqa: S101 - raw comes first
        return probability_map(output.logits[0, 0].float().cpu().numpy(), self._fit)

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        return {
            "device": self.device.device,
            "device_name": self.device.name,
            **self._engines.describe(),
            "threads": self._threads,
            "input_width_px": self.card.input_size_px[0],
            "input_height_px": self.card.input_size_px[1],
            **asdict(self.rules),
        }

    def computed_by(self) -> dict[str, str | int | float | bool]:
        """What computed so far, for provenance; it may change from frame to frame."""
        return {"device": self.device.device, **self._engines.describe()}

    def _fitted(self, rgb: NDArray[np.uint8]) -> Fit:
        height, width = rgb.shape[:2]
        fit = self._fit
        if fit is None or (fit.frame_width_px, fit.frame_height_px) != (width, height):
            fit = self._fit = letterbox(width, height, self.card.input_size_px)
            self._picture = None
        self._picture = fit_frame(rgb, fit, self._picture)
        return fit

    def _forward(self, choice: DeviceChoice) -> Output:
        assert self._picture is not None  # noqa: S101 - _fitted comes first
        return self._engines.forward(self._picture, choice)

    def _instances(self, output: Output, fit: Fit) -> tuple[Instance, ...]:
        return instances_in(output, fit, self.rules, self.card)
