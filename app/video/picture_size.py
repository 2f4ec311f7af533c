"""Whether a stream's pictures change their size, told from its keyframes. Used while indexing.

The headers inside a keyframe are compared with those of the keyframe before; only where they
differ is that one picture decoded to learn its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import av
from av.video.stream import VideoStream

from app.video.container import MAX_PIXELS

_HEADER_BYTES = 4096
_SEQUENCE_HEADER, _VOL = b"\0\0\1\xb3", b"\0\0\1\x20"
_JPEG_FRAMES = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")


class SizeWatch:
    """Notes where the pictures of a stream begin to have another size.

    Attributes:
        sizes: (pts, width in px, height in px) of each change, the first keyframe's before them;
            empty while there is none.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._codec = stream.codec_context.codec.canonical_name
        self._header: bytes | None = None
        self._first: tuple[int, int, int] | None = None
        self.sizes: list[tuple[int, int, int]] = []

    def note(self, packet: av.Packet[VideoStream]) -> None:
        """Look at a keyframe's headers."""
        if packet.pts is None:
            return
        header = self._header_of(packet)
        if header is None or header == self._header:
            return
        if self._header is None:
            self._first = (packet.pts, self._context.width, self._context.height)
        elif (size_px := self._decoded_size(packet)) is not None:
            known = self.sizes or [self._first or (0, 0, 0)]
            if size_px != known[-1][1:]:
                self.sizes = [*known, (packet.pts, *size_px)]
        self._header = header

    def _header_of(self, packet: av.Packet[VideoStream]) -> bytes | None:
        if packet.has_sidedata("new_extradata"):
            return b"new" + bytes(memoryview(packet))[:_HEADER_BYTES]
        return picture_header(self._codec, bytes(memoryview(packet)[:_HEADER_BYTES]))

    def _decoded_size(self, packet: av.Packet[VideoStream]) -> tuple[int, int] | None:
        context = cast("av.VideoCodecContext", av.CodecContext.create(self._context.name, "r"))
        context.extradata, context.thread_count = self._context.extradata, 1
        context.options = {"max_pixels": str(MAX_PIXELS)}
        try:
            pictures = [*context.decode(packet), *context.decode(None)]
        except av.FFmpegError:
            return None
        return (pictures[0].width, pictures[0].height) if pictures else None


def picture_header(codec: str, head: bytes) -> bytes | None:
    """The bytes at the start of a keyframe that say its size among other things, or None."""
    if codec in {"h264", "hevc"}:
        return next((unit for unit in _units(head) if _is_sps(codec, unit)), None)
    if codec in {"mpeg1video", "mpeg2video"}:
        at = head.find(_SEQUENCE_HEADER)
        return head[at : at + 7] if at >= 0 else None
    if codec == "mpeg4":
        at = head.find(_VOL)
        return head[at : at + 24] if at >= 0 else None
    if codec == "mjpeg":
        at = max(head.find(marker) for marker in _JPEG_FRAMES)
        return head[at : at + 9] if at >= 0 else None
    if codec in {"vp8", "vp9"}:
        return head[3:10] if codec == "vp8" else head[:9]
    return None


def _units(head: bytes) -> Iterator[bytes]:
    """NAL units of a byte stream (ITU-T H.264 annex B), or of one with 4-byte lengths."""
    if head.startswith((b"\0\0\1", b"\0\0\0\1")):
        yield from head.split(b"\0\0\1")[1:]
        return
    at = 0
    while at + 5 <= len(head):
        length = int.from_bytes(head[at : at + 4], "big")
        yield head[at + 4 : at + 4 + length]
        at += 4 + length


def _is_sps(codec: str, unit: bytes) -> bool:
    if not unit:
        return False
    return unit[0] & 31 == 7 if codec == "h264" else unit[0] >> 1 & 63 == 33
