"""The plate with the sliders of brightness, contrast, gamma and sharpening, and the switch that
clears smoke. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QWidget

from app.ui import osd, theme
from app.ui.adjust import Adjustment
from app.ui.clearing import SmokeClearing
from app.ui.keys import KeyMap
from app.ui.widgets import Button, IconButton, Label, RingSlider, mark, row

_RANGES = {"brightness": -100, "contrast": -100, "gamma": -100, "sharpen": 0}
_WIDTH = 316


class AdjustPlate(QFrame):
    """Four sliders over the stage.

    Signals:
        moved: (Adjustment)
        closed: the cross was clicked.
    """

    moved = Signal(object)
    closed = Signal()

    def __init__(self, keys: KeyMap, clearing: SmokeClearing, parent: QWidget) -> None:
        super().__init__(parent)
        mark(self, "osd")
        self.setAccessibleName("How the picture is shown")
        self.setFixedWidth(theme.px(_WIDTH))
        self.sliders: dict[str, RingSlider] = {}
        self._values: dict[str, Label] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 8, 12, 12)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(8)
        close = IconButton("x", "Close", f"Close  ({keys.hint('adjust')})", 16, "osd_text")
        close.clicked.connect(self.closed)
        head = row(Label("For the eye alone", "heading"), 0, close)
        grid.addWidget(head, 0, 0, 1, 3)
        for place, (name, low) in enumerate(_RANGES.items(), start=1):
            slider = RingSlider(Qt.Orientation.Horizontal)
            slider.setRange(low, 100)
            slider.setSingleStep(2)
            slider.setPageStep(10)
            slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            slider.setAccessibleName(name.capitalize())
            slider.valueChanged.connect(self._moved)
            value = Label("0", "small")
            value.setMinimumWidth(theme.px(34))
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(Label(name.capitalize(), "small"), place, 0)
            grid.addWidget(slider, place, 1)
            grid.addWidget(value, place, 2)
            self.sliders[name], self._values[name] = slider, value
        self.reset = Button("As recorded", "plain", tooltip=keys.tooltip("adjust_reset"))
        self.reset.clicked.connect(self.show_as_recorded)
        self._clearing = clearing
        self.smoke = QCheckBox("Clear smoke")
        self.smoke.setToolTip(keys.tooltip("clear_smoke"))
        self.smoke.clicked.connect(clearing.toggle)
        clearing.switched.connect(lambda: self.smoke.setChecked(clearing.is_on))
        grid.addWidget(self.smoke, 5, 0, 1, 3)
        grid.addWidget(row(self.reset, 0), 6, 0, 1, 3)
        self.hide()

    def show_adjustment(self, adjustment: Adjustment, *, tell: bool = False) -> None:
        """Put the sliders where they belong; with ``tell`` as if the user had."""
        for name, slider in self.sliders.items():
            with QSignalBlocker(slider):
                slider.setValue(getattr(adjustment, name))
        self._name_values()
        if tell:
            self.moved.emit(adjustment)

    def show_as_recorded(self) -> None:
        """Nothing stands between the recording and the eye any more."""
        self.show_adjustment(Adjustment(), tell=True)
        if self._clearing.is_on:
            self._clearing.toggle()

    def _moved(self) -> None:
        self._name_values()
        self.moved.emit(Adjustment(**{n: s.value() for n, s in self.sliders.items()}))

    def _name_values(self) -> None:
        for name, slider in self.sliders.items():
            value = slider.value()
            words = f"{value:+d}" if value and _RANGES[name] < 0 else str(value)
            self._values[name].setText(words.replace("-", "\N{MINUS SIGN}"))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The backdrop."""
        painter = QPainter(self)
        osd.plate(painter, QRectF(self.rect()))
