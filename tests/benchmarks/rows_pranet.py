"""PraNet's row: a frame to its map at 352 x 352, one thread, random weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import models
from app.inference.device import DeviceChoice
from app.inference.segmenter import Segmenter
from models.card import ModelCard, ModelClass
from models.pranet import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX
from tests.benchmarks import material
from tests.benchmarks.measure import Row, interleaved, row_of

CPU = DeviceChoice(device="cpu", name="processor", reason="bench", memory_mb=0)


def pranet(rounds: int) -> list[Row]:
    """A square frame through the network alone, and with preparation and connected parts."""
    card = ModelCard(
        name="polyps",
        title="Polyps",
        system="pranet",
        task="instance-segmentation",
        classes=(ModelClass(key="polyp", name="Polyp"),),
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
    )
    with tempfile.TemporaryDirectory() as folder:
        card = models.save_model(models.create_model("pranet"), card, Path(folder))
        segmenter = Segmenter(card, CPU, threads=1)
    frame = material.frame()
    side = min(frame.shape[:2])
    square = frame[:side, :side].copy()
    segmenter.predict(square)
    work = {"ours": segmenter.forward, "whole": lambda: segmenter.predict(square)}
    times = interleaved(work, rounds)
    note = "PraNet 30.5 M parameters, fp32, folded; whole: from a 1080 x 1080 frame to instances"
    forward = row_of("pranet forward 352x352", times, note)
    return [forward, row_of("pranet frame to instances", times, note, ours="whole")]
