"""Rows of cards as a list's model: what cases and moments have in common. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

Index = QModelIndex | QPersistentModelIndex
Row = TypeVar("Row")
ROW_ROLE = Qt.ItemDataRole.UserRole + 1


class CardModel(QAbstractListModel, Generic[Row]):
    """One card a row; subclasses say what a row is called and spoken as."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these in place of the ones before."""
        self.beginResetModel()
        self.rows = tuple(rows)
        self.endResetModel()

    def row_changed(self, row: int) -> None:
        """A row is to be painted anew."""
        self.dataChanged.emit(self.index(row), self.index(row))

    def name_of(self, row: Row) -> str:
        """The words by which a key that is typed finds a row."""
        raise NotImplementedError

    def spoken_of(self, row: Row) -> str:
        """The row in words, for screen readers and tooltips."""
        raise NotImplementedError

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """How many there are."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The row, or its words."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return self.name_of(row)
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return self.spoken_of(row)
        return None
