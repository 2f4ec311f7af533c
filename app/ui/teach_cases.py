"""The cases that a model is taught from: found, ticked, and why others are not there. GUI."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.core.case import UNNAMED
from app.core.taxonomy import find_taxonomy
from app.learning.teachable import Material, Teachable
from app.ui import theme
from app.ui.widgets import Button, Label, row
from app.ui.words import count, date, length

READING = "Reading your cases…"
NONE_FOUND = "No case has these words."
_LEAST_ROWS = 4


class CaseChoice(QWidget):
    """A list of cases with a tick each, a search field above it, the others told below.

    Signals:
        changed: other cases are ticked.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._materials: tuple[Material, ...] = ()
        self._ticked: dict[str, bool] = {}
        self.heading = Label("", "heading")
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a case")
        self.search.setAccessibleName("Find a case")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(theme.px(180))
        self.all = Button("All", tooltip="Tick all cases that are shown")
        self.none = Button("None", tooltip="Tick none of the cases that are shown")
        self.list = QListWidget()
        self.list.setAccessibleName("Cases to learn from")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setUniformItemSizes(True)
        self.list.setMinimumHeight(theme.px(32) * _LEAST_ROWS)
        self.left_out = Label("", "small", "3")
        self.left_out.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(row(self.heading, self.search, self.all, self.none))
        layout.addWidget(self.list, 1)
        layout.addWidget(self.left_out)
        self.search.textChanged.connect(self._filter)
        self.all.clicked.connect(lambda: self._tick_shown(on=True))
        self.none.clicked.connect(lambda: self._tick_shown(on=False))
        self.list.itemChanged.connect(self._item_changed)
        self._show_parts()

    @property
    def chosen(self) -> tuple[Material, ...]:
        """The cases that are ticked, the newest first; those that the search hides too."""
        return tuple(m for m in self._materials if self._ticked[m.case.case_id])

    def wait(self) -> None:
        """The cases are being read; what was ticked is forgotten."""
        self._ticked = {}
        self._materials = ()
        self.list.clear()
        self.heading.setText(READING)
        self.left_out.setText("")
        self._show_parts()

    def show_cases(self, found: Teachable, heading: str, ticked: Sequence[str]) -> None:
        """List cases.

        Args:
            found: those that can teach, and the others.
            heading: what they have.
            ticked: numbers of those that are ticked at first; what the user ticked stays.
        """
        self._materials = found.able
        self._ticked = {
            m.case.case_id: self._ticked.get(m.case.case_id, m.case.case_id in ticked)
            for m in found.able
        }
        with QSignalBlocker(self.list):
            self.list.clear()
            for material in found.able:
                self.list.addItem(self._item(material))
        self.heading.setText(heading)
        words = found.left_out_words
        self.left_out.setText(f"Not listed: {words}." if words else "")
        self._show_parts()
        self._filter()
        self.changed.emit()

    def _item(self, material: Material) -> QListWidgetItem:
        item = QListWidgetItem(row_words(material))
        item.setData(Qt.ItemDataRole.UserRole, material.case.case_id)
        item.setFlags(
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsUserCheckable
        )
        on = self._ticked[material.case.case_id]
        item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        item.setSizeHint(QSize(0, theme.px(30)))
        return item

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(i) for i in range(self.list.count())]

    def _filter(self) -> None:
        words = self.search.text().lower().split()
        for item in self._items():
            item.setHidden(not all(word in item.text().lower() for word in words))

    def _tick_shown(self, *, on: bool) -> None:
        state = Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        with QSignalBlocker(self.list):
            for item in self._items():
                if not item.isHidden():
                    item.setCheckState(state)
                    self._ticked[item.data(Qt.ItemDataRole.UserRole)] = on
        self.list.viewport().update()
        self.changed.emit()

    def _item_changed(self, item: QListWidgetItem) -> None:
        on = item.checkState() == Qt.CheckState.Checked
        self._ticked[item.data(Qt.ItemDataRole.UserRole)] = on
        self.changed.emit()

    def _show_parts(self) -> None:
        for part in (self.search, self.all, self.none):
            part.setVisible(bool(self._materials))
        self.left_out.setVisible(bool(self.left_out.text()))


def row_words(material: Material) -> str:
    """``0760  Gastric bypass, 22 Nov 2026, 7 phases, 38 min``."""
    case = material.case
    name = case.title if case.title != UNNAMED else find_taxonomy(case.procedure).name
    if material.frames:
        has = f"{count(material.frames)} frame{'' if material.frames == 1 else 's'}"
    else:
        phases = f"{material.phases} phase{'' if material.phases == 1 else 's'}"
        has = f"{phases}, {length(material.seconds)}"
    return f"{case.case_id}   {name}   {date(case.created_utc_ms)}, {has}"
