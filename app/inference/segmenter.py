"""Segmentation of single frames: a card's network from a frame to masks in its raster.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.core.prediction import Instance
from app.inference import device as devices
from app.inference.cards import load_network
from app.inference.cores import cores
from app.inference.device import DeviceChoice
from app.inference.masks import PROTOTYPE_STRIDE_PX, masks_of
from app.inference.parts import parts_of, probability_map
from app.inference.placed import PlacedNetwork
from app.inference.postprocess import (
    decode_boxes,
    find_candidates,
    instances_of,
    keep_distinct,
    rules_of,
)
from app.inference.precision import agrees, faster, half_type, is_telling
from app.inference.preprocess import Fit, fit_frame, letterbox
from models import ModelCard
from models.types import InstanceOutput, MapOutput

Output = InstanceOutput | MapOutput

_FRAMES_BETWEEN_TRIALS = 25
_SLOW_TRIALS = 3


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
        may_halve: try half precision, and keep it where it is faster and says the same.

    Attributes:
        card: as given.
        device: where it runs now; changes when a graphics card fails.
        cost: of the last frame.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """

    def __init__(
        self,
        card: ModelCard,
        device: DeviceChoice | None = None,
        *,
        threads: int | None = None,
        may_halve: bool = True,
    ) -> None:
        self.card = card
        self.rules = rules_of(card)
        self._placed = PlacedNetwork(lambda: _prepared(load_network(card)))
        self.device = device or devices.choose_device()
        self._threads = threads or max(1, cores() - 1)
        self._fit: Fit | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._half: torch.dtype | None = None
        self._until_trial: int | None = 0 if may_halve else None
        self._slow_trials = 0
        self.cost = Cost(preprocess_ms=0, forward_ms=0, post_ms=0)

    def predict(self, rgb: NDArray[np.uint8]) -> tuple[Instance, ...]:
        """Instances of one frame.

        A graphics card that fails is left for the processor; ``device`` then says so.

        Args:
            rgb: uint8 (H, W, 3) in the asset's raster.

        Returns:
            Best first, masks in the same raster, without tracks.
        """
        start = time.perf_counter()
        fit = self._fitted(rgb)
        preprocess_ms = 1000 * (time.perf_counter() - start)

        def look(choice: DeviceChoice) -> tuple[tuple[Instance, ...], Cost]:
            start = time.perf_counter()
            output = self._forward(choice)
            middle = time.perf_counter()
            instances = self._instances(output, fit)
            cost = Cost(
                preprocess_ms=preprocess_ms,
                forward_ms=1000 * (middle - start),
                post_ms=1000 * (time.perf_counter() - middle),
            )
            return instances, cost

        with devices.threads(self._threads):
            (instances, self.cost), used = devices.run_or_fall_back(self.device, look)
            if used != self.device:
                self.device, self._half, self._until_trial = used, None, None
            self._try_half_precision(instances, fit)
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
            "precision": self._precision(),
            "threads": self._threads,
            "input_width_px": self.card.input_size_px[0],
            "input_height_px": self.card.input_size_px[1],
            **asdict(self.rules),
        }

    def _precision(self) -> str:
        """As computed now; with what a trial may still change it to."""
        if self._half is not None:
            return _type_name(self._half)
        kind = half_type(torch.device(self.device.device))
        if self._until_trial is None or kind is None:
            return "fp32"
        return f"fp32, {_type_name(kind)} where a trial finds it as good"

    def _fitted(self, rgb: NDArray[np.uint8]) -> Fit:
        height, width = rgb.shape[:2]
        fit = self._fit
        if fit is None or (fit.frame_width_px, fit.frame_height_px) != (width, height):
            fit = self._fit = letterbox(width, height, self.card.input_size_px)
            self._picture = None
        self._picture = fit_frame(rgb, fit, self._picture)
        return fit

    def _forward(self, choice: DeviceChoice, *, half: bool = True) -> Output:
        network = self._placed.on(choice)
        assert self._picture is not None  # noqa: S101 - _fitted comes first
        device = torch.device(choice.device)
        with torch.inference_mode():
            # A (1, H, W, 3) picture seen as (1, 3, H, W) lies in channels-last order already.
            images = torch.from_numpy(self._picture).to(device).unsqueeze(0).permute(0, 3, 1, 2)
            images = normalised(images.float(), self.card)
            with self._autocast(device) if half and self._half else nullcontext():
                output: Output = network(images)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return output

    def _autocast(self, device: torch.device) -> AbstractContextManager[None]:
        return torch.autocast(device.type, self._half)

    def _instances(self, output: Output, fit: Fit) -> tuple[Instance, ...]:
        if isinstance(output, MapOutput):
            logits = output.logits[0, 0].float().cpu().numpy()
            return parts_of(logits, fit, self.rules, self.card.class_keys[0])
        logits = output.class_logits[0].T.float().cpu().numpy()
        found = find_candidates(logits, self.rules)
        if not found.anchors.size:
            return ()
        boxes = _boxes(output, found.anchors)
        kept = keep_distinct(boxes, found, self.rules)
        masks = masks_of(
            boxes[kept],
            _rows(output.mask_coefficients, found.anchors[kept]),
            _prototypes(output),
            fit,
            min_part_share=self.rules.min_part_share,
            box_fade=self.rules.box_fade,
        )
        return instances_of(masks, found, kept, self.card.class_keys)

    def _try_half_precision(self, full: tuple[Instance, ...], fit: Fit) -> None:
        """Change to half precision where a trial on a real frame shows that it is worth it.

        The trial waits for a frame on which something is found beyond doubt. One that says the
        same and was not faster is repeated later: something else may have used the device.
        """
        if self._until_trial is None:
            return
        if self._until_trial:
            self._until_trial -= 1
            return
        self._until_trial = _FRAMES_BETWEEN_TRIALS
        kind = half_type(torch.device(self.device.device))
        if kind is None:
            self._until_trial = None
            return
        threshold = self.rules.score_threshold
        if not is_telling(full, threshold):
            return
        self._until_trial = None
        self._half = kind
        try:
            output = self._forward(self.device)
            # What overflows in half precision leaves nan or infinity behind.
            keep = all(bool(torch.isfinite(part).all()) for part in output)
            keep = keep and agrees(full, self._instances(output, fit), threshold)
            fast = keep and faster(
                lambda: self._forward(self.device), lambda: self._forward(self.device, half=False)
            )
        except RuntimeError:  # an operation that this device lacks in half precision
            keep = fast = False
        if not fast:
            self._half = None
        if keep and not fast and self._slow_trials < _SLOW_TRIALS:
            self._slow_trials += 1
            self._until_trial = _FRAMES_BETWEEN_TRIALS


