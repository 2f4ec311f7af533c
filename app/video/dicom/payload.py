"""The video inside a DICOM file, as a file that FFmpeg opens in place. Any thread.

A bare stream (H.264, HEVC or MPEG-2 without a container) has no times and cannot be sought in.
It gets a table of samples in front of it, made here and held in memory: the order of its pictures
is read from the stream, their times from the DICOM header.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from app.core.errors import BadInput
from app.video.container import (
    check_size,
    open_payload,
    prepare_decoder,
    read_packets,
    video_stream,
)
from app.video.dicom.file import DicomFile, is_dicom, read_dicom
from app.video.dicom.times import TICKS_PER_S, frame_ticks
from app.video.payload import Payload, format_of

ELEMENTARY = ("h264", "hevc", "mpegvideo")
_HEAD_BYTES = 512
_SAMPLE_ENTRY = {"h264": b"avc1", "hevc": b"hev1", "mpeg2video": b"m2v1", "mpeg1video": b"m1v1"}
_REORDERED = ("h264", "hevc")


def raw_payload(file: DicomFile) -> Payload:
    """The stream of a DICOM video as it lies in the file.

    Raises:
        BadInput: its pictures are no video stream, or none is there.
    """
    if not file.fragments:
        raise BadInput(f"{file.path.name} is cut off: none of its video is there; copy it again.")
    payload = Payload(path=file.path, ranges=file.fragments)
    with payload.open() as opened:
        head = opened.read(_HEAD_BYTES)
    return Payload(
        path=file.path, ranges=file.fragments, format=format_of(head, file.elementary or "h264")
    )


def payload_in(path: Path) -> Payload | None:
    """The video in a DICOM file, ready to be played and sought in; None for any other file.

    Raises:
        BadInput: as ``read_dicom`` and ``raw_payload``; its pictures are stills.
    """
    if not is_dicom(path):
        return None
    known = path.stat()
    return _seekable(path, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=4)
def _seekable(path: Path, _size: int, _changed_ns: int) -> Payload:
    file = read_dicom(path)
    if not file.elementary:
        raise BadInput(f"{path.name} holds stills, not a video stream.")
    payload = raw_payload(file)
    return _with_table(file, payload) if payload.format in ELEMENTARY else payload


def _with_table(file: DicomFile, payload: Payload) -> Payload:
    """The same bytes behind an ISO header that names every packet's place, time and kind."""
    with open_payload(payload) as container:
        stream = video_stream(container, file.path)
        codec = stream.codec_context.codec.canonical_name
        sides = stream.codec_context.width, stream.codec_context.height
        rate = stream.guessed_rate
        samples = _samples_in(container, stream, file.path)
    if not samples:
        raise BadInput(f"{file.path.name} holds no picture that can be shown; it is damaged.")
    if codec not in _SAMPLE_ENTRY:
        raise BadInput(f"{file.path.name}: this codec is not supported ({codec}).")
    table = _Table(
        entry=_SAMPLE_ENTRY[codec],
        sides=sides,
        ticks=frame_ticks(file, len(samples), Fraction(rate) if rate else None),
        samples=samples,
    )
    return Payload(
        path=file.path, ranges=payload.ranges, head=table.header(payload.size), format="mp4"
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """One packet: its place in the stream, which picture on screen it is, whether it is a key."""

    first: int
    size: int
    rank: int
    is_key: bool


def _samples_in(container: InputContainer, stream: VideoStream, path: Path) -> list[_Sample]:
    """The packets of a bare stream in its own order; reads it through.

    FFmpeg's parser tells the order of MPEG-2 pictures; those of H.264 and HEVC with B-frames are
    decoded once, without what only makes them look better.
    """
    context = stream.codec_context
    decoded = context.codec.canonical_name in _REORDERED and context.reorder_depth > 0
    prepare_decoder(stream)
    context.options = {**context.options, "skip_loop_filter": "all", "skip_idct": "all"}
    places: list[tuple[int, int, bool]] = []
    shown: list[int] = []
    times: list[int | None] = []
    for packet in itertools.chain(read_packets(container, stream), [None]):
        if packet is not None:
            if packet.pos is None:
                continue
            times.append(packet.pts)
            packet.pts = packet.dts = len(places)
            places.append((packet.pos, packet.size, packet.is_keyframe))
        if decoded:
            shown += _numbers(stream, packet, path)
    ranks = _ranks_by_output(shown, len(places)) if decoded else _ranks_by_time(times)
    return [_Sample(at, size, n, key) for (at, size, key), n in zip(places, ranks, strict=True)]


def _numbers(stream: VideoStream, packet: av.Packet | None, path: Path) -> list[int]:
    try:
        pictures = stream.decode(packet)
    except av.FFmpegError:
        return []
    for picture in pictures:
        check_size(picture.width, picture.height, path)
    return [picture.pts for picture in pictures if picture.pts is not None]


def _ranks_by_output(shown: list[int], count: int) -> list[int]:
    """Places on screen; what does not decode comes after its predecessor in the file."""
    place = [-1.0] * count
    for rank, number in enumerate(dict.fromkeys(shown)):
        place[number] = rank
    for number in range(count):
        if place[number] < 0:
            place[number] = place[number - 1] + 1 / (count + 1) if number else -0.5
    return _inverse(sorted(range(count), key=place.__getitem__))


def _ranks_by_time(times: list[int | None]) -> list[int]:
    """Places on screen by pts; those of the file where some are missing or the same."""
    known = [t for t in times if t is not None]
    if len(set(known)) != len(times):
        return list(range(len(times)))
    return _inverse(sorted(range(len(known)), key=known.__getitem__))


def _inverse(order: list[int]) -> list[int]:
    ranks = [0] * len(order)
    for rank, number in enumerate(order):
        ranks[number] = rank
    return ranks


class _Table:
    """What ISO/IEC 14496-12 §8.6 and §8.7 say of samples, for one track at 1/90000 s."""

    def __init__(
        self, *, entry: bytes, sides: tuple[int, int], ticks: list[int], samples: list[_Sample]
    ) -> None:
        self._entry, self._sides, self._ticks, self._rows = entry, sides, ticks, samples

    def header(self, size: int) -> bytes:
        """Everything before ``size`` bytes of stream."""
        kind = _box(b"ftyp", b"qt  ", bytes(4), b"qt  ")
        # Its length does not depend on the places it names.
        first = len(kind) + len(self._movie(0)) + 16
        return kind + self._movie(first) + struct.pack(">I4sQ", 1, b"mdat", size + 16)

    def _movie(self, first: int) -> bytes:
        length = self._ticks[-1]
        times = struct.pack(">IIII", 0, 0, TICKS_PER_S, min(length, 0xFFFFFFFF))
        media = _box(
            b"mdia",
            _box(b"mdhd", bytes(4), times, bytes(4)),
            _box(b"hdlr", bytes(8), b"vide", bytes(13)),
            _box(b"minf", self._samples(first)),
        )
        track = _box(b"trak", _box(b"tkhd", struct.pack(">IIII", 7, 0, 0, 1), bytes(68)), media)
        return _box(b"moov", _box(b"mvhd", bytes(4), times, bytes(80)), track)

    def _samples(self, first: int) -> bytes:
        rows, ticks = self._rows, self._ticks
        count = len(rows)
        steps = [b - a for a, b in itertools.pairwise(ticks)]
        late = [ticks[row.rank] - ticks[n] for n, row in enumerate(rows)]
        keys = [n for n, row in enumerate(rows, start=1) if row.is_key]
        width, height = self._sides
        entry = _box(
            self._entry,
            struct.pack(">6xH16xHH", 1, width, height),
            struct.pack(">IIIH", 0x480000, 0x480000, 0, 1),
            bytes(32),
            struct.pack(">Hh", 24, -1),
        )
        return _box(
            b"stbl",
            _box(b"stsd", struct.pack(">II", 0, 1), entry),
            _box(b"stts", _runs(0, steps, "II")),
            _box(b"ctts", _runs(1, late, "Ii")),
            _box(b"stss", struct.pack(f">II{len(keys)}I", 0, len(keys), *keys)),
            _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)),
            _box(b"stsz", struct.pack(f">III{count}I", 0, 0, count, *(r.size for r in rows))),
            _box(b"co64", struct.pack(f">II{count}Q", 0, count, *(first + r.first for r in rows))),
        )


def _runs(version: int, values: list[int], kind: str) -> bytes:
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][1] == value:
            runs[-1][0] += 1
        else:
            runs.append([1, value])
    packed = b"".join(struct.pack(">" + kind, *run) for run in runs)
    return struct.pack(">B3xI", version, len(runs)) + packed


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, name) + content
