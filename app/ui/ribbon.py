"""Review's ribbon: phase blocks, disagreement, confidence, ruler and playhead of a case.

GUI thread. The static layer is cached in a pixmap at device pixels; while playing only the strip
that the playhead left and the one it entered are redrawn.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QFontMetricsF,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.case import Asset
from app.core.correction import Bookmark
from app.core.differences import Difference
from app.core.forecast import Forecast
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline
from app.ui import theme
from app.ui.joins import Join, join_near, joins_of
from app.ui.session import ModelTier, Session
from app.ui.still import Still
from app.ui.style import draw_ring, ring_shown
from app.ui.timeline import blocks, paint
from app.ui.timeline.forecast import draw_forecast
from app.ui.timeline.geometry import bounds_of
from app.ui.timeline.join_marks import draw_joins
from app.ui.timeline.speech import yours
from app.ui.widgets import IconButton, mark
from app.ui.words import length, moment

MARGIN = 24
_BEYOND_PX = 24
_MIN_NAME_PX = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One phase block as the ribbon shows it."""

    segment: Segment
    human: bool


@dataclass(slots=True, kw_only=True)
class RibbonData:
    """What the ribbon draws."""

    asset: Asset | None = None
    taxonomy: Taxonomy | None = None
    human: Timeline | None = None
    model: ModelTier | None = None
    differences: tuple[Difference, ...] = ()
    tail_words: str = ""
    imported: bool = False
    bookmarks: tuple[Bookmark, ...] = ()
    joins: tuple[Join, ...] = ()
    blocks: tuple[Block, ...] = field(default=())
    bounds: NDArray[np.float64] = field(init=False)
    confidence: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        said = self.model.confidence if self.model else ()
        self.confidence = np.array(said, np.float64).reshape(-1, 2)
        self.blocks = merged_blocks(self.human, self.model.timeline if self.model else None)
        self.bounds = bounds_of([b.segment for b in self.blocks])


def merged_blocks(human: Timeline | None, model: Timeline | None) -> tuple[Block, ...]:
    """Human segments, and the model's wherever the human said nothing."""
    said = human.segments if human else ()
    out = [Block(segment=s, human=True) for s in said]
    for segment in model.segments if model else ():
        start = segment.start_pts
        first = bisect_right(said, start, key=lambda s: s.end_pts)
        behind = bisect_left(said, segment.end_pts, key=lambda s: s.start_pts)
        for other in said[first:behind]:
            if other.start_pts > start:
                cut = Segment(start_pts=start, end_pts=other.start_pts, phase=segment.phase)
                out.append(Block(segment=cut, human=False))
            start = max(start, other.end_pts)
        if start < segment.end_pts:
            rest = Segment(start_pts=start, end_pts=segment.end_pts, phase=segment.phase)
            out.append(Block(segment=rest, human=False))
    return tuple(sorted(out, key=lambda b: b.segment.start_pts))


