"""The Live workspace: research banner, source chooser, picture, look-back strip, large buttons."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from app.core.resources import RESEARCH_USE
from app.ui import osd, theme
from app.ui.keys import KeyMap
from app.ui.live.buttons import RecordButton, TouchButton
from app.ui.live.chooser import SourceChooser
from app.ui.live.phase_picker import PhasePicker
from app.ui.live.stage import LiveStage
from app.ui.live.strip import LookBack
from app.ui.settings import Settings
from app.ui.widgets import Button, KeyCap, Label, mark

_LEAST_STRIP = 220
_ROOMY_PX = 1400


class Banner(QFrame):
    """The amber line that is always there: it has no close button on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("kind", "livebanner")
        self.setFixedHeight(theme.px(34))
        self.setAccessibleName(RESEARCH_USE)
        icon = QLabel()
        icon.setPixmap(theme.pixmap("triangle-alert", 16, "warn", self.devicePixelRatioF()))
        words = Label(RESEARCH_USE, "heading", "warn")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        layout.addStretch(1)
        layout.addWidget(icon)
        layout.addWidget(words)
        layout.addStretch(1)


class Plate(QFrame):
    """One thing to know and one thing to do, at the top of the picture.

    Args:
        parent: the stage.
        icon: a Lucide name.
        tint: its colour token.
        button: the verb.
        key: that does the same, "" for none.

    Signals:
        pressed: the button.
    """

    pressed = Signal()

    def __init__(self, parent: QWidget, icon: str, tint: str, button: str, key: str) -> None:
        super().__init__(parent)
        mark(self, "osd")
        picture = QLabel()
        picture.setPixmap(theme.pixmap(icon, 24, tint, self.devicePixelRatioF()))
        self.words = Label("", "far")
        self.button = Button(button, "main", tooltip=f"{button}  ({key})" if key else button)
        self.button.setFont(theme.font("touch"))
        self.button.setMinimumSize(QSize(theme.px(150), theme.px(48)))
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.button.clicked.connect(self.pressed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(18, 10, 12, 10)
        layout.setSpacing(14)
        for part in (picture, self.words, self.button):
            layout.addWidget(part)
        if key:
            layout.addWidget(KeyCap(key))
        self.hide()

    def say(self, words: str) -> None:
        """Other words."""
        if words != self.words.text():
            self.words.setText(words)
            self.setAccessibleName(words)
            self.adjustSize()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The dark backdrop."""
        osd.plate(QPainter(self), self.rect().toRectF())


class LiveWorkspace(QWidget):
    """Everything of Live that is seen; ``LiveControl`` makes it work."""

    def __init__(self, settings: Settings, keys: KeyMap) -> None:
        super().__init__()
        self.setAccessibleName("Live")
        self.chooser = SourceChooser(settings)
        self.stage = LiveStage()
        self.strip = LookBack()
        self.mark = TouchButton("bookmark-plus", "Mark 30 s", f"{keys.hint('live_mark')} or pedal")
        self.phase = TouchButton("list", "Phase", f"{keys.hint('live_phase')} or digit")
        self.pause = TouchButton("pause", "Pause", keys.hint("live_pause"))
        self.snapshot = TouchButton("camera", "Snapshot", keys.hint("live_snapshot"))
        self.hide_overlay = TouchButton(
            "eye-off", "Tissue only", f"hold {keys.hint('live_tissue')}"
        )
        self.source = TouchButton("video", "Source", keys.hint("live_source"))
        self.record = RecordButton(keys.hint("live_record"))
        self.buttons = (
            self.mark,
            self.phase,
            self.pause,
            self.hide_overlay,
            self.snapshot,
            self.source,
            self.record,
        )
        self.pause_key = keys.hint("live_pause")
        edge = keys.hint("live_edge")
        self.plate = Plate(self.stage, "history", "osd_warn", "Back to live", edge)
        self.done_plate = Plate(self.stage, "check", "osd_ok", "Open the case", "")
        self.picker = PhasePicker(self.stage)
        keys.digit.connect(lambda *_: self.picker.hide())  # it has said which phase
        self.watching = self._watching()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.chooser)
        self.pages.addWidget(self.watching)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.banner = Banner()
        layout.addWidget(self.banner)
        layout.addWidget(self.pages, 1)

    def _watching(self) -> QWidget:
        foot = QFrame()
        mark(foot, "bar")
        line = QHBoxLayout(foot)
        line.setContentsMargins(0, theme.px(14), 24, theme.px(14))
        line.setSpacing(12)
        line.addWidget(self.strip, 1)
        for button in self.buttons:
            line.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        made = QWidget()
        column = QVBoxLayout(made)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.stage, 1)
        column.addWidget(foot)
        return made

    def regions(self) -> tuple[QWidget, ...]:
        """What F6 visits, in order."""
        if self.pages.currentWidget() is self.chooser:
            return (self.chooser,)
        return self.stage, self.plate, self.done_plate, self.picker, self.strip, self.watching

    def show_chooser(self, *, choosing: bool) -> None:
        """The chooser, or the picture."""
        self.pages.setCurrentWidget(self.chooser if choosing else self.watching)

    def place(self) -> None:
        """Put the plates at the top of the picture."""
        for plate in (self.plate, self.done_plate):
            plate.adjustSize()
            plate.move((self.stage.width() - plate.width()) // 2, 20)

    def _fit_buttons(self) -> None:
        """Where room is scarce words go to the tooltips, all but Record's; then what is seldom
        touched and has a key goes too.
        """
        for button in self.buttons:
            scarce = self.width() < theme.px(_ROOMY_PX)
            button.set_compact(compact=scarce and button is not self.record)
        left = self.width() - theme.px(_LEAST_STRIP) - 24
        left -= sum(b.sizeHint().width() + 12 for b in self.buttons)
        for button in (self.snapshot, self.source, self.hide_overlay):
            button.setVisible(left >= 0)
            if left < 0:
                left += button.sizeHint().width() + 12

    def escape(self) -> bool:
        """Take the phases to touch away. True where they were shown."""
        shown = self.picker.isVisible()
        self.picker.hide()
        return shown

    def stop_holding(self) -> None:
        """Nothing is held any more."""
        self.record.release_hold()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self.stage.stop()
        self.record.stop()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The plate stays in the middle."""
        super().resizeEvent(event)
        self._fit_buttons()
        self.place()
        self.picker.place()

    def showEvent(self, event: QShowEvent) -> None:
        """Look at the corners while visible."""
        self.stage.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing runs while hidden."""
        self.stage.stop()
        self.record.release_hold()
