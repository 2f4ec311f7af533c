"""How pydicom is let at a file: under bounds, and without its warnings. Any thread."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.core.errors import BadInput

_MOST_READS = 500_000
# The longest values of use are tables of frames: 8 bytes for each of two million.
MOST_VALUE_BYTES, _MOST_HEADER_BYTES = 16 << 20, 64 << 20
# Deflated files are held in memory.
_MOST_INFLATED_BYTES, _CHUNK_BYTES = 128 << 20, 1 << 20


def inflated_from(path: Path, start: int) -> bytes:
    """What a deflated file holds from ``start`` on (PS3.5 §A.5), as far as it goes.

    Raises:
        BadInput: it is too large.
        zlib.error: it is damaged.
    """
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    out = io.BytesIO()
    with path.open("rb") as file:
        file.seek(start)
        while not unpack.eof and (chunk := file.read(_CHUNK_BYTES)):
            while chunk and not unpack.eof:
                out.write(unpack.decompress(chunk, _CHUNK_BYTES))
                chunk = unpack.unconsumed_tail
                if out.tell() > _MOST_INFLATED_BYTES:
                    raise BadInput(
                        f"{path.name} is a deflated DICOM file of more than "
                        f"{_MOST_INFLATED_BYTES >> 20} MB; export it uncompressed or as video."
                    )
    out.write(unpack.flush())
    return out.getvalue()


def bounded(path: Path) -> io.BufferedReader:
    """A file of which only so much is read: no header has a million elements, or gigabytes."""
    return _Bounded(io.FileIO(path))


def bounded_memory(data: bytes) -> io.BufferedReader:
    """The same of bytes."""
    return _Bounded(_Memory(data))


class _Bounded(io.BufferedReader):
    _reads = _bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file; raises ``ValueError`` when it is asked too often, or for too much."""
        self._reads += 1
        room = _MOST_HEADER_BYTES - self._bytes
        if self._reads > _MOST_READS or size is None or not 0 <= size <= room:
            raise ValueError("more than any header has")
        found = super().read(size)
        self._bytes += len(found)
        return found


class _Memory(io.BytesIO):
    """Bytes as a file; pydicom asks for its name."""

    name = ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's warnings about rules that do not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pydicom_reader() -> Any:
    """The module, ready for files that break rules; imported when first needed."""
    import pydicom
    from pydicom import config, filereader  # noqa: F401 - an attribute of the module then

    # Headers in the field break rules that do not matter here; nothing is written from them.
    config.settings.reading_validation_mode = config.IGNORE
    # It logs, with a traceback, what is answered in a sentence here.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    return pydicom


def unreadable() -> tuple[type[Exception], ...]:
    """What pydicom raises on damaged files."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        InvalidDicomError, BytesLengthException, struct.error, zlib.error, ValueError, TypeError,
        KeyError, IndexError, AttributeError, NotImplementedError, EOFError, OSError, OverflowError,
    )  # fmt: skip
