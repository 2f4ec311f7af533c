"""One connection to a live source: opened under its allow-list, read packet by packet.

Used by the capture thread alone; what it hands out are copies that outlive it.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from app.core.errors import BadInput, EnvironmentProblem
from app.video.container import check_size, open_container, video_stream
from app.video.live.devices import address_of
from app.video.live.spec import LIVE_CODECS, LiveSpec
from app.video.live.state import StreamFormat
from app.video.opening import check_file

OPEN_TIMEOUT_S = 2.5
READ_TIMEOUT_S = 2.0
# A stretch of this many unreadable packets is a connection that has gone.
_READ_FAILURES = 8

log = logging.getLogger(__name__)


class SignalLost(Exception):
    """Nothing comes any more; connecting again may help. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePacket:
    """One coded picture as the source sent it, with the source's own times."""

    data: bytes
    pts: int | None
    dts: int | None
    time_base: Fraction
    is_keyframe: bool
    is_damaged: bool


class LiveConnection:
    """An open live source; a context manager.

    Args:
        spec: which.
        open_timeout_s: for a call to be answered, or a sender to come; as long again until it
            is known what is sent.
        read_timeout_s: silence that counts as a lost signal.

    Raises:
        SignalLost: nobody answers now.
        BadInput: what is sent cannot be taken.
        EnvironmentProblem: this FFmpeg or this system cannot do it.
    """

    def __init__(
        self,
        spec: LiveSpec,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._spec, self._read_timeout_s = spec, read_timeout_s
        self._container = self._open(open_timeout_s, read_timeout_s)
        try:
            self._stream = self._choose_stream()
            self.coding = _coding_of(self._stream)
            self._filter = _in_band(self._stream, self.coding)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A socket that is left open refuses the next connection (measured: EADDRINUSE).
        self._container.close()

    def packets(self) -> Iterator[SourcePacket]:
        """Packets as they arrive; ends at the end of a file.

        Raises:
            SignalLost: nothing came for the read timeout, or the sender closed.
        """
        failures, seen_s = 0, time.monotonic()
        while True:
            try:
                for packet in self._container.demux():
                    if packet.size and packet.stream_index == self._stream.index:
                        failures, seen_s = 0, time.monotonic()
                        yield from self._taken(packet)
                    elif time.monotonic() - seen_s > self._read_timeout_s:
                        raise SignalLost("it sends no picture any more")
            except av.error.InvalidDataError as error:
                failures += 1
                if failures >= _READ_FAILURES:
                    raise SignalLost("what it sends is damaged") from error
            except av.FFmpegError as error:
                raise SignalLost(_why(error)) from error
            else:
                if self._spec.is_file:
                    return
                raise SignalLost("the sender ended")

    def _taken(self, packet: av.Packet[VideoStream]) -> Iterator[SourcePacket]:
        """The packet with its parameter sets, as a copy of its own."""
        times = packet.pts, packet.dts, packet.time_base
        is_keyframe, is_damaged = packet.is_keyframe, packet.is_corrupt
        try:
            filtered = [packet] if self._filter is None else self._filter.filter(packet)
        except av.FFmpegError as error:
            log.debug("a packet is not as its header says: %s", type(error).__name__)
            return
        for part in filtered:
            yield SourcePacket(
                data=bytes(part),
                pts=times[0],
                dts=times[1],
                time_base=times[2],
                is_keyframe=is_keyframe,
                is_damaged=is_damaged,
            )

    def _open(self, open_timeout_s: float, read_timeout_s: float) -> InputContainer:
        spec = self._spec
        if spec.is_file:
            check_file(Path(spec.url))
            return open_container(Path(spec.url))
        # Short looks; what was read meanwhile is kept ("nobuffer" would drop the first keyframe
        # and is no faster after that, measured).
        options = {**spec.options, "fpsprobesize": "0", "probesize": "500000"}
        options["analyzeduration"] = "1000000"
        try:
            return av.open(
                address_of(spec.url) if spec.kind == "device" else spec.url,
                format=spec.format or None,
                options=options,
                timeout=(open_timeout_s, read_timeout_s),
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError) as error:
            raise _cannot_open(spec, error) from error

    def _choose_stream(self) -> VideoStream:
        if self._spec.is_file:
            return video_stream(self._container, Path(self._spec.url))
        streams = self._container.streams.video
        if not streams:
            raise SignalLost("it sends no picture yet")
        context = streams[0].codec_context
        codec = None if context is None else context.codec.canonical_name
        if codec not in LIVE_CODECS:
            raise BadInput(
                f"{self._spec.name}: this codec is not supported ({codec or 'unknown'}); "
                "let the source send H.264."
            )
        check_size(context.width, context.height, Path(self._spec.name))
        return streams[0]


def _coding_of(stream: VideoStream) -> StreamFormat:
    context = stream.codec_context
    codec = context.codec.canonical_name
    in_band = codec in ("h264", "hevc")
    return StreamFormat(
        codec=codec,
        width_px=context.width,
        height_px=context.height,
        pix_fmt=context.pix_fmt or "",
        extradata=b"" if in_band else bytes(context.extradata or b""),
    )


def _in_band(stream: VideoStream, coding: StreamFormat) -> av.BitStreamFilterContext | None:
    """What puts the parameter sets into the keyframes, so that packets stand by themselves."""
    extradata = bytes(stream.codec_context.extradata or b"")
    if coding.codec not in ("h264", "hevc") or not extradata:
        return None
    packaged = extradata[0] == 1
    name = f"{coding.codec}_mp4toannexb" if packaged else "dump_extra=freq=keyframe"
    try:
        return av.BitStreamFilterContext(name, stream)
    except av.FFmpegError as error:
        raise SignalLost("what it sends is damaged") from error


def _cannot_open(spec: LiveSpec, error: Exception) -> Exception:
    detail = f"{type(error).__name__}: {getattr(error, 'strerror', '')}"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return EnvironmentProblem(
            f"{spec.kind.upper()} is not in this FFmpeg; let the source send RTSP, RTMP or MPEG-TS "
            "over UDP.",
            detail,
        )
    if isinstance(error, ValueError) and not isinstance(error, av.FFmpegError):
        what = "Capture devices" if spec.kind == "device" else "The screen"
        return EnvironmentProblem(f"{what} cannot be read here: not in this FFmpeg.", detail)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return BadInput(
            f"{spec.name} refuses this user; put user and password into the address.", detail
        )
    return SignalLost(_why(error))


def _why(error: Exception) -> str:
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return "nothing comes"
    if isinstance(error, av.error.ConnectionRefusedError):
        return "nobody answers at this address"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "it knows no such stream"
    if isinstance(error, av.error.FileNotFoundError):
        return "it is not there"
    if isinstance(error, av.error.EOFError):
        return "the sender ended"
    if getattr(error, "errno", None) == errno.EIO:
        return "the connection broke off"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return str(reason).lower().rstrip(".")
