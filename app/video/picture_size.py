"""Whether a stream's pictures change their size, told from its keyframes. Used while indexing.

The headers inside a keyframe are compared with those of the keyframe before; only where they
differ is that one picture decoded to learn its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.video.container import MAX_PIXELS

_HEADER_BYTES = 4096
_SEQUENCE_HEADER, _VOL = b"\0\0\1\xb3", b"\0\0\1\x20"
_JPEG_FRAMES = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")
# In MP4, those whose parameter sets have to stand in the sample description (ISO/IEC 14496-15).
# Some writers leave them in the keyframes as well: so many of these are looked at to see it.
_DESCRIBED = ("avc1", "hvc1", "dva1", "dvh1")
_TRIED_KEYFRAMES = 16
_BETWEEN_FRAMES = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9", "av1")
_CHECK_EVERY = 256
_SEQUENCE_OBU = 1


class SizeWatch:
    """Notes where the pictures of a stream begin to have another size.

    Attributes:
        sizes: (pts, width in px, height in px) of each change, the first keyframe's before them;
            empty while there is none.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._codec = stream.codec_context.codec.canonical_name
        self._length_bytes = _length_bytes(self._codec, stream.codec_context.extradata or b"")
        self._is_described = stream.codec_context.codec_tag in _DESCRIBED
        self._header: bytes | None = None
        self._first: tuple[int, int, int] | None = None
        self.sizes: list[tuple[int, int, int]] = []

    def note(self, packet: av.Packet[VideoStream]) -> None:
        """Look at a keyframe's headers."""
        if packet.pts is None:
            return
        header = self._header_in(bytes(memoryview(packet)[:_HEADER_BYTES]))
        # Another sample description of an MP4 comes along with its first packet.
        is_new = packet.has_sidedata("new_extradata")
        self._note(packet.pts, header, lambda: packet, is_new=is_new)

    def note_in_file(
        self, path: Path, keyframes: NDArray[np.int64], cancelled: Callable[[], bool]
    ) -> None:
        """Look at the headers of an MP4's keyframes, and at nothing else of it.

        Args:
            path: the file.
            keyframes: int64 (K, 3): pts, first byte and bytes of each, in the file's order.
            cancelled: asked now and then; it returns early where that is true.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb", buffering=0) as file:
            tried = keyframes[:: max(1, len(keyframes) // _TRIED_KEYFRAMES)].tolist()
            tried += keyframes[-1:].tolist()
            if not self._may_change({self._header_at(file, *place) for _, *place in tried}):
                return
            for number, (pts, position, size) in enumerate(keyframes.tolist()):
                if number % _CHECK_EVERY == 0 and cancelled():
                    return
                header = self._header_at(file, position, size)

                def packet(position: int = position, size: int = size) -> av.Packet[VideoStream]:
                    return av.Packet(_bytes_at(file, position, size, size))

                self._note(pts, header, packet)

    def _note(
        self,
        pts: int,
        header: bytes | None,
        packet: Callable[[], av.Packet[VideoStream]],
        *,
        is_new: bool = False,
    ) -> None:
        if self._first is None:
            self._first = (pts, self._context.width, self._context.height)
        elif is_new or header not in (None, self._header):
            size_px, known = self._decoded_size(packet()), self.sizes or [self._first]
            if size_px is not None and size_px != known[-1][1:]:
                self.sizes = [*known, (pts, *size_px)]
        if header is not None:
            self._header = header

    def _may_change(self, tried: set[bytes | None]) -> bool:
        """Whether all keyframes are looked at, from the headers of some."""
        if self._codec not in _BETWEEN_FRAMES:
            # Every frame is one; QuickTime has a sample description for each size.
            return len(tried) > 1
        return not self._is_described or tried != {None}

    def _header_at(self, file: BinaryIO, position: int, size: int) -> bytes | None:
        return self._header_in(_bytes_at(file, position, size))

    def _header_in(self, head: bytes) -> bytes | None:
        return picture_header(self._codec, head, self._length_bytes)

    def _decoded_size(self, packet: av.Packet[VideoStream]) -> tuple[int, int] | None:
        context = cast("av.VideoCodecContext", av.CodecContext.create(self._context.name, "r"))
        context.extradata, context.thread_count = self._context.extradata, 1
        context.options = {"max_pixels": str(MAX_PIXELS)}
        try:
            pictures = [*context.decode(packet), *context.decode(None)]
        except av.FFmpegError:
            return None
        return (pictures[0].width, pictures[0].height) if pictures else None


def _bytes_at(file: BinaryIO, position: int, size: int, most: int = _HEADER_BYTES) -> bytes:
    file.seek(position)
    return file.read(min(size, most))


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit (ISO/IEC 14496-15 §5.3.3, §8.3.3), 0 for none."""
    at = {"h264": 4, "hevc": 21}.get(codec)
    if at is None or len(extradata) <= at or extradata[0] != 1:
        return 0
    return (extradata[at] & 3) + 1


def picture_header(codec: str, head: bytes, length_bytes: int = 0) -> bytes | None:
    """The bytes at the start of a keyframe that say its size among other things, or None.

    Args:
        codec: FFmpeg's name.
        head: the beginning of a coded picture.
        length_bytes: of the length before each NAL unit; 0 for start codes, or not known.
    """
    if codec in {"h264", "hevc"}:
        return next((u for u in _units(head, length_bytes) if _is_sps(codec, u)), None)
    if codec == "av1":
        return _av1_sequence(head)
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


def _units(head: bytes, length_bytes: int) -> Iterator[bytes]:
    """NAL units of a byte stream (ITU-T H.264 annex B), or of one with lengths."""
    # A unit of 256 to 511 bytes has a length like a start code of three bytes.
    if head.startswith(b"\0\0\0\1") or (not length_bytes and head.startswith(b"\0\0\1")):
        yield from head.split(b"\0\0\1")[1:]
        return
    at, before = 0, length_bytes or 4
    while at + before < len(head):
        length = int.from_bytes(head[at : at + before], "big")
        yield head[at + before : at + before + length]
        at += before + length


def _av1_sequence(head: bytes) -> bytes | None:
    """The sequence header in a temporal unit (AV1 bitstream §5.3, §5.5)."""
    at = 0
    while at < len(head):
        first, length, shift = head[at], 0, 0
        at += 2 if first & 4 else 1
        if not first & 2:
            length = len(head)
        while first & 2 and at < len(head) and shift < 56:
            length |= (head[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not head[at - 1] & 128:
                break
        if first >> 3 & 15 == _SEQUENCE_OBU:
            return head[at : at + length]
        at += length
    return None


def _is_sps(codec: str, unit: bytes) -> bool:
    if not unit:
        return False
    return unit[0] & 31 == 7 if codec == "h264" else unit[0] >> 1 & 63 == 33
