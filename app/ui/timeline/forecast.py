"""A forecast in words and as a striped continuation of the timeline. GUI thread.

For Review, where a recording is looked at, and for Live, where it runs.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter

from app.core.forecast import Forecast
from app.core.taxonomy import Taxonomy
from app.ui import theme
from app.ui.timeline import paint

_MIN_MS = 60_000.0


def left_words(left_min: tuple[float, float, float]) -> str:
    """``Operation: about 12 min left (8 to 19)``; one number where no spread is known.

    It names the operation: the recording's own end, or the disk's, is told in minutes as well.
    """
    low, middle, high = (round(m) for m in left_min)
    if left_min[2] < 1:
        return "Operation: less than a minute left"
    said = f"Operation: about {max(1, middle)} min left"
    return said if low == high else f"{said} ({low} to {high})"


def next_words(forecast: Forecast, words: Taxonomy) -> str:
    """``Clip and cut in about 14 min``, ``Clip and cut next``, or that the end follows."""
    if forecast.following is None:
        within = forecast.within_min
        return (
            "The operation's end is next"
            if within is None
            else f"No other phase for {round(within)} min"
        )
    name, minutes = words.phase_name(forecast.following), forecast.next_min
    if minutes is None:
        return f"{name} next"
    if minutes < 1:
        return f"{name} within a minute"
    return f"{name} in about {round(minutes)} min"


def short_words(forecast: Forecast | None, words: Taxonomy) -> tuple[str, ...]:
    """Two lines for the picture's corner: what follows, and the time left; none without any."""
    return () if forecast is None else (next_words(forecast, words), left_words(forecast.left_min))


def whole_words(forecast: Forecast, words: Taxonomy) -> str:
    """All that is foreseen as sentences, for tooltips and screen readers."""
    low, middle, high = (max(0, round(m)) for m in forecast.left_min)
    said = f"What a model expects from the pictures so far. {next_words(forecast, words)}."
    if forecast.left_min[2] < 1:
        return f"{said} The operation ends within a minute."
    said = f"{said} The operation goes on for about {max(1, middle)} min"
    spread = f", in eight of ten such moments for {low} to {high} min" if low != high else ""
    return f"{said}{spread}. The recording may end sooner or later than that."


def draw_forecast(
    painter: QPainter,
    forecast: Forecast,
    words: Taxonomy,
    now_ms: float,
    to_x: Callable[[float], float],
    area: QRectF,
) -> None:
    """Striped blocks from a moment on, and a whisker from the earliest to the latest end.

    Args:
        now_ms: the moment that was looked at.
        to_x: milliseconds to logical x.
        area: the row; what lies outside is cut off.
    """
    painter.save()
    painter.setClipRect(area)
    for ahead in forecast.ahead:
        x0, x1 = (to_x(now_ms + m * _MIN_MS) for m in (ahead.from_min, ahead.to_min))
        phase = words.phase(ahead.phase)
        colour = QColor(phase.colour) if phase else theme.color("control_edge")
        block = QRectF(x0, area.top(), max(x1 - x0 - 1, 1.5), area.height())
        painter.fillRect(block, theme.color("window"))
        paint.draw_stripes(painter, block, colour)
        painter.fillRect(QRectF(x0, area.top(), 1.5, area.height()), colour)
    low, middle, high = (to_x(now_ms + m * _MIN_MS) for m in forecast.left_min)
    ink, y = theme.color("text_2"), area.center().y()
    painter.fillRect(QRectF(low, y - 0.5, max(high - low, 1), 1), ink)
    for x in (low, high):
        painter.fillRect(QRectF(x - 0.5, y - 2, 1, 4), ink)
    painter.fillRect(QRectF(middle - 1, area.top(), 2, area.height()), theme.color("text"))
    painter.restore()