def normalised(images: torch.Tensor, card: ModelCard) -> torch.Tensor:
    """Float (B, 3, H, W) of 0 to 255 as the card's network wants it, in place."""
    images.mul_(1 / 255)
    if any(card.mean_rgb) or card.std_rgb != (1.0, 1.0, 1.0):
        mean, std = (
            images.new_tensor(v).reshape(1, 3, 1, 1) for v in (card.mean_rgb, card.std_rgb)
        )
        images.sub_(mean).div_(std)
    return images


def _prepared(network: nn.Module) -> nn.Module:
    fuse = getattr(network, "fuse", None)
    if callable(fuse):
        network = fuse()
    return network.eval().to(memory_format=torch.channels_last)


def _type_name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _rows(values: torch.Tensor, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (N, C): the columns of a (1, C, A) output at some anchors."""
    places = torch.from_numpy(anchors).to(values.device)
    return values[0].T[places].float().cpu().numpy()


def _boxes(output: InstanceOutput, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (N, 4) in input pixels, inside the input as in training's evaluation."""
    places = torch.from_numpy(anchors).to(output.boxes.device)
    centres, strides = output.centres_px[places], output.strides_px[places]
    boxes = decode_boxes(_rows(output.boxes, anchors), centres.cpu().numpy(), strides.cpu().numpy())
    height, width = (side * PROTOTYPE_STRIDE_PX for side in output.prototypes.shape[2:])
    return boxes.clip(0, np.array([width, height, width, height], np.float32))


def _prototypes(output: InstanceOutput) -> NDArray[np.float32]:
    """float32 (h, w, P), C-contiguous."""
    return np.ascontiguousarray(output.prototypes[0].permute(1, 2, 0).float().cpu().numpy())
