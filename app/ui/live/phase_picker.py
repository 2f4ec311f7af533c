"""Phases to touch, for hands that have gloves on: one large button each. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from app.core.taxonomy import Phase, Taxonomy
from app.ui import osd, theme
from app.ui.live.buttons import TouchButton
from app.ui.widgets import draw_letter, mark

_COLUMNS, _BELOW_PX = 5, 16
_NO_PHASE = "No phase"


class PhaseButton(TouchButton):
    """A phase's letter and name."""

    def __init__(self, phase: Phase | None, digit: int) -> None:
        self._phase = phase
        super().__init__("x", phase.name if phase else _NO_PHASE, str(digit) if digit < 10 else "")

    def _paint_words(self, painter: QPainter) -> None:
        side = theme.px(28)
        square = QRectF((self.width() - side) / 2, theme.px(10), side, side)
        if self._phase is not None:
            paint = theme.human_paint(self._phase.colour)
            draw_letter(painter, square, self._phase.code, paint, "touch")
        else:
            icon = theme.pixmap("x", side, "text", self.devicePixelRatioF())
            painter.drawPixmap(square.topLeft(), icon)
        painter.setFont(theme.font("touch"))
        painter.setPen(theme.color("text"))
        room = QRectF(4, theme.px(42), self.width() - 8, theme.px(48))
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        painter.drawText(room, int(flags) | int(Qt.TextFlag.TextWordWrap), self.text())


class PhasePicker(QFrame):
    """The phases of an operation, over the picture.

    Signals:
        picked: (digit) place of the phase, from 1; 0 for no phase.
    """

    picked = Signal(int)

    def __init__(self, stage: QWidget) -> None:
        super().__init__(stage)
        self._stage = stage
        mark(self, "osd")
        self.setAccessibleName("Which phase begins?")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(14, 14, 14, 14)
        self._grid.setSpacing(12)
        self._of: Taxonomy | None = None
        self.hide()

    def offer(self, taxonomy: Taxonomy) -> None:
        """Show it, or take it away where it is shown."""
        if self.isVisible():
            self.hide()
            return
        if taxonomy is not self._of:
            self._fill(taxonomy)
        self.adjustSize()
        self.place()
        self.show()
        self.raise_()

    def place(self) -> None:
        """At the bottom of the picture, in the middle."""
        room = self._stage.size()
        x = (room.width() - self.width()) // 2
        self.move(max(8, x), max(8, room.height() - self.height() - _BELOW_PX))

    @property
    def covers_px(self) -> int:
        """How much of the picture it covers, from below."""
        return self.height() + _BELOW_PX if self.isVisible() else 0

    def _fill(self, taxonomy: Taxonomy) -> None:
        self._of = taxonomy
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        phases: list[Phase | None] = [*taxonomy.phases, None]
        for place, phase in enumerate(phases):
            digit = 0 if phase is None else place + 1
            button = PhaseButton(phase, digit)
            button.clicked.connect(lambda _=False, d=digit: self._pick(d))
            self._grid.addWidget(button, place // _COLUMNS, place % _COLUMNS)

    def _pick(self, digit: int) -> None:
        self.hide()
        self.picked.emit(digit)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The dark backdrop."""
        osd.plate(QPainter(self), self.rect().toRectF(), 14)
