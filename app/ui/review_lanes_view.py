"""Review's lanes as they are laid out and drawn; what the user does to them is in ``review_lanes``.

GUI thread. They share the ribbon's time. The static picture is cached at device pixels; while
playing only the strips round the playhead are redrawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.case import Asset
from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.ui import theme
from app.ui.review_lanes_paint import RIGHT_PX, Scene, paint_nothing, paint_rows
from app.ui.session import Session
from app.ui.still import Still
from app.ui.style import draw_ring, ring_shown
from app.ui.timeline import paint
from app.ui.timeline.geometry import LABELS_PX, Kind, Row, View, lay_out
from app.ui.timeline.lanes import Lane, LaneKind
from app.ui.timeline.speech import lanes_summary

FOLDED_AT_FIRST = frozenset({str(Kind.INSTRUMENTS)})


class LanesView(QWidget):
    """The lanes of the open case.

    Attributes:
        room_px: how high they may be: the picture comes first.

    Signals:
        folds_changed: the user folded a lane or opened it.
    """

    folds_changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.room_px = 320.0
        self._asset: Asset | None = None
        self._words: Taxonomy | None = None
        self._lanes: tuple[Lane, ...] = ()
        self._tools: tuple[Lane, ...] = ()
        self._differences: tuple[Difference, ...] = ()
        self._view_ms = (0.0, 1.0)
        self._ms = 0.0
        self._folded: set[str] = set(FOLDED_AT_FIRST)
        self._still = Still(self, self._paint_static)

    @property
    def folded(self) -> frozenset[str]:
        """Fold keys of what the user folded."""
        return frozenset(self._folded)

    @property
    def left_px(self) -> float:
        """Where time begins."""
        return float(theme.px(LABELS_PX))

    def set_folded(self, keys: Iterable[str]) -> None:
        """Fold these lanes and open all others."""
        self._folded = set(keys)
        self._lay_out_anew()

    def fold(self, key: str, *, folded: bool) -> None:
        """Fold a lane into a thin bar, or all instruments into one row; or open it again."""
        (self._folded.add if folded else self._folded.discard)(key)
        self._lay_out_anew()
        self.folds_changed.emit()

    def show_session(self, session: Session) -> None:
        """Show what is told of the open case."""
        lanes = session.lanes
        self._asset, self._words = session.asset, session.shown_taxonomy
        self._lanes = tuple(lane for lane in lanes if lane.kind is not LaneKind.TOOL)
        self._tools = tuple(lane for lane in lanes if lane.kind is LaneKind.TOOL)
        self._differences = session.differences
        told = lanes_summary(lanes)
        if self._differences:
            told.insert(0, f"{len(self._differences)} disagreements")
        self.setAccessibleDescription("; ".join(told) or "Nothing is told yet")
        self._lay_out_anew()

    def set_view(self, view_ms: tuple[float, float]) -> None:
        """Show another stretch, in milliseconds."""
        if view_ms != self._view_ms:
            self._view_ms = view_ms
            self._redraw()

    def set_time(self, ms: float) -> None:
        """Move the playhead."""
        old, self._ms = self._ms, ms
        for at in (old, ms):
            self.update(QRect(int(self.x_of(at)) - 4, 0, 9, self.height()))

    def rows(self) -> tuple[Row, ...]:
        """What is shown, from top to bottom."""
        return lay_out(
            tuple(lane.name for lane in self._tools),
            self._folded,
            theme.scale(),
            self.room_px,
            outlines=False,
            lanes=self._lanes,
            kinds=(Kind.DISAGREEMENT,) if self._differences else (),
        )

    def lanes_of(self, row: Row) -> tuple[Lane, ...]:
        """The lanes that a row shows."""
        if row.kind is Kind.LANE:
            return (self._lanes[row.index],)
        if row.kind is Kind.DISAGREEMENT:
            return ()
        return self._tools if row.kind is Kind.INSTRUMENTS else (self._tools[row.index],)

    def sizeHint(self) -> QSize:
        """As high as the rows, or as the words that there are none."""
        rows = self.rows()
        high = rows[-1].top_px + rows[-1].height_px if rows else theme.px(22)
        return QSize(640, round(high) + theme.px(8))

    def minimumSizeHint(self) -> QSize:
        """As high as the hint."""
        return QSize(320, self.sizeHint().height())

    def _lay_out_anew(self) -> None:
        self.updateGeometry()
        self._redraw()

    def _redraw(self) -> None:
        self._still.forget()

    def view(self) -> View:
        """The stretch that is shown, over the lanes' area."""
        assert self._asset is not None  # noqa: S101 - asked where there is a case
        wide = max(1.0, self.width() - self.left_px - RIGHT_PX)
        start, end = self._view_ms
        base = float(self._asset.time_base * 1000)
        return View(
            start_pts=self._asset.start_pts + start / base,
            end_pts=self._asset.start_pts + max(end, start + 1) / base,
            left_px=self.left_px,
            width_px=wide,
        )

    def x_of(self, ms: float) -> float:
        """Logical x of a moment in milliseconds."""
        start, end = self._view_ms
        wide = max(1.0, self.width() - self.left_px - RIGHT_PX)
        return self.left_px + (ms - start) / max(end - start, 1e-9) * wide

    def ms_at(self, x: float) -> float:
        """The moment in milliseconds at a logical x, within the recording."""
        start, end = self._view_ms
        wide = max(1.0, self.width() - self.left_px - RIGHT_PX)
        ms = start + (x - self.left_px) / wide * (end - start)
        duration = self._asset.duration_ms if self._asset else 0.0
        return min(duration, max(0.0, ms))

    def row_at(self, y: float) -> Row | None:
        """The row under a logical y."""
        return next((r for r in self.rows() if r.top_px <= y < r.top_px + r.height_px), None)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The cached picture, then the playhead."""
        painter = QPainter(self)
        self._still.draw(painter)
        x = round(self.x_of(self._ms)) + 0.5
        if self.left_px - 1 <= x <= self.width() - RIGHT_PX + 2 and self._asset is not None:
            paint.draw_playhead(painter, x, 0, self.height(), head=False)
        self.paint_above(painter)
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 6)
        painter.end()

    def paint_above(self, painter: QPainter) -> None:
        """What changes often; nothing where nobody goes through the lanes."""

    def _paint_static(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), theme.color("window"))
        rows = self.rows()
        if self._asset is None or self._words is None or not rows:
            paint_nothing(painter)
            return
        scene = Scene(
            rows=rows,
            lanes_of=self.lanes_of,
            differences=self._differences,
            words=self._words,
            view=self.view(),
        )
        paint_rows(painter, scene)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture follows the room."""
        super().resizeEvent(event)
        self._redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._redraw()
