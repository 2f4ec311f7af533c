"""A recording that lies inside another file, read in place. Used by the thread that owns it."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

TS_PACKET, TS_SYNC = 188, 0x47
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Where the recording lies, and what it is.

    Attributes:
        path: the file around it.
        ranges: (first byte, bytes) of its pieces, in order.
        head: bytes that come before them and lie in no file.
        format: FFmpeg's name of the demuxer, "" where it is to find out itself.
    """

    path: Path
    ranges: tuple[tuple[int, int], ...]
    head: bytes = b""
    format: str = ""

    def open(self) -> ByteRanges:
        """The recording as a file of its own, at its first byte."""
        return ByteRanges(self.path, self.ranges, self.head)

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return len(self.head) + sum(length for _, length in self.ranges)


class ByteRanges(io.RawIOBase):
    """Pieces of a file as one read-only file.

    Args:
        path: the file.
        ranges: (first byte, bytes) of the pieces, in order.
        head: bytes before the first piece.
    """

    def __init__(self, path: Path, ranges: Sequence[tuple[int, int]], head: bytes = b"") -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._head = head
        self._ranges = tuple(ranges)
        self._starts = list(accumulate((n for _, n in ranges), initial=len(head)))
        self._at = 0

    def close(self) -> None:
        """Release the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Stand at ``offset`` from the start, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` up to the end of the piece that is stood on."""
        wanted = memoryview(buffer).cast("B")
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(wanted)]
            wanted[: len(part)] = part
            self._at += len(part)
            return len(part)
        piece = bisect.bisect_right(self._starts, self._at) - 1
        if piece >= len(self._ranges):
            return 0
        into = self._at - self._starts[piece]
        first, length = self._ranges[piece]
        self._file.seek(first + into)
        count = self._file.readinto(wanted[: length - into])
        self._at += count
        return count

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, across pieces; fewer only at the end."""
        if size < 0:
            size = max(0, self._starts[-1] - self._at)
        out = bytearray(size)
        filled = 0
        while filled < size and (count := self.readinto(memoryview(out)[filled:])):
            filled += count
        return bytes(out[:filled])


def format_of(head: bytes, elementary: str) -> str:
    """FFmpeg's demuxer for a recording that begins with ``head`` (512 bytes), "" when unknown.

    Args:
        head: its first bytes.
        elementary: the demuxer where it is a bare stream with start codes.
    """
    if head[4:8] in _BOXES:
        return "mp4"
    for first, step in ((0, TS_PACKET), (4, TS_PACKET + 4)):
        if len(head) > first + step and head[first] == head[first + step] == TS_SYNC:
            return "mpegts"
    if head[:4] == b"\0\0\1\xba":
        return "mpeg"
    return elementary if head.lstrip(b"\0")[:1] == b"\1" and head[:2] == b"\0\0" else ""
