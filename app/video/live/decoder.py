"""Decodes live packets; hands over the newest picture. Its thread is ``trocar-live-decode``."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import av

from app.core.errors import TrocarError
from app.core.recording import Raster
from app.video.container import MAX_PIXELS, check_size
from app.video.live.state import LIVE_TIME_BASE, LiveFrame, LivePacket, StreamFormat
from app.video.raster import Rasteriser

# So far behind, decoding goes on at the newest keyframe.
_BEHIND_S = 2.0
_MOST_WAITING_BYTES = 256 << 20
_MOST_ARRIVALS = 256
# A picture is left out where more than this many packets wait behind its own.
_ENOUGH_WAITING = 2

log = logging.getLogger(__name__)


class LiveDecoder:
    """Decodes everything that comes, converts what is still the newest when it is decoded.

    Args:
        on_frame: a picture, on the decoding thread.
        on_raster: from a picture on they have another size.
    """

    def __init__(
        self,
        on_frame: Callable[[LiveFrame], None],
        on_raster: Callable[[Raster], None],
    ) -> None:
        self.frames = 0
        self.dropped = 0
        self.damaged = 0
        self._on_frame, self._on_raster = on_frame, on_raster
        self._waiting: deque[LivePacket | None] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = self._forgets = False
        self._context: av.VideoCodecContext | None = None
        self._coding: StreamFormat | None = None
        self._rasteriser = Rasteriser()
        self._size_px: tuple[int, int] | None = None
        self._newest_pts = -1
        self._arrived_s: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="trocar-live-decode", daemon=True)

    def start(self) -> None:
        """Begin to wait for packets."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def put(self, packet: LivePacket) -> None:
        """Queue a packet; returns at once."""
        with self._changed:
            self._waiting.append(packet)
            self._waiting_bytes += len(packet.data)
            if packet.is_keyframe and self._is_behind(packet):
                skipped = [p for p in self._waiting if p is not None][:-1]
                self.dropped += len(skipped)
                self._waiting = deque([None, packet])
                self._waiting_bytes = len(packet.data)
            self._changed.notify()

    def restart(self, *, forget: bool = False) -> None:
        """What comes now does not lean on what came before; with ``forget``, nor do its times."""
        with self._changed:
            self._waiting.append(None)
            self._forgets |= forget
            self._changed.notify()

    def _is_behind(self, newest: LivePacket) -> bool:
        oldest = next((p for p in self._waiting if p is not None), newest)
        behind_s = newest.arrived_s - oldest.arrived_s
        return behind_s > _BEHIND_S or self._waiting_bytes > _MOST_WAITING_BYTES

    # What follows runs on the decoding thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                packet = self._waiting.popleft()
                self._waiting_bytes -= 0 if packet is None else len(packet.data)
            if packet is None:
                self._finish()
            else:
                self._decode(packet)

    def _finish(self) -> None:
        """Hand over what the decoder holds back; the next packet begins anew."""
        context, self._context = self._context, None
        if self._forgets:
            self._forgets, self._newest_pts = False, -1
            return
        if context is None or not context.is_open:
            return
        try:
            for picture in context.decode(None):
                self._hand_over(picture, picture.pts or self._newest_pts, time.monotonic())
        except av.FFmpegError as error:
            log.debug("the last live pictures do not decode: %s", type(error).__name__)

    def _decode(self, packet: LivePacket) -> None:
        if self._context is None or packet.coding != self._coding:
            self._context, self._coding = decoder_for(packet.coding), packet.coding
            self._arrived_s.clear()
        self._arrived_s[packet.pts] = packet.arrived_s
        try:
            pictures = self._context.decode(as_av_packet(packet))
        except av.FFmpegError as error:
            self.damaged += 1
            log.debug("a live packet does not decode: %s", type(error).__name__)
            return
        for picture in pictures:
            pts = packet.pts if picture.pts is None else picture.pts
            self._hand_over(picture, pts, self._arrived_s.pop(pts, packet.arrived_s))
        if len(self._arrived_s) > _MOST_ARRIVALS:
            self._arrived_s.clear()

    def _hand_over(self, picture: av.VideoFrame, pts: int, arrived_s: float) -> None:
        size_px = (picture.width, picture.height)
        if size_px != self._size_px:
            self._size_px = size_px
            self._on_raster(Raster(first_pts=pts, width_px=size_px[0], height_px=size_px[1]))
        if len(self._waiting) > _ENOUGH_WAITING or pts <= self._newest_pts:
            self.dropped += 1
            return
        try:
            check_size(picture.width, picture.height, Path("live"))
            rgb = self._rasteriser.rgb(picture)
        except (av.FFmpegError, TrocarError) as error:
            self.damaged += 1
            log.debug("a live picture cannot be shown: %s", type(error).__name__)
            return
        self._newest_pts = pts
        number, self.frames = self.frames, self.frames + 1
        self._on_frame(
            LiveFrame(
                rgb=rgb,
                pts=pts,
                captured_s=arrived_s,
                number=number,
                damaged=bool(picture.is_corrupt),
            )
        )


def decoder_for(coding: StreamFormat) -> av.VideoCodecContext:
    """A decoder for packets that stand by themselves, without the delay of frame threads.

    FFmpeg's low-delay flag gains nothing for H.264 and HEVC, and makes MPEG-2 with B-frames come
    out in decode order (both measured).
    """
    context = av.CodecContext.create(coding.codec, "r")
    context.thread_type = "SLICE"
    context.options = {"max_pixels": str(MAX_PIXELS)}
    if coding.width_px and coding.codec == "rawvideo":
        context.width, context.height = coding.width_px, coding.height_px
        context.pix_fmt = coding.pix_fmt
    if coding.extradata:
        context.extradata = coding.extradata
    return context


def as_av_packet(packet: LivePacket) -> av.Packet:
    """A live packet as av takes it."""
    result = av.Packet(packet.data)
    result.pts, result.dts = packet.pts, packet.dts
    result.time_base = LIVE_TIME_BASE
    result.is_keyframe = packet.is_keyframe
    return result
