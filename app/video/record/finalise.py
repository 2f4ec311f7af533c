"""From a recording in MPEG-TS to a plain MP4 with the same packets at the same times. Any thread.

The MP4 appears under its name only after it was read back and found equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.core.errors import BadInput, EnvironmentProblem
from app.video.container import open_container, read_packets, video_stream
from app.video.index import OpenCancelled, build_index
from app.video.live.state import LIVE_TIME_BASE
from app.video.written_whole import written_whole

_CHECK_EVERY = 256
_REFUSALS = (av.error.ArgumentError, av.error.InvalidDataError, av.error.PatchWelcomeError)
"""What FFmpeg says of the packets themselves, which will be the same the next time."""


class StaysMpegTs(EnvironmentProblem):
    """No MP4 can stand for a recording, now or later: it stays as it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalised:
    """What was made of a recording.

    Attributes:
        path: the MP4.
        frames: pictures in it, as many as in the recording.
        payload_sha256: over all coded pictures in decode order, the same for both files.
    """

    path: Path
    frames: int
    payload_sha256: str


def finalise(
    recording: Path, target: Path, cancelled: Callable[[], bool] = lambda: False
) -> Finalised:
    """Make ``target`` (MP4, index first) of ``recording`` (MPEG-TS), and compare the two.

    Nothing is encoded again; every picture keeps its pts. The recording stays.

    Args:
        recording: what the recorder wrote, whole or cut off by a crash.
        target: must not exist.
        cancelled: asked now and then.

    Raises:
        BadInput: the recording holds no picture.
        StaysMpegTs: the MP4 is not equal to the recording, or would not show all of its pictures,
            or no MP4 can hold them.
        EnvironmentProblem: the MP4 cannot be written now.
        OpenCancelled: ``cancelled()`` answered true; nothing is left behind.
    """
    with written_whole(target) as part:
        try:
            _remux(recording, part, cancelled)
            frames, digest = _compare(recording, part, cancelled)
            _check_shown(recording, part, cancelled)
        except _REFUSALS as error:
            raise _refused(recording, error) from error
        except (OSError, av.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise EnvironmentProblem(
                f"{recording.name} was not made an MP4 ({reason}); it is kept as it is and "
                "plays. Free some space, then it can be tried again.",
                type(error).__name__,
            ) from error
        if target.exists():
            raise EnvironmentProblem(
                f"{target.name} is there already; move it away to finish this recording."
            )
    return Finalised(path=target, frames=frames, payload_sha256=digest)


def payload(packet: av.Packet[VideoStream], codec: str) -> bytes:
    """A coded picture without the packaging of its container.

    MPEG-TS has start codes between the units of H.264 and HEVC, MP4 their lengths (ISO/IEC
    14496-15); the units are the same.
    """
    data = bytes(packet)
    if codec not in ("h264", "hevc"):
        return data
    starts_with_code = data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1"
    units = _units_by_code(data) if starts_with_code else _units_by_length(data)
    return b"\0\0\1".join(units)


def _units_by_code(data: bytes) -> list[bytes]:
    # The zero byte of a four-byte code, and padding, end the unit before.
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.rstrip(b"\0")]


def _units_by_length(data: bytes) -> list[bytes]:
    units, at = [], 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        units.append(data[at + 4 : at + 4 + length].rstrip(b"\0"))
        at += 4 + length
    return [unit for unit in units if unit]


def _remux(recording: Path, part: Path, cancelled: Callable[[], bool]) -> None:
    with (
        open_container(recording) as source,
        av.open(
            str(part),
            "w",
            format="mp4",
            # Edits in 1/90000 too: in milliseconds the first pts would be rounded.
            options={"movflags": "faststart", "movie_timescale": str(int(1 / LIVE_TIME_BASE))},
        ) as target,
    ):
        stream = video_stream(source, recording)
        try:
            copy = target.add_stream_from_template(stream)
        except ValueError as error:  # a codec that MP4 does not know
            raise _refused(recording, error) from error
        copy.time_base = LIVE_TIME_BASE
        for number, packet in enumerate(_timed(read_packets(source, stream))):
            if number % _CHECK_EVERY == 0 and cancelled():
                raise OpenCancelled
            packet.stream = copy
            target.mux(packet)


def _timed(packets: Iterator[av.Packet[VideoStream]]) -> Iterator[av.Packet[VideoStream]]:
    return (p for p in packets if p.pts is not None and p.dts is not None)


def _compare(recording: Path, part: Path, cancelled: Callable[[], bool]) -> tuple[int, str]:
    """Number and hash of the pictures, which must be the same in both files at the same times."""
    digest, frames = hashlib.sha256(), 0
    with open_container(recording) as first, open_container(part) as second:
        streams = video_stream(first, recording), video_stream(second, part)
        codec = streams[0].codec_context.codec.canonical_name
        if streams[1].time_base != LIVE_TIME_BASE:
            raise _unequal(recording, "another time base")
        pairs = zip_longest(
            _timed(read_packets(first, streams[0])), read_packets(second, streams[1])
        )
        for ours, copy in pairs:
            if frames % _CHECK_EVERY == 0 and cancelled():
                raise OpenCancelled
            if ours is None or copy is None:
                raise _unequal(recording, f"the number of pictures differs after {frames}")
            if (ours.pts, ours.dts) != (copy.pts, copy.dts):
                raise _unequal(recording, f"times of picture {frames}: {ours.pts}, {copy.pts}")
            content = payload(ours, codec)
            if content != payload(copy, codec):
                raise _unequal(recording, f"picture {frames}")
            digest.update(content)
            frames += 1
    if not frames:
        raise BadInput(f"{recording.name} holds no picture; nothing was recorded.")
    return frames, digest.hexdigest()


def _check_shown(recording: Path, part: Path, cancelled: Callable[[], bool]) -> None:
    """The edit list of an MP4 hides pictures that come before its first keyframe."""
    first, copy = _shown_pts(recording, cancelled), _shown_pts(part, cancelled)
    if not np.array_equal(first, copy):
        raise StaysMpegTs(
            f"{recording.name} stays the recording, as it is, and plays: an MP4 of it would not "
            "show all of its pictures.",
            f"{len(first)} pictures, {len(copy)} in the MP4",
        )


def _shown_pts(path: Path, cancelled: Callable[[], bool]) -> NDArray[np.int64]:
    with open_container(path) as container:
        return build_index(container, video_stream(container, path), path, cancelled).pts


def _unequal(recording: Path, detail: str) -> StaysMpegTs:
    return StaysMpegTs(
        f"The MP4 of {recording.name} is not equal to what was recorded, so it was not kept; the "
        "recording itself is kept and plays.",
        detail,
    )


def _refused(recording: Path, error: ValueError | av.FFmpegError) -> StaysMpegTs:
    return StaysMpegTs(
        f"{recording.name} stays the recording, as it is, and plays: MP4 cannot hold its pictures.",
        f"{type(error).__name__} {getattr(error, 'strerror', '')}".strip(),
    )
