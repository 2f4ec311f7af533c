"""The sheet that shows which recordings a folder holds, part by part, before they become cases.

GUI thread. Parts are moved with the mouse or with Alt and the arrow keys, also from one recording
to another; what is lost or doubled at each join follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.ui import theme
from app.ui.joins import gap_words
from app.ui.sheet import Sheet
from app.ui.style import draw_ring, ring_shown
from app.ui.widgets import Button, Label, column, mark, row
from app.ui.words import length, moment, time_of_day

if TYPE_CHECKING:
    from app.video.split.joining import Found, FoundRecording
    from app.video.split.part_times import Glance

ROLE = Qt.ItemDataRole.UserRole
NAME, NOTE, FACTS, HEADING, WARNS = (ROLE + n for n in range(1, 6))
ROW, HEAD_ROW = 44, 38
HOW = "Drag a part, or move it with Alt and the arrow keys. The files are left as they are."
DISAGREE = "Names and times put the parts in different orders. Which one is right?"


class PartRow(QStyledItemDelegate):
    """Draws a part: its name, what is lost before it, its start and length."""

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """As high as a row of a list."""
        return QSize(0, theme.px(HEAD_ROW if index.data(HEADING) else ROW))

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """One row."""
        rect = QRectF(option.rect)
        painter.save()
        if index.data(HEADING):
            self._text(painter, rect.adjusted(4, 0, 0, 0), "heading", "text", index.data(NAME))
            self._text(painter, rect.adjusted(0, 0, -8, 0), "small", "text_2", index.data(FACTS), 1)
            painter.restore()
            return
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if chosen or hovered:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("control" if chosen else "hover"))
            painter.drawRoundedRect(rect.adjusted(0, 1, 0, -1), 6, 6)
        number, name = str(index.data(ROLE)), index.data(NAME)
        self._text(painter, rect.adjusted(12, 0, 0, 0), "small", "text_3", number)
        body = rect.adjusted(theme.px(40), 0, -theme.px(150), 0)
        note = index.data(NOTE)
        if note:
            half = rect.height() / 2
            upper, lower = body.adjusted(0, 3, 0, -half + 2), body.adjusted(0, half - 2, 0, -3)
            self._text(painter, upper, "body", "text", name)
            tone = "warn" if index.data(WARNS) else "text_2"
            self._text(painter, lower, "small", tone, note)
        else:
            self._text(painter, body, "body", "text", name)
        self._text(painter, rect.adjusted(0, 0, -12, 0), "small", "text_2", index.data(FACTS), 1)
        if chosen and option.widget is not None and ring_shown(option.widget):
            draw_ring(painter, rect, 6)
        painter.restore()

    @staticmethod
    def _text(
        painter: QPainter, rect: QRectF, role: str, token: str, text: str, right: int = 0
    ) -> None:
        painter.setFont(theme.font(role))
        painter.setPen(theme.color(token))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        elided = painter.fontMetrics().elidedText(
            text, Qt.TextElideMode.ElideMiddle, int(rect.width())
        )
        painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, elided)


class PartList(QListWidget):
    """Recordings and their parts; rows can be moved.

    Signals:
        moved: the order changed.
    """

    moved = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Parts")
        self.setItemDelegate(PartRow(self))
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        # Queued: the rows are made anew, which must wait for the end of the drag.
        self.model().rowsMoved.connect(self._dragged, Qt.ConnectionType.QueuedConnection)

    @Slot()
    def _dragged(self) -> None:
        self.moved.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt and an arrow move the part."""
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        if event.modifiers() & Qt.KeyboardModifier.AltModifier and event.key() in steps:
            self.move_part(steps[Qt.Key(event.key())])
            return
        super().keyPressEvent(event)

    def move_part(self, step: int) -> None:
        """Move the current part up (-1) or down (1); the first heading stays on top."""
        at = self.currentRow()
        to = at + step
        if at < 0 or self.item(at).data(HEADING) or not 1 <= to < self.count():
            return
        item = self.takeItem(at)
        self.insertItem(to, item)
        self.setCurrentRow(to)
        self.moved.emit()


