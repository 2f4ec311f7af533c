"""A run in its folder: asked to finish, on a full disk, short of memory, taken by another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.cli.main import run as command
from app.core.errors import BadInput, EnvironmentProblem
from app.learning import runs
from app.learning.recipes import Recipe, read_recipe
from app.learning.run_view import ask_to_finish, read_run
from models import create_model
from models.checkpoint import read_tensors
from tests.helpers.full_disk import full_disk
from tests.learning.test_train import TINY


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return read_recipe(str(path))


def with_train(recipe: Recipe, **settings: Any) -> Recipe:
    return replace(recipe, train={**recipe.train, **settings})


def trained(recipe: Recipe, folder: Path, **more: Any) -> runs.RunEnd:
    return runs.train(recipe, [], folder, device="cpu", on_progress=lambda _: None, **more)


def test_a_run_is_asked_to_finish_and_becomes_a_model_all_the_same(
    recipe: Recipe, tmp_path: Path
) -> None:
    long = with_train(recipe, steps=400)
    folder = tmp_path / "run"
    end = runs.train(long, [], folder, device="cpu", on_progress=lambda _: ask_to_finish(folder))
    assert (end.ended, end.steps) == ("stopped", 1)
    assert read_run(folder).state == "stopped"
    assert (folder / "result.safetensors").exists()
    assert not (folder / "finish").exists()
    assert trained(long, folder) == end


def test_a_disk_that_is_full_is_said_and_the_run_goes_on_later(
    recipe: Recipe, tmp_path: Path
) -> None:
    often = with_train(recipe, steps=2, save_every=1)
    folder = tmp_path / "run"
    with full_disk(), pytest.raises(EnvironmentProblem, match=r"cannot be saved .*free some space"):
        trained(often, folder)
    assert read_run(folder).state == "failed"
    assert not list(folder.glob("*.part"))
    end = trained(often, folder)
    assert (end.ended, end.steps) == ("done", 2)
    assert [step for step, _ in read_run(folder).columns["loss"]] == [1, 2]


def holding(examples: int) -> torch.nn.Module:
    """The recipe's network on a device whose memory holds so many examples."""
    made = create_model("lmsf_a", num_classes=1, width=0.125, depth=0.1)

    def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > examples:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    made.register_forward_pre_hook(hook)
    return made


def test_memory_that_is_short_is_told_with_the_result(recipe: Recipe, tmp_path: Path) -> None:
    end = trained(with_train(recipe, steps=1), tmp_path / "run", network=holding(1))
    assert end.ended == "done"
    assert end.device.endswith("batches in 2 pieces where memory was short")
    assert read_run(tmp_path / "run").pieces == 2


def test_memory_that_holds_no_picture_is_one_sentence(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="even for one picture at a time"):
        trained(recipe, tmp_path / "run", network=holding(0))
    assert read_run(tmp_path / "run").state == "failed"


def test_two_processes_do_not_train_in_one_folder(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    note = {"pid": os.getppid(), "host": socket.gethostname(), "utc_ms": time.time_ns() // 10**6}
    (folder / "process.json").write_text(json.dumps(note))
    with pytest.raises(BadInput, match=f"going on in process {os.getppid()}"):
        trained(recipe, folder)


def test_patience_needs_something_to_measure_on(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="something held out"):
        trained(with_train(recipe, patience=3), tmp_path / "run")


@pytest.mark.long
def test_two_processes_share_the_batches_of_a_recipe(tmp_path: Path) -> None:
    """Torch's own launcher; what comes out is one model, and the run goes on by one process."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace("steps = 3", "steps = 2"))
    out = tmp_path / "run"
    arguments = ["train", str(path), "--out", str(out), "--device", "cpu", "--json"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "--master-port", "29571", "-m", "app", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("{")]
    assert json.loads(line)["epochs"] == 2
    assert [step for step, _ in read_run(out).columns["loss"]] == [1, 2]
    for left in ("result.safetensors", "run.json"):
        (out / left).unlink()
    assert command(arguments) == 0
    tensors, _ = read_tensors(out / "result.safetensors")
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
