"""The transport plate on the stage: play, steps, speed, overlay dial, sound, snapshot.

GUI thread. It shows on mouse move, hides after two seconds and stays while the pointer is on it.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QFrame, QHBoxLayout, QMenu, QWidget

from app.ui import osd, theme
from app.ui.keys import KeyMap
from app.ui.style import draw_ring, ring_shown
from app.ui.volume import VolumeControl
from app.ui.widgets import Button, IconButton, Label, RingSlider, mark, row

HIDE_AFTER_MS = 2000
DIAL_WORDS = ("Nothing", "Outline", "Fill", "Labels", "Confidence")
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class PlayButton(QAbstractButton):
    """The round button; its shapes are painted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(theme.px(40), theme.px(40)))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.playing = False
        self.set_playing(playing=False)

    def set_playing(self, *, playing: bool) -> None:
        """Show the bars of pause, or the triangle of play."""
        self.playing = playing
        self.setAccessibleName("Pause" if playing else "Play")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A white disc with a dark shape."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        disc = theme.color("osd_button")
        painter.setBrush(disc.darker(115) if self.isDown() else disc)
        painter.drawEllipse(QRectF(self.rect()))
        painter.setBrush(theme.color("osd_on_button"))
        c, u = QRectF(self.rect()).center(), self.width() / 40
        if self.playing:
            for dx in (-6.0, 1.5):
                bar = QRectF(c.x() + dx * u, c.y() - 7 * u, 4.5 * u, 14 * u)
                painter.drawRoundedRect(bar, u, u)
        else:
            points = [(-4.5, -8), (-4.5, 8), (8.5, 0)]
            painter.drawPolygon(
                QPolygonF([QPointF(c.x() + x * u, c.y() + y * u) for x, y in points])
            )
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), self.width() / 2)


class Transport(QFrame):
    """The plate.

    Signals:
        dial_moved: (0 to 4) the overlay dial was moved.
        speed_chosen: (factor)
    """

    dial_moved = Signal(int)
    speed_chosen = Signal(float)

    def __init__(self, keys: KeyMap, parent: QWidget) -> None:
        super().__init__(parent)
        mark(self, "osd")
        self.setAccessibleName("Playback")
        self.play = PlayButton()
        self.play.setToolTip(keys.tooltip("play"))
        self.speed = Button("1.0×", "plain")
        self.speed.setAccessibleName("Speed 1.0×")
        self.speed.setToolTip("Speed")
        self.speed.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.dial = RingSlider(Qt.Orientation.Horizontal)
        self.dial.setRange(0, 4)
        self.dial.setPageStep(1)
        self.dial.setFixedWidth(theme.px(72))
        self.dial.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.dial.setToolTip(keys.tooltip("overlay"))
        self.dial_word = Label("Outline", "small")
        self.dial_word.setMinimumWidth(theme.px(68))
        self.volume = VolumeControl(keys)
        self.buttons = {
            name: _osd_button(icon, keys, name)
            for name, icon in (
                ("boundary_back", "skip-back"),
                ("frame_back", "step-back"),
                ("frame_on", "step-forward"),
                ("boundary_on", "skip-forward"),
                ("bookmark", "bookmark-plus"),
                ("snapshot", "camera"),
                ("full_screen", "maximize"),
            )
        }
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _=False, n=name: keys.trigger(n))
        self.play.clicked.connect(lambda: keys.trigger("play"))
        self.dial.valueChanged.connect(self._dial_changed)
        self.speed.clicked.connect(self._choose_speed)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(HIDE_AFTER_MS)
        self._timer.timeout.connect(self._hide_unless_used)

    def _lay_out(self) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.px(12), theme.px(8), theme.px(12), theme.px(8))
        layout.setSpacing(theme.px(4))
        b = self.buttons
        eye = IconButton("eye", "Overlay", self.dial.toolTip(), 16, "osd_text_2")
        eye.clicked.connect(lambda: self.dial.setValue((self.dial.value() + 1) % 5))
        eye.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for part in (
            b["boundary_back"],
            b["frame_back"],
            theme.px(4),
            self.play,
            theme.px(4),
            b["frame_on"],
            b["boundary_on"],
            _divider(),
            self.speed,
            eye,
            self.dial,
            theme.px(4),
            self.dial_word,
            _divider(),
            self.volume,
            _divider(),
            b["bookmark"],
            b["snapshot"],
            b["full_screen"],
        ):
            if isinstance(part, QWidget):
                layout.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)
            else:
                layout.addSpacing(part)

    def set_dial(self, position: int) -> None:
        """Show the dial's position."""
        with QSignalBlocker(self.dial):
            self.dial.setValue(position)
        self._name_dial(position)

    def set_speed(self, speed: float) -> bool:
        """Show the speed. True where it is another one."""
        text = f"{speed:.1f}×" if abs(speed) >= 0.1 else f"{speed:.2f}×"
        words = text.replace("-", "−")
        if words == self.speed.text():
            return False
        self.speed.setText(words)
        self.speed.setAccessibleName(f"Speed {text}")
        return True

    def _dial_changed(self, position: int) -> None:
        self._name_dial(position)
        self.dial_moved.emit(position)

    def _name_dial(self, position: int) -> None:
        self.dial_word.setText(DIAL_WORDS[position])
        self.dial.setAccessibleName(f"Overlay, {DIAL_WORDS[position].lower()}")

    def _choose_speed(self) -> None:
        menu = QMenu(self)
        for speed in SPEEDS:
            menu.addAction(f"{speed:g}×", lambda s=speed: self.speed_chosen.emit(s))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.speed.mapToGlobal(QPointF(0, -menu.sizeHint().height()).toPoint()))

    def wake(self) -> None:
        """Show the plate, and hide it again after two seconds."""
        if not self.isVisible():
            self.show()
        self._timer.start()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._timer.stop()

    def _hide_unless_used(self) -> None:
        used = self.underMouse() or self.isAncestorOf(self.window().focusWidget() or self.window())
        if used:
            self._timer.start()
        else:
            self.hide()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Stay under the pointer."""
        self.wake()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The backdrop."""
        painter = QPainter(self)
        osd.plate(painter, QRectF(self.rect()))


def _osd_button(icon: str, keys: KeyMap, action: str) -> IconButton:
    text = keys.tooltip(action)
    return IconButton(icon, text.split("  (")[0], text, 18, "osd_text")


def _divider() -> QWidget:
    bar = QFrame()
    bar.setProperty("kind", "osdline")
    bar.setFixedSize(1, theme.px(20))
    return row(bar, margins=(8, 0, 8, 0))
