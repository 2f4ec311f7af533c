"""Multi-frame DICOM stills as video: one frame is read and decoded at a time. One thread."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.frame import Frame
from app.video.cache import FrameCache
from app.video.container import check_size
from app.video.decoder import UndecodableFrame
from app.video.dicom.file import DicomFile
from app.video.dicom.pixels import Window, coded_size, decoded, grey_window, is_decodable
from app.video.dicom.times import TICKS_PER_S, frame_ticks, says_when
from app.video.index import PacketIndex
from app.video.info import StreamInfo, VideoInfo, frame_rate
from app.video.payload import Payload
from app.video.source import CACHE_BYTES, VideoSource

_ITEM_HEAD_BYTES = 8
_CODECS = {
    "50": "jpeg", "51": "jpeg", "57": "jpeg-lossless", "70": "jpeg-lossless", "80": "jpeg-ls",
    "81": "jpeg-ls", "90": "jpeg2000", "91": "jpeg2000", "1.2.5": "rle",
}  # fmt: skip


class StillsSource(VideoSource):
    """The frames of an ultrasound loop, or of any other multi-frame image; see ``VideoSource``.

    Args:
        file: its header and places.
        cache_bytes: room for decoded frames.

    Raises:
        BadInput: a kind of picture that Trocar does not read, or none is there.
    """

    def __init__(self, file: DicomFile, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = file.path
        self._file = file
        check_size(*file.size_px, file.path)
        _check_kind(file)
        places = _frames_compressed(file) if file.encapsulated else _frames_plain(file)
        if not places:
            raise BadInput(f"{file.path.name} holds no whole picture; it is cut off or damaged.")
        declared = file.declared_frames
        self._places = places[:declared] if declared else places
        self._cache = FrameCache(cache_bytes)
        self._window: Window | None = None
        ticks = np.array(frame_ticks(file, len(self._places)), np.int64)
        pts = ticks[:-1]
        self.index = PacketIndex(
            pts=pts,
            label=pts,
            dts=pts,
            key=np.ones(len(pts), bool),
            last_duration=int(ticks[-1] - ticks[-2]),
        )
        self.info = _describe(file, self.index, len(places))

    def close(self) -> None:
        """Release the cached frames."""
        self._cache.clear()

    @property
    def cached_bytes(self) -> int:
        """Memory of the decoded frames at hand."""
        return self._cache.bytes

    def holds(self, index: int) -> bool:
        """Whether a frame is decoded and at hand."""
        return index in self._cache

    def keep_around(self, index: int) -> None:
        """Frames near ``index`` are the last to be let go when the cache is full."""
        self._cache.focus = index

    def frame(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame:  # noqa: ARG002
        """The exact frame; see ``VideoSource.frame``."""
        index = self._checked(index)
        return Frame(
            rgb=self._picture(index).to_ndarray(),
            pts=self.pts(index),
            index=index,
            time_ms=self.time_ms(index),
        )

    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:  # noqa: ARG002
        """Decode a frame into the cache."""
        self._picture(self._checked(index))

    def _picture(self, index: int) -> av.VideoFrame:
        self._cache.focus = index
        found = self._cache.get(index)
        if found is None:
            found = av.VideoFrame.from_ndarray(self._decode(index), format="rgb24")
            self._cache.put(index, found)
        return found

    def _decode(self, index: int) -> NDArray[np.uint8]:
        try:
            if self._window is None:
                self._window = grey_window(self._file, self._data(0))
            return decoded(self._file, self._data(index), self._window)
        except _undecodable() as error:
            raise UndecodableFrame(index, self.path.name) from error

    def _data(self, index: int) -> bytes:
        """The bytes of a frame; ``ValueError`` where its code claims a size it must not have."""
        places, inflated = self._places[index], self._file.inflated
        if inflated is None:
            with Payload(path=self.path, ranges=places).open() as opened:
                data = opened.read()
        else:
            data = b"".join(inflated[at : at + length] for at, length in places)
        # What the code claims decides how much memory its decoder takes.
        claimed = coded_size(data) if self._file.encapsulated else None
        if claimed not in (None, self._file.size_px):
            raise ValueError(f"coded as {claimed}")
        return data


def _undecodable() -> tuple[type[Exception], ...]:
    """What pydicom and the decoders under it raise on a damaged frame."""
    return (
        RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError,
        av.FFmpegError, struct.error,
    )  # fmt: skip


def _check_kind(file: DicomFile) -> None:
    name = file.path.name
    if not is_decodable(file):
        from pydicom.uid import UID

        kind = UID(file.syntax).name
        bits = int(file.number("BitsStored") or 8)
        deep = f" of {bits} bits" if bits > 8 else ""
        raise BadInput(
            f"{name}: pictures{deep} coded as {kind} are not supported; export it as video."
        )
    if file.number("BitsAllocated") not in (8, 16) or file.number("SamplesPerPixel") not in (1, 3):
        raise BadInput(f"{name}: its pictures are of a kind that Trocar does not show.")
    if file.words_swapped and file.number("BitsAllocated") == 8:
        raise BadInput(f"{name}: big-endian words of bytes are not supported; export it as video.")
    if not all(file.size_px):
        raise BadInput(f"{name}: the size of its pictures is unknown; it is damaged.")


def _frames_plain(file: DicomFile) -> list[tuple[tuple[int, int], ...]]:
    """Where each uncompressed frame lies; a half one is left out (PS3.5 §8.1.1)."""
    width, height = file.size_px
    bits = int((file.number("SamplesPerPixel") or 1) * (file.number("BitsAllocated") or 8))
    if "422" in str(file.dataset.get("PhotometricInterpretation")):
        bits = bits * 2 // 3
    length = width * height * bits // 8
    start, there = file.fragments[0]
    return [((start + n * length, length),) for n in range(there // length)]


def _frames_compressed(file: DicomFile) -> list[tuple[tuple[int, int], ...]]:
    """The pieces of each frame: by the offset table, else a piece is a frame (PS3.5 §A.4)."""
    pieces, declared = file.fragments, max(1, file.declared_frames)
    if declared == 1:
        return [pieces] if pieces else []
    offsets = _extended_offsets(file) or file.offsets
    if len(pieces) == declared or len(offsets) != declared:
        return [(piece,) for piece in pieces]
    starts = accumulate((_ITEM_HEAD_BYTES + length for _, length in pieces), initial=0)
    number_at = {start: n for n, start in enumerate(starts)}
    bounds = [number_at.get(offset) for offset in offsets]
    known = [b for b in bounds if b is not None and b < len(pieces)]
    if known != sorted(set(known)) or not known:
        return [(piece,) for piece in pieces]
    return [pieces[a:b] for a, b in zip(known, [*known[1:], len(pieces)], strict=True)]


def _extended_offsets(file: DicomFile) -> tuple[int, ...]:
    table: Any = file.dataset.get("ExtendedOffsetTable")
    if not isinstance(table, bytes) or len(table) % 8:
        return ()
    return tuple(int(n) for n in np.frombuffer(table, "<u8"))


def _describe(file: DicomFile, index: PacketIndex, there: int) -> VideoInfo:
    time_base = Fraction(1, TICKS_PER_S)
    rate, variable = frame_rate(index.pts, time_base, None)
    if len(index) == 1:
        rate = Fraction(TICKS_PER_S, index.last_duration).limit_denominator(1001)
    name = file.syntax.removeprefix("1.2.840.10008.").removeprefix("1.2.4.")
    codec = _CODECS.get(name, "uncompressed")
    problems = []
    if file.declared_frames and file.declared_frames != there:
        problems.append(f"The header promises {file.declared_frames} frames; {there} are there.")
    if len(index) > 1 and not says_when(file):
        problems.append("The file does not say how fast its frames follow; 25 a second are taken.")
    width, height = file.size_px
    return VideoInfo(
        frames=len(index),
        duration_ms=float(index.end_pts * time_base * 1000),
        width_px=width,
        height_px=height,
        codec=codec,
        container="dicom",
        frame_rate=rate,
        is_variable_rate=variable,
        is_interlaced=False,
        rotation_deg=0,
        time_base=time_base,
        start_pts=0,
        end_pts=index.end_pts,
        stream=0,
        streams=(StreamInfo(index=0, kind="video", codec=codec),),
        problems=tuple(problems),
    )
