"""``trocar bench`` measures something in every row and never judges speed."""

from __future__ import annotations

import json

import pytest

from app.cli.main import run


def test_rows_come_with_machine_unit_and_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--rows", "post,overlay", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["machine"]["versions"]["torch"]
    assert report["machine"]["cores"] >= 1
    rows = {r["row"]: r for r in report["rows"]}
    assert len(rows) == len(report["rows"]) > 1, "every row has a name of its own"
    assert {name.split()[0] for name in rows} == {"post", "overlay"}
    for row in rows.values():
        assert row["ours"] > 0
        assert row["unit"] == "CPU-ms"
        assert row["note"]
        assert (row["peer"] is None) == (row["ratio"] is None)


def test_an_unknown_row_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--rows", "coffee"]) == 1
    assert "There is no row “coffee”" in capsys.readouterr().err


@pytest.mark.long
def test_every_row_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--rounds", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) >= 11
    missing = {r["row"]: r["note"] for r in rows if r["ours"] is None}
    assert {row.split(",")[0] for row in missing} <= {"engine cuda-graph", "engine openvino-gpu"}
    assert all(missing.values()), "a row without a figure says why"
