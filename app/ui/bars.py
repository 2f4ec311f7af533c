"""The top bar and the status bar. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QWidget,
)

from app.core.resources import RESEARCH_USE, RESEARCH_USE_SHORT
from app.ui import theme
from app.ui.case_name import CaseName
from app.ui.keys import KeyMap
from app.ui.widgets import Button, Elided, IconButton, Label, RingToolButton, mark
from app.ui.words import time_of_day

WORKSPACES = ("library", "review", "annotate", "live")


class Mark(QWidget):
    """The mark: a ring with a line and a point, the view through a trocar."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(theme.px(22), theme.px(22)))
        self.setAccessibleName("Trocar")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        unit = self.width() / 22
        centre = QPointF(11 * unit, 11 * unit)
        painter.setPen(QPen(theme.color("text"), 1.8 * unit))
        painter.drawEllipse(centre, 9 * unit, 9 * unit)
        painter.drawLine(QPointF(11 * unit, 4.5 * unit), QPointF(11 * unit, 17.5 * unit))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("accent"))
        painter.drawEllipse(centre, 2.6 * unit, 2.6 * unit)


class TopBar(QFrame):
    """Mark, workspaces, case name, saved, keys, settings.

    Signals:
        chosen: (workspace name)
    """

    chosen = Signal(str)

    def __init__(self, keys: KeyMap) -> None:
        super().__init__()
        mark(self, "bar")
        self.setAccessibleName("Top bar")
        self.setFixedHeight(theme.px(44))
        self._words: dict[str, Button] = {}
        self._tips = {name: keys.tooltip(f"workspace_{name}") for name in WORKSPACES}
        self._rename_tip = keys.tooltip("rename")
        self._group = QButtonGroup(self)
        left = QHBoxLayout()
        left.setSpacing(2)
        left.addWidget(Mark())
        left.addSpacing(14)
        for name in WORKSPACES:
            word = Button(name.capitalize(), "word", tooltip=self._tips[name])
            word.setCheckable(True)
            word.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            word.clicked.connect(lambda _=False, n=name: self.chosen.emit(n))
            self._group.addButton(word)
            self._words[name] = word
            left.addWidget(word)
        left.addStretch(1)
        self.name = CaseName()
        self.about = Elided("", "body", "2")
        self.about.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        middle = QHBoxLayout()
        middle.setSpacing(10)
        self.lock = IconButton("lock", "Read only", "", 16, "warn")
        self.lock.hide()
        middle.addWidget(self.lock)
        middle.addWidget(self.name)
        middle.addWidget(self.about)
        self.saved = Label("", "small", "3")
        self.saved_icon = QLabel()
        right = QHBoxLayout()
        right.setSpacing(6)
        right.addStretch(1)
        right.addWidget(self.saved_icon)
        right.addWidget(self.saved)
        right.addSpacing(8)
        self.words: dict[str, tuple[Button, tuple[str, ...]]] = {}
        for action, word, icon, where in (
            ("report", "Report", "file-text", ("review",)),
            ("teach", "Teach model", "graduation-cap", ("annotate",)),
        ):
            button = Button(word, "", icon, keys.tooltip(action))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, a=action: keys.trigger(a))
            self.words[action] = (button, where)
            right.addWidget(button)
        right.addSpacing(4)
        self.buttons = []
        for action, icon in (("models", "cpu"), ("keys", "keyboard"), ("settings", "settings-2")):
            text = keys.tooltip(action)
            small = IconButton(icon, text.split("  (")[0], text)
            small.clicked.connect(lambda _=False, a=action: keys.trigger(a))
            self.buttons.append(small)
            right.addWidget(small)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 0, 10, 0)
        layout.addLayout(left, 1)
        layout.addLayout(middle)
        layout.addLayout(right, 1)

    def offer(self, name: str, *, offered: bool, why_not: str = "") -> None:
        """Switch a workspace's word on or off; off says why."""
        word = self._words[name]
        word.setEnabled(offered)
        word.setToolTip(self._tips[name] if offered else why_not or self._tips[name])

    def show_workspace(self, name: str) -> None:
        """Mark the workspace on screen."""
        self._words[name].setChecked(True)

    def show_words(self, workspace: str) -> None:
        """Show the worded buttons of a workspace."""
        for button, where in self.words.values():
            button.setVisible(workspace in where)

    def show_case(self, name: str, about: str, title: str = "") -> None:
        """Name the open case.

        Args:
            name: what stands in the bar, "" where no case is open.
            about: its number and date.
            title: the name that can be changed.
        """
        locked = not self.lock.isHidden()
        tooltip = "" if locked else self._rename_tip
        shown = name or ("Read only" if locked else "")
        self.name.show_name(shown, title, tooltip=tooltip)
        self.about.setText(about)
        self.about.setVisible(bool(about))

    def show_lock(self, reason: str) -> None:
        """Say beside the case's name why nothing can be changed; "" where it can."""
        self.lock.setVisible(bool(reason))
        self.lock.setToolTip(reason)
        self.lock.setAccessibleDescription(reason)

    def show_saved(self, text: str, tone: str, icon: str) -> None:
        """Say whether everything is saved."""
        self.saved.setText(text)
        self.saved.set_tone(tone)
        self.saved.setAccessibleName(text)
        tint = {"ok": "ok", "warn": "warn", "error": "error"}.get(tone, "text_3")
        if icon:
            self.saved_icon.setPixmap(theme.pixmap(icon, 13, tint, self.devicePixelRatioF()))
        self.saved_icon.setVisible(bool(icon))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A line below."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(QRectF(0, self.height() - 1, self.width(), 1), theme.color("line"))