class Ribbon(QWidget):
    """The phase ribbon.

    Signals:
        seek: (ms) where a click or a drag wants to be.
        hovered: (ms, x) the pointer is over a moment; ms below 0 when it left.
        opened: (ms) a double click.
        analyse: the words on the part not yet analysed were clicked.
        view_changed: another stretch is shown, or another case.
    """

    seek = Signal(float)
    hovered = Signal(float, float)
    opened = Signal(float)
    analyse = Signal()
    view_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Phases")
        self.data = RibbonData()
        self._ms = 0.0
        self._view = (0.0, 1.0)
        self._still = Still(self, self._paint_static)
        self._dragging = False
        self._compact = False
        self._tail = QRectF()
        self._stretch: tuple[float | None, float | None] = (None, None)
        self._lost: tuple[tuple[float, float], ...] = ()
        self._growth: tuple[float, float] | None = None
        self._loops = False
        self._left = float(MARGIN)
        self.fold_button = IconButton("chevron-down", "Show the lanes", size=13)
        mark(self.fold_button, "small")
        self.fold_button.setParent(self)
        # At large text it would lie on the first block.
        self.fold_button.setFixedSize(min(theme.px(20), MARGIN - 3), theme.px(20))
        self._forecast: Forecast | None = None

    @property
    def shown_ms(self) -> tuple[float, float]:
        """The stretch that is shown."""
        return self._view

    def set_left(self, left_px: float | None) -> None:
        """Where time begins: further right while names of lanes stand below; None at the edge."""
        self._left = float(MARGIN) if left_px is None else left_px
        is_open = left_px is not None
        self.fold_button.set_icon("chevron-up" if is_open else "chevron-down")
        self.fold_button.setAccessibleName("Hide the lanes" if is_open else "Show the lanes")
        self.invalidate()

    def set_forecast(self, forecast: Forecast | None) -> None:
        """What is foreseen at the playhead, None where nothing is."""
        if forecast != self._forecast:
            self._forecast = forecast
            self.update()

    def _wide(self) -> float:
        return max(1.0, self.width() - self._left - MARGIN)

    def set_stretch(self, start_ms: float | None, end_ms: float | None, *, on: bool) -> None:
        """Bracket the marked stretch; ``on`` while play goes round in it."""
        self._stretch, self._loops = (start_ms, end_ms), on
        self.update()

    def set_lost(self, spans_ms: tuple[tuple[float, float], ...]) -> None:
        """Hatch the stretches (from ms, to ms) that have no picture."""
        if spans_ms != self._lost:
            self._lost = spans_ms
            self.invalidate()

    def show_growth(self, known_ms: float, about_ms: float) -> None:
        """While there is no case: how long the recording is known to be, and may be.

        Args:
            known_ms: read through so far.
            about_ms: the whole length as far as can be told, 0 where nothing is being read.
        """
        growth = (known_ms, max(known_ms, about_ms)) if about_ms and not self.data.asset else None
        if growth != self._growth:
            self._growth = growth
            self.setToolTip(_growth_words(growth[1]) if growth else "")
            self.invalidate()

    @property
    def lost(self) -> tuple[tuple[float, float], ...]:
        """The stretches that have no picture."""
        return self._lost

    def lost_at(self, ms: float) -> float:
        """How many ms around a moment have no picture, 0 where there is one."""
        return next((end - start for start, end in self._lost if start <= ms < end), 0.0)

    def set_compact(self, *, compact: bool) -> None:
        """On small screens the ribbon is lower; the current phase has its name whatever follows."""
        self._compact = compact
        self.updateGeometry()
        self.invalidate()

    def sizeHint(self) -> QSize:
        """104 pixels high, 72 on small screens, times the text scale."""
        return QSize(640, theme.px(72 if self._compact else 104))

    def minimumSizeHint(self) -> QSize:
        """As high as the hint."""
        return QSize(320, self.sizeHint().height())

    def show_session(self, session: Session, tail_words: str = "") -> None:
        """Draw the open case of a session anew."""
        before = self.data.asset
        self.data = RibbonData(
            asset=session.asset,
            taxonomy=session.shown_taxonomy,
            human=session.human_timeline,
            model=session.model,
            differences=session.differences,
            tail_words=tail_words,
            imported=session.imported,
            bookmarks=session.work.bookmarks if session.work else (),
            joins=joins_of(session.asset, session.gone),
        )
        if session.asset is not None:
            self.show_growth(0.0, 0.0)
        if session.asset is not before:
            duration = session.asset.duration_ms if session.asset else 1.0
            self._view = (0.0, max(duration, 1.0))
        self.invalidate()
        self.view_changed.emit()

    def set_time(self, ms: float) -> None:
        """Move the playhead."""
        if ms == self._ms:
            return
        changed_block = self._block_at(ms) is not self._block_at(self._ms)
        old, self._ms = self._x(self._ms), ms
        if changed_block:
            self.invalidate()
        for x in (old, self._x(ms)):
            self.update(QRect(int(x) - 8, 0, 17, self.height()))
        block = self._block_at(ms)
        if changed_block and block is not None and self.data.taxonomy is not None:
            self.setAccessibleDescription(self._spoken(block))

    def invalidate(self) -> None:
        """Draw the static layer anew."""
        self._still.forget()

    def time_at(self, x: float) -> float:
        """Milliseconds under a horizontal position."""
        start, end = self._view
        share = (x - self._left) / self._wide()
        duration = self.data.asset.duration_ms if self.data.asset else 0.0
        return min(duration, max(0.0, start + share * (end - start)))

    def block_at(self, ms: float) -> Block | None:
        """The block at a moment."""
        return self._block_at(ms)

    def bookmark_at(self, x: float) -> Bookmark | None:
        """The bookmark whose diamond lies at a horizontal position."""
        asset = self.data.asset
        if asset is None:
            return None
        near = ((abs(self._x(asset.time_ms(b.frame.pts)) - x), b) for b in self.data.bookmarks)
        found = min(near, key=lambda n: n[0], default=None)
        return found[1] if found and found[0] <= self._bookmark_reach() + 2 else None

    def join_at(self, x: float) -> Join | None:
        """The join, or the missing part, at a horizontal position."""
        asset = self.data.asset
        if asset is None:
            return None
        return join_near(self.data.joins, x, lambda pts: self._x(asset.time_ms(pts)))

    def _bookmark_reach(self) -> float:
        return 4.0 if self._compact else 5.0

    def _bookmark_y(self) -> float:
        _, _, confidence, _ = self._rows()
        return confidence + theme.px(2 if self._compact else 11)

    def _x(self, ms: float) -> float:
        start, end = self._view
        return self._left + (ms - start) / (end - start) * self._wide()

    def _x_of(self, pts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logical x of many pts."""
        asset = self.data.asset
        assert asset is not None  # noqa: S101 - painted with a case alone
        start, end = self._view
        ms = (pts - asset.start_pts) * float(asset.time_base * 1000)
        return self._left + (ms - start) / (end - start) * self._wide()

    def _block_at(self, ms: float) -> Block | None:
        if self.data.asset is None:
            return None
        pts = self.data.asset.pts(ms)
        place = bisect_right(self.data.blocks, pts, key=lambda b: b.segment.start_pts) - 1
        found = self.data.blocks[place] if place >= 0 else None
        return found if found is not None and pts < found.segment.end_pts else None

    def _spoken(self, block: Block) -> str:
        assert self.data.asset is not None  # noqa: S101 - blocks exist only with an asset
        assert self.data.taxonomy is not None  # noqa: S101
        name = self.data.taxonomy.phase_name(block.segment.phase)
        start = moment(self.data.asset.time_ms(block.segment.start_pts))
        end = moment(self.data.asset.time_ms(block.segment.end_pts))
        whose = yours(imported=self.data.imported)
        who = f"{name}, from {start} to {end}, {whose}"
        return who if block.human else f"Model says {name} from {start} to {end}"

    def paintEvent(self, event: QPaintEvent) -> None:
        """The cached layer, then the playhead."""
        painter = QPainter(self)
        self._still.draw(painter)
        if self.data.asset is not None:
            self._paint_forecast(painter, self.data.asset)
            self._paint_stretch(painter)
            self._paint_playhead(painter)
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 6)
        painter.end()

    def _rows(self) -> tuple[float, float, float, float]:
        """Middle of the names, top of the blocks, top of the confidence strip, ruler labels."""
        rows = (10, 19, 42, 62) if self._compact else (19, 31, 53, 89)
        a, b, c, d = (float(theme.px(y)) for y in rows)
        return a, b, c, d

    def _paint_static(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), theme.color("window"))
        painter.fillRect(QRectF(0, 0, self.width(), 1), theme.color("line"))
        if self.data.asset is None:
            if self._growth is not None:
                self._paint_growth(painter, *self._growth)
            return
        painter.save()
        painter.setClipRect(QRectF(self._left - 2, 0, self._wide() + 4, self.height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_tail(painter)
        self._paint_blocks(painter)
        self._paint_lost(painter)
        self._paint_disagreement(painter)
        self._paint_confidence(painter)
        asset, (_, top, confidence, _) = self.data.asset, self._rows()
        draw_joins(
            painter,
            self.data.joins,
            lambda pts: self._x(asset.time_ms(pts)),
            top - theme.px(3),
            confidence + theme.px(5),
        )
        self._paint_tail_words(painter)
        painter.restore()
        if self._left > MARGIN:
            self._paint_label(painter)
        self._paint_ruler(painter)
        for bookmark in self.data.bookmarks:
            x = self._x(self.data.asset.time_ms(bookmark.frame.pts))
            if self._left - 1 <= x <= self.width() - MARGIN + 1:
                paint.draw_diamond(painter, x, self._bookmark_y(), self._bookmark_reach())

    def _paint_label(self, painter: QPainter) -> None:
        """Beside the names of the lanes this row has one too."""
        painter.setFont(theme.font("caption"))
        painter.setPen(theme.color("text_2"))
        metrics = QFontMetricsF(painter.font())
        y = self._rows()[1] + theme.px(8) + metrics.capHeight() / 2
        painter.drawText(QPointF(max(MARGIN, self.fold_button.geometry().right() + 2), y), "Phases")

    def _span(self, start_pts: int, end_pts: int) -> tuple[float, float]:
        assert self.data.asset is not None  # noqa: S101
        return self._x(self.data.asset.time_ms(start_pts)), self._x(
            self.data.asset.time_ms(end_pts)
        )

    def _paint_blocks(self, painter: QPainter) -> None:
        words = self.data.taxonomy
        if words is None:
            return
        looks, current = paint.PhaseLooks(words), self._block_at(self._ms)
        kinds, known = blocks.kinds_of((b.segment.phase, b.human) for b in self.data.blocks)
        named = [looks.look(phase, "you" if human else "model") for phase, human in known]
        middle, top, _, _ = self._rows()
        row = QRectF(0, top, self.width(), theme.px(16))
        edges = self._x_of(self.data.bounds).clip(-_BEYOND_PX, self.width() + _BEYOND_PX)
        here = next((i for i, b in enumerate(self.data.blocks) if b is current), None)
        drawn = edges.copy()
        if here is not None:
            drawn[here, 1] = drawn[here, 0]
        blocks.draw_blocks(painter, drawn, kinds, named, row, words=False)
        taken = -float(_BEYOND_PX)
        if here is not None:
            self._paint_current(painter, edges[here], named[kinds[here]], row)
            taken = self._paint_name(painter, here, edges[here], middle, current=True)
        for i in np.flatnonzero(drawn[:, 1] - drawn[:, 0] > _MIN_NAME_PX).tolist():
            # What the current one's name lies over is named beside it.
            from_px = edges[i, 0] if here is None or i < here else max(edges[i, 0], taken + 8)
            free = np.array((from_px, edges[i, 1]))
            self._paint_name(painter, i, free, middle, current=False)

    def _paint_current(
        self, painter: QPainter, edge: NDArray[np.float64], look: paint.BlockLook, row: QRectF
    ) -> None:
        """The block under the playhead: taller, with a white edge."""
        wide = max(2.0, float(edge[1] - edge[0]))
        body = QRectF(edge[0], row.top() - 2, wide, row.height() + 4)
        both = np.array([[body.left(), body.right()]])
        blocks.draw_blocks(painter, both, np.zeros(1, np.intp), [look], body, words=False)
        painter.setPen(QPen(theme.color("text"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(body.adjusted(0.5, 0.5, -1.5, -0.5), 3, 3)

    def _paint_name(
        self,
        painter: QPainter,
        place: int,
        edge: NDArray[np.float64],
        middle: float,
        *,
        current: bool,
    ) -> float:
        """Letter, and name where there is room; where they end."""
        assert self.data.taxonomy is not None  # noqa: S101
        key = self.data.blocks[place].segment.phase
        phase, name = self.data.taxonomy.phase(key), self.data.taxonomy.phase_name(key)
        code = phase.code if phase else "?"
        letter = theme.text_px("letter", code)
        if edge[1] - edge[0] < letter + 3 and not current:
            return float(edge[0])
        painter.setFont(theme.font("letter"))
        x = max(float(edge[0]), self._left) + 1
        y = middle + QFontMetricsF(painter.font()).capHeight() / 2
        painter.setPen(theme.letter_color(phase.colour) if phase else theme.color("text_2"))
        painter.drawText(QPointF(x, y), code)
        end, x = x + letter, x + letter + 5
        role = "heading" if current else "small"
        fits = theme.text_px(role, name) <= edge[1] - x - 6
        if fits or (current and self._compact):
            painter.setFont(theme.font(role))
            y = middle + QFontMetricsF(painter.font()).capHeight() / 2
            painter.setPen(theme.color("text" if current else "text_2"))
            painter.drawText(QPointF(x, y), name)
            end = x + theme.text_px(role, name)
        return end

    def _paint_lost(self, painter: QPainter) -> None:
        _, top, _, _ = self._rows()
        for start, end in self._lost:
            x0, x1 = self._x(start), self._x(end)
            paint.draw_lost(painter, QRectF(x0, top, max(2.0, x1 - x0), theme.px(16)))

    def _paint_disagreement(self, painter: QPainter) -> None:
        y = self._rows()[1] + theme.px(16) + 1
        area = QRectF(self._left, y, self._wide(), theme.px(5))
        blocks.draw_disagreements(painter, self.data.differences, self._x_of, area)

    def _paint_confidence(self, painter: QPainter) -> None:
        known = self.data.confidence
        if not len(known):
            return
        _, _, top, _ = self._rows()
        step = float(np.median(np.diff(known[:, 0]))) if len(known) > 1 else 1.0
        area = QRectF(self._left, top, self._wide(), theme.px(4))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        paint.draw_confidence(painter, known, step, self._x_of, area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _paint_tail(self, painter: QPainter) -> None:
        """The stretch that no model has looked at and no human has named."""
        self._tail = QRectF()
        assert self.data.asset is not None  # noqa: S101
        ends = [b.segment.end_pts for b in self.data.blocks]
        if self.data.model is not None:
            ends.append(self.data.model.analysed_to_pts)
        start = max(ends, default=self.data.asset.start_pts)
        x0, x1 = self._span(start, self.data.asset.end_pts)
        if x1 - x0 < 2:
            return
        _, top, _, _ = self._rows()
        rect = QRectF(x0 + 0.5, top + 0.5, x1 - x0 - 1, theme.px(16) - 1)
        painter.setPen(QPen(theme.color("control_edge"), 1, Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(rect, 3, 3)
        self._tail = rect

    def _paint_tail_words(self, painter: QPainter) -> None:
        """Over the lines where parts meet, which do not cross them."""
        rect, words = self._tail, self.data.tail_words
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        wide = metrics.horizontalAdvance(words)
        if words and wide + 16 < rect.width():
            place = QRectF(rect.x() + 4, rect.y() + 1, wide + 8, rect.height() - 2)
            painter.fillRect(place, theme.color("window"))
            painter.setPen(theme.color("text_2"))
            y = rect.center().y() + metrics.capHeight() / 2
            painter.drawText(QPointF(rect.x() + 8, y), words)

    def _paint_growth(self, painter: QPainter, known_ms: float, about_ms: float) -> None:
        """What is known of the length, and striped what is still being read."""
        self._view = (0.0, about_ms)
        _, top, _, _ = self._rows()
        start, known, end = self._x(0.0), self._x(known_ms), self._x(about_ms)
        painter.fillRect(QRectF(start, top, known - start, theme.px(16)), theme.color("control"))
        rest = QRectF(known, top, end - known, theme.px(16))
        paint.draw_stripes(painter, rest, theme.color("control_edge"))
        words = _growth_words(about_ms)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        wide = metrics.horizontalAdvance(words) + 12
        if wide < rest.width():
            plate = QRectF(rest.right() - wide, top, wide, rest.height())
            painter.fillRect(plate, theme.color("window"))
            painter.setPen(theme.color("text_2"))
            y = plate.center().y() + metrics.capHeight() / 2
            painter.drawText(QPointF(plate.x() + 6, y), words)
        self._paint_ruler(painter)

    def _paint_ruler(self, painter: QPainter) -> None:
        start, end = self._view
        _, _, _, label_y = self._rows()
        painter.setFont(theme.font("caption"))
        metrics = QFontMetricsF(painter.font())
        per_ms = self._wide() / (end - start)
        top = label_y - theme.px(13 if self._compact else 17)
        minor = paint.minor_step_ms(start, end, per_ms)
        for k in range(ceil(start / minor), int(end / minor) + 1):
            x = round(self._x(k * minor)) + 0.5
            painter.setPen(theme.color("line_strong"))
            painter.drawLine(QPointF(x, top), QPointF(x, top + theme.px(4)))
        for ms in paint.ticks(start, end, per_ms, metrics.horizontalAdvance("0:00:00") * 2):
            x = round(self._x(ms)) + 0.5
            painter.setPen(theme.color("control_edge"))
            painter.drawLine(QPointF(x, top), QPointF(x, top + theme.px(7)))
            self._paint_tick_label(painter, metrics, x, ms, label_y)

    def _paint_tick_label(
        self, painter: QPainter, metrics: QFontMetricsF, x: float, ms: float, y: float
    ) -> None:
        text = moment(ms)
        width = metrics.horizontalAdvance(text)
        left = min(max(x - width / 2, self._left), self.width() - MARGIN - width)
        painter.setPen(theme.color("text_3"))
        painter.drawText(QPointF(left, y + metrics.capHeight() / 2), text)

    def _paint_forecast(self, painter: QPainter, asset: Asset) -> None:
        """What follows and when, as seen from the playhead; over the row where nothing is known."""
        if self._forecast is None or self.data.taxonomy is None:
            return
        _, _, confidence, _ = self._rows()
        now = asset.time_ms(self._forecast.pts)
        left = max(self._x(self._ms), self._left)
        top = confidence + theme.px(4 if self._compact else 5)
        high = theme.px(3 if self._compact else 6)  # a low ribbon has its ruler right below
        area = QRectF(left, top, self.width() - MARGIN - left, high)
        draw_forecast(painter, self._forecast, self.data.taxonomy, now, self._x, area)

    def _paint_stretch(self, painter: QPainter) -> None:
        start, end = self._stretch
        if start is None and end is None:
            return
        _, top, confidence, _ = self._rows()
        painter.save()
        painter.setClipRect(QRectF(self._left - 4, 0, self._wide() + 8, self.height()))
        paint.draw_stretch(
            painter,
            None if start is None else self._x(start),
            None if end is None else self._x(end),
            top - 2,
            confidence + theme.px(7),
            on=self._loops,
        )
        painter.restore()

    def _paint_playhead(self, painter: QPainter) -> None:
        x = round(self._x(self._ms)) + 0.5
        if not self._left - 1 <= x <= self.width() - MARGIN + 2:
            return
        _, top, conf, _ = self._rows()
        # After a jump to a phase the head stands below its letter, and above the ruler's words.
        bottom = conf + theme.px(6 if self._compact else 18)
        paint.draw_playhead(painter, x, top - theme.px(3), bottom, head=True)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there; on the words of the part not analysed, analyse."""
        if event.button() != Qt.MouseButton.LeftButton or self.data.asset is None:
            return
        if event.position().x() < self._left - MARGIN:
            return  # the row's name
        self._dragging = True
        self.seek.emit(self.time_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub, or tell what lies under the pointer."""
        ms = self.time_at(event.position().x())
        if self._dragging:
            self.seek.emit(ms)
        if self.data.asset is not None:
            self.hovered.emit(ms, event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag on the exact frame."""
        if self._dragging:
            self._dragging = False
            self.seek.emit(self.time_at(event.position().x()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Open Annotate there; on the part not analysed, analyse."""
        if self._tail.contains(event.position()):
            self.analyse.emit()
        elif self.data.asset is not None:
            self.opened.emit(self.time_at(event.position().x()))

    def leaveEvent(self, event: object) -> None:
        """No hover card without a pointer."""
        self.hovered.emit(-1.0, 0.0)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom in time at the pointer; sideways scrolls."""
        if self.data.asset is None:
            return
        start, end = self._view
        duration = max(1.0, self.data.asset.duration_ms)
        delta = event.angleDelta()
        if abs(delta.x()) > abs(delta.y()):
            shift = -delta.x() / 1200 * (end - start)
            shift = min(duration - end, max(-start, shift))
            self._view = (start + shift, end + shift)
        else:
            at = self.time_at(event.position().x())
            width = min(duration, max(2000.0, (end - start) * 0.999 ** delta.y()))
            share = (at - start) / (end - start)
            left = min(duration - width, max(0.0, at - share * width))
            self._view = (left, left + width)
        self.invalidate()
        self.view_changed.emit()

    def changeEvent(self, event: QEvent) -> None:
        """Another theme, another picture."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.invalidate()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The static layer has the widget's size."""
        super().resizeEvent(event)
        middle = self._rows()[1] + theme.px(8)
        self.fold_button.move(2, round(middle - self.fold_button.height() / 2))
        self._still.forget()


def _growth_words(about_ms: float) -> str:
    return f"About {length(about_ms / 1000)}, still reading"
