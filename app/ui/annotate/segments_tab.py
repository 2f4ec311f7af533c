"""All phase blocks as a table: the timeline in words, complete for a screen reader. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    Qt,
)
from PySide6.QtGui import QIcon, QKeyEvent, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.annotate.phases import Block
from app.core.differences import Difference
from app.core.timeline import Segment
from app.ui import theme
from app.ui.keys import KeyMap, Scope, digit_of, set_widget_scope
from app.ui.timeline.commands import TimelineCommands
from app.ui.timeline.data import TimelineData
from app.ui.timeline.paint import clock, duration
from app.ui.timeline.speech import block_name, difference_name
from app.ui.timeline.widget import Timeline
from app.ui.widgets import Button, Label, draw_letter

Index = QModelIndex | QPersistentModelIndex
_HEADS = ("Phase", "From", "To", "Length", "By")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One row: a block, or a stretch where both tiers disagree."""

    start_pts: int
    end_pts: int
    block: Block | None
    segment: Segment | None
    difference: Difference | None = None


class SegmentModel(QAbstractTableModel):
    """Blocks of both tiers and disagreements, by time."""

    def __init__(self) -> None:
        super().__init__()
        self._data: TimelineData | None = None
        self._lines: list[_Line] = []

    def show(self, data: TimelineData | None) -> None:
        """Show another state of the timeline."""
        self.beginResetModel()
        self._data = data
        self._lines = (
            sorted(_lines(data), key=lambda r: (r.start_pts, r.block is None)) if data else []
        )
        self.endResetModel()

    def block(self, row: int) -> Block | None:
        """The block in a row, None for a disagreement."""
        return self._lines[row].block if 0 <= row < len(self._lines) else None

    def start_pts(self, row: int) -> int | None:
        """When a row begins."""
        return self._lines[row].start_pts if 0 <= row < len(self._lines) else None

    def row_of(self, block: Block | None) -> int:
        """The row of a block, -1 where there is none."""
        return next(
            (i for i, r in enumerate(self._lines) if block is not None and r.block == block), -1
        )

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Blocks and disagreements."""
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Phase, from, to, length, by whom."""
        return 0 if parent.isValid() else len(_HEADS)

    def headerData(
        self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Heads of the columns."""
        if way == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _HEADS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Words, the phase's letter, and the whole row for a screen reader."""
        if not index.isValid() or self._data is None:
            return None
        line = self._lines[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(line)[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0 and line.segment:
            return self._letter(line)
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return self._spoken(line)
        if role == Qt.ItemDataRole.ForegroundRole and index.column() > 0:
            return theme.color("text_2")
        return None

    def _words(self, line: _Line) -> tuple[str, ...]:
        assert self._data is not None  # noqa: S101 - asked by the callers
        start, end = self._data.time_ms(line.start_pts), self._data.time_ms(line.end_pts)
        name, whose = "Disagreement", ""
        if line.segment is not None and line.block is not None:
            name = self._data.words.phase_name(line.segment.phase)
            whose = "You" if line.block.row == "you" else "Model"
        return name, clock(start), clock(end), duration(end - start), whose

    def _spoken(self, line: _Line) -> str:
        assert self._data is not None  # noqa: S101
        if line.block is not None:
            return block_name(self._data, line.block)
        assert line.difference is not None  # noqa: S101 - else it is a block
        return difference_name(line.difference, self._data.words, self._data.time_ms)

    def _letter(self, line: _Line) -> QIcon:
        assert self._data is not None  # noqa: S101
        assert line.segment is not None  # noqa: S101
        phase = self._data.words.phase(line.segment.phase)
        colour = phase.colour if phase else theme.color("control_edge").name()
        model = line.block is not None and line.block.row == "model"
        paint = theme.model_paint(colour) if model else theme.human_paint(colour)
        side = theme.px(18)
        picture = QPixmap(2 * side, 2 * side)
        picture.setDevicePixelRatio(2.0)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        draw_letter(painter, QRectF(0, 0, side, side), phase.code if phase else "?", paint)
        painter.end()
        icon = QIcon(picture)
        # Qt tints the picture of a selected row unless it has one of its own.
        icon.addPixmap(picture, QIcon.Mode.Selected)
        return icon


def _lines(data: TimelineData) -> list[_Line]:
    found = []
    for row, tier in (("you", data.tiers.you), ("model", data.tiers.model)):
        for i, s in enumerate(tier.segments if tier else ()):
            block = Block(row="you" if row == "you" else "model", index=i)
            found.append(_Line(start_pts=s.start_pts, end_pts=s.end_pts, block=block, segment=s))
    for d in data.differences:
        line = _Line(
            start_pts=d.start_pts, end_pts=d.end_pts, block=None, segment=None, difference=d
        )
        found.append(line)
    return found


class _Table(QTableView):
    """A table that leaves digits to the window: they name phases."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt would search for a row that begins with the digit."""
        if digit_of(event) is not None:
            event.ignore()
        else:
            super().keyPressEvent(event)


class SegmentsTab(QWidget):
    """The table with its buttons; the selection is the timeline's."""

    def __init__(self, timeline: Timeline, commands: TimelineCommands, keys: KeyMap) -> None:
        super().__init__()
        self._timeline = timeline
        self._commands = commands
        self.model = SegmentModel()
        self.table = _Table()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Phases")
        set_widget_scope(self.table, Scope.TIMELINE)
        self._following = False
        self._set_up_table()
        self._empty = Label("", "body", "3")
        self._empty.setWordWrap(True)
        self._empty.setText(
            "No phases yet. Play, and press a digit where a phase begins, or analyse the case."
        )
        self._empty.setContentsMargins(16, 12, 16, 12)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 4, 0, 12)
        box.setSpacing(8)
        box.addWidget(self._empty)
        box.addWidget(self.table, 1)
        box.addLayout(self._make_buttons(keys))
        timeline.selection_changed.connect(self._follow)

    def _set_up_table(self) -> None:
        table = self.table
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(theme.px(32))
        head = table.horizontalHeader()
        head.setHighlightSections(False)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        head.setMinimumSectionSize(theme.px(36))
        table.selectionModel().currentRowChanged.connect(self._chosen)
        table.activated.connect(self._edit)

    def _make_buttons(self, keys: KeyMap) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(16, 0, 16, 0)
        grid.setSpacing(8)
        self.buttons = {
            action: Button(text, tooltip=keys.tooltip(action))
            for action, text in (
                ("block_edit", "Change phase"),
                ("block_split", "Split here"),
                ("block_merge", "Merge with next"),
                ("boundary_here", "Boundary here"),
                ("block_accept", "Take over"),
                ("block_remove", "Remove"),
                ("phases_adopt", "Start from the model's phases"),
            )
        }
        acts = self._commands.table()
        for place, (action, button) in enumerate(self.buttons.items()):
            button.clicked.connect(lambda _=False, act=acts[action]: act())
            span = 2 if action == "phases_adopt" else 1
            grid.addWidget(button, place // 2, place % 2, 1, span)
        return grid

    def refresh(self) -> None:
        """Show the timeline's present state."""
        data = self._timeline.data
        self._following = True
        self.model.show(data)
        self._following = False
        some = self.model.rowCount() > 0
        self.table.setVisible(some)
        self._empty.setVisible(not some)
        self._follow()

    def _follow(self, *_: object) -> None:
        block, data = self._timeline.selected, self._timeline.data
        row = self.model.row_of(block)
        self._following = True
        if row < 0:
            self.table.selectionModel().clear()
        else:
            self.table.selectionModel().setCurrentIndex(
                self.model.index(row, 0),
                QItemSelectionModel.SelectionFlag.ClearAndSelect
                | QItemSelectionModel.SelectionFlag.Rows,
            )
            self.table.scrollTo(self.model.index(row, 0))
        self._following = False
        locked = bool(self._timeline.locked_reason)
        has_model = data is not None and data.tiers.model is not None
        possible = {
            "block_accept": has_model,
            "phases_adopt": has_model,
            "block_remove": block is not None and block.row == "you",
        }
        for action, button in self.buttons.items():
            button.setEnabled(not locked and possible.get(action, data is not None))

    def _chosen(self, index: QModelIndex, _before: QModelIndex) -> None:
        if self._following or not index.isValid():
            return
        start = self.model.start_pts(index.row())
        self._timeline.select(self.model.block(index.row()))
        if start is not None:
            self._timeline.reveal(start)
            self._timeline.seek_requested.emit(start)

    def _edit(self, index: QModelIndex) -> None:
        if self.model.block(index.row()) is not None:
            rect = self.table.visualRect(index)
            self._commands.open_picker(self.table.viewport().mapToGlobal(rect.bottomLeft()))