class StatusBar(QFrame):
    """Device, frames per second, ms per frame, analysis, what Trocar is for, saved time.

    Signals:
        device_clicked, pause_clicked, stop_clicked
    """

    device_clicked = Signal()
    pause_clicked = Signal()
    stop_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        mark(self, "bar")
        self.setAccessibleName("Status")
        self.setFixedHeight(theme.px(26))
        self.device = self._button("cpu", "", "Models and device")
        self.device.clicked.connect(self.device_clicked)
        self.rate = Label("", "small", "3")
        self.rate.setMinimumWidth(theme.px(132))
        self.speed = Label("", "small", "3")
        self.work = Label("", "small", "2")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setFixedWidth(theme.px(96))
        self.bar.setAccessibleName("Analysis progress")
        self.pause = self._button("pause", "Pause", "Pause the analysis")
        self.pause.clicked.connect(self.pause_clicked)
        self.stop = self._button("square", "Stop", "Stop the analysis; what is done is kept")
        self.stop.clicked.connect(self.stop_clicked)
        self.fits = Elided("", "small", "warn")
        self.use = Label(RESEARCH_USE_SHORT, "small", "2")
        self.use.setToolTip(RESEARCH_USE)
        self.saved = Label("", "small", "3")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 0, 14, 0)
        layout.setSpacing(10)
        for part in (self.device, self.rate, self.speed):
            layout.addWidget(part)
        for part in (self.work, self.bar, self.pause, self.stop):
            layout.addWidget(part)
        layout.addWidget(self.fits, 1)
        layout.addWidget(self.use)
        layout.addWidget(self.saved)
        self.show_device("Models", "")
        self.show_rate("")
        self.show_speed("")
        self.show_work("", 0.0, running=False, paused=False)

    def _button(self, icon: str, text: str, tooltip: str) -> RingToolButton:
        made = RingToolButton()
        made.setProperty("kind", "status")
        made.setIcon(theme.word_icon(icon, theme.px(13), "text_2"))
        made.setIconSize(QSize(theme.px(13) + theme.WORD_GAP_PX, theme.px(13)))
        made.setFont(theme.font("small"))
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setText(text)
        made.setToolTip(tooltip)
        made.setAccessibleName(tooltip)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.setFixedHeight(theme.px(22))
        return made

    def show_device(self, name: str, reason: str) -> None:
        """What the models run on, and why."""
        self.device.setText(name)
        self.device.setToolTip(reason or "Models and device")
        self.device.setAccessibleName(f"Device: {name}. {reason}")

    def show_rate(self, text: str) -> None:
        """Frames shown and dropped."""
        self.rate.setText(text)
        self.rate.setVisible(bool(text))

    def show_speed(self, text: str) -> None:
        """Milliseconds per frame of the model."""
        self.speed.setText(text)
        self.speed.setVisible(bool(text))

    def show_work(self, text: str, share: float, *, running: bool, paused: bool) -> None:
        """How far the analysis is; no text when there is none."""
        self.work.setText(text)
        self.work.setVisible(bool(text))
        self.bar.setValue(round(share * 1000))
        for part in (self.bar, self.pause, self.stop):
            part.setVisible(running)
        self.pause.setText("Go on" if paused else "Pause")
        icon = "play" if paused else "pause"
        self.pause.setIcon(theme.word_icon(icon, theme.px(13), "text_2"))

    def show_fits(self, text: str) -> None:
        """Where a model does not fit the case, or is a demo."""
        self.fits.setText(text)

    def show_saved(self, utc_ms: int | None) -> None:
        """When the last change was saved."""
        self.saved.setText(f"Saved {time_of_day(utc_ms)}" if utc_ms else "")
        if utc_ms:
            self.saved.setAccessibleName(f"All changes saved at {time_of_day(utc_ms)}")

    def paintEvent(self, event: QPaintEvent) -> None:
        """A line above."""
        super().paintEvent(event)
        QPainter(self).fillRect(QRectF(0, 0, self.width(), 1), theme.color("line"))
