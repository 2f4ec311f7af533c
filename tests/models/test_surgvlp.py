"""SurgVLP's image tower: counts, the released layout, directions; files of prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from models.endonet.convert import is_endonet
from models.errors import CheckpointError, ModelError, OptionError
from models.prompts import MOST, read_prompt_file, read_prompts, write_prompts
from models.surgvlp import SurgVlp
from models.surgvlp.convert import convert, has_text_tower, is_surgvlp


@pytest.fixture(scope="module")
def released() -> dict[str, Tensor]:
    """A file of the published layout, its text tower hinted at."""
    torch.manual_seed(4)
    tower = SurgVlp().state_dict()
    return {
        **{f"backbone_img.{name}": value for name, value in tower.items()},
        "backbone_img.model.fc.weight": torch.zeros(3, 2048),
        "backbone_text.model.embeddings.word_embeddings.weight": torch.zeros(8, 4),
    }


def test_counts() -> None:
    network = SurgVlp()
    assert sum(p.numel() for p in network.parameters()) == 25_081_664
    assert network.feature_channels == 768
    with pytest.raises(OptionError):
        SurgVlp(embedding=0)


def test_the_released_layout_loads_whole(released: dict[str, Tensor]) -> None:
    for prefix in ("", "module."):
        file = {prefix + name: value for name, value in released.items()}
        assert is_surgvlp(file)
        assert not is_endonet(file)
        options, network, report = convert({"state_dict": file} if prefix else file)
        assert options == {"embedding": 768}
        assert (len(report.loaded), report.missing) == (320, ())
        assert len(report.unexpected) == 2
        assert has_text_tower(report)
        state = network.state_dict()
        for name, value in state.items():
            assert torch.equal(value.float(), released[f"backbone_img.{name}"].float()), name
    lacking = {k: v for k, v in released.items() if not k.endswith("layer1.0.conv1.weight")}
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, model\.layer1\.0\.conv1"):
        convert(lacking)
    assert not is_surgvlp({"model": {"conv1.weight": torch.zeros(64, 3, 7, 7)}})


def test_directions_have_length_one(released: dict[str, Tensor]) -> None:
    network = convert(released)[1].eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = network(images)
        by_hand = network.global_embedder(network.model(images))
    assert found.shape == (2, 768)
    assert torch.allclose(found.norm(dim=1), torch.ones(2), atol=1e-6)
    cosines = torch.nn.functional.cosine_similarity(found, by_hand)
    assert torch.allclose(cosines, torch.ones(2), atol=1e-6)
    for odd in (torch.rand(3, 64, 64), torch.rand(1, 1, 64, 64), torch.rand(1, 3, 16, 64)):
        with pytest.raises(ModelError, match="SurgVLP takes RGB pictures"):
            network(odd)


def test_prompts_come_as_a_pair_or_by_name(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    words = ("a clip is applied", "the bag is closed")
    np.savez(tmp_path / "pair.npz", names=np.array(words), vectors=vectors)
    np.savez(tmp_path / "each.npz", **dict(zip(words, vectors, strict=True)))
    save_file(dict(zip(words, vectors, strict=True)), tmp_path / "each.safetensors")
    for file in ("pair.npz", "each.npz", "each.safetensors"):
        found = read_prompt_file(tmp_path / file, 6)
        assert set(found) == set(words)
        for name, vector in zip(words, vectors, strict=True):
            assert np.allclose(found[name], vector / np.linalg.norm(vector), atol=1e-6)
    assert read_prompts(tmp_path) == {}
    write_prompts(found, tmp_path)
    again = read_prompts(tmp_path)
    assert all(np.array_equal(again[name], found[name]) for name in words)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"names": np.array(["a", "a"]), "vectors": np.ones((2, 6))}, "the same words"),
        ({"names": np.array(["a"]), "vectors": np.ones((2, 6))}, "as many words"),
        ({"a": np.ones(5)}, "needs 6 decimal numbers"),
        ({"a": np.ones(6, np.int64)}, "needs 6 decimal numbers"),
        ({"a": np.zeros(6)}, "no direction"),
        ({"a": np.array([np.nan, 1, 1, 1, 1, 1])}, "no direction"),
        ({" ": np.ones(6)}, "no words"),
        ({"a" * 301: np.ones(6)}, "300 letters"),
        ({}, "holds 0 prompts"),
        ({"names": np.arange(MOST + 1).astype(str), "vectors": np.ones((MOST + 1, 6))}, "10,000"),
        ({"a": np.array([None] * 6)}, "cannot be read"),
    ],
)
def test_prompts_that_do_not_fit(tmp_path: Path, arrays: dict, said: str) -> None:
    np.savez(tmp_path / "prompts.npz", **arrays)
    with pytest.raises(CheckpointError, match=said):
        read_prompt_file(tmp_path / "prompts.npz", 6)


def test_files_that_are_no_prompts(tmp_path: Path) -> None:
    for name, content in (("a.npz", b"x"), ("a.safetensors", b"\0" * 20), ("a.txt", b"words")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\."):
            read_prompt_file(tmp_path / name)
    with pytest.raises(CheckpointError, match="There is no file"):
        read_prompt_file(tmp_path / "none.npz")
