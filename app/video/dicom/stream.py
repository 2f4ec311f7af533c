"""Frames of a recording as a stream that a DICOM transfer syntax takes. On the caller's thread.

Packets are copied where they can be; what they hold besides the pictures stays in them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from app.video.clip.copy import NotCopied, copy_packets, copyable_stretch
from app.video.clip.encode import encode_frames
from app.video.clip.export import Draw, Progress, write_clip
from app.video.container import open_container
from app.video.source import VideoSource

_SYNTAX = "1.2.840.10008.1.2.4."
_H264_HIGH = 100
# PS3.5 tables of §8.2.5 and §8.2.6; 29.97 counts as 30.
_MPEG2_RATES = {
    (100, 720, 480): (30,),
    (100, 720, 576): (25,),
    (101, 1280, 720): (25, 30, 50, 60),
    (101, 1920, 1080): (25, 30),
}
_NTSC = 0.0015

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How a stream is coded, as far as a transfer syntax asks.

    Attributes:
        codec: FFmpeg's name.
        syntax: the transfer syntax that takes it, "" where none does.
        width_px, height_px: stored pixels.
        bits: stored per sample.
        lossy_ratio: bytes of its pictures over those of the stream.
    """

    codec: str
    syntax: str
    width_px: int
    height_px: int
    bits: int = 8
    lossy_ratio: float = 1.0


def stream_for_dicom(
    source: VideoSource,
    stretch: tuple[int, int],
    folder: Path,
    *,
    draw: Draw | None = None,
    progress: Progress = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Path, Coding, bool]:
    """Write frames ``first`` to ``last`` as MP4, or MPEG-TS for MPEG-2, that DICOM takes.

    Returns:
        The file, how it is coded, and whether its packets are the recording's own.

    Raises:
        BadInput, EnvironmentProblem, ClipCancelled: as ``write_clip``.
    """
    first, last = stretch
    frames = last - first + 1
    transport, path = folder / "stream.ts", folder / "stream.mp4"
    upright = source.info.rotation_deg == 0
    rate = None if source.info.is_variable_rate else source.info.frame_rate
    if draw is None and upright:
        if _copied_mpeg2(source, stretch, transport, progress, cancelled):
            coding = coding_of(transport, frames, rate)
            if coding.syntax:
                return transport, coding, True
        clip = write_clip(source, first, last, path, progress=progress, cancelled=cancelled)
        coding = coding_of(path, frames)
        if coding.syntax:
            return path, coding, clip.lossless
    shown = draw or (lambda frame: frame.rgb)
    write_clip(source, first, last, path, draw=shown, progress=progress, cancelled=cancelled)
    coding = coding_of(path, frames)
    if not coding.syntax:
        # Beyond level 4.2 there is no H.264 in DICOM.
        encode_frames(
            source,
            first,
            last,
            path,
            draw=shown,
            sound=False,
            progress=progress,
            cancelled=cancelled,
            encoder="libx265",
        )
        coding = coding_of(path, frames)
    return path, coding, False


def _copied_mpeg2(
    source: VideoSource,
    stretch: tuple[int, int],
    path: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> bool:
    if source.info.codec != "mpeg2video" or copyable_stretch(source, *stretch) != stretch:
        return False
    try:
        copy_packets(source, *stretch, path, sound=False, progress=progress, cancelled=cancelled)
    except (NotCopied, av.error.InvalidDataError, av.error.ArgumentError) as error:
        log.info("the stretch is encoded anew: %s", error)
        return False
    return True


def coding_of(path: Path, frames: int, rate: Fraction | None = None) -> Coding:
    """What DICOM can say of the stream in an MP4 or MPEG-TS file.

    Args:
        path: the file.
        frames: how many it holds.
        rate: frames per second, None where they vary; MPEG-2 is taken at television's alone.

    H.264 has to be High profile up to level 4.2 (PS3.5 §8.2.7, §8.2.8), HEVC Main or Main 10 up to
    5.1 (§8.2.10, §8.2.11), MPEG-2 Main profile at main or high level (§8.2.5, §8.2.6).
    """
    with open_container(path) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.codec.canonical_name
        extra = bytes(stream.codec_context.extradata or b"")
        width, height = stream.codec_context.width, stream.codec_context.height
        head = b""
        if codec == "mpeg2video":
            head = next((bytes(p) for p in container.demux(stream) if p.size), b"")
    number, bits = 0, 8
    if codec == "h264" and extra[:1] == b"\1" and len(extra) > 4 and extra[1] == _H264_HIGH:
        number = 102 if extra[3] <= 41 else 104 if extra[3] == 42 else 0
    elif codec == "hevc" and extra[:1] == b"\1" and len(extra) > 12 and extra[12] <= 153:
        profile = extra[1] & 0x1F
        number = {1: 107, 2: 108}.get(profile, 0)
        bits = 8 if profile == 1 else 10
    elif codec == "mpeg2video":
        number = _mpeg2(head)
        taken = _MPEG2_RATES.get((number, width, height), ())
        if rate is None or not any(abs(rate / r - 1) < _NTSC for r in taken):
            number = 0
    return Coding(
        codec=codec,
        syntax=f"{_SYNTAX}{number}" if number else "",
        width_px=width,
        height_px=height,
        bits=bits,
        lossy_ratio=3 * width * height * frames / path.stat().st_size,
    )


def _mpeg2(head: bytes) -> int:
    """By profile and level of the sequence extension (ISO/IEC 13818-2 §6.2.2.3)."""
    at = head.find(b"\0\0\1\xb5")
    if at < 0 or len(head) < at + 6 or head[at + 4] >> 4 != 1:
        return 0
    profile_level = (head[at + 4] & 0xF) << 4 | head[at + 5] >> 4
    return {0x48: 100, 0x4A: 100, 0x44: 101, 0x46: 101}.get(profile_level, 0)
