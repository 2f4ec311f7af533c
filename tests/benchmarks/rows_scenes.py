"""EndoARSS's rows: a frame to its activity and areas, and to areas alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import models
from app.inference.areas import SceneReader
from app.inference.device import DeviceChoice, choose_device
from models.card import ModelCard, ModelClass
from tests.benchmarks import material
from tests.benchmarks.measure import Row, interleaved, row_of

CPU = DeviceChoice(device="cpu", name="processor", reason="bench", memory_mb=0)
SIDE_PX = 224
AREAS = ("background", "tool", "tissue", "bag", "clip", "blood", "smoke")
ACTIVITIES = ("marking", "injection", "dissection")


def scenes(rounds: int) -> list[Row]:
    """The published form (ViT-B/14, random weights) and the demo, on the processor and on a card
    where there is one."""
    with tempfile.TemporaryDirectory() as folder:
        demo = [c for c in models.list_cards() if c.name == "endoarss-demo"]
        cards = [_published(Path(folder)), *demo]
        places = {CPU.device: CPU, (best := choose_device()).device: best}
        return [
            row
            for place in places.values()
            for card in cards
            for row in _rows(SceneReader(card, place, threads=1), rounds)
        ]


def _rows(reader: SceneReader, rounds: int) -> list[Row]:
    picture = material.frame()
    times = interleaved(
        {
            "both": lambda: reader.read(picture),
            "areas": lambda: reader.read(picture, activity=False),
        },
        rounds,
    )
    width, height = reader.card.input_size_px
    what = f"{reader.card.name} {width}x{height} {reader.device.device}"
    note = "1080p frame to activity and areas, fp32, one thread"
    alone = "the frames between an analysis's seconds; peer: activity too"
    return [
        row_of(f"{what} both", times, note, ours="both"),
        row_of(f"{what} areas", times, alone, ours="areas", peer="both", peer_name="both tasks"),
    ]


def _published(folder: Path) -> ModelCard:
    card = ModelCard(
        name="endoarss-vitb14",
        title="Published form",
        system="endoarss",
        task="activity-and-segmentation",
        classes=tuple(ModelClass(key=key, name=key) for key in AREAS),
        activities=tuple(ModelClass(key=key, name=key) for key in ACTIVITIES),
        input_size_px=(SIDE_PX, SIDE_PX),
    )
    torch.manual_seed(0)
    return models.save_model(models.create_model("endoarss"), card, folder)
