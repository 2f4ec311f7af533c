"""`trocar models table`: what is counted stands beside what the paper prints."""

from __future__ import annotations

import json

import pytest

from app.cli.main import run
from models.lmsf_a.table import Count


def test_the_command_prints_every_row_beside_the_paper(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting itself is tested with the network; here each row has the same small count."""
    from models.lmsf_a import table

    small = Count(parameters=9, fused_parameters=8, gflops=7, fused_gflops=6, true_gflops=5)
    monkeypatch.setattr(table, "count", lambda _options: small)
    monkeypatch.setattr(table, "cpu_ms", lambda _options: 41.6)
    assert run(["models", "table", "--time", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [e["table"] for e in found] == ["III"] * 8 + ["V"] * 8 + ["VI"] * 5 + ["VIII"] * 4
    assert all(("counted" in e) == (e["options"] is not None) for e in found[8:])
    assert found[8]["cpu_ms"] == 41.6
    assert run(["models", "table", "--time"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Table ") for line in lines) == 4
    assert any(line.split() == ["YOLOv8n-seg", "72.0", "40.9", "8"] for line in lines)
    (plain,) = (line for line in lines if line.startswith("SE "))
    assert plain.split()[1:7] == ["9", "8", "7.000", "6.000", "5.00", "42"]
    assert "3.2 M 10.2 G 180.2 /s; after folding; the parameters are a slip" in plain
