"""Small parts every panel is made of: labels, buttons, key caps, lines. GUI thread."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QIcon, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.style import draw_ring, ring_shown

Margins = tuple[int, int, int, int]


class Label(QLabel):
    """Text in a role of the type scale; ``tone`` is ``2``, ``3``, ``ok``, ``warn`` or ``error``."""

    _role = "body"  # a palette may change while the widget is made

    def __init__(
        self, text: str = "", role: str = "body", tone: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(text, parent)
        self._role = role
        self.setFont(theme.font(role))
        self.setTextFormat(Qt.TextFormat.PlainText)
        if tone:
            self.setProperty("tone", tone)

    def set_tone(self, tone: str) -> None:
        """Change the tone."""
        if self.property("tone") != tone:
            self.setProperty("tone", tone)
            self.style().unpolish(self)
            self.style().polish(self)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the text scale."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.setFont(theme.font(self._role))


class Elided(Label):
    """One line of text that ends in an ellipsis where there is no room; the tooltip has it all."""

    def __init__(self, text: str = "", role: str = "body", tone: str = "") -> None:
        super().__init__(text, role, tone)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setToolTip(text)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(text)
        self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(self.alignment()), text)


class ElidedTick(QCheckBox):
    """A tick box whose words end in an ellipsis where there is no room; the tooltip has them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setToolTip(text)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Room for the box and a few letters."""
        least = super().minimumSizeHint()
        return QSize(min(theme.px(64), least.width()), least.height())

    def initStyleOption(self, option: QStyleOptionButton) -> None:
        """Draw what fits."""
        super().initStyleOption(option)
        contents = QStyle.SubElement.SE_CheckBoxContents
        room = self.style().subElementRect(contents, option, self).width()
        right = Qt.TextElideMode.ElideRight
        option.text = option.fontMetrics.elidedText(self.text(), right, room)


def mark(widget: QWidget, kind: str) -> QWidget:
    """Give a widget its variant of the style sheet."""
    widget.setProperty("kind", kind)
    widget.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    return widget


class RingToolButton(QToolButton):
    """A tool button that shows the keyboard's focus; a style sheet would hide it."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """The button, then the ring."""
        super().paintEvent(event)
        paint_ring(self)


class RingSlider(QSlider):
    """A slider that shows the keyboard's focus."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """The slider, then the ring."""
        super().paintEvent(event)
        paint_ring(self)


def paint_ring(widget: QWidget) -> None:
    """Paint the focus ring of a widget if the keyboard brought the focus there."""
    if ring_shown(widget):
        painter = QPainter(widget)
        draw_ring(painter, QRectF(widget.rect()), 6)
        painter.end()


class IconButton(RingToolButton):
    """A square button with an icon, a name and a tooltip with its key."""

    def __init__(
        self, icon: str, name: str, tooltip: str = "", size: int = 18, tint: str = "text_2"
    ) -> None:
        super().__init__()
        self._icon, self._size, self._tint = icon, size, tint
        self.setAccessibleName(name)
        self.setToolTip(tooltip or name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._redraw()

    def set_icon(self, icon: str) -> None:
        """Show another icon."""
        self._icon = icon
        self._redraw()

    def _redraw(self) -> None:
        side = theme.px(self._size)
        self.setIcon(theme.icon(self._icon, side, self._tint))
        self.setIconSize(QSize(side, side))

    def changeEvent(self, event: QEvent) -> None:
        """Redraw the icon in the new theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._redraw()


class Button(QPushButton):
    """A button with a word and perhaps an icon; ``kind`` is a variant of the style sheet."""

    def __init__(self, text: str, kind: str = "", icon: str = "", tooltip: str = "") -> None:
        super().__init__(text)
        self._icon = icon
        self._kind = kind
        if kind:
            self.setProperty("kind", kind)
        if tooltip:
            self.setToolTip(tooltip)
        self.setAccessibleName(text)
        self._redraw()

    def _redraw(self) -> None:
        tint, side = "on_accent" if self._kind == "main" else "text", theme.px(16)
        self.setIcon(theme.word_icon(self._icon, side, tint) if self._icon else QIcon())
        self.setIconSize(QSize(side + theme.WORD_GAP_PX, side))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The button, then the ring."""
        super().paintEvent(event)
        paint_ring(self)

    def changeEvent(self, event: QEvent) -> None:
        """Redraw the icon in the new theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._redraw()


class Combo(QComboBox):
    """A drop-down list with the program's own arrow."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Add the arrow: style sheets cannot tint one."""
        super().paintEvent(event)
        painter = QPainter(self)
        token = "text_2" if self.isEnabled() else "text_off"
        side = theme.px(13)
        icon = theme.pixmap("chevron-down", side, token, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(self.width() - 9 - side, (self.height() - side) / 2), icon)


class KeyCap(QWidget):
    """A key as it looks on a keyboard."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = text
        self.setAccessibleName(text)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Text with room on both sides."""
        width = QFontMetricsF(theme.font("caption")).horizontalAdvance(self._text)
        return QSize(max(theme.px(18), round(width) + theme.px(11)), theme.px(18))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the cap."""
        painter = QPainter(self)
        draw_key_cap(painter, QRectF(self.rect()), self._text)


def draw_key_cap(painter: QPainter, rect: QRectF, text: str) -> None:
    """Draw a key cap over ``rect``."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme.color("line_strong"), 1))
    painter.setBrush(theme.color("control"))
    painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
    painter.setPen(theme.color("text_2"))
    painter.setFont(theme.font("caption"))
    painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def draw_letter(
    painter: QPainter, rect: QRectF, code: str, paint: theme.Paint, role: str = "letter"
) -> None:
    """A phase's letter on a square of its colour, centred by cap height."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(paint.fill)
    painter.drawRoundedRect(rect, 4, 4)
    painter.setPen(paint.text)
    painter.setFont(theme.font(role))
    draw_centred(painter, rect, code)
    painter.restore()


def draw_centred(painter: QPainter, rect: QRectF, text: str) -> None:
    """Draw capitals in the middle of ``rect``: centred by cap height, not by the line box."""
    metrics = QFontMetricsF(painter.font())
    x = rect.center().x() - metrics.horizontalAdvance(text) / 2
    painter.drawText(QPointF(x, rect.center().y() + metrics.capHeight() / 2), text)


def line(*, vertical: bool = False) -> QFrame:
    """A separator, one device pixel wide."""
    made = QFrame()
    made.setProperty("kind", "line")
    if vertical:
        made.setFixedWidth(1)
    else:
        made.setFixedHeight(1)
    return made


def row(*parts: QWidget | int, spacing: int = 8, margins: Margins = (0, 0, 0, 0)) -> QWidget:
    """Widgets side by side; an int is a fixed gap, 0 a stretch."""
    return _filled(QHBoxLayout(), parts, spacing, margins)


def column(*parts: QWidget | int, spacing: int = 8, margins: Margins = (0, 0, 0, 0)) -> QWidget:
    """Widgets one below the other; an int is a fixed gap, 0 a stretch."""
    return _filled(QVBoxLayout(), parts, spacing, margins)


def _filled(
    layout: QBoxLayout, parts: Iterable[QWidget | int], spacing: int, margins: Margins
) -> QWidget:
    box = QWidget()
    box.setLayout(layout)
    layout.setContentsMargins(*margins)
    layout.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        elif part:
            layout.addSpacing(part)
        else:
            layout.addStretch(1)
    return box
