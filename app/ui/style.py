"""A thin proxy over Fusion: the keyboard-only focus ring, check marks and combo arrows."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QApplication,
    QProxyStyle,
    QStyle,
    QStyleOption,
    QWidget,
)

from app.ui import theme

KEYBOARD_REASONS = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)
RING = "keyboardFocus"


class FocusWatcher(QObject):
    """Remembers on each widget whether its focus came from the keyboard.

    It is installed on the widgets that take focus (``watch``), not on the application: a Python
    filter on every event of the program would cost the GUI thread.
    """

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Note how the widget got its focus."""
        if isinstance(event, QFocusEvent) and isinstance(watched, QWidget):
            reason = event.reason()
            if event.gotFocus() and reason != Qt.FocusReason.ActiveWindowFocusReason:
                watched.setProperty(RING, reason in KEYBOARD_REASONS)
            watched.update()
        return False


def watch(root: QWidget) -> None:
    """Watch the focus of ``root`` and of everything in it that takes focus."""
    application = QApplication.instance()
    assert application is not None  # noqa: S101 - a widget exists
    watcher = application.findChild(FocusWatcher) or FocusWatcher(application)
    for widget in (root, *root.findChildren(QWidget)):
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
            widget.removeEventFilter(watcher)
            widget.installEventFilter(watcher)


def ring_shown(widget: QWidget) -> bool:
    """Whether a widget has the focus and got it from the keyboard."""
    return widget.hasFocus() and bool(widget.property(RING))


def draw_ring(painter: QPainter, rect: QRectF, radius: float) -> None:
    """The focus ring just inside ``rect``: 2 px of accent."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme.color("accent"), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), radius, radius)
    painter.restore()


def draw_check(painter: QPainter, rect: QRectF, state: QStyle.StateFlag) -> None:
    """A check box: accent with a mark when ticked."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    on = bool(state & QStyle.StateFlag.State_On)
    enabled = bool(state & QStyle.StateFlag.State_Enabled)
    box = rect.adjusted(0.5, 0.5, -0.5, -0.5)
    edge = "accent" if on else ("control_edge" if enabled else "line_strong")
    painter.setPen(QPen(theme.color(edge), 1))
    painter.setBrush(theme.color("accent") if on else Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box, 4, 4)
    if on:
        unit = rect.width() / 16
        pen = QPen(theme.color("on_accent"), 1.8 * unit)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        corners = ((4.2, 8.4), (6.9, 11), (11.8, 5.4))
        painter.drawPolyline([rect.topLeft() + QPointF(x * unit, y * unit) for x, y in corners])
    painter.restore()


def draw_radio(painter: QPainter, rect: QRectF, state: QStyle.StateFlag) -> None:
    """A radio button: an accent ring with a point when chosen."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    on = bool(state & QStyle.StateFlag.State_On)
    edge = "control_edge" if state & QStyle.StateFlag.State_Enabled else "line_strong"
    painter.setPen(QPen(theme.color("accent" if on else edge), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(rect.adjusted(1, 1, -1, -1))
    if on:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("accent"))
        inset = rect.width() * 0.3
        painter.drawEllipse(rect.adjusted(inset, inset, -inset, -inset))
    painter.restore()


class TrocarStyle(QProxyStyle):
    """Fusion with Trocar's focus ring."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """Draw the focus ring ourselves, everything else as Fusion does."""
        if element == QStyle.PrimitiveElement.PE_FrameFocusRect:
            if widget is not None and ring_shown(widget):
                draw_ring(painter, QRectF(widget.rect()), 6)
            return
        if element == QStyle.PrimitiveElement.PE_IndicatorCheckBox:
            draw_check(painter, QRectF(option.rect), option.state)
            return
        if element == QStyle.PrimitiveElement.PE_IndicatorRadioButton:
            draw_radio(painter, QRectF(option.rect), option.state)
            return
        super().drawPrimitive(element, option, painter, widget)

    def pixelMetric(
        self,
        metric: QStyle.PixelMetric,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
    ) -> int:
        """Check boxes of 16 pixels."""
        if metric in (
            QStyle.PixelMetric.PM_IndicatorWidth,
            QStyle.PixelMetric.PM_IndicatorHeight,
            QStyle.PixelMetric.PM_ExclusiveIndicatorWidth,
            QStyle.PixelMetric.PM_ExclusiveIndicatorHeight,
        ):
            return theme.px(16)
        return super().pixelMetric(metric, option, widget)

    def styleHint(
        self,
        hint: QStyle.StyleHint,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
        returned: object = None,
    ) -> int:
        """No animation, tooltips after 500 ms."""
        if hint == QStyle.StyleHint.SH_Widget_Animation_Duration:
            return 0
        if hint == QStyle.StyleHint.SH_ToolTip_WakeUpDelay:
            return 500
        return super().styleHint(hint, option, widget, returned)
