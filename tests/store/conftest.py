"""A small open library and the damage that tests do to files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from app.core.case import Case
from app.store import Library
from tests.helpers.human_work import asset

open_small = partial(Library.open, ballast_bytes=64 * 1024)


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    """A library open for writing."""
    with open_small(own_library) as opened:
        yield opened


@pytest.fixture
def case(library: Library) -> Case:
    """A case with one recording."""
    return library.writer.create_case("Case one", "unknown", (asset(),)).result()
