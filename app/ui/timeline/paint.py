"""How phases are painted everywhere: human solid, model toned with a bright top edge, else striped.

Used by Annotate's timeline and by Review's ribbon. GUI thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.core.taxonomy import Taxonomy
from app.ui import theme

ToX = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLook:
    """How one phase's blocks look in one tier.

    Attributes:
        edge: the bright top edge, if any.
        thin: where a block has no room for its fill to be seen, None for the fill.
    """

    code: str
    name: str
    fill: QColor
    text: QColor
    edge: QColor | None = None
    thin: QColor | None = None


class Looks(Protocol):
    """Says how what has a key looks in a tier."""

    def look(self, phase: str, tier: Literal["you", "model"]) -> BlockLook:
        """How blocks of ``phase`` look in a human's or the model's tier."""
        ...


class PhaseLooks:
    """Looks of a taxonomy's phases in the current theme; make a new one when it changes."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._made: dict[tuple[str, str], BlockLook] = {}

    def look(self, phase: str, tier: Literal["you", "model"]) -> BlockLook:
        """How blocks of ``phase`` look in a human's or the model's tier."""
        key = (phase, tier)
        if key not in self._made:
            self._made[key] = self._make(phase, tier)
        return self._made[key]

    def _make(self, phase: str, tier: Literal["you", "model"]) -> BlockLook:
        known = self._taxonomy.phase(phase)
        colour = known.colour if known else theme.color("control_edge").name()
        paint = theme.human_paint(colour) if tier == "you" else theme.model_paint(colour)
        return BlockLook(
            code=known.code if known else "?",
            name=self._taxonomy.phase_name(phase),
            fill=paint.fill,
            text=paint.text,
            edge=QColor(colour) if tier == "model" else None,
        )


