"""Buttons for gloves: large, few, and the one that ends a recording has to be held. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QElapsedTimer, QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy

from app.ui import theme
from app.ui.style import draw_ring, ring_shown

SIZE = QSize(122, 92)
COMPACT = QSize(76, 92)
HOLD_MS = 2000
DISC = "disc"
"""Painted by hand: the filled circle of Record."""
_TICK_MS = 40
_GRACE_MS = 80
"""X11 sends a release and a press for every repeat of a key that stays down, and Qt does not always
see that they belong together: a key is up once no press has followed for so long."""


class TouchButton(QAbstractButton):
    """122 x 92: an icon, a word and its key; 76 x 92 and without the word where room is scarce.

    Args:
        icon: a Lucide name, or ``DISC``.
        word: what it does, in a word or two.
        hint: the key, as small text below.
        tint: colour token of icon and word.
    """

    def __init__(self, icon: str, word: str, hint: str = "", tint: str = "text") -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self._is_compact = False
        self.show_as(icon, word, hint, tint)

    def show_as(self, icon: str, word: str, hint: str = "", tint: str = "text") -> None:
        """Another icon, word, key or colour."""
        shown = (icon, word, hint, tint)
        if getattr(self, "_shown", None) == shown:
            return
        self._shown = shown
        self.setText(word)
        self.setAccessibleName(word)
        self.setToolTip(f"{word}  ({hint})" if hint else word)
        self.update()

    def set_compact(self, *, compact: bool) -> None:
        """Narrow, with the word in the tooltip alone."""
        if compact != self._is_compact:
            self._is_compact = compact
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        """Its size times the text scale."""
        size = COMPACT if self._is_compact else SIZE
        return QSize(theme.px(size.width()), theme.px(size.height()))

    def share(self) -> float:
        """How far the button is filled, 0 to 1."""
        return 0.0

    def paintEvent(self, event: QPaintEvent) -> None:
        """Card, filling, icon, word, key."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        card = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        shade = "raised"
        if self.isEnabled() and (self.isDown() or self.isChecked()):
            shade = "pressed"
        elif self.isEnabled() and self.underMouse():
            shade = "hover"
        painter.setPen(QPen(theme.color("line_strong"), 1))
        painter.setBrush(theme.color(shade))
        painter.drawRoundedRect(card, 8, 8)
        if self.share() > 0:
            self._paint_filling(painter, card)
        self._paint_words(painter)
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 8)

    def _paint_filling(self, painter: QPainter, card: QRectF) -> None:
        whole = QPainterPath()
        whole.addRoundedRect(card, 8, 8)
        painter.save()
        painter.setClipPath(whole)
        high = card.height() * self.share()
        painter.fillRect(
            QRectF(card.x(), card.bottom() - high, card.width(), high), theme.color("record")
        )
        painter.restore()

    def _paint_words(self, painter: QPainter) -> None:
        icon, word, hint, tint = self._shown
        filled = self.share() > 0.45
        if not self.isEnabled():
            tint = "text_off"
        elif filled:
            tint = "text"
        side = theme.px(28)
        middle = self.width() / 2
        ratio = self.devicePixelRatioF()
        top = theme.px(24 if self._is_compact else 14)
        at = QPointF(middle - side / 2, top)
        if icon == DISC:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(tint))
            reach = side * 0.38
            painter.drawEllipse(QPointF(middle, top + side / 2), reach, reach)
        else:
            painter.drawPixmap(at, theme.pixmap(icon, side, tint, ratio))
        centre = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        if not self._is_compact:
            painter.setPen(theme.color(tint))
            painter.setFont(theme.font("touch"))
            painter.drawText(QRectF(0, theme.px(45), self.width(), theme.px(22)), centre, word)
        painter.setFont(theme.font("small"))
        if hint and painter.fontMetrics().horizontalAdvance(hint) < self.width() - 4:
            painter.setPen(theme.color("text" if filled else "text_3"))
            painter.drawText(QRectF(0, theme.px(67), self.width(), theme.px(16)), centre, hint)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        self.update()


class RecordButton(TouchButton):
    """Begins a recording with a press; ends it when held for two seconds, filling as it is held.

    Signals:
        started: begin to record.
        stopped: end the recording.
        let_go: it was let go before the two seconds were over.
    """

    started = Signal()
    stopped = Signal()
    let_go = Signal()

    def __init__(self, key: str) -> None:
        self._key = key
        self._since = QElapsedTimer()
        super().__init__(DISC, "Record", key, "record")
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._hold_on)
        self._grace = QTimer(self)
        self._grace.setSingleShot(True)
        self._grace.setInterval(_GRACE_MS)
        self._grace.timeout.connect(self.end_hold)
        self.recording = False
        self.hold_ms = HOLD_MS

    def set_recording(self, *, recording: bool) -> None:
        """Offer Record, or Stop."""
        if recording == self.recording:
            return
        self.recording = recording
        self.release_hold()
        if recording:
            self.show_as("square", "Stop", f"hold {HOLD_MS // 1000} s", "error")
        else:
            self.show_as(DISC, "Record", self._key, "record")

    def share(self) -> float:
        """How long it has been held, as a share of two seconds."""
        return min(1.0, self._since.elapsed() / self.hold_ms) if self._since.isValid() else 0.0

    def press_hold(self) -> None:
        """The key or the finger is down."""
        was_down = self._grace.isActive()
        self._grace.stop()
        if was_down or not self.isEnabled() or self._since.isValid():
            return
        if not self.recording:
            self.started.emit()
            return
        self._since.start()
        self._tick.start()
        self.setDown(True)

    def release_hold(self) -> None:
        """Nothing is held any more; nothing is told."""
        self._grace.stop()
        if not self._since.isValid():
            return
        self._since.invalidate()
        self._tick.stop()
        self.setDown(False)
        self.update()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._tick.stop()
        self._grace.stop()

    def _hold_on(self) -> None:
        if self.share() >= 1.0 and not self._grace.isActive():
            self.release_hold()
            self.stopped.emit()
        self.update()

    def end_hold(self) -> None:
        """The finger, or surely the key, is up; too early is told."""
        if self._since.isValid():
            self.release_hold()
            self.let_go.emit()

    def release_key(self) -> None:
        """The key seems to be up: it is, unless it is pressed again at once."""
        self._grace.start()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to hold."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.press_hold()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End of the hold."""
        self.end_hold()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space and Enter are held as a finger is."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if not event.isAutoRepeat():
                self.press_hold()
            else:
                self._grace.stop()
            return
        super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """End of the hold."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if not event.isAutoRepeat():
                self.release_key()
            return
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QEvent) -> None:
        """A hold must not go on unseen."""
        super().focusOutEvent(event)  # type: ignore[arg-type]
        self.end_hold()
