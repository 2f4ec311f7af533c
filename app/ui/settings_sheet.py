"""The settings sheet: what applies at once, without OK or Cancel. GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from app.core.resources import RESEARCH_USE
from app.inference.engines.kinds import AUTOMATIC, KINDS, is_installed
from app.ui import theme
from app.ui.settings import Settings
from app.ui.sheet import Sheet
from app.ui.widgets import Button, Combo, Label, RingSlider

LOOKS = (("Dark", "dark"), ("Light", "light"), ("High contrast", "contrast"))
SIZES = (
    ("As the system", 0.0),
    ("100 %", 1.0),
    ("115 %", 1.15),
    ("130 %", 1.3),
    ("150 %", 1.5),
)


class SettingsSheet(Sheet):
    """Settings of this user.

    Signals:
        theme_changed: another theme, to be shown at once.
        size_changed: another text size.
        fill_changed: (0 to 0.35) strength of the filled overlay.
        layout_reset: the parts of the window shall have their first sizes again.
    """

    theme_changed = Signal()
    size_changed = Signal()
    fill_changed = Signal(float)
    layout_reset = Signal()

    def __init__(self, window: QWidget, settings: Settings) -> None:
        super().__init__(window, "Settings", 560, 440)
        self._settings = settings

    def open_sheet(self) -> None:
        """Show it with the present values."""
        self.set_body(self._body())
        super().open_sheet()

    def _body(self) -> QWidget:
        values = self._settings.values
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(28, 20, 28, 12)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(14)
        grid.setColumnStretch(1, 1)
        look = _choice("Look", LOOKS, values.theme, self._set_look)
        follow = QCheckBox("High contrast where the system asks for it")
        follow.setChecked(values.follow_contrast)
        follow.toggled.connect(self._set_follow)
        layout = Button("Put the layout back", tooltip="Every part of the window as at first")
        layout.clicked.connect(self.layout_reset)
        size = _choice("Text size", SIZES, values.text_scale, self._set_size)
        fill = RingSlider(Qt.Orientation.Horizontal)
        fill.setRange(0, 35)
        fill.setValue(round(values.fill * 100))
        fill.setAccessibleName("Strength of the filled overlay")
        fill.valueChanged.connect(self._set_fill)
        at_once = QCheckBox("Analyse a case as soon as it is opened")
        at_once.setChecked(values.analyse_at_once)
        at_once.toggled.connect(lambda on: self._settings.set(analyse_at_once=on))
        engines = [("Automatic: the fastest that says the same", AUTOMATIC)]
        engines += [(k.title, k.key) for k in KINDS if is_installed(k)]
        chosen = values.engine if values.engine in dict(engines).values() else AUTOMATIC
        engine = _choice("Engine", engines, chosen, lambda key: self._settings.set(engine=key))
        engine.setToolTip("What computes the outlines, from the next analysis on")
        for i, (word, part) in enumerate(
            (
                ("Look", look),
                ("", follow),
                ("Text size", size),
                ("Filled overlay", fill),
                ("Analysis", at_once),
                ("Engine", engine),
                ("Layout", layout),
            )
        ):
            grid.addWidget(Label(word, tone="2"), i, 0)
            grid.addWidget(part, i, 1)
        note = Label(
            f"{RESEARCH_USE} Trocar is not a medical device and sends nothing anywhere.",
            "small",
            "3",
        )
        note.setWordWrap(True)
        grid.addWidget(note, 8, 0, 1, 2)
        grid.setRowStretch(9, 1)
        return body

    def _set_look(self, value: object) -> None:
        self._settings.set(theme=value)
        self.theme_changed.emit()

    def _set_follow(self, on: bool) -> None:
        self._settings.set(follow_contrast=on)
        self.theme_changed.emit()

    def _set_size(self, value: object) -> None:
        self._settings.set(text_scale=value)
        self.size_changed.emit()

    def _set_fill(self, percent: int) -> None:
        self._settings.set(fill=percent / 100)
        self.fill_changed.emit(percent / 100)


def _choice(
    name: str,
    options: Sequence[tuple[str, object]],
    chosen: object,
    changed: Callable[[object], None],
) -> Combo:
    made = Combo(name)
    for word, value in options:
        made.addItem(word, value)
    made.setCurrentIndex(max(0, [v for _, v in options].index(chosen)))
    made.currentIndexChanged.connect(lambda i: changed(options[i][1]))
    return made


def wanted_theme(settings: Settings, asked: Qt.ContrastPreference | None = None) -> str:
    """The theme: the user's, but high contrast where the system asks for it.

    Args:
        settings: of this user.
        asked: what the system prefers; read from it when None.
    """
    if asked is None:
        hints = QGuiApplication.styleHints()  # must outlive what it hands out
        asked = hints.accessibility().contrastPreference()
    values = settings.values
    follows = values.follow_contrast and asked == Qt.ContrastPreference.HighContrast
    return "contrast" if follows else values.theme


def wanted_scale(settings: Settings, system_point_size: float) -> float:
    """The text scale: the user's, else the system's font size over the usual ten points."""
    chosen = settings.values.text_scale
    return theme.nearest_scale(chosen if chosen else system_point_size / 10.0)