class JoinSheet(Sheet):
    """What a folder or several files hold.

    Signals:
        chosen: (list of lists of Path) make a case of each.
    """

    chosen = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Recordings", 720, 600)
        self.list = PartList()
        self.about = Label("", tone="2")
        self.about.setWordWrap(True)
        self.by_name = Button("By name")
        self.by_time = Button("By time")
        self.question = mark(
            row(Label(DISAGREE), 0, self.by_name, self.by_time, margins=(12, 8, 8, 8)), "banner"
        )
        self.left_out = Label("", "small", "warn")
        self.left_out.setWordWrap(True)
        self.join = Button("Join as one", "main")
        self.separate = Button("Separate cases")
        self.all_as_one = Button("Join all as one")
        self._found: Found | None = None
        self._asks = False
        self.list.moved.connect(self._moved)
        self.join.clicked.connect(lambda: self._choose([*self.recordings()]))
        self.separate.clicked.connect(
            lambda: self._choose([[p] for parts in self.recordings() for p in parts])
        )
        self.all_as_one.clicked.connect(
            lambda: self._choose([[p for parts in self.recordings() for p in parts]])
        )
        self.by_name.clicked.connect(lambda: self._order(time=False))
        self.by_time.clicked.connect(lambda: self._order(time=True))
        self.set_body(
            column(
                self.about, 4, self.question, self.list, self.left_out, 4,
                row(self.join, self.separate, self.all_as_one, 0),
                spacing=8, margins=(28, 20, 28, 12),
            )
        )  # fmt: skip

    def offer(self, found: Found) -> None:
        """Show what was found."""
        self._found = found
        self._asks = any(not r.agrees for r in found.recordings)
        self._fill([list(r.files) for r in found.recordings])
        words = [why for _, why in found.left_out]
        self.left_out.setText("Left out: " + " ".join(words[:3]) + (" …" if words[3:] else ""))
        self.left_out.setToolTip("\n".join(words))
        self.left_out.setVisible(bool(words))

    def open_sheet(self) -> None:
        """Show it; the parts have the focus."""
        super().open_sheet()
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def recordings(self) -> list[list[Path]]:
        """The parts of each recording, in order, as the list shows them."""
        return [[g.path for g in group] for group in self._groups()]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter does what the main button says."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.join.isEnabled():
            self.join.click()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Rows follow the text scale."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "list"):
            self.list.scheduleDelayedItemsLayout()

    def _choose(self, recordings: list[list[Path]]) -> None:
        self.close_sheet()
        self.chosen.emit(recordings)

    def _groups(self) -> list[list[Glance]]:
        """The glances below each heading; a heading without parts is none."""
        out: list[list[Glance]] = []
        for at in range(self.list.count()):
            item = self.list.item(at)
            if item.data(HEADING) or not out:
                out.append([])
            if not item.data(HEADING):
                out[-1].append(item.data(ROLE + 6))
        return [group for group in out if group]

    def _order(self, *, time: bool) -> None:
        assert self._found is not None  # noqa: S101 - a button of an offer
        self._asks = False
        self._fill(
            [list(r.by_time if time and r.by_time else r.files) for r in self._found.recordings]
        )

    def _moved(self) -> None:
        """Headings, numbers and gaps follow what was moved."""
        self._asks = False
        row_before = self.list.currentRow()
        current = self.list.currentItem()
        glance = current.data(ROLE + 6) if current is not None else None
        self._fill(self._groups())
        for at in range(self.list.count()):
            if glance is not None and self.list.item(at).data(ROLE + 6) is glance:
                row_before = at
        self.list.setCurrentRow(row_before)

    def _fill(self, groups: list[list[Glance]]) -> None:
        from app.video.split.joining import regrouped

        self.list.clear()
        found = [regrouped(group) for group in groups]
        for number, recording in enumerate(found, 1):
            self._add_recording(recording, number if len(found) > 1 else 0)
        self.list.setCurrentRow(1)
        files = sum(len(r.files) for r in found)
        one = f"{files} files look like one recording. "
        several = f"{files} files look like {len(found)} recordings. "
        self.about.setText((one if len(found) == 1 else several) + HOW)
        self.question.setVisible(self._asks)
        self.join.setText("Join as one" if len(found) == 1 else f"Make {len(found)} cases")
        self.join.setAccessibleName(self.join.text())
        self.join.setEnabled(not self._asks)
        self.join.setToolTip("Choose the order first" if self._asks else "")
        self.separate.setText(f"{files} separate cases")
        self.separate.setAccessibleName(self.separate.text())
        self.separate.setVisible(files > len(found))
        self.all_as_one.setVisible(len(found) > 1)

    def _add_recording(self, recording: FoundRecording, number: int) -> None:
        seconds = sum(g.duration_s for g in recording.files)
        parts = "1 file" if len(recording.files) == 1 else f"{len(recording.files)} parts"
        head = QListWidgetItem()
        head.setData(HEADING, "yes")
        head.setData(NAME, f"Recording {number}" if number else "One recording")
        head.setData(FACTS, f"{parts}, {length(seconds)}")
        head.setData(Qt.ItemDataRole.AccessibleTextRole, f"{head.data(NAME)}, {head.data(FACTS)}")
        head.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.list.addItem(head)
        times = recording.by_time or recording.files
        for at, look in enumerate(recording.files):
            item = QListWidgetItem()
            note = gap_words(recording.gaps_ms[at])
            place = times.index(look) + 1
            if not recording.agrees and place != at + 1:
                note = f"{_ordinal(place)} by its time" + (f"; {note}" if note else "")
            item.setData(ROLE, at + 1)
            item.setData(ROLE + 6, look)
            item.setData(NAME, look.path.name)
            item.setData(NOTE, note)
            item.setData(WARNS, bool(note))
            item.setData(FACTS, f"{_began(look)}{length(look.duration_s)}")
            spoken = ", ".join(
                x for x in (str(at + 1), look.path.name, note, item.data(FACTS)) if x
            )
            item.setData(Qt.ItemDataRole.AccessibleTextRole, spoken)
            item.setToolTip(str(look.path))
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled
                | Qt.ItemFlag.ItemIsSelectable
                | Qt.ItemFlag.ItemIsDragEnabled
            )
            self.list.addItem(item)


def _began(look: Glance) -> str:
    """When a part began, as well as it is known: a time of day, or its own clock."""
    recorded = look.created_utc_ms or look.named_utc_ms
    if recorded is not None:
        return f"{time_of_day(recorded)}   "
    return f"{moment(look.start_s * 1000)}   " if look.start_s > 60 else ""


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number in (11, 12, 13) else endings.get(number % 10, 'th')}"
