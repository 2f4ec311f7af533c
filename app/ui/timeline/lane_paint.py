"""How a lane is painted: plain grey blocks with words, bars, hatches, a skyline. GUI thread.

Colour belongs to the phases; what else there is to tell is grey.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from app.core.timeline import Segment
from app.ui import theme
from app.ui.timeline import blocks, paint
from app.ui.timeline.lanes import Lane, LaneKind, Source, course_name

_CERTAINTY_PX = 3
_LEAST_FRAME_PX = 4
_GREYS = ("control", "line_strong", "pressed")


class CourseLooks:
    """Grey by the key's place, so that neighbours differ; the words tell which it is."""

    def __init__(self, lane: Lane) -> None:
        keys = sorted({s.phase for line in lane.lines for s in line})
        self._looks = {key: _grey(place, key) for place, key in enumerate(keys)}

    def look(self, phase: str, tier: str) -> paint.BlockLook:
        """How blocks of a step or an activity look, whoever says so."""
        del tier
        return self._looks[phase]


def _grey(place: int, key: str) -> paint.BlockLook:
    fill = theme.color(_GREYS[place % len(_GREYS)])
    return paint.BlockLook(
        code="",
        name=course_name(key),
        fill=fill,
        text=theme.text_on(fill),
        thin=theme.color("control_edge"),
    )


def draw_lane(
    painter: QPainter,
    lane: Lane,
    area: QRectF,
    to_x: paint.ToX,
    phases: paint.Looks,
    *,
    folded: bool,
) -> None:
    """Paint a lane over an area; its lines lie one below the other.

    Args:
        to_x: pts to logical x, of a number or an array.
        phases: how phases look, for a lane of them.
        folded: too low for words.
    """
    if lane.kind is LaneKind.STRIP:
        _draw_skyline(painter, lane, area, to_x)
        return
    looks = phases if lane.kind is LaneKind.PHASES else CourseLooks(lane)
    if lane.kind is LaneKind.PHASES and not folded and lane.strip is not None:
        area = _draw_certainty(painter, lane.strip, area, to_x)
    count = len(lane.lines)
    for place, line in enumerate(lane.lines):
        gap = 1 if count > 1 and not folded else 0
        high = area.height() / count
        bar = QRectF(area.left(), area.top() + place * high, area.width(), high - gap)
        if lane.kind is LaneKind.TOOL:
            _draw_tool(painter, lane, line, to_x, bar)
        elif lane.kind is LaneKind.INTERVAL:
            for segment in line:
                x0, x1 = to_x(np.array([segment.start_pts, segment.end_pts], np.float64))
                _draw_interval(painter, QRectF(x0, bar.top(), max(x1 - x0, 2), bar.height()))
        else:
            words = not folded and high >= theme.px(10)
            blocks.draw_tier(painter, line, looks, "model", to_x, bar, words=words)


def _draw_tool(
    painter: QPainter, lane: Lane, line: tuple[Segment, ...], to_x: paint.ToX, bar: QRectF
) -> None:
    """Labels at full strength, outlines toned; what is told without an outline is an open frame."""
    if lane.source is not Source.TOLD:
        token = "text_2" if lane.source is Source.LABELS else "control_edge"
        blocks.draw_bars(painter, line, to_x, bar, theme.color(token))
        return
    edges = to_x(np.array([(s.start_pts, s.end_pts) for s in line], np.float64))
    wide = np.diff(edges)[:, 0] >= _LEAST_FRAME_PX
    narrow = [s for s, framed in zip(line, wide, strict=True) if not framed]
    blocks.draw_bars(painter, narrow, to_x, bar, theme.color("text_3"))
    shown = edges[wide].clip(bar.left() - 2, bar.right() + 2)
    frames = [
        QRectF(left + 0.5, bar.top() + 0.5, right - left - 1, bar.height() - 1)
        for left, right in shown.tolist()
        if right > left
    ]
    painter.setPen(theme.color("text_3"))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRects(frames)


def _draw_certainty(
    painter: QPainter, strip: NDArray[np.float64], area: QRectF, to_x: paint.ToX
) -> QRectF:
    """The strip under a tier of phases; what is left of the area above it."""
    if len(strip) < 2:
        return area
    reach = (strip[-1, 0] - strip[0, 0]) / (len(strip) - 1)
    foot = QRectF(area.left(), area.bottom() - _CERTAINTY_PX, area.width(), _CERTAINTY_PX)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    paint.draw_confidence(painter, strip, reach, to_x, foot)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return area.adjusted(0, 0, 0, -_CERTAINTY_PX - 1)


def _draw_interval(painter: QPainter, area: QRectF) -> None:
    """Time that stands apart: hatched, closed at both ends."""
    colour = theme.color("text_3")
    painter.save()
    painter.setClipRect(area, Qt.ClipOperation.IntersectClip)
    paint.draw_stripes(painter, area, colour)
    for x in (area.left(), area.right() - 1):
        painter.fillRect(QRectF(x, area.top(), 1, area.height()), colour)
    painter.restore()


def _draw_skyline(painter: QPainter, lane: Lane, area: QRectF, to_x: paint.ToX) -> None:
    """The highest value of each column, from the foot of the area up."""
    if lane.strip is None or not lane.strip.size:
        return
    wide, high = max(1, round(area.width())), max(1, round(area.height()))
    x = to_x(lane.strip[:, 0]) - area.left()
    reach = np.diff(x, append=x[-1] + (x[-1] - x[-2] if x.size > 1 else 1.0))
    # Zoomed in, a sample reaches over several columns: it stands until the next one, but not over
    # a gap in the recording.
    usual = float(np.median(reach))
    reach = np.minimum(reach, 2 * usual)
    inside = (x + reach > 0) & (x < wide)
    columns = np.zeros(wide)
    first = x[inside].clip(0, wide - 1).astype(int)
    np.maximum.at(columns, first, lane.strip[inside, 1])
    if first.size and usual > 1:
        places = np.arange(wide)
        seen = np.zeros(wide, bool)
        seen[first] = True
        holder = np.maximum.accumulate(np.where(seen, places, first[0]))
        columns = np.where(places - holder <= 2 * usual, columns[holder], 0)
    tops = high * (1 - columns)
    rows = np.arange(high)[:, None] + 0.5
    full = np.uint32(theme.color("text_3").rgba())
    foot = np.uint32(theme.color("line_strong").rgba())
    pixels = np.where(rows > tops, full, np.uint32(0))
    pixels[-1] = np.where(pixels[-1] == 0, foot, pixels[-1])
    image = QImage(pixels.data, wide, high, 4 * wide, QImage.Format.Format_ARGB32_Premultiplied)
    painter.drawImage(QRectF(area.left(), area.top(), wide, high), image)
