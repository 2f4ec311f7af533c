"""Settings: written at once, read back, tolerant of anything a file can hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.settings import FILE, Settings, Values


def test_changes_are_there_next_time(tmp_path: Path) -> None:
    Settings(tmp_path).set(theme="light", fill=0.1, models={"phase-recognition": "x"})
    values = Settings(tmp_path).values
    assert (values.theme, values.fill, values.models) == ("light", 0.1, {"phase-recognition": "x"})


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"theme"', "\x00\x01"])
def test_a_broken_file_is_put_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    settings = Settings(tmp_path)
    assert settings.values == Values()
    assert settings.quarantined is not None
    assert settings.quarantined.read_text(encoding="utf-8") == content
    settings.set(theme="light")
    assert Settings(tmp_path).values.theme == "light"


def test_a_second_broken_file_does_not_replace_the_first(tmp_path: Path) -> None:
    kept = []
    for content in ("{", "["):
        (tmp_path / FILE).write_text(content, encoding="utf-8")
        kept.append(Settings(tmp_path).quarantined)
    assert kept[0] != kept[1]
    assert [p.read_text(encoding="utf-8") for p in kept if p] == ["{", "["]


def test_bytes_that_are_no_text_are_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\xff")
    assert Settings(tmp_path).quarantined is not None


def test_values_of_the_wrong_type_are_left_out(tmp_path: Path) -> None:
    data = {"theme": 3, "fill": "much", "analyse_at_once": 1, "workspace": "review", "new": True}
    (tmp_path / FILE).write_text(json.dumps(data), encoding="utf-8")
    settings = Settings(tmp_path)
    assert settings.values == Values(workspace="review")
    assert settings.quarantined is None


def test_a_wrong_name_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Settings(tmp_path).set(colour="red")


def test_a_folder_that_cannot_be_written_loses_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    settings = Settings(blocked / "inside")
    settings.set(theme="light")
    assert settings.values.theme == "light"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_json_can_be_read(value: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_text(json.dumps({"theme": value}), encoding="utf-8")
        assert isinstance(Settings(Path(folder)).values.theme, str)
