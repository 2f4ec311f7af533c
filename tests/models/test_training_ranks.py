"""Two processes of torch's launcher learn what one learns from the same batches."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.checkpoint import read_tensors
from models.training import Trainer
from models.training.ranks import agreed, any_of, joined, ranks, share_gradients
from tests.models.test_training import CONFIG, batches, loss_of, plain, summed

CODE = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from models.checkpoint import save_weights
from models.training import Trainer
from models.training.ranks import joined, ranks
from tests.models.test_training import CONFIG, batches, loss_of, plain, summed

folder, loss = Path(sys.argv[1]), {"mean": loss_of, "sum": summed}[sys.argv[2]]

def mine(first):
    part = slice(ranks().rank, None, ranks().count)
    for x, y in batches(first):
        yield x[part], y[part]

with joined(torch.device("cpu")) as me:
    config = replace(CONFIG, steps=int(sys.argv[3]), accumulate=2, average_decay=0)
    trainer = Trainer(plain(), config, folder)
    trainer.resume()
    stop = (lambda: trainer.step == 6) if me.is_first else (lambda: False)
    trainer.run(mine, loss, should_stop=stop if trainer.step == 0 else (lambda: False))
    if me.is_first:
        save_weights(trainer.result_network, folder / "end.safetensors")
"""


def launch(folder: Path, loss: str, port: int) -> None:
    (folder / "lesson.py").write_text(CODE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*launcher, "--master-port", str(port), str(folder / "lesson.py"), str(folder), loss, "12"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("name", "loss"), [("mean", loss_of), ("sum", summed)])
def test_two_processes_learn_as_one_and_go_on_after_a_stop(
    tmp_path: Path, name: str, loss: object
) -> None:
    port = 29573 if name == "sum" else 29575
    for _ in range(2):  # stopped by the first process alone at step 6, then to the end
        launch(tmp_path, name, port)
    config = replace(CONFIG, steps=12, accumulate=2, average_decay=0)
    whole = Trainer(plain(), config).run(batches, loss)
    tensors, _ = read_tensors(tmp_path / "end.safetensors")
    for key, value in whole.network.state_dict().items():
        assert torch.allclose(value, tensors[key], atol=1e-5), key


def test_one_process_alone_asks_nobody() -> None:
    with joined(torch.device("cpu")) as mine:
        assert (mine.rank, mine.count, mine.is_first) == (0, 1, True)
        assert agreed([2.0, 0.5], torch.device("cpu")) == [2.0, 0.5]
        assert not any_of(False, torch.device("cpu"))
        share_gradients(plain().parameters(), added=True)


def test_the_launcher_says_which_one_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert (ranks().rank, ranks().count, ranks().local, ranks().is_first) == (5, 8, 1, False)
