"""Exports are made once for all tests here: each takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.inference.device import DeviceChoice
from app.inference.engines.kinds import kind_of, why_absent

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
SIZE_PX = (192, 128)


def needed(key: str) -> None:
    """Skip where an engine's packages are not installed."""
    if why := why_absent(kind_of(key), "cpu"):
        pytest.skip(why)


def picture(seed: int = 0) -> np.ndarray:
    """Noise, uint8 (128, 192, 3): the network of these tests finds something in it."""
    return np.random.default_rng(seed).integers(0, 255, (SIZE_PX[1], SIZE_PX[0], 3), np.uint8)


def damaged(path: Path, to: Path) -> Path:
    """The same network with the weights of its last convolution over boxes halved."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    name = next(i.name for i in model.graph.initializer if i.name.endswith("head.box.weight"))
    held = next(i for i in model.graph.initializer if i.name == name)
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held) * 0.5 + 0.1, name))
    onnx.save(model, to)
    return to


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that these tests share."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def shared_cache(own_library: Path, exports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Engines find their files in the shared cache."""
    monkeypatch.setenv("TROCAR_CACHE", str(exports))
    return exports
