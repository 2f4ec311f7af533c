"""Moments that were found, as a model with a delegate that paints cards. GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QImage, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.core.case import Asset, Case
from app.core.taxonomy import Phase, find_taxonomy, list_taxonomies
from app.ui import theme
from app.ui.card_model import ROW_ROLE, CardModel, Index
from app.ui.case_cards import GAP
from app.ui.case_name import DEFAULT_TITLE
from app.ui.style import ring_shown
from app.ui.widgets import draw_letter
from app.ui.words import moment

if TYPE_CHECKING:
    from app.analysis.moments import Moment

CARD_WIDTH = 230
MOMENT_ROLE = ROW_ROLE
IMAGE_ROLE = ROW_ROLE + 1
NOT_THERE = "The recording is not where it was"
KEPT = 200
_BAR = 3


def phase_of(key: str, procedure: str) -> Phase | None:
    """A phase by its key: of the procedure, else of whichever has it; None where none has."""
    found = find_taxonomy(procedure).phase(key)
    return found or next((p for t in list_taxonomies() if (p := t.phase(key))), None)


def phase_name(key: str, procedure: str) -> str:
    """The words for a phase key."""
    phase = phase_of(key, procedure)
    return phase.name if phase else find_taxonomy(procedure).phase_name(key)


def case_words(case: Case, asset: Asset | None = None) -> str:
    """What a case is called beside its number, and which of several recordings is meant."""
    name = find_taxonomy(case.procedure).name if case.title == DEFAULT_TITLE else case.title
    if asset is None or len(case.assets) < 2:
        return name
    number = next(i for i, a in enumerate(case.assets, 1) if a.asset_id == asset.asset_id)
    return f"Recording {number}, {name}"


class MomentModel(CardModel["Moment"]):
    """Moments, most alike first, with their pictures as they come."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images: dict[tuple[str, int], QImage] = {}

    def set_image(self, asset_id: str, pts: int, image: QImage) -> None:
        """A moment's picture is there; a null one says that there is none."""
        self._images[asset_id, pts] = image
        for row, found in enumerate(self.rows):
            if (found.asset.asset_id, found.pts) == (asset_id, pts):
                self.row_changed(row)

    def clear(self) -> None:
        """Show none, and keep no picture."""
        self.show_rows(())
        self._images.clear()

    def name_of(self, row: Moment) -> str:
        """The case's number."""
        return row.case.case_id

    def spoken_of(self, row: Moment) -> str:
        """The moment in words."""
        return spoken(row)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The moment, its picture, or its words."""
        if role == IMAGE_ROLE and index.isValid():
            found = self.rows[index.row()]
            return self._images.get((found.asset.asset_id, found.pts))
        return super().data(index, role)


def spoken(found: Moment) -> str:
    """A moment in words, for screen readers and tooltips."""
    parts = [
        f"Case {found.case.case_id}, {case_words(found.case, found.asset)}",
        f"at {moment(found.time_ms)}",
    ]
    if found.last_ms > found.first_ms:
        parts.append(f"alike from {moment(found.first_ms)} to {moment(found.last_ms)}")
    if found.phase:
        who = "decided by a person" if found.human else "as the model says"
        parts.append(f"{phase_name(found.phase, found.procedure)}, {who}")
    return ", ".join([*parts, f"similarity {found.similarity:.2f}"])


class MomentDelegate(QStyledItemDelegate):
    """Paints cards of moments."""

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self.card_width = theme.px(CARD_WIDTH)
        self._fitted: dict[tuple[int, int], QPixmap] = {}

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """A card and the gap beside it."""
        return QSize(self.card_width + GAP, self.height() + GAP)

    def height(self) -> int:
        """A picture of 16 by 9 and two lines of text."""
        return round(self.card_width * 9 / 16) + theme.px(58)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """One card."""
        found: Moment = index.data(MOMENT_ROLE)
        rect = QRectF(option.rect).adjusted(2, 2, -GAP - 2, -GAP - 2)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hover = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("hover" if hover or selected else "control"))
        painter.drawRoundedRect(rect, 8, 8)
        high = rect.width() * 9 / 16
        place = QRectF(rect.x(), rect.y(), rect.width(), high)
        _draw_picture(painter, self._fit(index.data(IMAGE_ROLE), place), place)
        _draw_time(painter, found, place)
        _draw_bar(painter, found, place)
        _draw_words(painter, found, rect.adjusted(10, high + theme.px(8), -10, -theme.px(8)))
        if selected:
            strong = ring_shown(self._view) or self._view.hasFocus()
            painter.setPen(QPen(theme.color("accent" if strong else "control_edge"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 1), 9, 9)
        painter.restore()

    def _fit(self, image: QImage | None, place: QRectF) -> QPixmap | None:
        """The picture as large as its place, scaled once; None while it is not known."""
        if image is None or image.isNull():
            return None if image is None else QPixmap()
        ratio = self._view.devicePixelRatioF()
        size = (place.size() * ratio).toSize()
        key = image.cacheKey(), size.width()
        if key not in self._fitted:
            if len(self._fitted) >= KEPT:
                self._fitted.clear()
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode
            made = QPixmap.fromImage(image.scaled(size, keep, smooth.SmoothTransformation))
            made.setDevicePixelRatio(ratio)
            self._fitted[key] = made
        return self._fitted[key]


def _draw_picture(painter: QPainter, picture: QPixmap | None, place: QRectF) -> None:
    painter.save()
    path = QPainterPath()
    path.addRoundedRect(place.adjusted(0, 0, 0, 8), 8, 8)
    painter.setClipPath(path)
    painter.setClipRect(place, Qt.ClipOperation.IntersectClip)
    painter.fillRect(place, theme.color("stage"))
    if picture is not None and not picture.isNull():
        half = QPointF(picture.width(), picture.height()) / (2 * picture.devicePixelRatio())
        painter.drawPixmap(place.center() - half, picture)
    elif picture is not None:
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("osd_text_3"))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(place.adjusted(12, 0, -12, 0), flags, NOT_THERE)
    painter.restore()


def _draw_time(painter: QPainter, found: Moment, place: QRectF) -> None:
    text = moment(found.time_ms)
    painter.setFont(theme.font("caption"))
    wide = QFontMetricsF(painter.font()).horizontalAdvance(text) + 12
    high = theme.px(18)
    tag = QRectF(place.right() - wide - 6, place.bottom() - high - 6 - _BAR, wide, high)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("osd_bg"))
    painter.drawRoundedRect(tag, 4, 4)
    painter.setPen(theme.color("osd_text"))
    painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)


def _draw_bar(painter: QPainter, found: Moment, place: QRectF) -> None:
    """How alike, as a length: grey, since colour belongs to phases."""
    bar = QRectF(place.x(), place.bottom() - _BAR, place.width(), _BAR)
    painter.fillRect(bar, theme.color("pressed"))
    bar.setWidth(bar.width() * max(0.0, min(1.0, found.similarity)))
    painter.fillRect(bar, theme.color("text_2"))


def _draw_words(painter: QPainter, found: Moment, place: QRectF) -> None:
    middle = Qt.AlignmentFlag.AlignVCenter
    line = QRectF(place.x(), place.y(), place.width(), theme.px(18))
    painter.setFont(theme.font("heading"))
    painter.setPen(theme.color("text"))
    painter.drawText(line, middle, found.case.case_id)
    x = QFontMetricsF(painter.font()).horizontalAdvance(found.case.case_id) + 8
    painter.setFont(theme.font("small"))
    metrics = QFontMetricsF(painter.font())
    painter.setPen(theme.color("text_2"))
    room = line.adjusted(x, 0, 0, 0)
    words = metrics.elidedText(
        case_words(found.case, found.asset), Qt.TextElideMode.ElideRight, int(room.width())
    )
    painter.drawText(room, middle, words)
    line.translate(0, theme.px(22))
    painter.drawText(line, Qt.AlignmentFlag.AlignRight | middle, f"{found.similarity:.2f}")
    if not found.phase:
        return
    phase = phase_of(found.phase, found.procedure)
    left = line.x()
    if phase is not None:
        side = theme.px(16)
        square = QRectF(left, line.center().y() - side / 2, side, side)
        paint = (theme.human_paint if found.human else theme.model_paint)(phase.colour)
        draw_letter(painter, square, phase.code, paint)
        left += side + 7
    painter.setFont(theme.font("small"))
    painter.setPen(theme.color("text"))
    room = QRectF(left, line.y(), line.right() - theme.px(40) - left, line.height())
    name = phase_name(found.phase, found.procedure)
    name = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(room.width()))
    painter.drawText(room, middle, name)
