"""What every command prints: JSON that is JSON, and progress where no bar can be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.cli.common import emit, progress


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