def draw_diamond(painter: QPainter, x: float, y: float, reach: float) -> None:
    """A bookmark: a white diamond with a dark edge around a point."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme.color("window"), 1))
    painter.setBrush(theme.color("text"))
    painter.drawPolygon(
        [QPointF(x, y - reach), QPointF(x + reach, y), QPointF(x, y + reach), QPointF(x - reach, y)]
    )
    painter.setPen(Qt.PenStyle.NoPen)


def draw_columns(painter: QPainter, area: QRectF, columns: NDArray[np.uint32]) -> None:
    """One colour (ARGB) per logical pixel of a row, over its whole height; 0 leaves it as it is."""
    image = QImage(
        columns.data, columns.size, 1, 4 * columns.size, QImage.Format.Format_ARGB32_Premultiplied
    )
    painter.drawImage(QRectF(area.left(), area.top(), columns.size, area.height()), image)


def draw_confidence(
    painter: QPainter,
    confidence: Sequence[tuple[int, float]] | NDArray[np.float64],
    step_pts: float,
    to_x: ToX,
    area: QRectF,
) -> None:
    """The strip under the model: grey 26 to 176, brighter is surer, one column per pixel.

    Args:
        confidence: (pts, highest probability 0 to 1) by pts.
        step_pts: how far one sample reaches.
    """
    if not len(confidence):
        return
    width = max(1, round(area.width()))
    samples = np.asarray(confidence, np.float64)
    begins = to_x(samples[:, 0]) - area.left()
    ends = to_x(samples[:, 0] + step_pts) - area.left()
    seen = (ends > 0) & (begins < width)
    first = begins[seen].clip(0, width - 1).astype(int)
    last = np.maximum(ends[seen].clip(0, width).astype(int), first + 1)
    # Each sample adds its value to the columns it reaches: differences, summed up once.
    total, count = np.zeros((2, width + 1))
    for sums, value in ((total, samples[seen, 1]), (count, 1.0)):
        np.add.at(sums, first, value)
        np.subtract.at(sums, last, value)
        np.cumsum(sums, out=sums)
    known = count[:width] > 0.5
    mean = total[:width] / np.maximum(count[:width], 1)
    grey = (26 + 150 * mean.clip(0, 1)).round().astype(np.uint32)
    columns = np.where(known, np.uint32(0xFF000000) | (grey << 16) | (grey << 8) | grey, 0)
    draw_columns(painter, area, columns.astype(np.uint32))


def draw_stripes(painter: QPainter, area: QRectF, colour: QColor) -> None:
    """45 degree stripes: not analysed yet, forecast."""
    painter.save()
    painter.setBrushOrigin(area.topLeft())
    painter.fillRect(area, theme.stripes(colour))
    painter.restore()


def draw_lost(painter: QPainter, area: QRectF) -> None:
    """A stretch without a picture: no time was recorded, or it does not decode."""
    painter.save()
    painter.setBrushOrigin(area.topLeft())
    painter.fillRect(area, theme.color("window"))
    painter.fillRect(area, theme.stripes(theme.color("text_2"), 5, 1.2))
    painter.fillRect(QRectF(area.left(), area.top(), 1, area.height()), theme.color("text_2"))
    right = max(area.right() - 1, area.left())
    painter.fillRect(QRectF(right, area.top(), 1, area.height()), theme.color("text_2"))
    painter.restore()


def draw_playhead(painter: QPainter, x: float, top: float, bottom: float, *, head: bool) -> None:
    """The playhead: a white line with dark sides, and a head where the ruler is."""
    edge, line = theme.color("playhead_edge"), theme.color("playhead")
    painter.fillRect(QRectF(x - 2, top, 1, bottom - top), edge)
    painter.fillRect(QRectF(x + 1, top, 1, bottom - top), edge)
    painter.fillRect(QRectF(x - 1, top, 2, bottom - top), line)
    if not head:
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(edge, 1))
    painter.setBrush(line)
    painter.drawPolygon(
        [
            QPointF(x - 5, top),
            QPointF(x + 5, top),
            QPointF(x + 5, top + 6),
            QPointF(x, top + 11),
            QPointF(x - 5, top + 6),
        ]
    )
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)


def clock(time_ms: float, *, hours: bool | None = None) -> str:
    """A moment as ``18:00`` or ``1:08:00``; ``hours`` forces or forbids the hour."""
    seconds = max(0, int(time_ms // 1000))
    h, m, s = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours or (hours is None and h):
        return f"{h}:{m:02}:{s:02}"
    return f"{h * 60 + m}:{s:02}"


def duration(length_ms: float) -> str:
    """A length as ``3.4 s``, ``32 s``, ``3:53`` or ``1 h 09``."""
    seconds = length_ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    return f"{int(seconds) // 3600} h {int(seconds) // 60 % 60:02}"


_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def ticks(first_ms: float, last_ms: float, px_per_ms: float, min_px: float = 96) -> list[float]:
    """Moments to write on a ruler, at least ``min_px`` apart, in whole steps people use."""
    step_s = next((s for s in _STEPS_S if s * 1000 * px_per_ms >= min_px), _STEPS_S[-1])
    step = step_s * 1000.0
    at = (first_ms // step) * step
    out = []
    while at <= last_ms:
        if at >= first_ms:
            out.append(at)
        at += step
    return out


def minor_step_ms(first_ms: float, last_ms: float, px_per_ms: float) -> float:
    """Distance of the small marks between the written ones."""
    written = ticks(first_ms, last_ms, px_per_ms)
    step = written[1] - written[0] if len(written) > 1 else 1000.0
    return step / next((n for n in (10, 5, 4, 2) if step / n * px_per_ms >= 6), 1)


def draw_stretch(
    painter: QPainter,
    start: float | None,
    end: float | None,
    top: float,
    bottom: float,
    *,
    on: bool,
) -> None:
    """Brackets round the marked stretch, joined below while play goes round in it."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    painter.setPen(QPen(theme.color("accent" if on else "text"), 2))
    for x, way in ((start, 1), (end, -1)):
        if x is not None:
            at = round(x)
            painter.drawLine(QPointF(at, top), QPointF(at, bottom))
            painter.drawLine(QPointF(at, top), QPointF(at + 6 * way, top))
            painter.drawLine(QPointF(at, bottom), QPointF(at + 6 * way, bottom))
    if on and start is not None and end is not None:
        painter.drawLine(QPointF(round(start), bottom), QPointF(round(end), bottom))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
