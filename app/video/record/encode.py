"""Packets as a recording takes them: copied where they are compressed, else encoded as H.264."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from app.video.live.decoder import as_av_packet, decoder_for
from app.video.live.state import LIVE_TIME_BASE, LivePacket, StreamFormat

COPIED = ("h264", "hevc", "mpeg2video")
ENCODED = "h264"
_KEYFRAME_EVERY_PTS = 90_000
# Pictures are put in order over much less; from farther back a clock was wrong.
_LEADING_PTS = 90_000
_HD_WIDTH_PX, _SD_HEIGHT_PX = 1280, 576

log = logging.getLogger(__name__)


class Copy:
    """The source's packets as they are, without the pictures that lead up to the first one.

    Those follow the first keyframe and are shown before it (an open group of pictures): what they
    were made from came before the recording, and an MP4 would hide them.
    """

    def __init__(self) -> None:
        self._first_pts: int | None = None
        self._may_lead = True

    def packets(self, packet: LivePacket) -> Iterator[av.Packet]:
        """What to write for a packet."""
        if self._may_lead and self._leads(packet):
            return
        yield as_av_packet(packet)

    def _leads(self, packet: LivePacket) -> bool:
        if self._first_pts is None:
            self._first_pts = packet.pts
            return False
        before = self._first_pts - packet.pts
        self._may_lead = not packet.is_keyframe and 0 <= before < _LEADING_PTS
        return self._may_lead and before > 0

    def flush(self) -> Iterator[av.Packet]:
        """Nothing is held back."""
        return iter(())


class Encode:
    """Pictures of a source that is not compressed, or not in a way that a recording may keep.

    Every picture keeps its pts; there are no B-frames and a keyframe comes every second.
    """

    def __init__(self) -> None:
        self._decoder: av.VideoCodecContext | None = None
        self._coding: StreamFormat | None = None
        self._encoder: av.VideoCodecContext | None = None
        self._scaler = VideoReformatter()
        self._keyframe_pts = 0

    def packets(self, packet: LivePacket) -> Iterator[av.Packet]:
        """What to write for a packet."""
        if self._decoder is None or packet.coding != self._coding:
            yield from self.flush()
            self._decoder, self._coding = decoder_for(packet.coding), packet.coding
        try:
            pictures = self._decoder.decode(as_av_packet(packet))
        except av.FFmpegError as error:
            log.debug("a packet does not decode: %s", type(error).__name__)
            return
        for picture in pictures:
            yield from self._encoded(picture)

    def flush(self) -> Iterator[av.Packet]:
        """What decoder and encoder hold back."""
        decoder, self._decoder = self._decoder, None
        if decoder is not None and decoder.is_open:
            for picture in decoder.decode(None):
                yield from self._encoded(picture)
        encoder, self._encoder = self._encoder, None
        if encoder is not None and encoder.is_open:
            yield from encoder.encode(None)

    def _encoded(self, picture: av.VideoFrame) -> Iterator[av.Packet]:
        width_px, height_px = picture.width & ~1, picture.height & ~1
        if self._encoder is None or (self._encoder.width, self._encoder.height) != (
            width_px,
            height_px,
        ):
            if self._encoder is not None:
                yield from self._encoder.encode(None)
            self._encoder = _encoder(width_px, height_px)
            self._keyframe_pts = picture.pts - _KEYFRAME_EVERY_PTS
        ready = self._scaler.reformat(
            picture,
            width=width_px,
            height=height_px,
            format="yuv420p",
            dst_colorspace=_matrix(width_px, height_px),
            dst_color_range=ColorRange.MPEG,
        )
        ready.pts, ready.time_base = picture.pts, LIVE_TIME_BASE
        ready.pict_type = PictureType.NONE
        if picture.pts - self._keyframe_pts >= _KEYFRAME_EVERY_PTS:
            ready.pict_type, self._keyframe_pts = PictureType.I, picture.pts
        yield from self._encoder.encode(ready)


def _matrix(width_px: int, height_px: int) -> Colorspace:
    """As every player assumes where a stream says nothing."""
    is_hd = width_px >= _HD_WIDTH_PX or height_px > _SD_HEIGHT_PX
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


def _encoder(width_px: int, height_px: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width_px, height_px, "yuv420p"
    encoder.time_base, encoder.framerate = LIVE_TIME_BASE, Fraction(30)
    encoder.gop_size, encoder.max_b_frames = 250, 0
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "crf": "19",
        "forced-idr": "1",
        "x264-params": "repeat-headers=1:annexb=1",
    }
    return encoder
