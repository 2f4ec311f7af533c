"""``trocar find``: by a case and a time, with filters, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run
from tests.helpers.human_work import asset
from tests.helpers.seen_cases import directions, say_phases, seen_case
from tests.store.conftest import open_small


@pytest.fixture
def cases(own_library: Path) -> tuple[str, str]:
    """Two cases that share one moment, and one that other weights saw."""
    one, two = directions(60, seed=1), directions(60, seed=2)
    two[41] = one[20]
    with open_small(own_library) as library:
        first = seen_case(library, "one", one)
        second = seen_case(library, "two", two)
        store = library.predictions(second.case_id)
        say_phases(library, second, store.runs()[0].run_id, 30)
        seen_case(library, "three", one, weights="b" * 64)
    return first.case_id, second.case_id


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert run(["find", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_as_json(cases: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = cases
    data = found(capsys, one, "--at", "20")
    assert data["model"] == "eye"
    assert data["seconds_searched"] == 120
    assert data["cases_lacking"] == ["0003"]
    best = data["moments"][0]
    assert (best["case"], best["seconds"], best["recording"]) == (two, 41.0, 1)
    assert (best["phase"], best["phase_by"]) == ("clipping_cutting", "model")
    assert best["similarity"] > 0.99
    assert found(capsys, "--like", f"{one}@20") == data
    assert found(capsys, one, "--at", "0:20") == data
    assert found(capsys, one, "--at", "frame 33") != data


def test_filters(cases: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = cases
    for word in ("preparation", "Preparation", "PREPARATION"):
        data = found(capsys, one, "--at", "20", "--phase", word, "--limit", "50")
        assert {m["phase"] for m in data["moments"]} == {"preparation"}
        assert all(m["seconds"] < 30 for m in data["moments"])
    data = found(capsys, one, "--at", "20", "--case", one, "--limit", "3")
    assert [m["case"] for m in data["moments"]] == [one] * 3


def test_in_words(cases: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = cases
    assert run(["find", one, "--at", "20", "--limit", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == [two, "0:41", "1.00"]
    assert "Clip and cut" in lines[0]
    assert "120 seconds" in lines[1]
    assert "0003" in lines[2]


def test_a_filter_that_leaves_nothing_is_said(
    cases: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = cases
    assert run(["find", one, "--at", "20", "--case", one, "--phase", "Preparation"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "No moment passes these filters."


def test_what_cannot_be_found(cases: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = cases
    for arguments, words in (
        ((one, "--at", "61"), "goes from"),
        ((one, "--at", "20", "--phase", "lunch"), "there are: Preparation, Clip and cut."),
        ((one, "--at", "20", "--instrument", "hook"), "none"),
        ((one, "--at", "20", "--model", "ear"), "eye has"),
        ((one, "--at", "20", "--case", "0099"), "0099"),
        (("0099", "--at", "20"), "0099"),
    ):
        assert run(["find", *arguments]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert len(said.splitlines()) == 1
    assert run(["find", "--at", "20"]) == 2
    assert run(["find", "--like", "20"]) == 2
    assert run(["find", one, "--at", "20", "--like", f"{two}@20"]) == 2


def test_a_case_that_nobody_analysed(
    own_library: Path, clip_case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["find", clip_case, "--at", "1"]) == 1
    assert "trocar analyze" in capsys.readouterr().err


@pytest.fixture
def clip_case(own_library: Path) -> str:
    with open_small(own_library) as library:
        return library.writer.create_case("one", "unknown", (asset(),)).result().case_id
