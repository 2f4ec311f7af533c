"""Taxonomies: those that ship are read once, a damaged file has a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import BadInput
from app.core.taxonomy import (
    UNKNOWN_PROCEDURE,
    find_taxonomy,
    in_cholec80_order,
    list_taxonomies,
    read_taxonomy,
    taxonomy_naming,
)


def test_those_that_ship_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = list_taxonomies()
    assert {"cholecystectomy", UNKNOWN_PROCEDURE} <= {t.procedure for t in known}

    def no_reading(_path: Path, **_: object) -> str:
        raise AssertionError("a file was read")

    monkeypatch.setattr(Path, "read_text", no_reading)
    assert find_taxonomy("cholecystectomy").procedure == "cholecystectomy"
    assert find_taxonomy("there is none").procedure == UNKNOWN_PROCEDURE


def test_cholec80s_phases_stand_in_its_order() -> None:
    """Its numbers 0 to 6 (specs: annotation-formats, section 1), which relaxed borders count by."""
    keys = [
        "preparation",
        "calot_triangle_dissection",
        "clipping_cutting",
        "gallbladder_dissection",
        "gallbladder_packaging",
        "cleaning_coagulation",
        "gallbladder_retraction",
    ]
    assert [phase.key for phase in find_taxonomy("cholecystectomy").phases] == keys
    assert in_cholec80_order(keys)
    assert not in_cholec80_order(keys[::-1])
    assert not in_cholec80_order(keys[:6])


def test_an_unnamed_operation_is_named_by_the_taxonomy_that_has_its_phases() -> None:
    shared = "cleaning_coagulation"  # of two operations, in two colours
    owners = [t for t in list_taxonomies() if t.phase(shared)]
    assert len({t.phase(shared).colour for t in owners}) > 1  # type: ignore[union-attr]
    for owner in owners:
        keys = {p.key for p in owner.phases}
        assert taxonomy_naming(UNKNOWN_PROCEDURE, keys) is owner
    assert taxonomy_naming("hysterectomy", {shared}).procedure == "hysterectomy"
    assert taxonomy_naming(UNKNOWN_PROCEDURE, {"lunch"}).procedure == UNKNOWN_PROCEDURE
    assert taxonomy_naming(UNKNOWN_PROCEDURE, ()).procedure == UNKNOWN_PROCEDURE


@pytest.mark.parametrize(
    "text",
    ["not toml [", 'procedure = "p"', 'procedure = "p"\nname = "n"\nversion = 1\nphases = [1]'],
)
def test_a_file_that_is_no_taxonomy_has_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine\.toml cannot be read"):
        read_taxonomy(path)
