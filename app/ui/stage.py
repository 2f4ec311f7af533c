"""The stage: one frame with its overlay, zoomed and panned. GUI thread.

It paints a QImage over the frame's own memory and a premultiplied overlay of the same raster
(2 ms per 1080p frame, measured), so pixels are the decoder's at 1:1. Annotate's canvas is a
subclass that paints its tools in ``paint_over``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from app.core.frame import Frame
from app.core.resources import RESEARCH_USE_SHORT
from app.ui import osd, theme

MAX_ZOOM = 32.0
PAN_SHARE = 0.1
_DRAG_PX = 3.0


class Stage(QWidget):
    """Shows the frame on screen.

    Signals:
        view_changed: zoom, pan or size changed.
        activated: a click on the picture that was not a drag.
        moved: the pointer moved over the stage.
        space_tapped: Space was pressed and released without a drag (only with ``space_pans``).
    """

    view_changed = Signal()
    activated = Signal(QPointF)
    moved = Signal(QPointF)
    space_tapped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 180)
        self.setAccessibleName("Video")
        self.space_pans = False
        self._use_line_px = 0
        self.chips_top_px = 12
        self._frame: Frame | None = None
        self._image: QImage | None = None
        self._pixel_aspect = 1.0
        self._chips: tuple[str, ...] = ()
        self._covered_px = 0
        self._overlay: QImage | None = None
        self._overlay_pixels: NDArray[np.uint8] | None = None
        self._overlay_opacity = 1.0
        self._dim = False
        self._zoom = 1.0
        self._centre = QPointF(0.5, 0.5)
        self._drag_from: QPointF | None = None
        self._drag_moved = False
        self._space_down = False

    @property
    def frame(self) -> Frame | None:
        """The frame on screen."""
        return self._frame

    @property
    def zoom(self) -> float:
        """Factor over the fitted picture, to 32; below 1 a small picture pixel for pixel."""
        return self._zoom

    def set_frame(self, frame: Frame | None, view: NDArray[np.uint8] | None = None) -> None:
        """Show a frame; its array must not change while it is on screen.

        Args:
            frame: the frame.
            view: what the eye sees in its place where the picture is adjusted, of its size.
        """
        size_before = self._image.size() if self._image else None
        self._frame = frame
        # The picture keeps the memory that it lies in.
        self._image = _rgb_image(frame.rgb if view is None else view) if frame else None
        self._dim = False
        if (self._image.size() if self._image else None) != size_before:
            self.fit()
        self.update()

    def set_view(self, view: NDArray[np.uint8] | None) -> None:
        """Show the frame on screen with another adjustment, None as it is."""
        if self._frame is not None:
            self._image = _rgb_image(self._frame.rgb if view is None else view)
            self.update()

    def set_chips(self, chips: tuple[str, ...]) -> None:
        """Short words at the top of the picture: what is not as usual in what is seen."""
        if chips != self._chips:
            self._chips = chips
            self.update()

    def set_covered(self, high_px: int) -> None:
        """How far messages reach down over the picture: its short words stand below them."""
        if high_px != self._covered_px:
            self._covered_px = high_px
            self.update()

    @property
    def chips(self) -> tuple[str, ...]:
        """The words at the top of the picture."""
        return self._chips

    def set_picture(self, image: QImage | None, *, dim: bool = True) -> None:
        """Show a still (the last thumbnail) until the first frame comes."""
        self._frame, self._image, self._dim = None, image, dim
        self.set_overlay(None)
        self.fit()

    def set_overlay(self, bgra: NDArray[np.uint8] | None, opacity: float = 1.0) -> None:
        """Lay a premultiplied overlay over the frame.

        Args:
            bgra: uint8 (H, W, 4) of the frame's raster, C-contiguous, or None for none.
            opacity: 0 to 1; below 1 the overlay belongs to a frame just gone.
        """
        self._overlay_pixels = bgra
        self._overlay_opacity = opacity
        self._overlay = None if bgra is None else _bgra_image(bgra)
        self.update()

    def set_pixel_aspect(self, ratio: float) -> None:
        """Stretch pixels that are not square; masks and what leaves Trocar keep the stored ones.

        Args:
            ratio: width of a pixel of the raster over its height.
        """
        if ratio != self._pixel_aspect:
            self._pixel_aspect = ratio
            self.fit()

    def shown_size(self) -> QSizeF:
        """Size of the picture as it looks, in units of a pixel's height."""
        size = self.image_size()
        return QSizeF(size.width() * self._pixel_aspect, size.height())

    def bright_behind(
        self, places: Mapping[str, QRectF], spots: Container[str] = ()
    ) -> dict[str, bool] | None:
        """Behind which places of the stage the picture is too bright for words without a plate.

        Args:
            places: by name, in widget coordinates.
            spots: names of those that reach into the picture, where one bright spot is enough.

        Returns:
            By name; None where no picture is to be seen.
        """
        inverse, possible = self.to_widget_transform().inverted()
        if self._image is None or not possible or not self.isVisible():
            return None
        whole, bright = QRectF(self._image.rect()), {}
        for name, rect in places.items():
            part = inverse.mapRect(rect).intersected(whole)
            measure = brightest if name in spots else mean_luma
            bright[name] = not part.isEmpty() and measure(self._image, part) > osd.BRIGHT
        return bright

    def image_size(self) -> QSizeF:
        """Size of the raster on screen, in its pixels; empty without a picture."""
        return QSizeF(self._image.size()) if self._image else QSizeF()

    def show_use(self, *, shown: bool) -> None:
        """Say in a line below the picture what Trocar is for, where nothing else says it.

        It never lies on the picture, where it might hide what a recorder wrote.
        """
        self._use_line_px = theme.px(20) if shown else 0
        self._view_moved()

    def room(self) -> QRectF:
        """Where the picture may lie."""
        return QRectF(self.rect()).adjusted(0, 0, 0, -self._use_line_px)

    def fitted_rect(self) -> QRectF:
        """Where the whole picture lies at zoom 1, in widget coordinates."""
        room = self.room()
        size = self.shown_size()
        if size.isEmpty():
            return room
        size.scale(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
        x = room.x() + (room.width() - size.width()) / 2
        y = room.y() + (room.height() - size.height()) / 2
        return QRectF(round(x), round(y), round(size.width()), round(size.height()))

    def image_rect(self) -> QRectF:
        """Where the whole picture lies now, in widget coordinates."""
        fitted = self.fitted_rect()
        size = fitted.size() * self._zoom
        centre = fitted.center()
        x = centre.x() - self._centre.x() * size.width()
        y = centre.y() - self._centre.y() * size.height()
        if self._zoom == 1.0:
            return fitted
        return QRectF(x, y, size.width(), size.height())

    def to_widget_transform(self) -> QTransform:
        """Maps raster pixels to widget coordinates."""
        rect, size = self.image_rect(), self.image_size()
        if size.isEmpty():
            return QTransform()
        sx, sy = rect.width() / size.width(), rect.height() / size.height()
        return QTransform(sx, 0, 0, sy, rect.x(), rect.y())

    def to_image(self, point: QPointF) -> QPointF:
        """Raster coordinates (pixels, y down) of a point of the widget."""
        inverse, possible = self.to_widget_transform().inverted()
        return inverse.map(point) if possible else QPointF()

    def to_widget(self, point: QPointF) -> QPointF:
        """Widget coordinates of a point of the raster."""
        return self.to_widget_transform().map(point)

    def pixel_scale(self) -> float:
        """Logical widget pixels per raster pixel."""
        size = self.image_size()
        return self.image_rect().width() / size.width() if size.width() else 1.0

    def fit(self) -> None:
        """Show the whole picture."""
        self._zoom, self._centre = 1.0, QPointF(0.5, 0.5)
        self._view_moved()

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom by a factor; the raster point under ``at`` (default: the middle) stays put."""
        anchor = at if at is not None else QPointF(self.rect().center())
        rect = self.image_rect()
        if rect.isEmpty():
            return
        u = (anchor.x() - rect.x()) / rect.width()
        v = (anchor.y() - rect.y()) / rect.height()
        self._zoom = min(MAX_ZOOM, max(self._least_zoom(), self._zoom * factor))
        fitted = self.fitted_rect()
        width, height = fitted.width() * self._zoom, fitted.height() * self._zoom
        self._set_centre(
            u + (fitted.center().x() - anchor.x()) / width,
            v + (fitted.center().y() - anchor.y()) / height,
        )

    def _least_zoom(self) -> float:
        """The whole picture, or a small one pixel for pixel."""
        return min(1.0, self._zoom_of_pixels())

    def _zoom_of_pixels(self) -> float:
        fitted, size = self.fitted_rect(), self.shown_size()
        return size.width() / max(1.0, fitted.width()) / self.devicePixelRatioF()

    def show_pixels(self) -> None:
        """One pixel of the picture on one of the screen; again fits the picture."""
        if self._image is None:
            return
        factor = self._zoom_of_pixels() / self._zoom
        if abs(factor - 1.0) < 1e-6:
            self.fit()
        else:
            self.zoom_by(factor)

    def pan_share(self, x: float, y: float) -> None:
        """Look further right (x) and down (y), in tenths of the stage."""
        self.pan_by(QPointF(-x * PAN_SHARE * self.width(), -y * PAN_SHARE * self.height()))

    def pan_by(self, delta: QPointF) -> None:
        """Move the picture by a distance in widget pixels."""
        rect = self.image_rect()
        if not rect.isEmpty():
            self._set_centre(
                self._centre.x() - delta.x() / rect.width(),
                self._centre.y() - delta.y() / rect.height(),
            )

    def _set_centre(self, x: float, y: float) -> None:
        slack = max(0.0, 0.5 - 0.5 / self._zoom)
        self._centre = QPointF(
            min(0.5 + slack, max(0.5 - slack, x)), min(0.5 + slack, max(0.5 - slack, y))
        )
        self._view_moved()

    def _view_moved(self) -> None:
        self.update()
        self.view_changed.emit()

    def snapshot(self, *, with_overlay: bool = True, as_shown: bool = False) -> QImage:
        """The frame in its own raster: alone, or with overlay and research mark.

        Args:
            with_overlay: with what is drawn on it.
            as_shown: adjusted and cleared of smoke as on screen, and the words that say so.
        """
        if self._image is None:
            return QImage()
        exact = self._image if self._frame is None or as_shown else _rgb_image(self._frame.rgb)
        if not with_overlay:
            return exact.copy()
        made = exact.convertToFormat(QImage.Format.Format_RGB32)
        painter = QPainter(made)
        if self._overlay is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRectF(made.rect()), self._overlay)
        if as_shown:
            osd.draw_chips(painter, self._chips, made.width() / 2, theme.px(8))
        draw_research_mark(painter, QRectF(made.rect()), max(12, made.height() // 45))
        painter.end()
        return made

    def paintEvent(self, event: QPaintEvent) -> None:
        """Picture, overlay, the line below, then what a subclass adds."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("stage"))
        if self._image is not None:
            painter.setClipRect(self.room())
            self._paint_picture(painter)
            painter.setClipping(False)
            if self._use_line_px:
                self._paint_use(painter)
        self.paint_over(painter)
        if self._chips:
            top = max(theme.px(self.chips_top_px), self._covered_px + theme.px(8))
            osd.draw_chips(painter, self._chips, self.width() / 2, top)
        painter.end()

    def _paint_picture(self, painter: QPainter) -> None:
        rect, scale = self.image_rect(), self.pixel_scale() * self.devicePixelRatioF()
        smooth = scale < 4.0 and abs(scale - 1.0) > 1e-6
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        if self._dim:
            painter.setOpacity(0.6)
        painter.drawImage(rect, self._image)
        painter.setOpacity(1.0)
        if self._overlay is not None:
            painter.setOpacity(self._overlay_opacity)
            painter.drawImage(rect, self._overlay)
            painter.setOpacity(1.0)

    def _paint_use(self, painter: QPainter) -> None:
        place = QRectF(self.rect())
        place.setTop(place.bottom() - self._use_line_px)
        painter.setFont(theme.font("caption"))
        painter.setPen(theme.color("osd_text_2"))
        place.adjust(osd.MARGIN, 0, -osd.MARGIN, 0)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, RESEARCH_USE_SHORT)

    def paint_over(self, painter: QPainter) -> None:
        """Paint on top of the picture; for subclasses."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer."""
        self.zoom_by(1.0015 ** event.angleDelta().y(), event.position())
        event.accept()

    def tip_at(self, point: QPointF) -> str:
        """What a tooltip says of the words at a point; "" for nothing."""
        del point
        return ""

    def event(self, event: QEvent) -> bool:
        """Pinching zooms at the fingers; words on the picture have tooltips."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        if (
            isinstance(event, QNativeGestureEvent)
            and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
        ):
            self.zoom_by(1.0 + event.value(), event.position())
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a drag of the picture: middle button, Space and left, or left on a zoomed view."""
        if self.pans_with(event):
            self._drag_from, self._drag_moved = event.position(), False
        event.accept()

    def pans_with(self, event: QMouseEvent) -> bool:
        """Whether this press drags the picture."""
        return event.button() == Qt.MouseButton.MiddleButton or (
            event.button() == Qt.MouseButton.LeftButton
            and (self._space_down or not self.space_pans)
        )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the picture, or tell where the pointer is."""
        if self._drag_from is None:
            self.moved.emit(event.position())
            return
        delta = event.position() - self._drag_from
        if self._drag_moved or delta.manhattanLength() > _DRAG_PX:
            self._drag_moved = True
            self.pan_by(delta)
            self._drag_from = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag; a press without one is a click."""
        if self._drag_from is not None:
            clicked = not self._drag_moved and event.button() == Qt.MouseButton.LeftButton
            self._drag_from = None
            if clicked and not self._space_down:
                self.activated.emit(event.position())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """With ``space_pans``, Space is a hold; otherwise the window's keys have it."""
        if self.space_pans and event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._space_down, self._drag_moved = True, False
                self.setCursor(Qt.CursorShape.OpenHandCursor)
            return
        super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space without a drag starts or stops play."""
        if self._space_down and event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space_down = False
            self.unsetCursor()
            if not self._drag_moved:
                self.space_tapped.emit()
            return
        super().keyReleaseEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture follows the room."""
        super().resizeEvent(event)
        self.view_changed.emit()


