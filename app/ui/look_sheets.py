"""Two sheets: phase lengths beside the library's, and what to look at next. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.core.case import Asset
from app.core.taxonomy import Taxonomy
from app.core.uncertainty import Doubt
from app.ui import theme
from app.ui.sheet import Sheet
from app.ui.timeline.paint import clock, duration
from app.ui.timeline.speech import torn_words
from app.ui.widgets import Label, draw_letter

if TYPE_CHECKING:
    from app.analysis.doubt import CaseDoubt
    from app.analysis.lengths import Lengths, PhaseLength

_PLACE = Qt.ItemDataRole.UserRole
_MOST_PLACES, _MOST_CASES = 12, 20


class _Bar(QWidget):
    """One phase: the other cases' range and middle half, their middle, and this case's length."""

    def __init__(self, found: PhaseLength, colour: QColor) -> None:
        super().__init__()
        longest = max(found.here_s or 0.0, *found.others_s[-1:], 1.0)
        self._found, self._longest_s, self._colour = found, longest, colour
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(theme.px(28))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A line for the range, a band for the middle half, ticks for the middle and this case."""
        painter = QPainter(self)
        found, middle = self._found, self.height() / 2
        if found.others_s:
            low, high = self._x(found.others_s[0]), self._x(found.others_s[-1])
            painter.fillRect(QRectF(low, middle - 0.5, high - low, 1), theme.color("control_edge"))
        if found.middle_half_s is not None and found.median_s is not None:
            low, high = map(self._x, found.middle_half_s)
            band = QRectF(low, middle - 6, max(2.0, high - low), 12)
            painter.fillRect(band, theme.color("line_strong"))
            x = self._x(found.median_s)
            painter.fillRect(QRectF(x - 1, middle - 8, 2, 16), theme.color("text_2"))
        if found.here_s is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            x = self._x(found.here_s)
            painter.setPen(theme.color("panel"))
            painter.setBrush(self._colour)
            painter.drawEllipse(QRectF(x - 6, middle - 6, 12, 12))

    def _x(self, seconds: float) -> float:
        return 8 + seconds / self._longest_s * (self.width() - 16)


class _Letter(QWidget):
    """The letter square of a phase."""

    def __init__(self, code: str, paint: theme.Paint) -> None:
        super().__init__()
        self._code, self._paint = code, paint
        self.setFixedSize(theme.px(20), theme.px(20))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A square in the phase's colour."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_letter(painter, QRectF(self.rect()), self._code, self._paint)


