"""What every command prints: JSON that is JSON, and progress where no bar can be drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from app import __version__
from app.cli.common import emit, progress, training_report
from app.cli.main import run
from models.training import Progress

PROJECT = Path(__file__).resolve().parents[2]


def test_what_cannot_be_measured_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"map50": float("nan"), "best": [np.float32("inf"), np.int64(3), 0.5], "at": Path("a")}
    emit(rows, as_json=True)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "map50": None,
        "best": [None, 3, 0.5],
        "at": "a",
    }


def test_what_has_no_words_in_json_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TypeError):
        emit({"case": object()}, as_json=True)


@pytest.mark.parametrize("quiet", [True, False])
def test_progress_without_a_terminal_is_a_line_per_tenth(
    capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    with progress("Counting", quiet=quiet) as bar:
        for number in range(101):
            bar.update(bar.task_ids[0], completed=number, total=100)
    said = capsys.readouterr()
    assert said.out == ""
    wanted = [] if quiet else [f"Counting: {10 * n} %" for n in range(11)]
    assert said.err.splitlines() == wanted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_output_that_takes_no_more_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = trocar(stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("The result could not be printed")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise on Windows")
def test_a_reader_that_goes_away_is_no_error_to_talk_about() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = trocar(stdout=gone)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise on Windows")
def test_a_training_goes_on_when_nobody_reads_what_it_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = os.pipe()
    os.close(read)
    now = Progress(step=1, steps=2, loss=1.0, parts={}, learning_rate=1e-3, seconds=1.0)
    with os.fdopen(write, "w") as gone, progress("Teaching", quiet=True) as bar:
        monkeypatch.setattr(sys, "stdout", gone)
        tell = training_report(bar, lines=True)
        tell(now)
        tell(now)
        emit({"model": "mine"}, as_json=True)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"Trocar {__version__}\n"


def trocar(stdout: TextIO) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "models", "list", "--json"]
    return subprocess.run(
        command, cwd=PROJECT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120
    )