def draw_research_mark(painter: QPainter, rect: QRectF, size_px: int) -> None:
    """Write ``Research and education only`` at the bottom left of a picture.

    It has a plate, since recorders write into that corner too.
    """
    font = theme.font("caption")
    font = type(font)(font)
    font.setPixelSize(size_px)
    painter.save()
    painter.setFont(font)
    place = rect.adjusted(size_px, 0, -size_px, -size_px * 0.7)
    flags = Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft
    pad = size_px * 0.4
    plate = painter.boundingRect(place, flags, RESEARCH_USE_SHORT)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("osd_bg"))
    painter.drawRoundedRect(plate.adjusted(-pad, -pad / 2, pad, pad / 2), 3, 3)
    painter.setPen(theme.color("osd_text_2"))
    painter.drawText(place, flags, RESEARCH_USE_SHORT)
    painter.restore()


def _rgb_image(rgb: NDArray[np.uint8]) -> QImage:
    height, width, _ = rgb.shape
    return QImage(rgb.data, width, height, rgb.strides[0], QImage.Format.Format_RGB888)


def _bgra_image(bgra: NDArray[np.uint8]) -> QImage:
    height, width, _ = bgra.shape
    return QImage(
        bgra.data, width, height, bgra.strides[0], QImage.Format.Format_ARGB32_Premultiplied
    )


def mean_luma(image: QImage, rect: QRectF) -> float:
    """Mean brightness of a region of a picture, 0 to 1; decides where text needs a plate."""
    cells = _cells(image, rect)
    return sum(cells) / len(cells) if cells else 0.0


def brightest(image: QImage, rect: QRectF) -> float:
    """Brightness of the brightest of 64 cells of a region, 0 to 1."""
    return max(_cells(image, rect), default=0.0)


def _cells(image: QImage, rect: QRectF) -> list[float]:
    part = (
        image.copy(rect.toAlignedRect())
        .scaled(
            8,
            8,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        .convertToFormat(QImage.Format.Format_Grayscale8)
    )
    if part.isNull():
        return []
    return [QColor(part.pixel(x, y)).lightnessF() for x in range(8) for y in range(8)]
