"""Boxes of ISO media files (ISO/IEC 14496-12), found by their headers alone. Any thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MOST_BOXES = 100_000
_SMALL_BYTES = 1 << 16
_FILM = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte of the content, byte behind it) of the boxes in a stretch of a file."""
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        if start >= end or len(header) < 8:
            return
        length, head = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = end - start
        if length < head:
            return
        yield header[4:8], start + head, start + length
        start += length


def top_level_box(path: Path, name: bytes) -> tuple[int, int] | None:
    """Where a box of a file's top level lies: (first byte of its content, bytes), or None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for found, start, end in boxes(file, 0, size):
            if found == name:
                return (start, end - start) if end <= size else None
    return None


def video_track_boxes(path: Path, *names: bytes) -> list[bytes]:
    """The content of the boxes at ``names`` inside each video track, at most 64 KiB of each."""
    found = []
    with path.open("rb") as file:
        if file.read(8)[4:] not in _FILM:
            return []
        size = path.stat().st_size
        for film in _inside(file, (0, size), (b"moov",)):
            for track in _inside(file, film, (b"trak",)):
                handlers = [_content(file, at) for at in _inside(file, track, (b"mdia", b"hdlr"))]
                if any(handler[8:12] == b"vide" for handler in handlers):
                    found += [_content(file, at) for at in _inside(file, track, names)]
    return found


def _inside(
    file: BinaryIO, place: tuple[int, int], names: tuple[bytes, ...]
) -> list[tuple[int, int]]:
    places = [place]
    for name in names:
        places = [(s, e) for at in places for found, s, e in boxes(file, *at) if found == name]
    return places


def _content(file: BinaryIO, place: tuple[int, int]) -> bytes:
    file.seek(place[0])
    return file.read(min(place[1] - place[0], _SMALL_BYTES))


def is_edit(elst: bytes) -> bool:
    """Whether an edit list does more than say "all of it from 0" (§8.6.6); from its content."""
    wide = elst[:1] == b"\1"
    entry = elst[8:28] if wide else elst[8:20]
    media_time, rate = (entry[8:16], entry[16:20]) if wide else (entry[4:8], entry[8:12])
    is_whole = elst[4:8] == b"\0\0\0\1" and rate == b"\0\1\0\0"
    return not is_whole or any(media_time)


def is_reference(dref: bytes) -> bool:
    """Whether a data reference (§8.7.2) names another file; from its content."""
    at, count = 8, int.from_bytes(dref[4:8], "big")
    for _ in range(min(count, 64)):
        length = int.from_bytes(dref[at : at + 4], "big")
        if length < 12 or at + 12 > len(dref):
            return False
        # The last bit says that the media are in this file.
        if not dref[at + 11] & 1:
            return True
        at += length
    return False
