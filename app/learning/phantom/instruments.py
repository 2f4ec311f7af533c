"""Instruments as flat pieces that are turned, opened and laid over tissue. Pure functions.

An instrument is a list of parts in its own coordinates: x runs along the shaft towards the tip,
the wrist is at the origin, one unit is one pixel of the parts' pictures. Pictures are RGBA uint8
with colour already multiplied by opacity.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One rigid piece: pictures at full, half and quarter size, and how it hangs together.

    `pivot` (x, y in its picture) lies on `at` (x, y in the instrument); `turn_deg` is fixed,
    `hinge_deg` is added at full opening; `bends` says whether it follows the wrist.
    """

    levels: tuple[np.ndarray, ...]
    pivot: tuple[float, float]
    at: tuple[float, float] = (0.0, 0.0)
    turn_deg: float = 0.0
    hinge_deg: float = 0.0
    bends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Parts from back to front; `reach` is the distance from wrist to tip, in parts' pixels."""

    key: str
    parts: tuple[Part, ...]
    reach: float
    width: float
    real: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where an instrument is: tip in frame pixels, pointing angle in radians (y down)."""

    tip: tuple[float, float]
    angle: float
    scale: float
    opening: float = 0.0
    bend: float = 0.0


@dataclass(slots=True, kw_only=True)
class Layer:
    """A piece of a frame: its upper left corner and premultiplied RGBA float32 (h, w, 4), 0..1."""

    x: int
    y: int
    rgba: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.rgba.shape[:2]
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def mip(rgba: np.ndarray) -> tuple[np.ndarray, ...]:
    """The picture at full, half and quarter size."""
    out = [rgba]
    for _ in range(2):
        height, width = out[-1].shape[:2]
        if min(height, width) < 8:
            break
        size = (max(width // 2, 1), max(height // 2, 1))
        out.append(cv2.resize(out[-1], size, interpolation=cv2.INTER_AREA))
    return tuple(out)


def _move(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float)


def _turn(angle: float, scale: float = 1.0) -> np.ndarray:
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], float)


def lay_out(
    instrument: Instrument, pose: Pose, size: tuple[int, int], margin: int = 0
) -> Layer | None:
    """Draw an instrument in its pose into the rectangle it covers.

    Args:
        size: height and width of the frame.
        margin: free pixels kept around the drawing, for blurring.

    Returns:
        The layer, or None where nothing of it is in the frame.
    """
    whole = _move(*pose.tip) @ _turn(pose.angle, pose.scale) @ _move(-instrument.reach, 0)
    placed = []
    for part in instrument.parts:
        angle = np.deg2rad(part.turn_deg + part.hinge_deg * pose.opening)
        bend = _turn(pose.bend) if part.bends else np.eye(3)
        placed.append(
            (
                part,
                whole
                @ bend
                @ _move(*part.at)
                @ _turn(angle)
                @ _move(-part.pivot[0], -part.pivot[1]),
            )
        )
    corners = np.concatenate([_corners(part.levels[0], matrix) for part, matrix in placed])
    x0, y0 = np.floor(corners.min(0)).astype(int) - margin - 1
    x1, y1 = np.ceil(corners.max(0)).astype(int) + margin + 2
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, size[1]), min(y1, size[0])
    if x1 <= x0 or y1 <= y0:
        return None
    level = 0 if pose.scale > 0.7 else 1 if pose.scale > 0.35 else 2
    out: np.ndarray | None = None
    for part, matrix in placed:
        used = min(level, len(part.levels) - 1)
        picture = part.levels[used]
        across = picture.shape[1] / part.levels[0].shape[1]
        down = picture.shape[0] / part.levels[0].shape[0]
        grown = np.diag([1 / across, 1 / down, 1.0])
        matrix = _move(-x0, -y0) @ matrix @ grown
        drawn = cv2.warpAffine(picture, matrix[:2], (int(x1 - x0), int(y1 - y0)))
        drawn = drawn.astype(np.float32) * (1 / 255)
        out = drawn if out is None else drawn + out * (1 - drawn[..., 3:])
    return Layer(x=int(x0), y=int(y0), rgba=out)


def _corners(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float)
    return (corners @ matrix.T)[:, :2]
