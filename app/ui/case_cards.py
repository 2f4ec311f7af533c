"""The library's cases as a model with a delegate that paints cards. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import (
    QObject,
    QPointF,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetricsF, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.core.case import Case, CaseState
from app.core.taxonomy import find_taxonomy, taxonomy_naming
from app.core.timeline import Timeline
from app.ui import theme
from app.ui.card_model import ROW_ROLE, CardModel, Index
from app.ui.case_name import DEFAULT_TITLE, TitleField, editable_title
from app.ui.style import ring_shown
from app.ui.timeline import paint
from app.ui.words import date, moment

CARD = (256, 222)
PICTURE_HEIGHT = 144
GAP = 12
STATE_WORDS = {
    CaseState.NEW: ("New", "text_3"),
    CaseState.WORKING: ("Working", "accent"),
    CaseState.QUESTIONS: ("Questions", "warn"),
    CaseState.DONE: ("Done", "ok"),
    CaseState.FAILED: ("Failed", "error"),
}
CARD_ROLE = ROW_ROLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Card:
    """What a card shows.

    Attributes:
        case: the case.
        picture: its thumbnail, null while there is none.
        human: the human tier.
        model: the model's timeline.
        missing: its recording is not where it was.
        damage: why not all of it can be read, in a sentence; "" where all can.
        analysis: how its analysis stands, in words, where it was begun and is not whole.
    """

    case: Case
    picture: QImage
    human: Timeline | None = None
    model: Timeline | None = None
    missing: bool = False
    damage: str = ""
    analysis: str = ""

    @property
    def procedure_name(self) -> str:
        """The procedure in words."""
        return find_taxonomy(self.case.procedure).name

    @property
    def name(self) -> str:
        """What it is called: by the operation, where nobody named it."""
        unnamed = self.case.title == DEFAULT_TITLE
        return self.procedure_name if unnamed else self.case.title

    @property
    def corrections(self) -> str:
        """``2 corrections``, "" for none."""
        number = self.case.corrections
        return f"{number} correction{'' if number == 1 else 's'}" if number else ""

    @property
    def has_recording(self) -> bool:
        """Whether there is a picture to show, not labels alone."""
        return any(asset.has_recording for asset in self.case.assets)

    @property
    def duration_ms(self) -> float:
        """Length of all recordings."""
        return sum(a.duration_ms for a in self.case.assets)

    @property
    def state(self) -> tuple[str, str]:
        """How it stands, in a word, and the colour token of that."""
        if self.damage:
            return "Damaged", "error"
        if self.missing:
            return "Part missing", "error"
        return (self.analysis, "text_2") if self.analysis else STATE_WORDS[self.case.state]

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has worked on it and nothing is wrong with it."""
        return self.case.state is CaseState.NEW and not self.missing and not self.damage

    def spoken(self) -> str:
        """The card in words, for screen readers and search."""
        words = (
            f"{self.case.case_id} {self.case.title}, {date(self.case.created_utc_ms)}, "
            f"{self.procedure_name}, {self.state[0]}, {moment(self.duration_ms)}"
        )
        if self.corrections:
            words += f", {self.corrections}"
        if not self.has_recording:
            words += ", no recording"
        return f"{words}. {self.damage}" if self.damage else words


