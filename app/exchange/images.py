"""Reading still pictures safely: any path, bounded size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput

MAX_BYTES = 256 * 2**20


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG or PNG as uint8 (H, W, 3) RGB.

    Raises:
        BadInput: missing, too large, or not a picture.
    """
    bgr = _decoded(path, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False))


def read_plane(path: Path) -> NDArray[np.uint8]:
    """Read a mask picture as it is: uint8 (H, W), or (H, W, 3) RGB where it has colours.

    Raises:
        BadInput: missing, too large, not a picture, or of more than 255 values.
    """
    plane = _decoded(path, cv2.IMREAD_UNCHANGED)
    if plane.dtype != np.uint8:
        if plane.min() < 0 or plane.max() > 255:
            raise BadInput(f"The mask {path.name} holds values above 255; it was not read.")
        plane = plane.astype(np.uint8)
    if plane.ndim == 3:
        plane = plane[..., :3] if plane.shape[2] >= 3 else plane[..., 0]
    return np.ascontiguousarray(plane[..., ::-1] if plane.ndim == 3 else plane)


def _decoded(path: Path, how: int) -> NDArray[np.uint8]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"The picture {path.name} is too large; it is left out.")
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise BadInput(f"The picture {path.name} cannot be read.", str(error)) from error
    try:
        picture = cv2.imdecode(data, how) if data.size else None
    except cv2.error as error:
        raise BadInput(f"{path.name} is not a picture that can be read.", str(error)) from error
    if picture is None:
        raise BadInput(f"{path.name} is not a picture that can be read.")
    return picture  # type: ignore[return-value]


def write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W, 3) RGB as PNG; works for any path name."""
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError("PNG encoding failed")
    path.write_bytes(data.tobytes())
