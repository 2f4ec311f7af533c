"""Decoded pictures as the asset's raster: RGB of BT.709, upright. Any thread, one at a time."""

from __future__ import annotations

from typing import Any, TypeVar

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray

from app.video.tone import ToneMapper, Transfer

Pixel = TypeVar("Pixel", np.uint8, np.uint16)

_UNSPECIFIED = 2
_HD_WIDTH_PX, _SD_HEIGHT_PX = 1280, 576
_IDENTITY = (1, 0, 0, 1)
_MOST_STRETCH = 8
_HDR = {int(ColorTrc.SMPTE2084): Transfer.PQ, int(ColorTrc.ARIB_STD_B67): Transfer.HLG}


class Rasteriser:
    """Turns decoder frames into uint8 (H, W, 3) RGB; keeps one scaler for all of them.

    Matrix and range are those the stream declares; where it declares no matrix, BT.709 for high
    definition and BT.601 below, as players do. High dynamic range and BT.2020 become BT.709.

    Args:
        deinterlaces: a picture of two fields is made whole from itself alone; a source that knows
            its neighbours does it better beforehand (``app.video.deinterlace``).
    """

    def __init__(self, *, deinterlaces: bool = True) -> None:
        self._scaler = VideoReformatter()
        self._deinterlaces = deinterlaces
        self._mappers: dict[Transfer, ToneMapper] = {}
        self._orientations: dict[float, tuple[int, int, int, int]] = {}

    def rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """The upright picture, C-contiguous."""
        transfer = wide_transfer(frame)
        if transfer is None:
            converted = self._converted(frame, "rgb24", _matrix(frame))
            picture = _pixels(converted, np.uint8)
            if converted is frame:
                # RGB already: the decoder's own memory, which it or a cache goes on using.
                picture = picture.copy()
        else:
            deep = self._converted(frame, "rgb48le", _matrix(frame) or Colorspace.BT2020)
            if transfer not in self._mappers:
                self._mappers[transfer] = ToneMapper(transfer)
            picture = self._mappers[transfer].bt709(_pixels(deep, np.uint16))
        if self._deinterlaces and frame.interlaced_frame:
            picture = deinterlaced(picture)
        return upright(picture, self._orientation(frame))

    def _orientation(self, frame: av.VideoFrame) -> tuple[int, int, int, int]:
        # A frame whose side data was looked at refers to itself and stays in memory until the
        # garbage collector comes by (measured: hundreds of megabytes), so one of each turn is.
        if frame.rotation not in self._orientations:
            self._orientations[frame.rotation] = orientation(frame)
        return self._orientations[frame.rotation]

    def _converted(self, frame: av.VideoFrame, form: str, matrix: int | None) -> av.VideoFrame:
        return self._scaler.reformat(
            frame, format=form, src_colorspace=matrix, dst_colorspace=matrix, threads=1
        )


def wide_transfer(frame: av.VideoFrame) -> Transfer | None:
    """How a high dynamic range or BT.2020 picture is coded; None for an ordinary one."""
    if frame.color_trc in _HDR:
        return _HDR[frame.color_trc]
    return Transfer.SDR if frame.color_primaries == ColorPrimaries.BT2020 else None


def _matrix(frame: av.VideoFrame) -> Colorspace | None:
    """The matrix of a stream that declares none; None where it does, or where it is for RGB."""
    if frame.colorspace != _UNSPECIFIED:
        return None
    if wide_transfer(frame):
        return Colorspace.BT2020
    high_definition = frame.width >= _HD_WIDTH_PX or frame.height > _SD_HEIGHT_PX
    return Colorspace.ITU709 if high_definition else None


def _pixels(frame: av.VideoFrame, kind: type[Pixel]) -> NDArray[Pixel]:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    shown = rows[: frame.height].view(kind)[:, : frame.width * 3]
    # Seen in place where the rows lie without gaps, as most widths have them.
    return np.ascontiguousarray(shown).reshape(frame.height, -1, 3)


def deinterlaced(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The upper field's lines, with the lines between them interpolated.

    Looks at one frame alone, so that a frame reached by seeking equals the one that is played.
    """
    result = picture.copy()
    upper, lower = picture[0:-2:2], picture[2::2]
    between = (upper.astype(np.uint16) + lower[: len(upper)] + 1) >> 1
    result[1 : 1 + 2 * len(between) : 2] = between
    if len(picture) % 2 == 0:
        result[-1] = picture[-2]
    return result


def orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix as a quarter turn or mirror (a, b, c, d); absurd ones mean none."""
    asked = _asked_matrix(frame)
    matrix = (_sign(asked[0]), _sign(asked[1]), _sign(asked[2]), _sign(asked[3]))
    straight = matrix[1] == matrix[2] == 0 and matrix[0] and matrix[3]
    turned = matrix[0] == matrix[3] == 0 and matrix[1] and matrix[2]
    is_sane = max(map(abs, asked)) <= _MOST_STRETCH
    return matrix if is_sane and (straight or turned) else _IDENTITY


def has_odd_matrix(frame: av.VideoFrame) -> bool:
    """Whether a display matrix asks for something that no screen does, and is ignored."""
    return orientation(frame) == _IDENTITY and _asked_matrix(frame) != _IDENTITY


def _asked_matrix(frame: av.VideoFrame) -> tuple[float, float, float, float]:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _IDENTITY
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5] / 65536
    return float(a), float(b), float(c), float(d)


def _sign(value: float) -> int:
    return 0 if abs(value) < 0.5 else int(np.sign(value))


def rotation_deg(matrix: tuple[int, int, int, int]) -> int:
    """Clockwise degrees (0, 90, 180, 270) by which the stored picture is turned for showing."""
    turns = {(1, 0, 0, 1): 0, (0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}
    return turns.get(matrix, 0)


def upright(picture: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Apply a display matrix: stored (x, y) is shown at (a x + c y, b x + d y)."""
    if matrix == _IDENTITY:
        return picture
    a, b, c, d = matrix
    if a == 0:
        picture = picture.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(picture[:: int(d), :: int(a)])
