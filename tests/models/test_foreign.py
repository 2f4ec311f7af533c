"""Pickled weights: plain ones are read; code, packing and odd tensors are refused."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from models.errors import CheckpointError
from models.foreign import read_pickled


class Trap:
    """What runs when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.sentinel,))  # type: ignore[return-value]


def test_weights_with_a_trainers_options_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint-499.pth"
    weights = {"model": {"a": torch.arange(6.0)}, "epoch": 499}
    torch.save({**weights, "args": argparse.Namespace(lr=1e-3)}, file)
    found = read_pickled(file)
    assert torch.equal(found["model"]["a"], torch.arange(6.0))
    assert found["epoch"] == 499


@pytest.mark.parametrize("place", ["beside", "among the weights"])
def test_code_is_never_run(tmp_path: Path, place: str) -> None:
    sentinel, file = tmp_path / "ran", tmp_path / "trap.pth"
    trap = Trap(sentinel)
    torch.save({"model": {"a": trap if place != "beside" else torch.ones(1)}, "x": trap}, file)
    with pytest.raises(CheckpointError, match="more than weights"):
        read_pickled(file)
    assert not sentinel.exists()


def test_a_packed_file_is_refused(tmp_path: Path) -> None:
    stored, packed = tmp_path / "stored.pth", tmp_path / "packed.pth"
    torch.save({"a": torch.zeros(1 << 16)}, stored)
    with zipfile.ZipFile(stored) as one, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as two:
        for entry in one.namelist():
            two.writestr(entry, one.read(entry))
    with pytest.raises(CheckpointError, match="is packed"):
        read_pickled(packed)


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(1).expand(1000, 1000),
        torch.eye(4).to_sparse(),
        torch.arange(12.0).reshape(3, 4).T,
    ],
    ids=["stride 0", "sparse", "strided"],
)
@pytest.mark.filterwarnings("ignore")
def test_odd_tensors_are_refused(tmp_path: Path, odd: torch.Tensor) -> None:
    file = tmp_path / "odd.pth"
    torch.save({"model": {"a": [odd]}}, file)
    with pytest.raises(CheckpointError, match="unusual kind"):
        read_pickled(file)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save({"model": {"a": torch.zeros(1000)}}, whole)
    content = whole.read_bytes()
    for name, bad in {
        "cut.pth": content[:2000],
        "empty.pth": b"",
        "bare.pth": pickle.dumps({"a": 1}),
        "text.pth": b"weights",
    }.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(CheckpointError, match=name):
            read_pickled(tmp_path / name)
    torch.save([torch.zeros(1)], whole)
    with pytest.raises(CheckpointError, match="no dictionary"):
        read_pickled(whole)