class CaseModel(CardModel[Card]):
    """All cases, newest first.

    Signals:
        renamed: (case id, title) another name was entered for a case.
    """

    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._analysis: dict[str, str] = {}

    @property
    def cards(self) -> tuple[Card, ...]:
        """All cards."""
        return self.rows

    def set_cards(self, cards: Sequence[Card]) -> None:
        """Show other cases; the same ones are changed in place, so that selections stay."""
        cards = [replace(c, analysis=self._analysis.get(c.case.case_id, "")) for c in cards]
        new = sorted(cards, key=lambda c: c.case.created_utc_ms, reverse=True)
        if [c.case.case_id for c in new] == [c.case.case_id for c in self.rows]:
            self.rows = tuple(new)
            if new:
                self.dataChanged.emit(self.index(0), self.index(len(new) - 1))
            return
        self.show_rows(new)

    def set_analysis(self, words: dict[str, str]) -> None:
        """How the analysis of cases stands, by their number."""
        if words != self._analysis:
            self._analysis = words
            self.set_cards(self.rows)

    def set_picture(self, case_id: str, picture: QImage) -> None:
        """A case's thumbnail was made."""
        for i, card in enumerate(self.rows):
            if card.case.case_id == case_id:
                changed = replace(card, picture=picture)
                self.rows = (*self.rows[:i], changed, *self.rows[i + 1 :])
                self.row_changed(i)

    def name_of(self, row: Card) -> str:
        """The case's number."""
        return row.case.case_id

    def spoken_of(self, row: Card) -> str:
        """The card in words."""
        return row.spoken()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The card, its words, or its title to be edited."""
        if role == Qt.ItemDataRole.EditRole and index.isValid():
            return editable_title(self.rows[index.row()].case.title)
        return super().data(index, role)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Names can be changed where the view lets one."""
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Another name was entered; it shows once it is stored."""
        title = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not title:
            return False
        case = self.rows[index.row()].case
        if title != case.title:
            self.renamed.emit(case.case_id, title)
        return True


class CaseFilter(QSortFilterProxyModel):
    """Cases that match the search field and the ticked filters."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self._procedures: frozenset[str] = frozenset()
        self._states: frozenset[str] = frozenset()

    def set_words(self, text: str) -> None:
        """Words that number, title, date, procedure, state or phases must contain."""
        self._words = tuple(text.lower().split())
        self._again()

    def set_ticked(self, procedures: frozenset[str], states: frozenset[str]) -> None:
        """Only these; an empty set lets all through."""
        self._procedures, self._states = procedures, states
        self._again()

    def _again(self) -> None:
        self.beginFilterChange()
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        """Whether a case is shown."""
        card = self.sourceModel().index(row, 0, parent).data(CARD_ROLE)
        if self._procedures and card.case.procedure not in self._procedures:
            return False
        if self._states and str(card.case.state) not in self._states:
            return False
        text = card.spoken().lower()
        if self._words:
            taxonomy = find_taxonomy(card.case.procedure)
            for tier in (card.human, card.model):
                for segment in tier.segments if tier else ():
                    text += " " + taxonomy.phase_name(segment.phase).lower()
        return all(w in text for w in self._words)


def draw_no_recording(painter: QPainter, place: QRectF) -> None:
    """In the place of a picture, that there is none: a black one would pass for a recording."""
    painter.setFont(theme.font("small"))
    painter.setPen(theme.color("osd_text_2"))
    wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(place, int(wrapped), "No recording")


def _card_rect(option: QStyleOptionViewItem) -> QRectF:
    return QRectF(option.rect).adjusted(0, 0, -GAP, -GAP).adjusted(2, 2, -2, -2)


