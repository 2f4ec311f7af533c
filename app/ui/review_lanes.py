"""Review's lanes below the ribbon: what is told beside the phases. GUI thread.

By pointer a lane is folded, scrubbed and asked; by keyboard one goes from piece to piece of a lane.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QFocusEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QMenu, QWidget

from app.core.case import Asset
from app.ui.keys import Scope, set_widget_scope
from app.ui.review_lanes_paint import bar_of, paint_walk
from app.ui.review_lanes_view import LanesView
from app.ui.session import Session
from app.ui.timeline.geometry import LANE, Kind, Row
from app.ui.timeline.hover import HoverCard
from app.ui.timeline.lane_walk import Piece, differing, pieces_of, stepped
from app.ui.timeline.speech import difference_lines, lane_lines

NAME = "Lanes"


class ReviewLanes(LanesView):
    """The lanes of the open case, and how the user goes through them.

    Args:
        room: over which widget the card beside the pointer may lie.

    Signals:
        seek: (ms) a click, a drag or a key wants to be there.
    """

    seek = Signal(float)

    def __init__(self, room: QWidget) -> None:
        super().__init__(room)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(NAME)
        set_widget_scope(self, Scope.LANES)
        self._dragging = False
        self._lane, self._piece = "", None  # type: str, Piece | None
        self._pieces_kept: dict[str, tuple[Piece, ...]] = {}
        self._room = room
        self._card = HoverCard(room)

    def show_session(self, session: Session) -> None:
        """Show what is told of the open case."""
        if _id_of(session.asset) != _id_of(self._asset):
            self._stand("", None)
        self._pieces_kept.clear()
        super().show_session(session)

    def paint_above(self, painter: QPainter) -> None:
        """What the keyboard stands at."""
        row = self._row_walked()
        if self.hasFocus() and row is not None and self._asset is not None:
            paint_walk(painter, row, self._piece, self.view())

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
        key = self._key(row)
        if key not in self._pieces_kept:
            told = (self._words, self._asset.time_ms)
            self._pieces_kept[key] = (
                differing(self._differences, *told)
                if row.kind is Kind.DISAGREEMENT
                else pieces_of(self.lanes_of(row), *told)
            )
        return self._pieces_kept[key]

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
        bar = bar_of(row, self.view())
        x = min(max(self.view().x(piece.start_pts), bar.left()), bar.right())
        at = QPointF(self.mapTo(self._room, QPointF(x, bar.bottom())))
        self._card.show_for((piece.lines[0], f"{piece.lines[1]}, {place}"), at, self.x_of(self._ms))

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
        self.seek.emit(self.ms_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub, or say what lies under the pointer."""
        point = event.position()
        if self._dragging:
            self.seek.emit(self.ms_at(point.x()))
            return
        row = self.row_at(point.y())
        lines = self._lines(row, point) if row is not None else None
        if lines is None:
            self._card.hide()
        else:
            self._card.show_for(lines, QPointF(self.mapTo(self._room, point)), self.x_of(self._ms))

    def _lines(self, row: Row, point: QPointF) -> tuple[str, str] | None:
        if self._asset is None or self._words is None or point.x() < self.left_px:
            return None
        pts = self.view().pts(point.x())
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


def _id_of(asset: Asset | None) -> str:
    return asset.asset_id if asset is not None else ""
