"""The bounded JSON reader refuses what would lie or hang."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.exchange.jsonfile import read_json


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        "{",
        "[" * 200_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=["nan", "infinite", "twice", "cut", "deep", "long number"],
)
def test_refused_with_the_file_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"labels\.json"):
        read_json(file)


@pytest.mark.parametrize("text", ['{"a": [1, 2', '{"a": "wor', '{"a": 1,', '[{"a": 1}'])
def test_a_file_that_was_cut_is_said_to_be(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"labels\.json ends in the middle"):
        read_json(file)


def test_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"a": [1, 2.5]}')
    assert read_json(file) == {"a": [1, 2.5]}


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.json is not there\."):
        read_json(tmp_path / "absent.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(BadInput, match=r"folder\.json cannot be read\."):
        read_json(tmp_path / "folder.json")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("any") / "labels.json"
    file.write_bytes(data)
    with contextlib.suppress(BadInput):
        read_json(file)