class LengthsSheet(Sheet):
    """How long the phases of the open case took, beside the library's other cases."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Phase lengths", 1100, 500)
        self.words: tuple[str, ...] = ()

    def show_waiting(self) -> None:
        """While the other cases are read."""
        self._show("Reading the other cases", None)

    def show_lengths(self, found: Lengths) -> None:
        """Show what was read."""
        if not found.phases:
            self._show("No phases yet. Analyse the case, or name its phases in Annotate.", None)
            return
        whose = "as you named them" if found.is_human else "as the model says"
        beside = "no other whole case of this operation yet"
        if found.cases:
            beside = f"{found.cases} other case{'s' if found.cases > 1 else ''} of this operation"
        self._show(
            f"{found.taxonomy.name}, {whose}; {beside}. Dot: this case. Tick: the middle of the "
            "others, band: their middle half, line: all of them. Each line begins at 0.",
            found,
        )

    def _show(self, head: str, found: Lengths | None) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(28, 16, 28, 12)
        column.setSpacing(12)
        label = Label(head, "body", "2")
        label.setWordWrap(True)
        column.addWidget(label)
        if found is not None:
            column.addLayout(self._grid(found))
        column.addStretch(1)
        self.set_body(body)

    def _grid(self, found: Lengths) -> QGridLayout:
        from app.analysis.lengths import lengths_in_words  # the window opens without it

        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(2, 1)
        words = []
        for row, phase in enumerate(found.phases):
            known = found.taxonomy.phase(phase.phase)
            colour = known.colour if known else theme.color("control_edge").name()
            letter = _Letter(known.code if known else "?", theme.human_paint(colour))
            name = found.taxonomy.phase_name(phase.phase)
            said = lengths_in_words(phase, lambda s: duration(1000 * s))
            if phase.longer_than_percent is not None and len(phase.others_s) > 3:
                said += f"; longer than {phase.longer_than_percent} %"
            words.append(f"{name}: {said}")
            told = Label(said, "small", "2")
            told.setAccessibleName(words[-1])
            bar = _Bar(phase, QColor(colour))
            for place, part in enumerate((letter, Label(name), bar, told)):
                grid.addWidget(part, row, place)
        self.words = tuple(words)
        return grid


class NextSheet(Sheet):
    """The most uncertain places of the open case, then the library's most uncertain cases.

    Signals:
        place_chosen: (Doubt) go there.
        case_chosen: (str) open that case.
    """

    place_chosen = Signal(object)
    case_chosen = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "What to look at next", 640, 620)
        self.list = QListWidget()
        self.list.setAccessibleName("What to look at next")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.itemActivated.connect(self._chosen)
        self.list.itemClicked.connect(self._chosen)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(20, 12, 20, 8)
        column.addWidget(self.list)
        self.set_body(body)

    def show_places(self, asset: Asset | None, places: tuple[Doubt, ...]) -> None:
        """Show the open case's places; the library's cases come later."""
        self.list.clear()
        self._head("This case")
        for doubt in places[:_MOST_PLACES] if asset is not None else ():
            self._add(_place_words(doubt, asset), doubt)
        if not places:
            self._head("Nothing is open: the models are sure, or you named the phases.", small=True)
        self._head("The library's most uncertain cases")
        self._head("Reading", small=True)
        self._select_first()

    def show_cases(self, cases: tuple[CaseDoubt, ...], words: dict[str, Taxonomy]) -> None:
        """Show the library's cases, the most uncertain first.

        Args:
            cases: as ``app.analysis.doubt`` orders them.
            words: case id to its taxonomy.
        """
        self.list.takeItem(self.list.count() - 1)
        for found in cases[:_MOST_CASES]:
            places, about = len(found.places), words[found.case.case_id].name
            self._add(
                f"Case {found.case.case_id}, {about}: {places} place{'s' if places > 1 else ''}, "
                f"{duration(1000 * found.seconds)} in doubt",
                found.case.case_id,
            )
        if not cases:
            self._head("No case is open to doubt.", small=True)
        self._select_first()

    def open_sheet(self) -> None:
        """Show it with the keys on the list."""
        super().open_sheet()
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _head(self, text: str, *, small: bool = False) -> None:
        item = QListWidgetItem(text)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        item.setFont(theme.font("small" if small else "caption"))
        item.setForeground(theme.color("text_3"))
        item.setSizeHint(QSize(0, theme.px(32)))
        self.list.addItem(item)

    def _add(self, text: str, what: object) -> None:
        item = QListWidgetItem(text)
        item.setData(_PLACE, what)
        item.setSizeHint(QSize(0, theme.px(32)))
        self.list.addItem(item)

    def _select_first(self) -> None:
        if self.list.currentItem() is not None and self.list.currentItem().data(_PLACE) is not None:
            return
        rows = (i for i in range(self.list.count()) if self.list.item(i).data(_PLACE) is not None)
        self.list.setCurrentRow(next(rows, -1))

    def _chosen(self, item: QListWidgetItem) -> None:
        what = item.data(_PLACE)
        if isinstance(what, Doubt):
            self.close_sheet()
            self.place_chosen.emit(what)
        elif isinstance(what, str):
            self.close_sheet()
            self.case_chosen.emit(what)


def _place_words(doubt: Doubt, asset: Asset) -> str:
    start, end = asset.time_ms(doubt.start_pts), asset.time_ms(doubt.end_pts)
    return f"At {clock(start)}, {duration(end - start)} long: {torn_words(doubt.bits).lower()}"
