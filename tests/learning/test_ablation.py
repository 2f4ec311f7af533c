"""Runs of the ablation's networks are ranked where all had one budget."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.cli import tables
from app.core.errors import BadInput
from app.learning.ablation import reached
from app.learning.runs import RunEnd, claim
from models.lmsf_a.table import SWITCHES, Count


def write_run(root: Path, name: str, map50_95: float, **changes: Any) -> None:
    plan: dict[str, Any] = {
        "name": name,
        "title": name,
        "system": "lmsf_a",
        "options": {"num_classes": 1},
        "train": {"steps": 5, "seed": 1},
        "data": {"phantom_share": 0.0, "seed": 1},
        "pictures": ["a/b"],
        **changes,
    }
    claim(root / name, plan)
    best = {"map50": map50_95 + 0.2, "map50_95": map50_95}
    end = RunEnd(steps=5, seconds=1.0, ended="done", best=best)
    (root / name / "run.json").write_text(json.dumps(asdict(end)))


PLAIN = {"num_classes": 1, "c2f_pro": False, "neck": False, "lmsh": False}


def test_means_by_network_and_ranks_in_the_table(tmp_path: Path) -> None:
    write_run(tmp_path, "full", 0.5)
    write_run(tmp_path, "full-2", 0.6, train={"steps": 5, "seed": 2})
    write_run(tmp_path, "plain", 0.7, options=PLAIN)
    (tmp_path / "unfinished").mkdir()
    found = reached(tmp_path, SWITCHES)
    assert found.keys() == {(True, True, True), (False, False, False)}
    full = found[True, True, True]
    assert full.runs == 2
    assert full.figures == pytest.approx({"map50": 0.75, "map50_95": 0.55})
    entry = tables._scored(found, (True, True, True))["measured"]
    assert (entry["rank"], entry["of"]) == (2, 2)
    assert tables._scored(found, (True, False, True)) == {}


def test_what_cannot_be_ranked_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no folder of a finished LMSF-A run"):
        reached(tmp_path, SWITCHES)
    write_run(tmp_path, "full", 0.5)
    write_run(tmp_path, "longer", 0.5, train={"steps": 6, "seed": 1}, options=PLAIN)
    with pytest.raises(BadInput, match="different pictures or settings"):
        reached(tmp_path, SWITCHES)
    (tmp_path / "longer" / "plan.json").unlink()
    with pytest.raises(BadInput, match="longer holds no plan"):
        reached(tmp_path, SWITCHES)


def test_the_command_prints_every_row_beside_the_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting itself is tested with the network; here each row has the same small count."""
    from models.lmsf_a import table

    small = Count(parameters=9, fused_parameters=8, gflops=7, fused_gflops=6, true_gflops=5)
    monkeypatch.setattr(table, "count", lambda _options: small)
    monkeypatch.setattr(table, "cpu_ms", lambda _options: 41.6)
    write_run(tmp_path, "plain", 0.7, options=PLAIN)
    tables.table(time=True, runs=tmp_path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [e["table"] for e in found] == ["III"] * 8 + ["V"] * 8 + ["VI"] * 5 + ["VIII"] * 4
    assert found[0]["measured"]["figures"]["map50_95"] == pytest.approx(0.7)
    assert all(("counted" in e) == (e["options"] is not None) for e in found[8:])
    assert found[8]["cpu_ms"] == 41.6
    tables.table(time=True, runs=tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Table ") for line in lines) == 4
    assert any(line.split()[:6] == ["YOLOv8n-seg", "72.0", "40.9", "8", "90.0", "70.0"]
               for line in lines)  # fmt: skip
    (plain,) = (line for line in lines if line.startswith("SE "))
    assert plain.split()[1:7] == ["9", "8", "7.000", "6.000", "5.00", "42"]
    assert "3.2 M 10.2 G 180.2 /s; after folding; the parameters are a slip" in plain
