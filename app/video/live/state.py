"""What a live source hands over and says of itself; immutable, passed between threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.core.recording import LIVE_TIME_BASE, Gap

__all__ = [
    "LIVE_TIME_BASE",
    "Gap",
    "LiveFrame",
    "LivePacket",
    "LiveState",
    "LiveStatus",
    "StreamFormat",
]


class LiveStatus(StrEnum):
    """Where a capture stands."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFrame:
    """A picture of the live source.

    Attributes:
        rgb: uint8 (H, W, 3), upright, deinterlaced.
        pts: in 1/90000; the pts that this frame has in a recording made now.
        captured_s: ``time.monotonic()`` when its data had arrived.
        number: of frames handed over so far, from 0.
        damaged: the decoder reported corrupt data.
    """

    rgb: NDArray[np.uint8]
    pts: int
    captured_s: float
    number: int
    damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """Where a capture stands; a new one is announced when anything but the counts changes.

    Attributes:
        status: in a word.
        sentence: for the user; names the source without its password.
        size_px: (width, height) of the newest picture, None before the first.
        rate: frames per second received in the last seconds, 0 without a signal.
        frames: handed over so far.
        dropped: pictures that came too fast to be shown; they are in the recording.
        damaged: packets and pictures with errors.
        attempts: tries to connect since the signal was last there.
        reconnects: times that the signal came back.
        gaps: stretches without a signal, oldest first.
    """

    status: LiveStatus
    sentence: str = ""
    size_px: tuple[int, int] | None = None
    rate: float = 0.0
    frames: int = 0
    dropped: int = 0
    damaged: int = 0
    attempts: int = 0
    reconnects: int = 0
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFormat:
    """How the packets of one connection are coded.

    Attributes:
        codec: FFmpeg's canonical name.
        width_px, height_px: as the stream declares them; 0 where it does not.
        pix_fmt: of uncompressed pictures.
        extradata: decoder configuration; empty where the packets carry it themselves.
    """

    codec: str
    width_px: int
    height_px: int
    pix_fmt: str = ""
    extradata: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePacket:
    """One coded picture, timed in the recording's clock. Holds its own copy of the data.

    Attributes:
        data: H.264 and HEVC as Annex B, with parameter sets in every keyframe.
        pts, dts: in 1/90000; dts rise strictly, across reconnects too.
        is_keyframe: decoding can begin here.
        arrived_s: ``time.monotonic()``.
        coding: how it is coded.
    """

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool
    arrived_s: float
    coding: StreamFormat
