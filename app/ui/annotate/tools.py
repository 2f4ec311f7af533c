"""The canvas's tools: select and corners, brush and eraser, polygon. GUI thread.

Points are raster pixels; the canvas turns widget coordinates into them. A tool that has begun
something finishes or forgets it in ``release``, ``finish`` and ``escape``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QCursor, QImage, QPainter, QPainterPath, QPen, QPolygonF

from app.annotate.brush import Box, Brush
from app.annotate.outline import Outline, smoothed
from app.core.mask import Mask
from app.overlay import ShownInstance, mask_from_polygon
from app.ui import theme
from app.ui.annotate.editor import Editor, key_of

if TYPE_CHECKING:
    from app.ui.annotate.canvas import Canvas

CORNER_REACH_PX = 8.0
EDGE_REACH_PX = 5.0
CORNER_SPACING_PX = 14.0
CLOSE_PX = 9.0
MIN_BRUSH_PX, MAX_BRUSH_PX = 2, 400


class Tool:
    """What the pointer does on the picture.

    Attributes:
        id: stable name, also the action that chooses it.
        icon, name: in the rail.
        needs_frame: it changes the picture's outlines: playing pauses first.
    """

    id = ""
    icon = ""
    name = ""
    needs_frame = True

    def __init__(self, canvas: Canvas, editor: Editor) -> None:
        self.canvas = canvas
        self.editor = editor

    def cursor(self) -> QCursor:
        """The pointer's shape over the picture."""
        return QCursor(Qt.CursorShape.CrossCursor)

    def hint(self) -> str:
        """What happens, for the plate at the top left."""
        return ""

    def subject(self) -> ShownInstance | None:
        """The outline that it works on; None for a new one."""
        return self.editor.selected

    def press(self, at: QPointF, *, alt: bool) -> None:
        """The left button went down; ``alt`` is held."""

    def move(self, at: QPointF) -> None:
        """The pointer moved with the button down."""

    def release(self, at: QPointF) -> None:
        """The left button went up."""

    def hover(self, at: QPointF) -> None:
        """The pointer moved with no button down."""

    def double(self, at: QPointF) -> None:
        """A double click."""

    def finish(self) -> bool:
        """Enter: finish what was begun. True when there was something."""
        return False

    def escape(self) -> bool:
        """Esc: forget what was begun. True when there was something."""
        return False

    def paint(self, painter: QPainter) -> None:
        """Draw over the picture, in widget coordinates."""

    def hides(self) -> ShownInstance | None:
        """An outline that the tool draws itself for the moment."""
        return None


