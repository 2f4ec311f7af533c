"""Two sheets: phase lengths beside the library's, and what to look at next. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
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


class LengthsChart(QWidget):
    """One row for each phase: letter, name, the other cases, this case's length, and the words.

    Painted by hand: a label for each part would keep the window busy for longer than a frame.
    """

    def __init__(self, found: Lengths, words: tuple[str, ...]) -> None:
        super().__init__()
        self._found, self._words = found, words
        self._row_px = theme.px(34)
        self.setFixedHeight(self._row_px * max(1, len(found.phases)))
        self.setAccessibleName("Phase lengths")
        names = (found.taxonomy.phase_name(p.phase) for p in found.phases)
        said = (f"{name}: {told}" for name, told in zip(names, words, strict=True))
        self.setAccessibleDescription("; ".join(said))

    def _names_px(self) -> int:
        """Where the bars begin: beside the longest name, but within a third of the chart."""
        metrics = QFontMetrics(theme.font("body"))
        names = (self._found.taxonomy.phase_name(p.phase) for p in self._found.phases)
        longest = max(map(metrics.horizontalAdvance, names), default=0)
        return min(theme.px(20) + 10 + longest + 18, self.width() // 3)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows from top to bottom."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        wide = max(map(painter.fontMetrics().horizontalAdvance, self._words), default=0) + 4
        for row, (phase, words) in enumerate(zip(self._found.phases, self._words, strict=True)):
            line = QRectF(0, row * self._row_px, self.width(), self._row_px)
            known = self._found.taxonomy.phase(phase.phase)
            colour = known.colour if known else theme.color("control_edge").name()
            side = theme.px(20)
            square = QRectF(0, line.center().y() - side / 2, side, side)
            draw_letter(painter, square, known.code if known else "?", theme.human_paint(colour))
            left, right = self._names_px(), self.width() - wide
            name = QRectF(side + 10, line.top(), left - side - 26, line.height())
            painter.setFont(theme.font("body"))
            painter.setPen(theme.color("text"))
            shown = painter.fontMetrics().elidedText(
                self._found.taxonomy.phase_name(phase.phase),
                Qt.TextElideMode.ElideRight,
                int(name.width()),
            )
            painter.drawText(name, Qt.AlignmentFlag.AlignVCenter, shown)
            painter.setFont(theme.font("small"))
            painter.setPen(theme.color("text_2"))
            place = QRectF(right, line.top(), wide, line.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, words)
            bar = QRectF(left, line.top(), max(40.0, right - left - 16), line.height())
            _draw_lengths(painter, phase, bar, QColor(colour))
        painter.end()


def _draw_lengths(painter: QPainter, found: PhaseLength, area: QRectF, colour: QColor) -> None:
    """A line for the range, a band for the middle half, a tick for the middle, a dot: this case."""
    longest = max(found.here_s or 0.0, *found.others_s[-1:], 1.0)
    middle = area.center().y()

    def x(seconds: float) -> float:
        return area.left() + 8 + seconds / longest * (area.width() - 16)

    if found.others_s:
        low, high = x(found.others_s[0]), x(found.others_s[-1])
        painter.fillRect(QRectF(low, middle - 0.5, high - low, 1), theme.color("control_edge"))
    if found.middle_half_s is not None and found.median_s is not None:
        low, high = map(x, found.middle_half_s)
        band = QRectF(low, middle - 6, max(2.0, high - low), 12)
        painter.fillRect(band, theme.color("line_strong"))
        tick = QRectF(x(found.median_s) - 1, middle - 8, 2, 16)
        painter.fillRect(tick, theme.color("text_2"))
    if found.here_s is not None:
        painter.setPen(theme.color("panel"))
        painter.setBrush(colour)
        painter.drawEllipse(QRectF(x(found.here_s) - 6, middle - 6, 12, 12))


class LengthsSheet(Sheet):
    """How long the phases of the open case took, beside the library's other cases."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Phase lengths", 1100, 640)
        self.chart: LengthsChart | None = None

    def show_waiting(self) -> None:
        """While the other cases are read."""
        self._show("Reading the other cases", None)

    def show_lengths(self, found: Lengths) -> None:
        """Show what was read."""
        from app.analysis.lengths import HUMAN, lengths_in_words  # the window opens without it

        if not found.phases:
            self._show("No phases yet. Analyse the case, or name its phases in Annotate.", None)
            return
        whose = "as you named them" if HUMAN in found.by else "as the model says"
        if found.imported_from:
            whose = f"as imported from {' and '.join(found.imported_from)}, or named by you since"
        if len(found.by) > 1:
            whose += ", elsewhere as the model says"
        beside = "no other whole case of this operation yet"
        of = found.taxonomy.name
        if not found.is_named:
            of = "Phases"
            beside = "which operation it is nobody said, so no other case stands beside it"
        elif found.cases:
            beside = f"{found.cases} other case{'s' if found.cases > 1 else ''} of this operation"
        words = []
        for phase in found.phases:
            said = lengths_in_words(phase, lambda s: duration(1000 * s))
            if phase.longer_than_percent is not None and len(phase.others_s) > 3:
                share = phase.longer_than_percent
                said += f"; longer than {share} % of them" if share else "; the shortest of all"
            words.append(said)
        self._show(
            f"{of}, {whose}; {beside}. Dot: this case. Tick: the middle of the "
            "others, band: their middle half, line: all of them. Each line begins at 0.",
            LengthsChart(found, tuple(words)),
        )

    def _show(self, head: str, chart: LengthsChart | None) -> None:
        self.chart = chart
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(28, 16, 28, 12)
        column.setSpacing(12)
        label = Label(head, "body", "2")
        label.setWordWrap(True)
        column.addWidget(label)
        if chart is not None:
            column.addWidget(chart)
        column.addStretch(1)
        self.set_body(body)


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

    def show_places(self, asset: Asset | None, places: tuple[Doubt, ...], none: str) -> None:
        """Show the open case's places; the library's cases come later.

        Args:
            asset: whose time it is.
            places: the heaviest first.
            none: why there are none, where there are none.
        """
        self.list.clear()
        self._head("This case")
        for doubt in places[:_MOST_PLACES] if asset is not None else ():
            self._add(_place_words(doubt, asset), doubt)
        if not places:
            self._head(f"Nothing is open: {none}.", small=True)
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
