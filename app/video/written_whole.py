"""Files that have their name only when they are whole. Any thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from app.core.errors import EnvironmentProblem


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file meanwhile: beside its place, which it takes when the block has ended.

    Where the block raises, nothing is left, and a file that was there before is as it was.

    Args:
        path: the file; what is yielded has its suffix, by which FFmpeg chooses the container.

    Raises:
        EnvironmentProblem: what disk or FFmpeg refused, within the block or after it.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        _onto_the_disk(part)
        part.replace(path)
        if os.name == "posix":
            with suppress(OSError):  # not every file system can; the file is whole all the same
                _onto_the_disk(path.parent, os.O_RDONLY)
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or type(error).__name__
        raise EnvironmentProblem(
            f"{path.name} cannot be written ({reason}); check the folder and the free space.",
            type(error).__name__,
        ) from error
    finally:
        # A drive that is gone took it along, and has been told of.
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _onto_the_disk(path: Path, flags: int = os.O_RDWR) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
