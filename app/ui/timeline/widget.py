"""The timeline: painted by hand over a cached picture, edited by mouse. GUI thread.

It shows a ``TimelineData`` and asks for what a human wants by signals; a wanted edit is a
``Correction`` made by ``app.annotate.phases``. Keys are in ``commands``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from app.annotate import phases
from app.annotate.phases import Block
from app.core.correction import Correction, HumanTimeline
from app.core.differences import Difference
from app.core.timeline import Timeline as Line
from app.ui import style, theme
from app.ui.joins import join_near
from app.ui.still import Still
from app.ui.strip import Strip
from app.ui.timeline import access, paint
from app.ui.timeline.data import TimelineData
from app.ui.timeline.geometry import (
    LABELS_PX,
    MIN_VISIBLE_FRAMES,
    Hit,
    Kind,
    Row,
    View,
    hit_block,
    lay_out,
    snapped,
)
from app.ui.timeline.hover import HoverCard
from app.ui.timeline.layer import Scene, bar_of, paint_scene, window_of
from app.ui.timeline.speech import (
    block_name,
    difference_lines,
    hover_lines,
    lane_lines,
    summary,
)

if TYPE_CHECKING:
    from app.video.sound.waveform import Waveform

_RIGHT_PX = 16
_DRAG_PX = 3
_FIXED = {Kind.WHOLE, Kind.RULER}


class _Grip(Enum):
    """What the pressed mouse button holds."""

    PLAYHEAD = auto()
    EDGE = auto()
    WINDOW = auto()
    WINDOW_START = auto()
    WINDOW_END = auto()
    CONTENT = auto()


@dataclass(slots=True, kw_only=True)
class _Drag:
    """A drag under way.

    Attributes:
        grip: what is held.
        from_px: where it began.
        view: the visible stretch when it began.
        playhead: where the playhead was when it began; edges snap to it.
        hit: the block whose edge is held.
        moved: it is more than a click by now.
        correction: what releasing would do.
    """

    grip: _Grip
    from_px: QPointF
    view: View
    playhead: int
    hit: Hit | None = None
    moved: bool = False
    correction: Correction | None = None
    snap: int | None = None


class Timeline(QWidget):
    """Rows of the whole case, your tier, the model's, confidence, instruments.

    Signals:
        seek_requested: (pts) the user wants to see that moment.
        corrected: (Correction) the user edited the phases.
        selection_changed: (Block or None).
        analyse_requested: the user clicked an empty model tier.
        picker_requested: (QPoint, global) the user wants to choose a phase for the selection.
        refused: (str) why an edit cannot be.
        sound_menu_requested: (QPoint, global) the user wants to choose what is heard.
        folds_changed: the user folded a row or opened it.
    """

    seek_requested = Signal(int)
    corrected = Signal(object)
    selection_changed = Signal(object)
    analyse_requested = Signal()
    picker_requested = Signal(QPoint)
    refused = Signal(str)
    sound_menu_requested = Signal(QPoint)
    folds_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Timeline")
        self.setMinimumHeight(theme.px(92))
        self.hint_you = "Press a digit to start a phase at the playhead"
        self.hint_model = "Not analysed yet"
        self.locked_reason = ""
        self._data: TimelineData | None = None
        self._looks: paint.PhaseLooks | None = None
        self._shown: TimelineData | None = None
        self._stretch: tuple[float, float] = (0.0, 1.0)
        self._playhead = 0
        self._selected: Block | None = None
        self._hovered: Hit | None = None
        self._marks: tuple[int | None, int | None] = (None, None)
        self._strip = Strip()
        self._looped: tuple[float | None, float | None] = (None, None)
        self._loops = False
        self._folded: set[str] = set()
        self._drag: _Drag | None = None
        self._still = Still(self, self._paint_static)
        self._scene: Scene | None = None
        self._card = HoverCard(self)
        self._sound: Waveform | None = None

    # What is shown

    @property
    def data(self) -> TimelineData | None:
        """What is shown, without a drag under way."""
        return self._data

    @property
    def selected(self) -> Block | None:
        """The selected block."""
        return self._selected

    @property
    def playhead(self) -> int:
        """pts of the playhead."""
        return self._playhead

    @property
    def marks(self) -> tuple[int | None, int | None]:
        """The in and out marks in pts."""
        return self._marks

    @property
    def folded(self) -> frozenset[str]:
        """Rows the user folded: their kinds, and of lanes their own keys."""
        return frozenset(self._folded)

    @property
    def view(self) -> View:
        """The visible stretch over the tiers' area."""
        start, end = self._stretch
        return View(
            start_pts=start, end_pts=end, left_px=self._left_px(), width_px=self._width_px()
        )

    def set_data(self, data: TimelineData | None) -> None:
        """Show something else; the visible stretch and the selection stay where they can."""
        other = (
            self._data is None
            or data is None
            or data.tiers.asset_id != self._data.tiers.asset_id
            or data.words != self._data.words
        )
        if not self._survives(data):
            self._drag = None
        self._data = self._shown = data
        if self._drag is not None and data is not None:
            self._shown = data.with_you(_after(self._drag.correction, data.tiers.you))
        if other:
            self._looks = paint.PhaseLooks(data.words) if data else None
            self._marks, self._hovered = (None, None), None
            self._stretch = (data.start_pts, data.end_pts) if data else (0.0, 1.0)
            self._playhead = data.start_pts if data else 0
            self.select(None)
        elif self._selected and data and data.tiers.segment(self._selected) is None:
            self.select(None)
        self.setAccessibleDescription(summary(data) if data else "")
        self.redraw()

    def _survives(self, data: TimelineData | None) -> bool:
        """Whether a drag goes on while an analysis adds to the model's tier."""
        drag, old = self._drag, self._data
        if drag is None or old is None or data is None:
            return False
        if data.tiers.asset_id != old.tiers.asset_id:
            return False
        if drag.grip is not _Grip.EDGE or drag.hit is None:
            return True
        same = old.tiers.segment(drag.hit.block) == data.tiers.segment(drag.hit.block)
        return same and old.tiers.you == data.tiers.you

    def set_playhead(self, pts: int, *, follow: bool = False) -> None:
        """Move the playhead; with ``follow`` the visible stretch turns the page with it."""
        if self._data is None or pts == self._playhead:
            return
        old, self._playhead = self._playhead, pts
        start, end = self._stretch
        if follow and self._drag is None and not start <= pts < end:
            self.show_stretch(pts, pts + end - start)
            return
        for at in (old, pts):
            for view in (self.view, self._whole()):
                self.update(QRect(int(view.x(at)) - 7, 0, 14, self.height()))

    def select(self, block: Block | None) -> None:
        """Select a block, or nothing."""
        if block == self._selected:
            return
        self._selected = block
        name = block_name(self._data, block, selected=True) if self._data and block else ""
        self.setAccessibleName(f"Timeline, {name}" if name else "Timeline")
        access.tell_selection(self)
        self.selection_changed.emit(block)
        self.update()

    def set_sound(self, waveform: Waveform | None) -> None:
        """Show how loud the recording is; None: it has no sound, or nobody knows yet."""
        if waveform is not self._sound:
            self._sound = waveform
            self.redraw()

    def set_marks(self, start: int | None, end: int | None) -> None:
        """Set the in and out marks."""
        self._marks = (start, end)
        self.update()

    def set_strip(self, strip: Strip) -> None:
        """Show these pictures of the recording."""
        if strip is not self._strip:
            self._strip = strip
            self.redraw()

    def set_looped(self, start_pts: float | None, end_pts: float | None, *, on: bool) -> None:
        """Bracket the stretch that is looped or saved; ``on`` while play goes round in it."""
        self._looped, self._loops = (start_pts, end_pts), on
        self.update()

    def show_stretch(self, start_pts: float, end_pts: float) -> None:
        """Zoom and scroll to a stretch, kept within the asset."""
        if self._data is None:
            return
        shortest = MIN_VISIBLE_FRAMES * self._data.tiers.frame_pts
        view = replace(self.view, start_pts=start_pts, end_pts=max(end_pts, start_pts + 1))
        fitted = view.fitted(self._data.start_pts, self._data.end_pts, shortest)
        self._stretch = (fitted.start_pts, fitted.end_pts)
        self.redraw()

    def show_all(self) -> None:
        """Show the whole asset."""
        if self._data is not None:
            self.show_stretch(self._data.start_pts, self._data.end_pts)

    def reveal(self, pts: int) -> None:
        """Scroll so that a moment is visible."""
        start, end = self._stretch
        if not start <= pts < end:
            half = (end - start) / 2
            self.show_stretch(pts - half, pts + half)

    def fold(self, key: str, *, folded: bool) -> None:
        """Fold a row into a thin bar, or open it again.

        Args:
            key: its kind, or of a lane ``geometry.LANE`` and the lane's own key.
            folded: folded from now on.
        """
        (self._folded.add if folded else self._folded.discard)(str(key))
        self.folds_changed.emit()
        self.redraw()

    def set_folded(self, keys: Iterable[str]) -> None:
        """Fold these rows and open all others, as they were once."""
        self._folded = set(keys)
        self.redraw()

    def request(
        self, correction: Correction | None, at_pts: int | None = None, why_not: str = ""
    ) -> None:
        """Ask for an edit and select what lies at ``at_pts`` afterwards; say why there is none."""
        if self.locked_reason:
            self.refused.emit(self.locked_reason)
            return
        if correction is None:
            if why_not:
                self.refused.emit(why_not)
            return
        self.corrected.emit(correction)
        after = correction.changes[0].after
        if at_pts is not None and isinstance(after, HumanTimeline):
            index = after.timeline.index_at(at_pts)
            self.select(None if index is None else Block(row="you", index=index))

    def redraw(self) -> None:
        """Paint the static picture anew."""
        self._scene = None
        self._still.forget()

    # Painting

    def sizeHint(self) -> QSize:
        """As in the design: 330 high."""
        return QSize(theme.px(900), theme.px(330))

    def _left_px(self) -> float:
        return float(theme.px(LABELS_PX))

    def _width_px(self) -> float:
        return max(1.0, self.width() - self._left_px() - _RIGHT_PX)

    def _whole(self) -> View:
        start, end = (self._shown.start_pts, self._shown.end_pts) if self._shown else (0.0, 1.0)
        return replace(self.view, start_pts=start, end_pts=end)

    def scene(self) -> Scene | None:
        """What the static picture shows now."""
        if self._scene is None and self._shown is not None and self._looks is not None:
            data = self._shown
            self._scene = Scene(
                data=data,
                looks=self._looks,
                rows=lay_out(
                    tuple(lane.name for lane in data.instruments),
                    self._folded,
                    theme.scale(),
                    self.height(),
                    outlines=bool(data.marks),
                    pictures=bool(self._strip.pictures),
                    sound=self._sound is not None,
                    lanes=data.rows,
                    model=data.model_name,
                ),
                view=self.view,
                whole=self._whole(),
                hint_you=self.hint_you,
                hint_model=self.hint_model,
                strip=self._strip,
                sound=self._sound,
            )
        return self._scene

    def paintEvent(self, event: QPaintEvent) -> None:
        """The cached picture, then selection, marks and playhead."""
        painter = QPainter(self)
        scene = self.scene()
        if scene is None:
            painter.fillRect(self.rect(), theme.color("panel"))
            painter.end()
            return
        self._still.draw(painter)
        painter.setClipRect(
            QRectF(self._left_px() - 8, 0, self._width_px() + _RIGHT_PX + 8, self.height())
        )
        self._paint_blocks_over(painter, scene)
        self._paint_marks(painter, scene)
        self._paint_looped(painter, scene)
        self._paint_playheads(painter, scene)
        painter.setClipping(False)
        if style.ring_shown(self):
            style.draw_ring(painter, QRectF(self.rect()), 4)
        painter.end()

    def _paint_static(self, painter: QPainter) -> None:
        scene = self.scene()
        if scene is not None:
            paint_scene(painter, scene, self.width(), self.height())

    def block_rect(self, block: Block) -> QRectF | None:
        """Where a block lies, None when its row or stretch is out of sight."""
        scene = self.scene()
        if scene is None or (segment := scene.data.tiers.segment(block)) is None:
            return None
        row = self._row(Kind.YOU if block.row == "you" else Kind.MODEL)
        return self._rect_in(row, segment.start_pts, segment.end_pts)

    def difference_rect(self, found: Difference) -> QRectF | None:
        """Where a disagreement lies, None when its stretch is out of sight."""
        return self._rect_in(self._row(Kind.DISAGREEMENT), found.start_pts, found.end_pts)

    def _rect_in(self, row: Row | None, start_pts: int, end_pts: int) -> QRectF | None:
        scene = self.scene()
        if row is None or scene is None:
            return None
        bar = bar_of(row, scene.view)
        x0, x1 = scene.view.x(start_pts), scene.view.x(end_pts)
        if x1 < bar.left() or x0 > bar.right():
            return None
        return QRectF(x0, bar.top(), x1 - x0, bar.height())

    def _paint_blocks_over(self, painter: QPainter, scene: Scene) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        white = theme.color("playhead")
        if self._hovered is not None and self._hovered.block != self._selected:
            rect = self.block_rect(self._hovered.block)
            if rect is not None:
                self._paint_handles(painter, rect)
        rect = self.block_rect(self._selected) if self._selected else None
        if rect is not None:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(white, 2))
            painter.drawRoundedRect(rect.adjusted(0, 0, -1, 0), 4, 4)
            self._paint_handles(painter, rect)
        if self._drag is not None and self._drag.snap is not None:
            painter.fillRect(
                QRectF(scene.view.x(self._drag.snap) - 0.5, 0, 1, self.height()),
                theme.color("accent"),
            )

    def _paint_handles(self, painter: QPainter, rect: QRectF) -> None:
        if rect.width() < 12:
            return
        painter.setPen(QPen(theme.color("panel"), 1))
        painter.setBrush(theme.color("playhead"))
        height = min(16.0, rect.height())
        for x in (rect.left(), rect.right() - 1):
            painter.drawRoundedRect(QRectF(x - 4, rect.center().y() - height / 2, 8, height), 3, 3)

    def _paint_marks(self, painter: QPainter, scene: Scene) -> None:
        row = self._row(Kind.YOU)
        if row is None or self._marks == (None, None):
            return
        bar = bar_of(row, scene.view)
        start, end = self._marks
        painter.setPen(QPen(theme.color("accent"), 2))
        for at, way in ((start, 1), (end, -1)):
            if at is not None:
                x = scene.view.x(at)
                painter.drawLine(QPointF(x, bar.top() - 1), QPointF(x, bar.bottom() + 1))
                for y in (bar.top() - 1, bar.bottom() + 1):
                    painter.drawLine(QPointF(x, y), QPointF(x + 6 * way, y))

    def _paint_looped(self, painter: QPainter, scene: Scene) -> None:
        ruler = self._row(Kind.RULER)
        if ruler is not None and self._looped != (None, None):
            start, end = (None if p is None else scene.view.x(p) for p in self._looped)
            top, bottom = ruler.top_px + 2, ruler.top_px + ruler.height_px - 2
            paint.draw_stretch(painter, start, end, top, bottom, on=self._loops)

    def _paint_playheads(self, painter: QPainter, scene: Scene) -> None:
        whole, ruler = self._row(Kind.WHOLE), self._row(Kind.RULER)
        if whole is not None:
            bar = bar_of(whole, scene.whole)
            x = scene.whole.x(self._playhead)
            paint.draw_playhead(painter, x, bar.top(), bar.bottom(), head=False)
        x = scene.view.x(self._playhead)
        if ruler is not None and scene.view.left_px - 1 <= x <= scene.view.left_px + (
            scene.view.width_px + 1
        ):
            last = scene.rows[-1]
            top = ruler.top_px + ruler.height_px - 11
            paint.draw_playhead(painter, x, top, last.top_px + last.height_px, head=True)

    def _row(self, kind: Kind) -> Row | None:
        scene = self.scene()
        return next((r for r in scene.rows if r.kind is kind), None) if scene else None

    # Mouse

    def row_at(self, y: float) -> Row | None:
        """The row under a logical y."""
        scene = self.scene()
        if scene is None:
            return None
        return next((r for r in scene.rows if r.top_px <= y < r.top_px + r.height_px), None)

    def hit(self, point: QPointF) -> Hit | None:
        """The block or edge under a point."""
        scene, row = self.scene(), self.row_at(point.y())
        if scene is None or row is None or point.x() < scene.view.left_px - 8:
            return None
        tiers = scene.data.tiers
        if row.kind is Kind.YOU:
            return hit_block(tiers.you, "you", scene.view, point.x(), self._selected)
        if row.kind is Kind.MODEL:
            return hit_block(tiers.model, "model", scene.view, point.x(), self._selected)
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Fold a row, hold an edge or the zoom window, select a block, or seek."""
        self._card.hide()
        if self._data is None:
            return
        point, row = event.position(), self.row_at(event.position().y())
        if event.button() == Qt.MouseButton.MiddleButton:
            self._begin(_Grip.CONTENT, point)
        if event.button() != Qt.MouseButton.LeftButton or row is None:
            return
        if point.x() < self._left_px() - 8:
            if row.kind not in _FIXED:
                self.fold(row.fold_key, folded=row.fold_key not in self._folded)
        elif row.kind is Kind.WHOLE:
            self._press_whole(point, row)
        else:
            self._press_tiers(point, row)

    def _press_whole(self, point: QPointF, row: Row) -> None:
        scene = self.scene()
        if scene is None:
            return
        window = window_of(scene, row)
        near = {
            _Grip.WINDOW_START: abs(point.x() - window.left()),
            _Grip.WINDOW_END: abs(point.x() - window.right()),
        }
        grip = min(near, key=lambda g: near[g])
        if near[grip] > 7:
            grip = _Grip.WINDOW
            if not window.left() <= point.x() <= window.right():
                half = (self._stretch[1] - self._stretch[0]) / 2
                at = scene.whole.pts(point.x())
                self.show_stretch(at - half, at + half)
        self._begin(grip, point)

    def _press_tiers(self, point: QPointF, row: Row) -> None:
        tiers = self._data.tiers if self._data else None
        hit = self.hit(point)
        if hit is not None:
            self.select(hit.block)
            if hit.edge is not None:
                if self.locked_reason:
                    self.refused.emit(self.locked_reason)
                else:
                    self._begin(_Grip.EDGE, point, hit)
                return
        elif row.kind in (Kind.YOU, Kind.MODEL):
            self.select(None)
            if row.kind is Kind.MODEL and tiers and tiers.model is None:
                self.analyse_requested.emit()
                return
        self._begin(_Grip.PLAYHEAD, point)
        self._seek(point.x())

    def _begin(self, grip: _Grip, point: QPointF, hit: Hit | None = None) -> None:
        self._drag = _Drag(
            grip=grip, from_px=point, view=self.view, playhead=self._playhead, hit=hit
        )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow a drag, else show what is under the pointer."""
        drag, point = self._drag, event.position()
        if drag is None:
            self._hover(point)
            return
        delta = point - drag.from_px
        drag.moved = drag.moved or delta.manhattanLength() > _DRAG_PX
        if drag.grip is _Grip.PLAYHEAD:
            self._seek(point.x())
        elif drag.grip is _Grip.CONTENT:
            moved = drag.view.panned(delta.x())
            self.show_stretch(moved.start_pts, moved.end_pts)
        elif drag.grip is _Grip.EDGE and drag.moved:
            free = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
            self._drag_edge(drag, point.x(), free=free)
        elif drag.moved:
            self._drag_window(drag, delta.x())

    def _drag_window(self, drag: _Drag, dx: float) -> None:
        by = dx / self._whole().px_per_pts
        start, end = drag.view.start_pts, drag.view.end_pts
        frame = self._data.tiers.frame_pts if self._data else 1
        shortest = MIN_VISIBLE_FRAMES * frame
        if drag.grip is _Grip.WINDOW_START:
            self.show_stretch(min(start + by, end - shortest), end)
        elif drag.grip is _Grip.WINDOW_END:
            self.show_stretch(start, max(end + by, start + shortest))
        else:
            self.show_stretch(start + by, end + by)

    def _drag_edge(self, drag: _Drag, x: float, *, free: bool) -> None:
        if self._data is None or drag.hit is None or drag.hit.edge is None:
            return
        tiers, view = self._data.tiers, self.view
        pts = self._data.nearest_frame(view.pts(x))
        drag.snap = None
        if not free:
            drag.snap = snapped(view.pts(x), self._snap_targets(drag.hit, drag.playhead), view)
            pts = pts if drag.snap is None else drag.snap
        drag.correction = phases.move_edge(tiers, drag.hit.block, drag.hit.edge, pts)
        self._shown = self._data.with_you(_after(drag.correction, tiers.you))
        self.redraw()
        self.seek_requested.emit(min(pts, self._data.end_pts - tiers.frame_pts))

    def _snap_targets(self, hit: Hit, playhead: int) -> set[int]:
        """The playhead and the other boundaries, the held one and its touching twin excepted."""
        if self._data is None:
            return set()
        tiers = self._data.tiers
        held = tiers.segment(hit.block)
        own = set() if held is None else {held.start_pts if hit.edge == "start" else held.end_pts}
        targets = {playhead, *(tiers.you.boundaries() if tiers.you else ())}
        targets |= set(tiers.model.boundaries() if tiers.model else ())
        return targets - own

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Make the dragged edge the human's word."""
        drag, self._drag = self._drag, None
        if drag is None:
            return
        if drag.grip is _Grip.EDGE and drag.hit is not None:
            self._shown = self._data
            self.redraw()
            if drag.moved:
                self.request(drag.correction, self._start_after(drag))
        self.update()

    def _start_after(self, drag: _Drag) -> int | None:
        """A pts that lies in the dragged block once its edge has moved."""
        after = drag.correction.changes[0].after if drag.correction else None
        held = self._data.tiers.segment(drag.hit.block) if self._data and drag.hit else None
        if not isinstance(after, HumanTimeline) or held is None or drag.hit is None:
            return None
        return held.end_pts - 1 if drag.hit.edge == "start" else held.start_pts

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Choose another phase for the block."""
        hit = self.hit(event.position())
        if hit is not None and event.button() == Qt.MouseButton.LeftButton:
            self.select(hit.block)
            self.picker_requested.emit(event.globalPosition().toPoint())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Choose a phase for what is under the pointer, or for the selection by the menu key."""
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            row = self.row_at(event.pos().y())
            if row is not None and row.kind is Kind.SOUND:
                self.sound_menu_requested.emit(event.globalPos())
                return
            hit = self.hit(QPointF(event.pos()))
            if hit is not None:
                self.select(hit.block)
        if self._selected is not None:
            self.picker_requested.emit(self.picker_point())

    def picker_point(self) -> QPoint:
        """Where a menu for the selection opens, in global coordinates."""
        rect = self.block_rect(self._selected) if self._selected else None
        at = rect.bottomLeft().toPoint() if rect is not None else self.rect().center()
        at.setX(min(max(at.x(), int(self._left_px())), self.width() - 40))
        return self.mapToGlobal(at)

    def _seek(self, x: float) -> None:
        if self._data is not None:
            last = self._data.end_pts - self._data.tiers.frame_pts
            self.seek_requested.emit(min(self._data.nearest_frame(self.view.pts(x)), last))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer; with Shift or sideways, scroll."""
        turn = event.angleDelta()
        if turn.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            moved = self.view.panned(turn.x() or turn.y())
        else:
            moved = self.view.zoomed(1.0015 ** turn.y(), event.position().x())
        self.show_stretch(moved.start_pts, moved.end_pts)
        event.accept()

    def _hover(self, point: QPointF) -> None:
        hit = self.hit(point)
        edge = hit is not None and hit.edge is not None
        self.setCursor(Qt.CursorShape.SizeHorCursor if edge else Qt.CursorShape.ArrowCursor)
        if hit != self._hovered:
            self._hovered = hit
            self.update()
        join = join_near(self._data.joins, point.x(), self.view.x) if self._data else None
        if hit is None and self._data is not None and join is not None:
            lines = join.words, paint.clock(self._data.time_ms(join.pts))
            self._card.show_for(lines, point, self.view.x(self._playhead))
            return
        if hit is None and self._data is not None:
            row = self.row_at(point.y())
            lines = self._lane_lines(row, point) if row is not None else None
            if lines is not None:
                self._card.show_for(lines, point, self.view.x(self._playhead))
                return
        if hit is None or self._data is None:
            self._card.hide()
            return
        self._card.show_for(hover_lines(self._data, hit.block), point, self.view.x(self._playhead))

    def _lane_lines(self, row: Row, point: QPointF) -> tuple[str, str] | None:
        """What the card says of a disagreement, or of what a lane tells, under the pointer."""
        data = self._data
        if data is None or point.x() < self._left_px():
            return None
        pts = self.view.pts(point.x())
        if row.kind is Kind.DISAGREEMENT:
            found = (d for d in data.differences if d.start_pts <= pts < d.end_pts)
            return next((difference_lines(d, data.words, data.time_ms) for d in found), None)
        if row.kind is Kind.INSTRUMENT:
            lane, share = data.instruments[row.index], 0.0
        elif row.kind is Kind.LANE:
            lane, share = data.rows[row.index], (point.y() - row.top_px) / row.height_px
        else:
            return None
        return lane_lines(lane, pts, share, data.words, data.time_ms)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is under the pointer any more."""
        self._hovered = None
        self._card.hide()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture follows the room."""
        super().resizeEvent(event)
        self.redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange) and self._data:
            self._looks = paint.PhaseLooks(self._data.words)
            self.redraw()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus ring when it came by keyboard."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Hide the focus ring."""
        super().focusOutEvent(event)
        self.update()


def _after(correction: Correction | None, you: Line | None) -> Line | None:
    """The human timeline as a correction leaves it."""
    after = correction.changes[0].after if correction is not None else None
    return after.timeline if isinstance(after, HumanTimeline) else you