class CardDelegate(QStyledItemDelegate):
    """Paints cards."""

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self.card_width = theme.px(CARD[0])

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """A card and the gap beside it."""
        return QSize(self.card_width + GAP, self.height() + GAP)

    def height(self) -> int:
        """Picture in proportion to the width, and three lines of text."""
        return round(self.card_width * PICTURE_HEIGHT / CARD[0]) + theme.px(78)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A field over the card's second line."""
        return TitleField(parent)

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Fill the field, but never over what is being typed: the list is read again meanwhile."""
        assert isinstance(editor, TitleField)  # noqa: S101 - made above
        if not editor.isModified():
            editor.setText(str(index.data(Qt.ItemDataRole.EditRole)))

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Over the name, a little larger than it."""
        rect = _card_rect(option)
        high = rect.width() * PICTURE_HEIGHT / CARD[0]
        middle = rect.y() + high + theme.px(9) + 1.5 * theme.px(18) + 5
        tall = theme.px(28)
        editor.setGeometry(QRectF(rect.x() + 4, middle - tall / 2, rect.width() - 8, tall).toRect())

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """One card."""
        card: Card = index.data(CARD_ROLE)
        rect = _card_rect(option)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hover = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("raised" if hover or selected else "panel"))
        painter.drawRoundedRect(rect, 8, 8)
        high = rect.width() * PICTURE_HEIGHT / CARD[0]
        self._picture(painter, card, QRectF(rect.x(), rect.y(), rect.width(), high))
        self._words(painter, card, rect.adjusted(12, high + theme.px(9), -12, -theme.px(10)))
        if selected:
            strong = ring_shown(self._view) or self._view.hasFocus()
            painter.setPen(QPen(theme.color("accent" if strong else "control_edge"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 1), 9, 9)
        painter.restore()

    def _picture(self, painter: QPainter, card: Card, place: QRectF) -> None:
        painter.save()
        path = QPainterPath()
        path.addRoundedRect(place.adjusted(0, 0, 0, 8), 8, 8)
        painter.setClipPath(path)
        painter.setClipRect(place, Qt.ClipOperation.IntersectClip)
        painter.fillRect(place, theme.color("stage"))
        if not card.picture.isNull():
            size = (
                card.picture.size()
                .toSizeF()
                .scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatioByExpanding)
            )
            x = place.center().x() - size.width() / 2
            y = place.center().y() - size.height() / 2
            painter.drawImage(QRectF(x, y, size.width(), size.height()), card.picture)
        painter.restore()
        if not card.has_recording:
            draw_no_recording(painter, place)
        text = moment(card.duration_ms)
        painter.setFont(theme.font("caption"))
        wide = QFontMetricsF(painter.font()).horizontalAdvance(text) + 12
        high = theme.px(18)
        tag = QRectF(place.right() - wide - 6, place.bottom() - high - 6, wide, high)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("osd_bg"))
        painter.drawRoundedRect(tag, 4, 4)
        painter.setPen(theme.color("osd_text"))
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)

    def _words(self, painter: QPainter, card: Card, place: QRectF) -> None:
        line = theme.px(18)
        first = QRectF(place.x(), place.y(), place.width(), line)
        middle = Qt.AlignmentFlag.AlignVCenter
        word, token = card.state
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        wide = metrics.horizontalAdvance(word)
        painter.setPen(theme.color(token))
        painter.drawText(first, Qt.AlignmentFlag.AlignRight | middle, word)
        self._dot(painter, QPointF(first.right() - wide - 10, first.center().y()), card, token)
        painter.setFont(theme.font("heading"))
        painter.setPen(theme.color("text"))
        painter.drawText(first, middle, card.case.case_id)
        x = QFontMetricsF(painter.font()).horizontalAdvance(card.case.case_id) + 8
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("text_2"))
        room = QRectF(first.x() + x, first.y(), first.width() - x - wide - 20, line)
        day = metrics.elidedText(
            date(card.case.created_utc_ms), Qt.TextElideMode.ElideRight, room.width()
        )
        painter.drawText(room, middle, day)
        second = first.translated(0, line)
        name = metrics.elidedText(card.name, Qt.TextElideMode.ElideRight, second.width())
        painter.drawText(second, middle, name)
        bar = QRectF(place.x(), place.bottom() - theme.px(8), place.width(), theme.px(6))
        self._bar(painter, card, bar)

    def _dot(self, painter: QPainter, at: QPointF, card: Card, token: str) -> None:
        painter.save()
        if card.is_untouched:
            painter.setPen(QPen(theme.color(token), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(token))
        painter.drawEllipse(at, 3, 3)
        painter.restore()

    def _bar(self, painter: QPainter, card: Card, place: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("control"))
        painter.drawRoundedRect(place, 2, 2)
        timeline = card.human or card.model
        if timeline is None:
            return
        phases = {s.phase for s in timeline.segments}
        looks = paint.PhaseLooks(taxonomy_naming(card.case.procedure, phases))
        span = timeline.end_pts - timeline.start_pts
        tier = "you" if card.human else "model"
        for segment in timeline.segments:
            x0 = place.x() + (segment.start_pts - timeline.start_pts) / span * place.width()
            x1 = place.x() + (segment.end_pts - timeline.start_pts) / span * place.width()
            look = looks.look(segment.phase, tier)
            rect = QRectF(x0, place.y(), max(1.0, x1 - x0 - 1), place.height())
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.fill)
            painter.drawRoundedRect(rect, 2, 2)
