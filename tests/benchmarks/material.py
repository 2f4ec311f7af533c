"""What the rows work on: a made-up 1080p clip, raw output with fifteen instances, models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import models
from app.inference.device import DeviceChoice
from app.inference.segmenter import Segmenter
from models.card import ModelCard, ModelClass
from models.types import InstanceOutput, anchor_grid, encode_boxes

WIDTH_PX, HEIGHT_PX = 1920, 1080
INPUT_PX = (640, 384)
INSTANCES = 15
THRESHOLDS = {"score": 0.25, "overlap": 0.7, "max_instances": float(INSTANCES)}
FULL_SIZE = 1_500_000
_REPEATS = 20
CPU = DeviceChoice(device="cpu", name="processor", reason="benchmarks", memory_mb=0)


def frame(number: int = 0) -> NDArray[np.uint8]:
    """Tissue-like colours with a few moving bright shafts, uint8 (1080, 1920, 3)."""
    y, x = np.mgrid[0:HEIGHT_PX:8, 0:WIDTH_PX:8].astype(np.float32)
    waves = np.sin(x / 90 + number / 20) * np.cos(y / 70) * 25
    small = np.stack([150 + waves, 70 + waves / 2, 60 + waves / 3], 2).clip(0, 255)
    picture = cv2.resize(small.astype(np.uint8), (WIDTH_PX, HEIGHT_PX))
    for tool in range(4):
        tip = (500 + 250 * tool + int(80 * np.sin(number / 15 + tool)), 500 + 40 * tool)
        start = (int(WIDTH_PX * (tool % 2)), 200 + 250 * tool)
        cv2.line(picture, start, tip, (200, 205, 210), 46)
    return np.ascontiguousarray(picture)


def make_clip(path: Path, frames: int, rate: int = 25) -> Path:
    """Write a 1080p H.264 clip."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.gop_size = rate
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(frame(number), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def instrument_model(root: Path, *, always_finds: bool = False) -> ModelCard:
    """The full-size LMSF-A with random weights.

    Args:
        root: a folder of models.
        always_finds: shift the class bias so that every frame has instances.
    """
    torch.manual_seed(0)
    network = models.create_model("lmsf_a", num_classes=1)
    if always_finds:
        with torch.no_grad():
            network.head.classify.bias.fill_(0.5)
    card = ModelCard(
        name="bench-instruments",
        title="Benchmark",
        system="lmsf_a",
        options={"num_classes": 1},
        task="instance-segmentation",
        classes=(ModelClass(key="instrument", name="Instrument"),),
        input_size_px=INPUT_PX,
        thresholds=THRESHOLDS,
    )
    return models.save_model(network, card, root)


class Raw(NamedTuple):
    """The same detections as both sides take them.

    Attributes:
        ours: raw output of LMSF-A at 640 x 384.
        predictions: float32 (1, 4 + 1 + 32, A), what YOLOv8-seg puts out: centre and size,
            score, coefficients.
        prototypes: float32 (1, 32, 96, 160).
    """

    ours: InstanceOutput
    predictions: torch.Tensor
    prototypes: torch.Tensor


def raw_output(coverage: float = 0.8) -> Raw:
    """Fifteen instances, each found by twenty anchors, whose boxes cover a share of the frame."""
    rng = np.random.default_rng(0)
    width, height = INPUT_PX
    centres, strides = anchor_grid(height, width, (8, 16, 32))
    anchors = len(strides)
    top, picture_height = 12, 360
    cell_w, cell_h = width / 5, picture_height / 3
    side = np.sqrt(coverage)
    boxes = torch.zeros(anchors, 4)
    scores = torch.full((anchors,), 1e-4)
    coefficients = torch.from_numpy(rng.standard_normal((anchors, 32)).astype(np.float32))
    for number in range(INSTANCES):
        cx, cy = (number % 5 + 0.5) * cell_w, top + (number // 5 + 0.5) * cell_h
        own = torch.from_numpy(rng.standard_normal(32).astype(np.float32))
        near = np.hypot(centres[:, 0].numpy() - cx, centres[:, 1].numpy() - cy)
        chosen = np.argsort(near)[:_REPEATS]
        jitter = rng.normal(0, 1.5, (_REPEATS, 4))
        box = np.array([cx - cell_w * side / 2, cy - cell_h * side / 2] * 2)
        box[2:] += [cell_w * side, cell_h * side]
        boxes[chosen] = torch.from_numpy((box + jitter).astype(np.float32))
        scores[chosen] = torch.from_numpy(rng.uniform(0.5, 0.95, _REPEATS).astype(np.float32))
        coefficients[chosen] = own
    smooth = cv2.GaussianBlur(rng.standard_normal((96, 160, 32)).astype(np.float32), (0, 0), 5)
    prototypes = torch.from_numpy(8 * smooth + 0.3).permute(2, 0, 1)[None]
    return Raw(
        ours=InstanceOutput(
            boxes=_as_bins(boxes, centres, strides)[None],
            class_logits=torch.logit(scores)[None, None],
            mask_coefficients=coefficients.T[None],
            prototypes=prototypes,
            centres_px=centres,
            strides_px=strides,
        ),
        predictions=torch.cat((_centre_and_size(boxes), scores[:, None], coefficients), 1).T[None],
        prototypes=prototypes.contiguous(),
    )


def _centre_and_size(boxes: torch.Tensor) -> torch.Tensor:
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat(((low + high) / 2, high - low), 1)


def _as_bins(boxes: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Float (64, A): logits whose expected bin is the box's distance."""
    distances = encode_boxes(boxes, centres, strides)
    low = distances.floor()
    share = distances - low
    bins = torch.full((len(boxes), 4, 16), -30.0)
    bins.scatter_(2, low.long()[..., None], torch.log(1 - share + 1e-9)[..., None])
    bins.scatter_(2, low.long()[..., None] + 1, torch.log(share + 1e-9)[..., None])
    return bins.reshape(len(boxes), 64).T


def segmenter_at_1080p(root: Path) -> Segmenter:
    """A segmenter that has seen a 1080p frame: the demo's weights where it is full size."""
    card = next(
        (c for c in models.list_cards() if c.system == "lmsf_a" and c.parameters > FULL_SIZE),
        None,
    )
    card = card or instrument_model(root)
    card = replace(card, input_size_px=INPUT_PX, thresholds=THRESHOLDS)
    segmenter = Segmenter(card, CPU, threads=1)
    for number in range(0, 60, 30):
        segmenter.predict(frame(number))
    return segmenter