class SelectTool(Tool):
    """Select an outline, move its corners."""

    id, icon, name = "tool_select", "mouse-pointer-2", "Select"
    needs_frame = False

    def __init__(self, canvas: Canvas, editor: Editor) -> None:
        super().__init__(canvas, editor)
        self.corner: int | None = None
        self._outline: Outline | None = None
        self._of: tuple[Mask, float] | None = None
        self._dragged: tuple[np.ndarray, ...] | None = None
        self._is_new = False
        self._shape = Qt.CursorShape.ArrowCursor
        editor.selection_changed.connect(self._forget)

    def cursor(self) -> QCursor:
        """Arrows over a corner, a cross over the line, where a new corner can be drawn out."""
        return QCursor(self._shape)

    def hint(self) -> str:
        """How many corners there are."""
        shown = self.editor.selected
        if shown is None:
            return "Click an outline to select it"
        outline = self.outline()
        if self.corner is not None and outline is not None:
            return f"corner {self.corner + 1} of {len(outline.corners)}, Backspace removes it"
        return "drag a corner or the line"

    def outline(self) -> Outline | None:
        """Corners of the selected outline at the present zoom."""
        shown = self.editor.selected
        if shown is None or self.canvas.playing:
            return None
        scale = max(self.canvas.pixel_scale(), 1e-6)
        spacing = CORNER_SPACING_PX / scale
        if self._of is None or self._of[0] is not shown.mask or self._of[1] != spacing:
            self._of = (shown.mask, spacing)
            self._outline = Outline(shown.mask, spacing)
            if self.corner is not None and self.corner >= len(self._outline.corners):
                self.corner = None
        return self._outline

    def press(self, at: QPointF, *, alt: bool) -> None:
        """Hold a corner or the line between two, else select what lies under the pointer."""
        place = self._corner_at(at)
        if alt:
            self.corner = place
            self.remove_corner()
            return
        self._is_new = place is None and not self.editor.locked_reason
        self.corner = place = self._insert(at) if self._is_new else place
        outline = self.outline()
        if place is None:
            self.editor.select(self.editor.at(at.x(), at.y()))
        elif not self.editor.locked_reason and outline is not None:
            self._dragged = outline.rings
        self.canvas.update()

    def _corner_at(self, at: QPointF) -> int | None:
        outline, reach = self.outline(), self._raster_px(CORNER_REACH_PX)
        return outline.nearest(at.x(), at.y(), reach) if outline else None

    def _raster_px(self, widget_px: float) -> float:
        return widget_px / max(self.canvas.pixel_scale(), 1e-6)

    def _insert(self, at: QPointF) -> int | None:
        """A new corner on the line under the pointer; nothing is changed until it is moved."""
        outline = self.outline()
        reach = self._raster_px(EDGE_REACH_PX)
        found = outline.inserted(at.x(), at.y(), reach) if outline else None
        if found is None:
            return None
        self._outline, place = found
        return place

    def hover(self, at: QPointF) -> None:
        """The pointer shows what a press would do."""
        shape, outline = Qt.CursorShape.ArrowCursor, self.outline()
        if outline is not None and not self.editor.locked_reason:
            if self._corner_at(at) is not None:
                shape = Qt.CursorShape.SizeAllCursor
            elif outline.inserted(at.x(), at.y(), self._raster_px(EDGE_REACH_PX)):
                shape = Qt.CursorShape.CrossCursor
        if shape != self._shape:
            self._shape = shape
            self.canvas.setCursor(self.cursor())

    def remove_corner(self) -> bool:
        """Take the held corner away: a straight line instead. False where none is held."""
        outline, shown = self.outline(), self.editor.selected
        if outline is None or shown is None or self.corner is None:
            return False
        x, y = outline.position(outline.corners[self.corner])
        mask = outline.mask_of(outline.removed(self.corner))
        if mask.area_px:
            self.editor.reshape(shown, mask, "Remove a corner of {}")
            self._hold_nearest(x, y)
        return True

    def move(self, at: QPointF) -> None:
        """The corner follows the pointer."""
        outline = self.outline()
        if self._dragged is not None and self.corner is not None and outline is not None:
            self._dragged = outline.moved(self.corner, at.x(), at.y())
            self.canvas.update()

    def release(self, at: QPointF) -> None:
        """The outline with the moved corner is the human's word."""
        outline, rings, shown = self.outline(), self._dragged, self.editor.selected
        self._dragged = None
        if outline is None or rings is None or shown is None or rings is outline.rings:
            self._click(at)
            return
        x, y = at.x(), at.y()
        self.editor.reshape(shown, outline.mask_of(rings), "Move a corner of {}")
        self._hold_nearest(x, y)

    def _click(self, at: QPointF) -> None:
        """A press that moved nothing: on the line it selects, as anywhere in the picture."""
        if self._is_new:
            self._of, self.corner = None, None
            self.editor.select(self.editor.at(at.x(), at.y()) or self.editor.selected)
        self.canvas.update()

    def step_corner(self, by: int) -> None:
        """Hold the next corner, by keyboard."""
        outline = self.outline()
        if outline is not None and outline.corners:
            at = -1 if self.corner is None and by > 0 else (self.corner or 0)
            self.corner = (at + by) % len(outline.corners)
            self.canvas.setAccessibleDescription(
                f"Corner {self.corner + 1} of {len(outline.corners)}"
            )
            self.canvas.update()

    def nudge_corner(self, dx: float, dy: float) -> bool:
        """Move the held corner by raster pixels; False where none is held."""
        outline, shown = self.outline(), self.editor.selected
        if outline is None or shown is None or self.corner is None:
            return False
        x, y = outline.position(outline.corners[self.corner])
        rings = outline.moved(self.corner, x + dx, y + dy)
        self.editor.reshape(shown, outline.mask_of(rings), "Move a corner of {}")
        self._hold_nearest(x + dx, y + dy)
        return True

    def _hold_nearest(self, x: float, y: float) -> None:
        """After an edit the corners are found anew: hold the one at the same spot."""
        outline = self.outline()
        self.corner = outline.nearest(x, y, 1e9) if outline else None
        self.canvas.update()

    def escape(self) -> bool:
        """Put the corner back, let it go, or select nothing."""
        if self._dragged is not None:
            self._dragged = None
        elif self.corner is not None:
            self.corner = None
        elif self.editor.selected is not None:
            self.editor.select(None)
        else:
            return False
        self.canvas.update()
        return True

    def hides(self) -> ShownInstance | None:
        """The outline whose corner is held."""
        return self.editor.selected if self._dragged is not None else None

    def paint(self, painter: QPainter) -> None:
        """Corners of the selected outline; while one is held, the outline as it would be."""
        outline, shown = self.outline(), self.editor.selected
        if outline is None or shown is None:
            return
        colour = self.canvas.colour_of(shown)
        rings = self._dragged if self._dragged is not None else outline.rings
        transform = self.canvas.to_widget_transform()
        if self._dragged is not None:
            path = QPainterPath()
            path.setFillRule(Qt.FillRule.OddEvenFill)
            tolerance = self.canvas.tolerance_px()
            for ring in (smoothed(ring, tolerance) for ring in rings):
                path.addPolygon(QPolygonF([QPointF(float(x), float(y)) for x, y in ring]))
                path.closeSubpath()
            self.canvas.stroke(painter, transform.map(path), colour, selected=True)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        for place, corner in enumerate(outline.corners):
            x, y = rings[corner.ring][corner.point]
            at = transform.map(QPointF(float(x), float(y)))
            held = place == self.corner
            painter.setPen(QPen(theme.color("stage"), 1))
            painter.setBrush(theme.color("osd_button") if held else colour)
            side = 9 if held else 7
            painter.drawRect(
                QRectF(round(at.x()) - side // 2, round(at.y()) - side // 2, side, side)
            )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _forget(self) -> None:
        self.corner, self._dragged = None, None


class BrushTool(Tool):
    """Paint onto the selected outline or a new one; the eraser takes away."""

    id, icon, name = "tool_brush", "brush", "Brush"
    erases = False

    def __init__(self, canvas: Canvas, editor: Editor) -> None:
        super().__init__(canvas, editor)
        self._brush: Brush | None = None
        self._shown: ShownInstance | None = None
        self._erasing = False
        self._last = QPointF()
        self._layer: np.ndarray | None = None
        self._tint = 0

    def cursor(self) -> QCursor:
        """None: the ring is the pointer."""
        return QCursor(Qt.CursorShape.BlankCursor)

    def hint(self) -> str:
        """What the brush does, and its size."""
        size = self.canvas.brush_px
        if self.erases or self._erasing:
            return f"erasing, {size} px"
        if self.editor.selected is None:
            return f"painting a new outline, {size} px"
        return f"adding with brush, {size} px; B again for a new one"

    def press(self, at: QPointF, *, alt: bool) -> None:
        """Begin a stroke."""
        editor, size = self.editor, self.canvas.image_size()
        if editor.locked_reason or size.isEmpty():
            return
        self._erasing = self.erases or alt
        shown = editor.selected
        if shown is None and self._erasing:
            shown = editor.at(at.x(), at.y())
            editor.select(shown)
            if shown is None:
                self._erasing = False
                return
        self._shown = shown
        empty = Mask.empty(int(size.width()), int(size.height()))
        self._brush = Brush(shown.mask if shown else empty)
        colour = self.canvas.colour_of(shown)
        red, green, blue = (round(0.4 * c) for c in (colour.red(), colour.green(), colour.blue()))
        self._tint = QColor(red, green, blue, round(0.4 * 255)).rgba()
        self._layer = np.where(self._brush.plane, np.uint32(self._tint), np.uint32(0))
        self._last = at
        self.canvas.update()
        self._stroke(at)

    def move(self, at: QPointF) -> None:
        """Go on with the stroke."""
        if self._brush is not None:
            self._stroke(at)

    def _stroke(self, at: QPointF) -> None:
        assert self._brush is not None  # noqa: S101 - asked by the callers
        assert self._layer is not None  # noqa: S101
        x0, y0, x1, y1 = self._brush.stroke(
            (self._last.x(), self._last.y()),
            (at.x(), at.y()),
            self.canvas.brush_px / 2,
            add=not self._erasing,
        )
        self._last = at
        part = self._brush.plane[y0:y1, x0:x1]
        self._layer[y0:y1, x0:x1] = np.where(part, np.uint32(self._tint), np.uint32(0))
        self.canvas.update_raster((x0, y0, x1, y1))

    def release(self, at: QPointF) -> None:
        """The painted mask is the human's word: one stroke, one undo step."""
        brush, shown = self._brush, self._shown
        erasing = self._erasing
        self._drop()
        if brush is None:
            return
        mask = brush.mask()
        if shown is None:
            self.editor.draw(mask)
        else:
            verb = "Erase from {}" if erasing else "Add to {}"
            self.editor.reshape(shown, mask, verb)

    def escape(self) -> bool:
        """Forget the stroke."""
        had = self._brush is not None
        self._drop()
        return had

    def _drop(self) -> None:
        self._brush = self._shown = self._layer = None
        self._erasing = False
        self.canvas.update()

    def hides(self) -> ShownInstance | None:
        """The outline under the brush."""
        return self._shown if self._brush is not None else None

    def paint(self, painter: QPainter) -> None:
        """The working mask, then the ring at true size."""
        if self._layer is not None:
            height, width = self._layer.shape
            image = QImage(
                self._layer.data,
                width,
                height,
                4 * width,
                QImage.Format.Format_ARGB32_Premultiplied,
            )
            painter.drawImage(self.canvas.image_rect(), image)
        self._paint_ring(painter)

    def ring_rect(self, at: QPointF) -> QRectF:
        """Where the ring lies for a point of the raster, in widget coordinates."""
        centre, radius = self.canvas.to_widget(at), self._radius()
        return QRectF(centre.x() - radius, centre.y() - radius, 2 * radius, 2 * radius)

    def _radius(self) -> float:
        return max(2.0, self.canvas.brush_px / 2 * self.canvas.pixel_scale())

    def _paint_ring(self, painter: QPainter) -> None:
        if self.canvas.pointer is None:
            return
        ring = self.ring_rect(self.canvas.pointer)
        centre, erasing = ring.center(), self.erases or self._erasing
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        line = QPen(theme.color("osd_button"), 1.5)
        if erasing:
            line.setStyle(Qt.PenStyle.DashLine)
        for pen in (QPen(theme.color("osd_halo"), 3.5), line):
            painter.setPen(pen)
            painter.drawEllipse(ring)
        line.setStyle(Qt.PenStyle.SolidLine)
        for pen in (QPen(theme.color("osd_halo"), 3.5), line):
            painter.setPen(pen)
            painter.drawLine(centre - QPointF(4, 0), centre + QPointF(4, 0))
            if not erasing:
                painter.drawLine(centre - QPointF(0, 4), centre + QPointF(0, 4))


class EraserTool(BrushTool):
    """Take pixels away from an outline."""

    id, icon, name = "tool_eraser", "eraser", "Eraser"
    erases = True


class PolygonTool(Tool):
    """Draw a new outline corner by corner."""

    id, icon, name = "tool_polygon", "pentagon", "Polygon"

    def __init__(self, canvas: Canvas, editor: Editor) -> None:
        super().__init__(canvas, editor)
        self._points: list[QPointF] = []

    def subject(self) -> ShownInstance | None:
        """Always a new outline."""
        return None

    def hint(self) -> str:
        """How to go on."""
        if not self._points:
            return "new outline, click its corners"
        if len(self._points) < 3:
            return f"{len(self._points)} corners"
        return f"{len(self._points)} corners, Enter finishes"

    def press(self, at: QPointF, *, alt: bool) -> None:
        """A new corner, or the first one again to finish."""
        if self.editor.locked_reason:
            return
        if len(self._points) >= 3:
            first = self.canvas.to_widget(self._points[0])
            away = self.canvas.to_widget(at) - first
            if abs(away.x()) + abs(away.y()) <= CLOSE_PX:
                self.finish()
                return
        self._points.append(at)
        self.canvas.update()

    def double(self, at: QPointF) -> None:
        """The last corner was the last."""
        self.finish()

    def back(self) -> bool:
        """Take the last corner back."""
        if not self._points:
            return False
        self._points.pop()
        self.canvas.update()
        return True

    def finish(self) -> bool:
        """Make the outline."""
        if len(self._points) < 3:
            return False
        ring = np.array([(p.x(), p.y()) for p in self._points], np.float32)
        size = self.canvas.image_size()
        self._points = []
        self.editor.select(None)
        self.editor.draw(mask_from_polygon([ring], int(size.width()), int(size.height())))
        self.canvas.update()
        return True

    def escape(self) -> bool:
        """Forget the corners."""
        had = bool(self._points)
        self._points = []
        self.canvas.update()
        return had

    def paint(self, painter: QPainter) -> None:
        """The corners so far and a line to the pointer."""
        if not self._points:
            return
        transform = self.canvas.to_widget_transform()
        points = [transform.map(p) for p in self._points]
        line = QPainterPath(points[0])
        for point in points[1:]:
            line.lineTo(point)
        if self.canvas.pointer is not None:
            line.lineTo(self.canvas.to_widget(self.canvas.pointer))
        colour = self.canvas.colour_of(None)
        self.canvas.stroke(painter, line, colour, selected=True, fill=False)
        painter.setPen(QPen(theme.color("stage"), 1))
        for place, point in enumerate(points):
            closes = place == 0 and len(points) >= 3
            painter.setBrush(theme.color("osd_button") if closes else colour)
            side = 11 if closes else 7
            painter.drawRect(
                QRectF(round(point.x()) - side // 2, round(point.y()) - side // 2, side, side)
            )


def box_to_widget(canvas: Canvas, box: Box) -> QRectF:
    """A rectangle of the raster in widget coordinates."""
    x0, y0, x1, y1 = box
    return QRectF(canvas.to_widget(QPointF(x0, y0)), canvas.to_widget(QPointF(x1, y1)))


__all__ = ["BrushTool", "EraserTool", "PolygonTool", "SelectTool", "Tool", "key_of"]
