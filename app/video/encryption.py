"""Finds protected recordings by their container's own words, before anything is decoded."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import BadInput
from app.video.mp4_boxes import top_level_box

_EBML = b"\x1a\x45\xdf\xa3"
_TRACKS, _CLUSTER = b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_CONTENT_ENCODINGS, _CONTENT_ENCRYPTION = b"\x6d\x80", b"\x50\x35"
_TS_PACKET, _TS_SYNC = 188, 0x47
_HEADER_BYTES = 1 << 26


def check_not_encrypted(path: Path) -> None:
    """Raise BadInput for common encryption in MP4, in Matroska, and for scrambled MPEG-TS."""
    if _is_protected_mp4(path) or _is_protected_matroska(path) or _is_scrambled_ts(path):
        raise BadInput(
            f"{path.name} is encrypted (DRM); export it without protection from the system that "
            "recorded it."
        )


def _is_protected_mp4(path: Path) -> bool:
    place = top_level_box(path, b"moov")
    if place is None:
        return False
    with path.open("rb") as file:
        file.seek(place[0])
        moov = file.read(min(place[1], _HEADER_BYTES))
    # A protected sample entry of ISO/IEC 14496-12 §8.12.
    return b"encv" in moov and b"sinf" in moov


def _is_protected_matroska(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(1 << 20)
    if not head.startswith(_EBML):
        return False
    # The seek head names the other elements too; the last place is the element itself.
    tracks = head[head.rfind(_TRACKS) :].split(_CLUSTER, 1)[0]
    start = tracks.find(_CONTENT_ENCODINGS)
    return start >= 0 and _CONTENT_ENCRYPTION in tracks[start : start + 256]


def _is_scrambled_ts(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_TS_PACKET * 2000)
    starts = range(0, len(head) - 3, _TS_PACKET)
    if len(starts) < 4 or any(head[at] != _TS_SYNC for at in starts[:4]):
        return False
    # transport_scrambling_control, ISO/IEC 13818-1 §2.4.3.2.
    scrambled = sum(head[at + 3] >> 6 & 3 != 0 for at in starts if head[at] == _TS_SYNC)
    return scrambled > len(starts) // 4
