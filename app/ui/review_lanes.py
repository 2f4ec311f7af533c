"""Review's lanes below the ribbon: what is told beside the phases. GUI thread.

They share the ribbon's time. The static picture is cached at device pixels; while playing only the
strips round the playhead are redrawn. By keyboard one goes from piece to piece of a lane.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from app.core.case import Asset
from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.core.uncertainty import Doubt, doubts
from app.ui import theme
from app.ui.keys import Scope, set_widget_scope
from app.ui.review_lanes_paint import (
    RIGHT_PX,
    Scene,
    bar_of,
    paint_nothing,
    paint_rows,
    paint_walk,
)
from app.ui.session import Session
from app.ui.still import Still
from app.ui.style import draw_ring, ring_shown
from app.ui.timeline import paint
from app.ui.timeline.geometry import LABELS_PX, LANE, Kind, Row, View, lay_out
from app.ui.timeline.hover import HoverCard
from app.ui.timeline.lane_walk import Piece, differing, pieces_of, stepped
from app.ui.timeline.lanes import Lane, LaneKind
from app.ui.timeline.speech import difference_lines, lane_lines, lanes_summary

FOLDED_AT_FIRST = frozenset({str(Kind.INSTRUMENTS)})
NAME = "Lanes"


class ReviewLanes(QWidget):
    """The lanes of the open case.

    Args:
        room: over which widget the card beside the pointer may lie.

    Attributes:
        room_px: how high they may be: the picture comes first.

    Signals:
        seek: (ms) a click or a drag wants to be there.
        folds_changed: the user folded a lane or opened it.
    """

    seek = Signal(float)
    folds_changed = Signal()

    def __init__(self, room: QWidget) -> None:
        super().__init__(room)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(NAME)
        set_widget_scope(self, Scope.LANES)
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
        self._dragging = False
        self._session: Session | None = None
        self._lane, self._piece = "", None  # type: str, Piece | None
        self._room = room
        self._card = HoverCard(room)

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
        if session.asset != self._asset:
            self._stand("", None)
        self._session = session
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
            self.update(QRect(int(self._x(at)) - 4, 0, 9, self.height()))

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

    def _view(self) -> View:
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

    def _x(self, ms: float) -> float:
        start, end = self._view_ms
        wide = max(1.0, self.width() - self.left_px - RIGHT_PX)
        return self.left_px + (ms - start) / max(end - start, 1e-9) * wide

    def paintEvent(self, event: QPaintEvent) -> None:
        """The cached picture, then the playhead."""
        painter = QPainter(self)
        self._still.draw(painter)
        x = round(self._x(self._ms)) + 0.5
        if self.left_px - 1 <= x <= self.width() - RIGHT_PX + 2 and self._asset is not None:
            paint.draw_playhead(painter, x, 0, self.height(), head=False)
        row = self._row_walked()
        if self.hasFocus() and row is not None and self._asset is not None:
            paint_walk(painter, row, self._piece, self._view())
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 6)
        painter.end()

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
            view=self._view(),
        )
        paint_rows(painter, scene)

    def row_at(self, y: float) -> Row | None:
        """The row under a logical y."""
        return next((r for r in self.rows() if r.top_px <= y < r.top_px + r.height_px), None)

    def _ms_at(self, x: float) -> float:
        start, end = self._view_ms
        wide = max(1.0, self.width() - self.left_px - RIGHT_PX)
        ms = start + (x - self.left_px) / wide * (end - start)
        duration = self._asset.duration_ms if self._asset else 0.0
        return min(duration, max(0.0, ms))

    # By keyboard

    def step(self, direction: int) -> None:
        """To the next (1) or previous (-1) piece of the lane; from the playhead at first."""
        if (row := self._row_walked() or next(iter(self.rows()), None)) is not None:
            self._enter(row, stepped(self._pieces(row), self._piece, direction, self._here()))

    def change(self, direction: int) -> None:
        """To the lane below (1) or above (-1), at the same moment."""
        rows, row = self.rows(), self._row_walked()
        if not rows:
            return
        place = rows.index(row) + direction if row is not None else 0
        to = rows[min(max(place, 0), len(rows) - 1)]
        self._enter(to, stepped(self._pieces(to), None, 0, self._here()))

    def go(self) -> None:
        """See where the piece begins."""
        if self._piece is not None and self._asset is not None:
            self.seek.emit(self._asset.time_ms(self._piece.start_pts))

    def _here(self) -> float:
        """Where a walk goes on: at its piece, else at the playhead."""
        assert self._asset is not None  # noqa: S101 - there are rows
        return self._piece.start_pts if self._piece else float(self._asset.pts(self._ms))

    def _row_walked(self) -> Row | None:
        return next((r for r in self.rows() if self._key(r) == self._lane), None)

    def _key(self, row: Row) -> str:
        """A row's own key: instruments share the one that folds them."""
        return self._tools[row.index].key if row.kind is Kind.INSTRUMENT else row.fold_key

    def _pieces(self, row: Row) -> tuple[Piece, ...]:
        if self._asset is None or self._words is None:
            return ()
        if row.kind is Kind.DISAGREEMENT:
            return differing(self._differences, self._words, self._asset.time_ms)
        return pieces_of(self.lanes_of(row), self._doubts(), self._words, self._asset.time_ms)

    def _doubts(self) -> tuple[Doubt, ...]:
        session = self._session
        torn = session.model.uncertainty if session is not None and session.model else None
        return () if torn is None or session is None else doubts(torn, session.human_timeline)

    def _enter(self, row: Row, piece: Piece | None) -> None:
        """Stand there, and say so by name and card."""
        self._stand(self._key(row), piece)
        if piece is None:
            self.setAccessibleName(f"{row.label}, nothing to go to")
            self._card.hide()
            return
        pieces = self._pieces(row)
        said = [line for line in piece.lines if line != row.label]
        place = f"{pieces.index(piece) + 1} of {len(pieces)}"
        self.setAccessibleName(f"{row.label}: {', '.join([*said, place])}")
        bar = bar_of(row, self._view())
        x = min(max(self._view().x(piece.start_pts), bar.left()), bar.right())
        at = QPointF(self.mapTo(self._room, QPointF(x, bar.bottom())))
        self._card.show_for((piece.lines[0], f"{piece.lines[1]}, {place}"), at, self._x(self._ms))

    def _stand(self, lane: str, piece: Piece | None) -> None:
        self._lane, self._piece = lane, piece
        if not lane:
            self.setAccessibleName(NAME)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """What the keyboard stood at is kept; its card goes."""
        super().focusOutEvent(event)
        self._card.hide()
        self.update()

    # By pointer

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Fold a lane by its name; elsewhere go to what is under the pointer."""
        row = self.row_at(event.position().y())
        if event.button() != Qt.MouseButton.LeftButton or self._asset is None:
            return
        self._card.hide()
        if event.position().x() < self.left_px - 4:
            if row is not None:
                self.fold(row.fold_key, folded=row.fold_key not in self._folded)
            return
        self._dragging = True
        self.seek.emit(self._ms_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub, or say what lies under the pointer."""
        point = event.position()
        if self._dragging:
            self.seek.emit(self._ms_at(point.x()))
            return
        row = self.row_at(point.y())
        lines = self._lines(row, point) if row is not None else None
        if lines is None:
            self._card.hide()
        else:
            self._card.show_for(lines, QPointF(self.mapTo(self._room, point)), self._x(self._ms))

    def _lines(self, row: Row, point: QPointF) -> tuple[str, str] | None:
        if self._asset is None or self._words is None or point.x() < self.left_px:
            return None
        pts = self._view().pts(point.x())
        if row.kind is Kind.DISAGREEMENT:
            here = (d for d in self._differences if d.start_pts <= pts < d.end_pts)
            words, time_ms = self._words, self._asset.time_ms
            return next((difference_lines(d, words, time_ms) for d in here), None)
        share = (point.y() - row.top_px) / row.height_px
        said = (
            lane_lines(lane, pts, share, self._words, self._asset.time_ms)
            for lane in self.lanes_of(row)
        )
        return next((lines for lines in said if lines is not None), None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag."""
        self._dragging = False

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Choose which lanes are open."""
        self.open_menu(event.globalPos())

    def open_menu(self, at: QPoint) -> QMenu:
        """A menu with one entry for each lane that can be folded."""
        menu = QMenu(self)
        menu.setAccessibleName("Open lanes")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        names = {str(Kind.DISAGREEMENT): "Disagreement"} if self._differences else {}
        names |= {f"{LANE}{lane.key}": lane.name for lane in self._lanes}
        if self._tools:
            names[str(Kind.INSTRUMENTS)] = "A row for each instrument"
        for key, name in names.items():
            entry = menu.addAction(name)
            entry.setCheckable(True)
            entry.setChecked(key not in self._folded)
            entry.toggled.connect(lambda on, key=key: self.fold(key, folded=not on))
        if not names:
            menu.addAction("Nothing beside the phases yet").setEnabled(False)
        menu.popup(at)
        return menu

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is under the pointer any more."""
        self._card.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture follows the room."""
        super().resizeEvent(event)
        self._redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._redraw()
