"""The cases at the left of Annotate: picture, number, name, state. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.ui import style, theme
from app.ui.card_model import Index
from app.ui.case_cards import (
    CARD_ROLE,
    Card,
    CaseFilter,
    CaseModel,
    draw_no_recording,
)
from app.ui.widgets import Label, mark
from app.ui.words import date, moment

_ROW = 66
_PICTURE = (88, 50)


class CaseRowDelegate(QStyledItemDelegate):
    """Paints one case's row, 66 high."""

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """66 high at the normal text size."""
        return QSize(160, theme.px(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Picture, number and date, name, dot and state."""
        card: Card = index.data(CARD_ROLE)
        rect = QRectF(option.rect).adjusted(6, 1, -6, -1)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.color("control" if selected else "hover"))
            painter.drawRoundedRect(rect, 6, 6)
        if selected:
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(QRectF(rect.x(), rect.y(), 2.5, rect.height()), 1, 1)
        place = QRectF(rect.x() + 10, rect.center().y() - _PICTURE[1] / 2, *_PICTURE)
        self._picture(painter, card, place)
        words = QRectF(place.right() + 10, rect.y(), rect.right() - place.right() - 16, 0)
        words.setHeight(rect.height())
        self._words(painter, card, words)
        if selected and style.ring_shown(self._view):
            style.draw_ring(painter, rect, 6)
        painter.restore()

    def _picture(self, painter: QPainter, card: Card, place: QRectF) -> None:
        path = QPainterPath()
        path.addRoundedRect(place, 4, 4)
        painter.save()
        painter.setClipPath(path)
        painter.fillRect(place, theme.color("stage"))
        if not card.picture.isNull():
            size = card.picture.size().toSizeF()
            size.scale(place.size(), Qt.AspectRatioMode.KeepAspectRatioByExpanding)
            x, y = place.center().x() - size.width() / 2, place.center().y() - size.height() / 2
            painter.drawImage(QRectF(x, y, size.width(), size.height()), card.picture)
        if not card.has_recording:
            draw_no_recording(painter, place.adjusted(4, 2, -4, -16))
        text = moment(card.duration_ms)
        painter.setFont(theme.font("caption"))
        wide = QFontMetricsF(painter.font()).horizontalAdvance(text) + 8
        tag = QRectF(place.right() - wide - 2, place.bottom() - 16, wide, 14)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("osd_bg"))
        painter.drawRoundedRect(tag, 3, 3)
        painter.setPen(theme.color("osd_text"))
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)
        painter.restore()

    def _words(self, painter: QPainter, card: Card, room: QRectF) -> None:
        line = theme.px(18)
        top = room.center().y() - 1.5 * line
        word, token = card.state
        painter.setFont(theme.font("heading"))
        number = QFontMetricsF(painter.font()).horizontalAdvance(card.case.case_id)
        self._text(painter, room, top, 0, card.case.case_id, "heading", "text")
        self._text(
            painter, room, top, number + 8, date(card.case.created_utc_ms), "small", "text_2"
        )
        self._text(painter, room, top + line, 0, card.name, "small", "text_2")
        dot = QPointF(room.x() + 4, top + 2.5 * line)
        hollow = card.is_untouched
        painter.setPen(QPen(theme.color(token), 1.2) if hollow else Qt.PenStyle.NoPen)
        painter.setBrush(Qt.BrushStyle.NoBrush if hollow else theme.color(token))
        painter.drawEllipse(dot, 3, 3)
        self._text(painter, room, top + 2 * line, 13, word, "small", token)
        if card.corrections:
            used = theme.text_px("small", word) + 21
            if (
                used + theme.text_px("small", card.corrections) <= room.width()
            ):  # else the tooltip's
                self._text(painter, room, top + 2 * line, used, card.corrections, "small", "text_3")

    def _text(
        self,
        painter: QPainter,
        room: QRectF,
        top: float,
        indent: float,
        text: str,
        role: str,
        token: str,
    ) -> None:
        painter.setFont(theme.font(role))
        painter.setPen(theme.color(token))
        metrics = QFontMetricsF(painter.font())
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room.width() - indent)
        base = top + (theme.px(18) + metrics.capHeight()) / 2
        painter.drawText(QPointF(room.x() + indent, base), shown)


class CaseList(QFrame):
    """Cases of the library with a search field.

    Signals:
        chosen: (case id) open it.
    """

    chosen = Signal(str)

    def __init__(self, cases: CaseModel) -> None:
        super().__init__()
        mark(self, "panel")
        self.setAccessibleName("Cases")
        self._cases = cases
        self._filter = CaseFilter(self)
        self._filter.setSourceModel(cases)
        self._open = ""
        self._count = Label("", "small", "3")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a case")
        self.search.setAccessibleName("Find a case")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter.set_words)
        self.view = QListView()
        self.view.setModel(self._filter)
        self.view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.view.setItemDelegate(CaseRowDelegate(self.view))
        self.view.setMouseTracking(True)
        self.view.setUniformItemSizes(True)
        self.view.setAccessibleName("Cases")
        self.view.clicked.connect(self._choose)
        self.view.activated.connect(self._choose)
        head = QHBoxLayout()
        head.setContentsMargins(16, 0, 16, 0)
        head.addWidget(Label("Cases", "heading"))
        head.addWidget(self._count)
        head.addStretch(1)
        field = QHBoxLayout()
        field.setContentsMargins(12, 0, 12, 0)
        field.addWidget(self.search)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 12, 0, 0)
        box.setSpacing(10)
        box.addLayout(head)
        box.addLayout(field)
        box.addWidget(self.view, 1)
        for changed in (self._filter.rowsInserted, self._filter.modelReset):
            changed.connect(self._listed)
        self._filter.rowsRemoved.connect(self._listed)
        self._listed()

    def show_open(self, case_id: str) -> None:
        """Mark the case that is open."""
        self._open = case_id
        self._listed()

    def _listed(self, *_: object) -> None:
        self._count.setText(str(self._filter.rowCount()))
        for row in range(self._filter.rowCount()):
            index = self._filter.index(row, 0)
            if index.data(CARD_ROLE).case.case_id == self._open:
                flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
                self.view.selectionModel().setCurrentIndex(index, flag)
                return
        self.view.clearSelection()

    def _choose(self, index: QModelIndex) -> None:
        case_id = index.data(CARD_ROLE).case.case_id
        if case_id != self._open:
            self.chosen.emit(case_id)
