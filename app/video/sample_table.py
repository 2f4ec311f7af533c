"""Times of all frames out of an MP4's own table, without reading its pictures. Any thread.

ISO/IEC 14496-12 §8.6 (stts, ctts, stss, elst) and §8.7 (stsz, stsc, stco). FFmpeg has the last
word: what it says of the first packets and of the last ones must be what the table says, or the
table is not used.
"""

from __future__ import annotations

import io
import itertools
import logging
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.video.container import read_packets
from app.video.mp4_boxes import boxes, top_level_box

_LARGEST = 1 << 28
_HEAD_PACKETS = 64
# Tables beside which these lie say less than FFmpeg knows: fragments, and keyframes by group.
_MORE_TO_IT = (b"mvex", b"cmov")
_KEY_GROUPS = (b"rap ", b"sync")

log = logging.getLogger(__name__)

Numbers = NDArray[np.int64]


class SampleTable(NamedTuple):
    """Of every sample, in the file's order: times in the track's unit, place, keyframe, shown."""

    dts: Numbers
    cts: Numbers
    duration: Numbers
    position: Numbers
    size: Numbers
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]

    def keyframes(self, rows: Numbers) -> Numbers:
        """Pts, first byte and bytes of the keyframes among ``agreed_rows``: int64 (K, 3)."""
        places = np.stack([self.position, self.size], axis=1)[self.shown & self.key]
        return np.concatenate([rows[rows[:, 2] != 0, :1], places], axis=1)


def read_table(path: Path) -> SampleTable | None:
    """The table of a file's only video track; None where there is more to the file than that."""
    place = top_level_box(path, b"moov")
    if place is None or place[1] > _LARGEST:
        return None
    with path.open("rb") as file:
        file.seek(place[0])
        moov = file.read(place[1])
    try:
        return _read(moov, path.stat().st_size)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        log.debug("a sample table is not used: %s", error)
        return None


def _read(moov: bytes, file_size: int) -> SampleTable:
    """Raises:
    ValueError, IndexError, KeyError, OverflowError: there is more to it than such a table.
    """
    film = _children(moov)
    if any(kind in film for kind in _MORE_TO_IT):
        raise ValueError("fragments")
    tracks = [_children(content) for content in film[b"trak"]]
    medias = [(t, _children(t[b"mdia"][0])) for t in tracks]
    ((track, media),) = ((t, m) for t, m in medias if m[b"hdlr"][0][8:12] == b"vide")
    table = _children(_children(media[b"minf"][0])[b"stbl"][0])
    samples = _samples(table, file_size)
    return samples._replace(shown=_shown(track, media, film[b"mvhd"][0], samples.cts))


def _children(content: bytes) -> dict[bytes, list[bytes]]:
    """Contents of the boxes in a box, by name."""
    found: dict[bytes, list[bytes]] = {}
    for name, start, end in boxes(io.BytesIO(content), 0, len(content)):
        found.setdefault(name, []).append(content[start:end])
    return found


def _samples(table: dict[bytes, list[bytes]], file_size: int) -> SampleTable:
    if _u32(table[b"stsd"][0], 4)[0] != 1 or any(
        g[4:8] in _KEY_GROUPS for g in table.get(b"sbgp", [])
    ):
        raise ValueError("several codings, or keyframes by group")
    sizes = _sizes(table[b"stsz"][0], file_size)
    count = len(sizes)
    runs = _u32(table[b"stts"][0], 8).reshape(-1, 2)
    steps = _expanded(runs[:, 1], runs[:, 0], count)
    if (steps <= 0).any() or (steps > 1 << 28).any():
        raise ValueError("steps that go nowhere")
    dts = np.cumsum(steps) - steps
    shift = np.zeros(count, np.int64)
    if b"ctts" in table:
        offsets = np.frombuffer(table[b"ctts"][0], ">i4", offset=8).astype(np.int64).reshape(-1, 2)
        shift = _expanded(offsets[:, 1], offsets[:, 0], count)
    if (np.abs(shift) > 1 << 28).any():
        raise ValueError("shifts beyond reason")
    key = np.ones(count, bool)
    if b"stss" in table:
        numbers = _u32(table[b"stss"][0], 8)
        key[:] = False
        key[numbers[numbers > 0] - 1] = True
    position = _positions(table, sizes)
    if (np.diff(position) <= 0).any():
        raise ValueError("samples that are not in the order of the file")
    if not count or not key.any() or (position + sizes).max() > file_size or (sizes == 0).any():
        raise ValueError("no pictures, or outside the file")
    shown = np.ones(count, bool)
    return SampleTable(dts, dts + shift, steps, position, sizes, key, shown)


def _sizes(stsz: bytes, file_size: int) -> Numbers:
    fixed, count = (int(n) for n in _u32(stsz, 4)[:2])
    if fixed * count > file_size:
        raise ValueError("more samples than the file can hold")
    return np.full(count, fixed, np.int64) if fixed else _u32(stsz, 12)[:count]


