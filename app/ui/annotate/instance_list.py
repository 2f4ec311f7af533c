"""The outlines on this frame as a list: colour, name, who says so. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QListView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.core.correction import Verdict
from app.overlay import ShownInstance
from app.ui import style, theme
from app.ui.annotate.editor import Editor, key_of, verdict_words
from app.ui.keys import digit_of

SHOWN = Qt.ItemDataRole.UserRole + 1
Index = QModelIndex | QPersistentModelIndex
_ICONS = {
    None: ("cpu", "text_3"),
    Verdict.ACCEPTED: ("circle-check", "ok"),
    Verdict.CORRECTED: ("user", "text_2"),
    Verdict.DRAWN: ("user", "text_2"),
}


class InstanceModel(QAbstractListModel):
    """Outlines in the order of the editor."""

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self._rows: tuple[ShownInstance, ...] = ()

    def refresh(self) -> None:
        """Read the editor again; rows that stay keep their place."""
        rows = self._editor.instances
        if [key_of(s) for s in rows] == [key_of(s) for s in self._rows]:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row_of(self, shown: ShownInstance | None) -> int:
        """The row of an outline, -1 where there is none."""
        keys = [key_of(s) for s in self._rows]
        return keys.index(key_of(shown)) if shown and key_of(shown) in keys else -1

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """How many outlines there are."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The outline, or its words."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        shown = self._rows[index.row()]
        if role == SHOWN:
            return shown
        if role == Qt.ItemDataRole.DisplayRole:
            return self._editor.name_of(shown)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._editor.name_of(shown)}, {verdict_words(shown)}"
        return None


class InstanceDelegate(QStyledItemDelegate):
    """Paints one outline's row, 44 high."""

    def __init__(
        self,
        view: QWidget,
        colour: Callable[[ShownInstance], QColor],
        is_unsaved: Callable[[ShownInstance], bool],
    ) -> None:
        super().__init__(view)
        self._view = view
        self._colour = colour
        self._is_unsaved = is_unsaved

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """44 high at the normal text size."""
        return QSize(120, theme.px(44) + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Square, name, who, state icon."""
        shown: ShownInstance = index.data(SHOWN)
        rect = QRectF(option.rect).adjusted(6, 1, -6, -1)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.color("control" if selected else "hover"))
            painter.drawRoundedRect(rect, 6, 6)
        if selected:
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(QRectF(rect.x(), rect.y(), 2.5, rect.height()), 1, 1)
        self._square(painter, rect, self._colour(shown))
        self._words(painter, rect, index.data(), verdict_words(shown))
        self._state(painter, rect, shown)
        if selected and style.ring_shown(self._view):
            style.draw_ring(painter, rect, 6)
        painter.restore()

    def _square(self, painter: QPainter, rect: QRectF, colour: QColor) -> None:
        inside = QColor(colour)
        inside.setAlphaF(0.25)
        painter.setBrush(inside)
        painter.setPen(QPen(colour, 2))
        side = theme.px(11)
        painter.drawRoundedRect(
            QRectF(rect.x() + 11, rect.center().y() - side / 2, side, side), 3, 3
        )

    def _words(self, painter: QPainter, rect: QRectF, name: str, who: str) -> None:
        x, room = rect.x() + theme.px(34), rect.width() - theme.px(34) - theme.px(32)
        for text, role, token, y in (
            (name, "control", "text", 0.32),
            (who, "small", "text_3", 0.72),
        ):
            painter.setFont(theme.font(role))
            painter.setPen(theme.color(token))
            metrics = QFontMetricsF(painter.font())
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
            base = rect.y() + rect.height() * y + metrics.capHeight() / 2
            painter.drawText(QPointF(x, base), shown)

    def _state(self, painter: QPainter, rect: QRectF, shown: ShownInstance) -> None:
        right = rect.right() - theme.px(14)
        if self._is_unsaved(shown):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("warn"))
            painter.drawEllipse(QPointF(right, rect.center().y()), 3.5, 3.5)
            return
        verdict = shown.annotation.verdict if shown.annotation else None
        icon, token = _ICONS[verdict]
        side = theme.px(15)
        picture = theme.pixmap(icon, side, token, self._view.devicePixelRatioF())
        painter.drawPixmap(QPointF(right - side / 2, rect.center().y() - side / 2), picture)


class InstanceList(QListView):
    """Outlines of the frame on screen; the selection is the editor's."""

    def __init__(
        self,
        editor: Editor,
        colour: Callable[[ShownInstance], QColor],
        is_unsaved: Callable[[ShownInstance], bool],
    ) -> None:
        super().__init__()
        self._editor = editor
        self._model = InstanceModel(editor)
        self._following = False
        self.setModel(self._model)
        self.setItemDelegate(InstanceDelegate(self, colour, is_unsaved))
        self.setMouseTracking(True)
        self.setAccessibleName("Outlines on this frame")
        self.setUniformItemSizes(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.selectionModel().currentChanged.connect(self._chosen)
        editor.changed.connect(self.refresh)
        editor.selection_changed.connect(self._follow)

    def refresh(self) -> None:
        """Show the editor's outlines and its selection."""
        rows = self._model.rowCount()
        self._model.refresh()
        if rows != self._model.rowCount():
            self.updateGeometry()
        self._follow()
        self.viewport().update()

    def _follow(self) -> None:
        row = self._model.row_of(self._editor.selected)
        self._following = True
        if row < 0:
            self.selectionModel().clear()
        else:
            self.selectionModel().setCurrentIndex(
                self._model.index(row), QItemSelectionModel.SelectionFlag.ClearAndSelect
            )
        self._following = False

    def _chosen(self, index: QModelIndex, _before: QModelIndex) -> None:
        if not self._following and index.isValid():
            self._editor.select(index.data(SHOWN))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Digits name phases: Qt would search for a row that begins with one."""
        if digit_of(event) is not None:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        """As high as its rows, up to seven."""
        rows = min(max(self._model.rowCount(), 1), 7)
        return QSize(200, rows * (theme.px(44) + 2) + 4)
