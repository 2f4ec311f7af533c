"""How Review's lanes are painted: rows of names and bars, and the piece under the keyboard.

GUI thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.ui import theme
from app.ui.timeline import blocks, paint
from app.ui.timeline.geometry import Kind, Row, View
from app.ui.timeline.lane_paint import draw_lane
from app.ui.timeline.lane_walk import Piece
from app.ui.timeline.lanes import Lane, surest_last

RIGHT_PX = 24
NOTHING = "Nothing beside the phases yet: here stands what models and imported labels tell"
_LEAST_RING_PX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the static picture depends on.

    Attributes:
        rows: from top to bottom.
        lanes_of: which lanes a row shows.
        differences: where two name different phases.
        words: names phases.
        view: the stretch that is shown.
    """

    rows: Sequence[Row]
    lanes_of: Callable[[Row], tuple[Lane, ...]]
    differences: tuple[Difference, ...]
    words: Taxonomy
    view: View


def bar_of(row: Row, view: View) -> QRectF:
    """Where a row's lanes lie."""
    top = row.top_px + (row.height_px - row.bar_px) / 2
    return QRectF(view.left_px, round(top), view.width_px, row.bar_px)


def paint_nothing(painter: QPainter) -> None:
    """The words where nothing is told."""
    painter.setFont(theme.font("caption"))
    painter.setPen(theme.color("text_3"))
    painter.drawText(QPointF(RIGHT_PX, theme.px(15)), NOTHING)


def paint_rows(painter: QPainter, scene: Scene) -> None:
    """All rows; of a name that is too wide the middle is left out: its end says whose it is."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(theme.font("caption"))
    metrics = QFontMetricsF(painter.font())
    looks = paint.PhaseLooks(scene.words)
    room = scene.view.left_px - RIGHT_PX - 8
    for row in scene.rows:
        painter.setPen(theme.color("text_3"))
        y = row.top_px + row.height_px / 2 + metrics.capHeight() / 2
        said = metrics.elidedText(row.label, Qt.TextElideMode.ElideMiddle, room)
        painter.drawText(QPointF(RIGHT_PX, y), said)
        bar = bar_of(row, scene.view)
        painter.save()
        painter.setClipRect(bar)
        for lane in surest_last(scene.lanes_of(row)):
            draw_lane(painter, lane, bar, scene.view.x, looks, folded=row.folded)
        if row.kind is Kind.DISAGREEMENT:
            blocks.draw_disagreements(painter, scene.differences, scene.view.x, bar)
        painter.restore()


def paint_walk(painter: QPainter, row: Row, piece: Piece | None, view: View) -> None:
    """A mark at the row under the keyboard, and a ring round its piece."""
    white = theme.color("playhead")
    mark = QRectF(RIGHT_PX - 8, row.top_px + 2, 2, row.height_px - 4)
    painter.fillRect(mark, white)
    if piece is None:
        return
    bar = bar_of(row, view)
    left, right = max(view.x(piece.start_pts), bar.left()), min(view.x(piece.end_pts), bar.right())
    if right < left:  # not in the stretch that is shown
        return
    wide = max(right - left, _LEAST_RING_PX)
    ring = QRectF((left + right - wide) / 2, bar.top(), wide, bar.height()).adjusted(-2, -2, 2, 2)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(white, 2))
    painter.drawRoundedRect(ring, 3, 3)