def _positions(table: dict[bytes, list[bytes]], sizes: Numbers) -> Numbers:
    """Where each sample lies in the file."""
    if b"co64" in table:
        chunks = np.frombuffer(table[b"co64"][0], ">u8", offset=8).astype(np.int64)
    else:
        chunks = _u32(table[b"stco"][0], 8)
    runs = _u32(table[b"stsc"][0], 8).reshape(-1, 3)
    firsts = np.append(runs[:, 0] - 1, len(chunks))
    in_chunk = _expanded(runs[:, 1], np.diff(firsts), len(chunks))
    # Before anything is made of that size: a damaged table may ask for terabytes.
    if (in_chunk < 0).any() or int(in_chunk.sum()) != len(sizes):
        raise ValueError("chunks and samples do not agree")
    of_chunk = np.repeat(np.arange(len(chunks)), in_chunk)
    before = np.cumsum(sizes) - sizes
    first_of_chunk = np.searchsorted(of_chunk, np.arange(len(chunks)))
    within: Numbers = before - before[first_of_chunk[of_chunk]]
    return within + chunks[of_chunk]


def _shown(
    track: dict[bytes, list[bytes]], media: dict[bytes, list[bytes]], mvhd: bytes, cts: Numbers
) -> NDArray[np.bool_]:
    """Which samples the track's only edit shows."""
    edits = [e for content in track.get(b"edts", []) for e in _children(content).get(b"elst", [])]
    if not edits:
        return np.ones(len(cts), bool)
    (edit,) = edits
    kind = (
        [("length", ">i8"), ("start", ">i8")]
        if edit[0] == 1
        else [("length", ">i4"), ("start", ">i4")]
    )
    entries = np.frombuffer(edit, np.dtype([*kind, ("rate", ">i4")]), offset=8)
    (entry,) = entries[entries["start"] != -1]
    if (
        entry["rate"] != 1 << 16
        or entry["start"] < 0
        or len(entries) - 1 > (entries["start"][0] == -1)
    ):
        raise ValueError("an edit that cuts, or runs at another speed")
    length = int(
        Fraction(int(entry["length"]) * _timescale(media[b"mdhd"][0]), _timescale(mvhd))
        + Fraction(1, 2)
    )
    start = int(entry["start"])
    return (cts >= start) & (cts < start + length) if length else cts >= start


def _timescale(header: bytes) -> int:
    return int.from_bytes(header[20:24] if header[0] == 1 else header[12:16], "big")


def _u32(content: bytes, offset: int) -> Numbers:
    whole = (len(content) - offset) // 4 * 4
    return np.frombuffer(content[offset : offset + whole], ">u4").astype(np.int64)


def _expanded(values: Numbers, counts: Numbers, length: int) -> Numbers:
    if counts.sum() != length:
        raise ValueError("a table of another length")
    return np.repeat(values, counts)


def agreed_rows(
    container: InputContainer, stream: VideoStream, samples: SampleTable
) -> Numbers | None:
    """Packets that are shown, int64 (N, 4): pts, dts, whether a keyframe, duration.

    Args:
        container: a freshly opened file; it is left somewhere else than at its start.
        stream: of the pictures.
        samples: what ``read_table`` found.

    Returns:
        None where FFmpeg's packets at either end of the file are not the table's.
    """
    head = list(itertools.islice(read_packets(container, stream), _HEAD_PACKETS))
    numbers = np.searchsorted(samples.position, np.array([p.pos for p in head], np.int64))
    if not head or head[0].pts is None or numbers[0] == len(samples.dts):
        return None
    shift = head[0].pts - int(samples.cts[numbers[0]])
    dts_shift = (head[0].dts or 0) - int(samples.dts[numbers[0]])
    rows = np.stack(
        [samples.cts + shift, samples.dts + dts_shift, samples.key, samples.duration], axis=1
    )
    last_key = int(np.flatnonzero(samples.key)[-1])
    try:
        container.seek(int(rows[last_key, 0]), stream=stream)
    except av.FFmpegError:
        return None
    tail = list(read_packets(container, stream))
    for packets, is_tail in ((head, False), (tail, True)):
        if not _agree(packets, rows, samples, is_tail=is_tail):
            return None
    return rows[samples.shown]


def _agree(
    packets: list[av.Packet[VideoStream]], rows: Numbers, samples: SampleTable, *, is_tail: bool
) -> bool:
    """Whether packets are the table's, in its order, and the same ones of them are shown."""
    first = int(np.searchsorted(samples.position, packets[0].pos or 0)) if packets else len(rows)
    seen = [p for p in packets if not p.is_discard]
    meant = np.flatnonzero(samples.shown)
    meant = meant[meant >= first] if is_tail else meant[: len(seen)]
    said = [(p.pts, p.dts, p.is_keyframe, p.duration, p.pos) for p in seen]
    own = zip(rows[meant].tolist(), samples.position[meant].tolist(), strict=True)
    return said == [(*row, position) for row, position in own]
