"""A disk that takes no more, as the operating system says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# The log of SQLite cannot take one page; settings and other small files still can be written.
ROOM_BYTES = 4000


@contextmanager
def full_disk(room_bytes: int = ROOM_BYTES) -> Iterator[None]:
    """Every write of this process past ``room_bytes`` of a file fails."""
    resource = pytest.importorskip("resource", reason="file size limits are of Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def allow_all() -> None:
    """There is room again."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
