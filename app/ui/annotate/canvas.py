"""The canvas: the stage with outlines to select and change, and the tools' drawing. GUI thread.

While the video plays, the overlay thread's raster is shown, as in Review. While it stands, the
outlines are drawn here, smooth and at once after an edit: the others cached in one picture, the
selected one and the tool on top.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QEnterEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
)

from app.annotate.brush import Box
from app.core.frame import Frame
from app.core.mask import Mask
from app.overlay import (
    Dial,
    Look,
    OverlayStyle,
    ShownInstance,
    compose,
    contours,
    looks_of,
)
from app.ui import osd, style, theme
from app.ui.annotate.editor import Editor, key_of
from app.ui.annotate.tools import (
    MAX_BRUSH_PX,
    MIN_BRUSH_PX,
    BrushTool,
    EraserTool,
    PolygonTool,
    SelectTool,
    Tool,
    box_to_widget,
)
from app.ui.stage import Stage, mean_luma
from app.ui.widgets import draw_key_cap
from app.ui.words import clock, count

_SMOOTH_PX = 1.0
_PIXELS_SHOW = 4.0
_RASTER_ZOOM = 1.5
_MARGIN = 16
Looks = list[tuple[ShownInstance, Look]]


class Canvas(Stage):
    """The picture in Annotate.

    Attributes:
        pointer: where the pointer is in raster pixels, None outside.
        brush_px: width of brush and eraser in raster pixels.
        time_ms, exact: of the frame on screen.
        style_source: says how outlines are drawn, and whether a key is held to see tissue only.

    Signals:
        tool_changed: another tool, brush size or hint.
        pause_wanted: an edit began while the video plays.
        menu_wanted: (QPoint, global) a menu for the selected outline.
        frame_menu_wanted: (QPoint, global) a menu for the frame, where no outline is.
    """

    tool_changed = Signal()
    pause_wanted = Signal()
    menu_wanted = Signal(object)
    frame_menu_wanted = Signal(object)

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self.space_pans = True
        self.chips_top_px = 56  # below the tool plate and beside the clock
        self.setMinimumSize(320, 200)
        self._editor = editor
        self.select_tool = SelectTool(self, editor)
        self.polygon_tool = PolygonTool(self, editor)
        self.tools: tuple[Tool, ...] = (
            self.select_tool,
            BrushTool(self, editor),
            EraserTool(self, editor),
            self.polygon_tool,
        )
        self.tool: Tool = self.select_tool
        self.pointer: QPointF | None = None
        self.brush_px = 40
        self.time_ms = 0.0
        self.exact = True
        self._playing = False
        self.style_source: Callable[[], tuple[OverlayStyle, bool]] | None = None
        self._style: OverlayStyle | None = None
        self._shows_tissue = False
        self._paths: dict[object, tuple[Mask, float, QPainterPath]] = {}
        self._others: tuple[object, QImage, QRectF] | None = None
        self._bright_corner = False
        self._pressed = False
        editor.changed.connect(self._on_changed)
        editor.selection_changed.connect(self._on_changed)
        self.view_changed.connect(self._look_at_corner)

    # State

    @property
    def playing(self) -> bool:
        """Whether the video plays: nothing is edited meanwhile."""
        return self._playing

    def set_playing(self, *, playing: bool) -> None:
        """The video plays, or stands."""
        self._playing = playing
        self.update()

    def set_tool(self, tool_id: str) -> None:
        """Take another tool; what the old one had begun is forgotten.

        The brush taken again lets the selected outline go, so that the next stroke is a new one.
        """
        if tool_id == self.tool.id and isinstance(self.tool, BrushTool) and not self.tool.erases:
            self._editor.select(None)
        self.tool.escape() if self.tool is not self.select_tool else None
        self.tool = next(t for t in self.tools if t.id == tool_id)
        self.setCursor(self.tool.cursor())
        self._tell()

    def resize_brush(self, factor: float) -> None:
        """A larger or smaller brush."""
        step = max(1, round(self.brush_px * abs(factor - 1)))
        size = self.brush_px + (step if factor > 1 else -step)
        self.brush_px = min(max(size, MIN_BRUSH_PX), MAX_BRUSH_PX)
        self._tell()

    def _tell(self) -> None:
        tool = self.tool
        size = f", {self.brush_px} pixels" if isinstance(tool, BrushTool) else ""
        self.setAccessibleDescription(f"{tool.name}{size}")
        self.tool_changed.emit()
        self.update()

    def escape(self) -> bool:
        """Forget what the tool had begun, else go back to select, else select nothing."""
        if self.tool.escape():
            return True
        if self.tool is not self.select_tool:
            self.set_tool(self.select_tool.id)
            return True
        return False

    def finish(self) -> bool:
        """Finish what the tool had begun."""
        return self.tool.finish()

    def set_frame(self, frame: Frame | None, view: NDArray[np.uint8] | None = None) -> None:
        """Show a frame; a stroke under way does not survive another frame."""
        known = self._frame
        if frame is None or known is None or frame.pts != known.pts:
            self.tool.escape() if self._pressed or self.tool is self.polygon_tool else None
            self._pressed = False
        super().set_frame(frame, view)
        self._look_at_corner()

    def _look_at_corner(self) -> None:
        """Whether the picture behind the clock is too bright for bare words."""
        inverse, possible = self.to_widget_transform().inverted()
        if self._image is None or not possible:
            return
        clock_place = QRectF(self.width() - theme.px(170), 8, theme.px(160), theme.px(58))
        behind = inverse.mapRect(clock_place).intersected(QRectF(self._image.rect()))
        self._bright_corner = not behind.isEmpty() and (mean_luma(self._image, behind) > osd.BRIGHT)

    # Painting

    def colour_of(self, shown: ShownInstance | None) -> QColor:
        """The colour of an outline; of the next new one for None."""
        overlay = self._style
        if overlay is None:
            return theme.outlines()[0]
        if shown is not None:
            return QColor(*self._look(shown, overlay).colour)
        taken = {look.colour for look in looks_of(self._editor.painted, overlay)}
        free = [c for c in overlay.outlines if c not in taken]
        return QColor(*(free or overlay.outlines)[0])

    def _look(self, shown: ShownInstance, overlay: OverlayStyle) -> Look:
        """How an outline is told apart from the others on the frame."""
        looks = zip(self._editor.painted, looks_of(self._editor.painted, overlay), strict=True)
        return next(
            (look for s, look in looks if key_of(s) == key_of(shown)),
            Look(colour=overlay.outlines[0]),
        )

    def stroke(
        self,
        painter: QPainter,
        path: QPainterPath,
        colour: QColor,
        *,
        selected: bool,
        fill: bool = True,
        dashed: bool = False,
    ) -> None:
        """An outline with its halo, in widget coordinates."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = theme.outline_px() + (0.6 if selected else 0.0)
        share = 0.11 if selected else 0.0
        if self._style is not None and self._style.dial >= Dial.FILL:
            share = max(share, self._style.fill)
        if fill and share:
            inside = QColor(colour)
            inside.setAlphaF(share)
            painter.fillPath(path, inside)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        join = Qt.PenJoinStyle.RoundJoin
        halo = QPen(theme.color("osd_halo"), width + 2)
        line = QPen(colour, width)
        if dashed:
            line.setDashPattern([3.5, 3.5])
        for pen in (halo, line):
            pen.setJoinStyle(join)
            painter.setPen(pen)
            painter.drawPath(path)

    def _paint_picture(self, painter: QPainter) -> None:
        raster = self._overlay
        if not self._playing:
            self._overlay = None
        super()._paint_picture(painter)
        self._overlay = raster

    def paint_over(self, painter: QPainter) -> None:
        """Outlines, the tool's own drawing, clock, tool plate."""
        if self._image is None:
            return
        if self.style_source is not None:
            self._style, self._shows_tissue = self.style_source()
        if not self._playing and self._frame is not None:
            painter.setClipRect(self.room())
            self._paint_outlines(painter)
            self.tool.paint(painter)
            painter.setClipping(False)
        self._paint_clock(painter)
        self._paint_plate(painter)
        if style.ring_shown(self):
            style.draw_ring(painter, QRectF(self.rect()), 4)

    def _paint_outlines(self, painter: QPainter) -> None:
        if self._shows_tissue or not self._editor.instances:
            return
        if self._style is not None and self._style.dial > Dial.NOTHING:
            self._paint_others(painter, self._style)
        selected = self._editor.selected
        hidden = self.tool.hides()
        if selected is not None and (hidden is None or key_of(hidden) != key_of(selected)):
            path = self.to_widget_transform().map(self._path(selected))
            self._stroke_selected(painter, path, selected)
            if self._style is not None and self._style.dial >= Dial.LABELS:
                self._paint_label(painter, selected)

    def _stroke_selected(
        self, painter: QPainter, path: QPainterPath, selected: ShownInstance
    ) -> None:
        dashed = self._style is not None and self._look(selected, self._style).dashed
        self.stroke(painter, path, self.colour_of(selected), selected=True, dashed=dashed)

    def _paint_others(self, painter: QPainter, overlay: OverlayStyle) -> None:
        """All outlines but the selected one, kept until something of it changes.

        The overlay's own raster costs a tenth of QPainter's strokes (20 outlines: 1.5 ms against
        30, measured), but far into the picture it would be too large.
        """
        selected = self._editor.selected
        rect, ratio = self.image_rect(), self.devicePixelRatioF()
        state = (
            tuple((id(s.mask), s.label, s.score) for s in self._editor.instances),
            key_of(selected) if selected else None,
            (rect.x(), rect.y(), rect.width(), rect.height(), self.width(), self.height()),
            (ratio, overlay),
        )
        if self._others is None or self._others[0] != state:
            others = self._others_of(selected, overlay)
            near = self.zoom <= _RASTER_ZOOM
            make = self._raster_of if near else self._strokes_of
            self._others = (state, make(others, overlay), QRectF(rect if near else self.rect()))
        painter.drawImage(self._others[2], self._others[1])

    def _others_of(self, selected: ShownInstance | None, overlay: OverlayStyle) -> Looks:
        """All but the selected one, each with the look that it has among all."""
        looks = zip(self._editor.painted, looks_of(self._editor.painted, overlay), strict=True)
        return [
            (s, look)
            for s, look in looks
            if s.mask.bits.size and (selected is None or key_of(s) != key_of(selected))
        ]

    def _raster_of(self, others: Looks, overlay: OverlayStyle) -> QImage:
        rect, ratio = self.image_rect(), self.devicePixelRatioF()
        size = round(rect.width() * ratio), round(rect.height() * ratio)
        pixels = compose([s for s, _ in others], size, overlay, [look for _, look in others])
        image = QImage(pixels.data, *size, 4 * size[0], QImage.Format.Format_ARGB32_Premultiplied)
        return image.copy()

    def _strokes_of(self, others: Looks, overlay: OverlayStyle) -> QImage:
        ratio = self.devicePixelRatioF()
        image = QImage(self.size() * ratio, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        transform, seen = self.to_widget_transform(), QRectF(self.rect())
        for shown, look in reversed(others):
            path = transform.map(self._path(shown))
            if path.boundingRect().intersects(seen):
                colour = QColor(*look.colour)
                self.stroke(painter, path, colour, selected=False, dashed=look.dashed)
        painter.end()
        return image

    def _paint_label(self, painter: QPainter, shown: ShownInstance) -> None:
        """Name, and how sure the model is, beside the selected outline."""
        x0, y0, _, _ = shown.mask.box
        text = self._editor.name_of(shown)
        if self._style is not None and self._style.dial >= Dial.CONFIDENCE:
            text += "" if shown.score is None else f" {round(100 * shown.score)} %"
        line = [osd.Text(text=text, role="small")]
        at = self.to_widget(QPointF(x0, y0))
        high, wide = osd.height(line) + 6, osd.width(line) + 12
        y = max(at.y() - high - 4, self.image_rect().top() + 2)
        osd.plate(painter, QRectF(at.x(), y, wide, high), 4)
        osd.draw_lines(painter, line, QPointF(at.x() + 6, y + 3), right=False)

    def _path(self, shown: ShownInstance) -> QPainterPath:
        """An outline in raster coordinates, smoothed a little for the eye alone."""
        key, tolerance = key_of(shown), self.tolerance_px()
        known = self._paths.get(key)
        if known is None or known[0] is not shown.mask or known[1] != tolerance:
            path = QPainterPath()
            path.setFillRule(Qt.FillRule.OddEvenFill)
            for ring in contours(shown.mask, tolerance):
                path.addPolygon(QPolygonF([QPointF(x, y) for x, y in ring.tolist()]))
                path.closeSubpath()
            known = self._paths[key] = (shown.mask, tolerance, path)
        return known[2]

    def tolerance_px(self) -> float:
        """How far a drawn line may lie off the mask: not at all where single pixels are seen."""
        return 0.0 if self.pixel_scale() >= _PIXELS_SHOW else _SMOOTH_PX

    def _paint_clock(self, painter: QPainter) -> None:
        whole, fraction = clock(self.time_ms)
        right = self.width() - _MARGIN
        if self._is_at_pointer(QRectF(right - theme.px(152), 8, theme.px(160), theme.px(58))):
            return
        if self._bright_corner:
            high = theme.px(58)
            osd.plate(painter, QRectF(right - theme.px(152), 8, theme.px(160), high))
        osd.draw_clock(painter, QPointF(right, 12), whole, fraction, exact=self.exact)
        if self._frame is not None:
            line = [osd.Text(text=f"frame {count(self._frame.index)}", role="small", token=_QUIET)]
            osd.draw_lines(painter, line, QPointF(right, 12 + theme.px(30)), right=True)
        if self.zoom > 1.0:
            line = [osd.Text(text=f"{round(100 * self.pixel_scale())} %", role="small")]
            at = QPointF(right, self.room().bottom() - _MARGIN - osd.height(line))
            osd.draw_lines(painter, line, at, right=True)

    def _paint_plate(self, painter: QPainter) -> None:
        """Top left: object, what the tool does, its keys."""
        if self._editor.locked_reason:
            self._paint_lock(painter, self._editor.locked_reason)
            return
        subject, hint = self.tool.subject(), self.tool.hint()
        brush = isinstance(self.tool, BrushTool)
        name = ""
        if subject is not None:
            name = self._editor.name_of(subject)
        elif self.tool.needs_frame and not isinstance(self.tool, EraserTool):
            name = self._editor.new_name()
        parts = [osd.Text(text=name, role="heading")] if name else []
        words = [osd.Text(text=hint, role="body", token="osd_text_2")]  # noqa: S106
        width = (osd.width(parts) + 26 if parts else 0) + osd.width(words)
        caps = theme.px(20) * 2 + 14 if brush else 0
        plate = QRectF(_MARGIN, 12, width + caps + 28, theme.px(34))
        if self._is_at_pointer(plate):
            return
        osd.plate(painter, plate)
        x, top = plate.x() + 14, plate.center().y() - theme.px(18) / 2
        if parts:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.colour_of(subject))
            painter.drawEllipse(QPointF(x + 3, plate.center().y()), 4, 4)
            x += 14
            osd.draw_lines(painter, parts, QPointF(x, top), right=False)
            x += osd.width(parts) + 12
        osd.draw_lines(painter, words, QPointF(x, top), right=False)
        if brush:
            x += osd.width(words) + 12
            for key in ("[", "]"):
                cap = QRectF(x, plate.center().y() - theme.px(9), theme.px(20), theme.px(18))
                draw_key_cap(painter, cap, key)
                x += theme.px(20) + 4

    def _is_at_pointer(self, words: QRectF) -> bool:
        """Whether the pointer works where words lie: they give way to what is under them."""
        return self.pointer is not None and words.contains(self.to_widget(self.pointer))

    def _paint_lock(self, painter: QPainter, reason: str) -> None:
        words = [osd.Text(text=reason, token="osd_text_2")]  # noqa: S106 - a colour token
        plate = QRectF(_MARGIN, 12, osd.width(words) + 48, theme.px(34))
        osd.plate(painter, plate)
        lock = theme.pixmap("lock", 15, "osd_text_2", self.devicePixelRatioF())
        painter.drawPixmap(QPointF(plate.x() + 12, plate.center().y() - 7.5), lock)
        top = plate.center().y() - theme.px(18) / 2
        osd.draw_lines(painter, words, QPointF(plate.x() + 34, top), right=False)

    def update_raster(self, box: Box) -> None:
        """Repaint a rectangle of the raster, and the pointer's ring."""
        area = box_to_widget(self, box).adjusted(-8, -8, 8, 8)
        self.update(area.toAlignedRect())

    def _on_changed(self) -> None:
        keys = {key_of(s) for s in self._editor.instances}
        self._paths = {k: v for k, v in self._paths.items() if k in keys}
        self.update()

    # Pointer and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Drag the picture, or use the tool."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if self.pans_with(event):
            super().mousePressEvent(event)
        elif event.button() == Qt.MouseButton.LeftButton and self._image is not None:
            if self._playing:
                self.pause_wanted.emit()
                if self.tool.needs_frame:
                    return
            self._pressed = True
            alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
            self.tool.press(self.to_image(event.position()), alt=alt)
            self.tool_changed.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the picture, or go on with the tool."""
        super().mouseMoveEvent(event)
        self._move_pointer(self.to_image(event.position()))
        if self._pressed:
            self.tool.move(self.to_image(event.position()))
        elif event.buttons() == Qt.MouseButton.NoButton and not self._space_down:
            self.tool.hover(self.to_image(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the drag, or the tool's stroke."""
        super().mouseReleaseEvent(event)
        if self._pressed and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = False
            self.tool.release(self.to_image(event.position()))
            self.tool_changed.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Finish a polygon."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.tool.double(self.to_image(event.position()))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """A menu for the outline under the pointer, or by the menu key for the selected one; for
        the frame where there is none."""
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            at = self.to_image(QPointF(event.pos()))
            self._editor.select(self._editor.at(at.x(), at.y()))
        wanted = self._editor.selected is not None
        (self.menu_wanted if wanted else self.frame_menu_wanted).emit(event.globalPos())

    def _move_pointer(self, to: QPointF | None) -> None:
        """Repaint the ring, or the polygon's line, where the pointer was and is."""
        old, self.pointer = self.pointer, to
        if any(at is not None and self.to_widget(at).y() < theme.px(70) for at in (old, to)):
            self.update(0, 0, self.width(), theme.px(70))
        if isinstance(self.tool, BrushTool):
            for at in (old, to):
                if at is not None:
                    ring = self.tool.ring_rect(at).adjusted(-8, -8, 8, 8)
                    self.update(ring.toAlignedRect())
        elif self.tool is self.polygon_tool:
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is elsewhere."""
        super().leaveEvent(event)
        self._move_pointer(None)

    def enterEvent(self, event: QEnterEvent) -> None:
        """The pointer has the tool's shape."""
        super().enterEvent(event)
        self.setCursor(self.tool.cursor())

    def nudge_pointer(self, dx: float, dy: float) -> None:
        """Move the held corner, else the crosshair of the tool, by raster pixels."""
        if self.tool is self.select_tool and self.select_tool.nudge_corner(dx, dy):
            return
        size = self.image_size()
        at = self.pointer or QPointF(size.width() / 2, size.height() / 2)
        x = min(max(at.x() + dx, 0.0), size.width())
        y = min(max(at.y() + dy, 0.0), size.height())
        self._move_pointer(QPointF(x, y))
        self.setAccessibleDescription(f"{self.tool.name} at {round(x)}, {round(y)}")
        self.update()

    def tap_pointer(self) -> None:
        """Use the tool at the crosshair, as a click there would."""
        if self.pointer is not None and self._image is not None and not self._playing:
            self.tool.press(self.pointer, alt=False)
            self.tool.release(self.pointer)
            self.tool_changed.emit()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes to the next outline; with none, and with Ctrl, it leaves."""
        if not self._playing and self._editor.select_next(1 if forward else -1):
            return True
        return super().focusNextPrevChild(forward)

    def event(self, event: QEvent) -> bool:
        """Space is a hold here: the window's shortcut for it must not take it."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Space
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+Tab leaves the picture."""
        if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab) and (
            event.modifiers() & Qt.KeyboardModifier.ControlModifier
        ):
            super().focusNextPrevChild(event.key() == Qt.Key.Key_Tab)
            return
        super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """After Space the pointer has the tool's shape again."""
        panned = self._space_down
        super().keyReleaseEvent(event)
        if panned and not self._space_down:
            self.setCursor(self.tool.cursor())


_QUIET = "osd_text_3"
