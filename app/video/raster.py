"""Decoded pictures as the asset's raster: RGB, upright, deinterlaced frame for frame."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

_UNSPECIFIED = 2
_HD_WIDTH_PX, _SD_HEIGHT_PX = 1280, 576
_IDENTITY = (1, 0, 0, 1)


class Rasteriser:
    """Turns decoder frames into uint8 (H, W, 3) RGB; keeps one scaler for all of them.

    Matrix and range are those the stream declares; where it declares no matrix, BT.709 for high
    definition and BT.601 below, as players do.
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """The upright picture, C-contiguous."""
        matrix = None
        if frame.colorspace == _UNSPECIFIED and (
            frame.width >= _HD_WIDTH_PX or frame.height > _SD_HEIGHT_PX
        ):
            matrix = Colorspace.ITU709
        converted = self._scaler.reformat(
            frame, format="rgb24", src_colorspace=matrix, dst_colorspace=matrix, threads=1
        )
        picture = _pixels(converted)
        if frame.interlaced_frame:
            picture = deinterlaced(picture)
        return upright(picture, orientation(frame))


def _pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    # A copy: the scaler hands through what is RGB already, and that picture may be cached.
    return rows[: frame.height, : frame.width * 3].reshape(frame.height, -1, 3).copy()


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
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _IDENTITY
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
    matrix = (_sign(a), _sign(b), _sign(c), _sign(d))
    straight = matrix[1] == matrix[2] == 0 and matrix[0] and matrix[3]
    turned = matrix[0] == matrix[3] == 0 and matrix[1] and matrix[2]
    return matrix if straight or turned else _IDENTITY


def _sign(value: float) -> int:
    return 0 if abs(value) < 1 << 15 else int(np.sign(value))


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
