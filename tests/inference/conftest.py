"""Real networks with random weights, biased so that they find something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import models
from models.card import ModelCard, ModelClass

CLASSES = (ModelClass(key="grasper", name="Grasper"), ModelClass(key="hook", name="Hook"))
PHASES = tuple(ModelClass(key=k, name=k.title()) for k in ("prepare", "dissect", "extract"))


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save_instruments(root: Path, name: str = "tools", seed: int = 5) -> ModelCard:
    """A tiny LMSF-A that finds some instances in any picture."""
    torch.manual_seed(seed)
    options = {"num_classes": 2, "width": 0.125, "depth": 0.1}
    network = models.create_model("lmsf_a", **options)
    with torch.no_grad():
        network.head.classify.weight.mul_(20)
        network.head.classify.bias.fill_(-1.5)
        for branch in network.head.coefficients:
            branch[-1].weight.mul_(20)
    card = ModelCard(
        name=name,
        title="Tools",
        system="lmsf_a",
        options=options,
        task="instance-segmentation",
        classes=CLASSES,
        input_size_px=(192, 128),
        thresholds={"score": 0.3, "overlap": 0.3, "max_instances": 6.0},
        demo=True,
        licence="Apache-2.0",
    )
    return models.save_model(network, card, root)


def save_phases(root: Path, name: str = "phases", seed: int = 7) -> ModelCard:
    """A micro EndoMamba whose answer depends on what it saw before."""
    torch.manual_seed(seed)
    options = {"width": 32, "depth": 4, "image_size": 64, "num_classes": 3}
    network = models.create_model("endomamba", **options)
    with torch.no_grad():
        network.head.weight.mul_(40)
    card = ModelCard(
        name=name,
        title="Phases",
        system="endomamba",
        options=options,
        task="phase-recognition",
        classes=PHASES,
        input_size_px=(64, 64),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
        frames_per_second=1.0,
    )
    return models.save_model(network, card, root)


@pytest.fixture(scope="session")
def instruments(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A saved instrument model."""
    return save_instruments(tmp_path_factory.mktemp("instruments"))


@pytest.fixture(scope="session")
def phases(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A saved phase model."""
    return save_phases(tmp_path_factory.mktemp("phases"))


def save_reader(
    root: Path, system: str, task: str = "phase-recognition", **options: object
) -> ModelCard:
    """A network that reads what the model "phases" stores."""
    torch.manual_seed(9)
    options = {"in_features": 32, "num_classes": 3, **options}
    card = ModelCard(
        name=system,
        title=system.upper(),
        system=system,
        options=options,
        task=task,
        classes=PHASES,
        causal=system != "sprmamba",
        features_of="phases",
        frames_per_second=1.0,
        created="2030-01-01",
    )
    return models.save_model(models.create_model(system, **options), card, root)
