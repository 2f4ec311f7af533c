"""How loud the recording is: a grey band around a middle line, one picture. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from app.ui import theme
from app.ui.timeline import paint

if TYPE_CHECKING:
    from app.video.sound.waveform import Waveform

_FULL = 127


def draw_sound(
    painter: QPainter, area: QRectF, waveform: Waveform, start_ms: float, end_ms: float
) -> None:
    """Paint the stretch between two moments over an area; striped where it is not read yet.

    Args:
        area: logical pixels; painted pixel by pixel of the device.
        start_ms, end_ms: from the recording's first frame.
    """
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    width, height = max(1, round(area.width() * ratio)), max(1, round(area.height() * ratio))
    columns, known = waveform.columns(start_ms, end_ms, width)
    if not waveform.is_whole and end_ms > waveform.known_ms:
        share = max(0.0, (waveform.known_ms - start_ms) / max(end_ms - start_ms, 1e-9))
        rest = area.adjusted(area.width() * share, 0, 0, 0)
        paint.draw_stripes(painter, rest, theme.color("control_edge"))
    # Each row of pixels by the value in its middle, 127 above; silence is a line of two rows.
    rows = _FULL * (1 - (2 * np.arange(height)[:, None] + 1) / height)
    half = 1.01 * _FULL / height
    low, high = np.minimum(columns[:, 0], 0) - half, np.maximum(columns[:, 1], 0) + half
    loud = (rows >= low) & (rows <= high) & known
    pixels = np.where(loud, np.uint32(theme.color("control_edge").rgba()), np.uint32(0))
    image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
    painter.drawImage(QRectF(area.left(), area.top(), width / ratio, height / ratio), image)
