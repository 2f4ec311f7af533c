"""``trocar engines`` measures what computes, and ``trocar analyze`` takes an engine by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run
from app.inference.engines import kinds
from tests.inference.conftest import save_instruments


def trocar(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command: status, stdout, stderr."""
    status = run(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_ladder_is_measured_kept_and_told(
    own_library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_instruments(own_library / "models")
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)  # as where no extra is installed
    options = ("--device", "cpu", "--threads", "1", "--json")
    status, out, _ = trocar(capsys, "engines", "tools", *options)
    assert status == 0
    ladder = json.loads(out)
    rungs = {r["engine"]: r for r in ladder["rungs"]}
    assert list(rungs) == [k.key for k in kinds.KINDS]
    assert rungs["torch"]["passed"]
    assert rungs["torch"]["ms"] > 0
    assert rungs["openvino"]["words"].endswith("“pip install trocar[openvino]” brings it.")
    assert rungs["openvino"]["ms"] is None
    assert ladder["usable"][-1] == "torch"


def test_an_engine_that_there_is_not_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("analyze", "clip.mp4"), ("engines", "lmsf-a-demo")):
        status, _, said = trocar(capsys, *command, "--engine", "abacus")
        assert status == 1
        assert said.startswith("There is no engine “abacus”; there are auto, torch, ")
        assert said.count("\n") == 1


def test_engines_are_for_outlines(own_library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = trocar(capsys, "engines", "endomamba-demo")
    assert status == 1
    assert said == "endomamba-demo is made for phase-recognition; engines are for outlines.\n"
