"""The Review workspace: the stage with its four corners, the transport plate and the ribbon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from app.core.forecast import Forecast, forecast_at
from app.core.frame import Frame
from app.ui import osd, theme
from app.ui.keys import KeyMap
from app.ui.player_bridge import PlayerBridge
from app.ui.review_lanes import ReviewLanes
from app.ui.ribbon import Block, Ribbon
from app.ui.session import Session
from app.ui.stage import Stage
from app.ui.stage_menu import FIND, LOOK, LOOK_AT, PICTURE, STRETCH, open_menu
from app.ui.thumbnails import Thumbnails
from app.ui.timeline.forecast import short_words, whole_words
from app.ui.transport import Transport
from app.ui.widgets import draw_letter, mark
from app.ui.words import clock, count, moment

CARD = QSize(192, 142)
_JUMP_FRAMES = 12
FORECAST_HOLDS_S = 3
LANES_SHARE = 0.3


class ReviewStage(Stage):
    """The stage with the words of Review in the black corners of the picture."""

    def __init__(self, session: Session, keys: KeyMap) -> None:
        super().__init__()
        self._session = session
        self._keys = keys
        self.time_ms = 0.0
        self.exact = True
        self.block: Block | None = None
        self.other_phase: str | None = None
        self.forecast: Forecast | None = None
        self.progress: tuple[str, ...] = ()
        self.key: tuple[osd.KeyRow, ...] = ()
        self._bright = {"left": False, "right": False, "bottom": False, "key": False}
        self._luma_timer = QTimer(self)
        self._luma_timer.setInterval(1000)
        self._luma_timer.timeout.connect(self._look_at_corners)

    def start(self) -> None:
        """Begin to look at the corners once a second."""
        self._look_at_corners()
        self._luma_timer.start()

    def set_frame(self, frame: Frame | None, view: NDArray[np.uint8] | None = None) -> None:
        """Show a frame; a jump to another place shows in the corners at once."""
        before = self.frame
        super().set_frame(frame, view)
        if before is None or frame is None or abs(frame.index - before.index) > _JUMP_FRAMES:
            self._look_at_corners()

    def set_chips(self, chips: tuple[str, ...]) -> None:
        """Short words at the top of the picture; spoken as well."""
        super().set_chips(chips)
        self._describe()

    def set_forecast(self, forecast: Forecast | None) -> None:
        """What is foreseen at the frame on screen; spoken as well."""
        if forecast != self.forecast:
            self.forecast = forecast
            self._describe()
            self.update()

    def tip_at(self, point: QPointF) -> str:
        """What is foreseen, in full, over its words."""
        return self._foreseen_words() if self._corners()["left"].contains(point) else ""

    def _foreseen_words(self) -> str:
        if self.forecast is None or self.block is None:
            return ""
        return whole_words(self.forecast, self._session.shown_taxonomy)

    def _describe(self) -> None:
        said = [*self.chips, self._foreseen_words()]
        self.setAccessibleDescription(", ".join(filter(None, said)))

    def set_key(self, key: tuple[osd.KeyRow, ...]) -> None:
        """The outlines on screen changed."""
        if key != self.key:
            as_large = len(key) == len(self.key)
            self.key = key
            if not as_large:
                self._look_at_corners()
            self.update()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._luma_timer.stop()

    def _corners(self) -> dict[str, QRectF]:
        w, h, m = self.width(), self.height(), osd.MARGIN
        wide, high = theme.px(236), theme.px(70 if self.forecast is None else 112)
        return {
            "left": QRectF(m, m, wide, high),
            "right": self._clock_rect(),
            "bottom": QRectF(w - m - wide, h - m - theme.px(40), wide, theme.px(40)),
            "key": self._key_rect() if self.key else QRectF(),
        }

    def _look_at_corners(self) -> None:
        corners = self._corners()
        bright = self.bright_behind(corners, spots=corners)  # a recorder's own words are small
        if bright is not None and bright != self._bright:
            self._bright = bright
            self.update()

    def paint_over(self, painter: QPainter) -> None:
        """Phase now, clock, instrument key, progress."""
        if self._session.asset is None or self._session.missing:
            return
        self._paint_phase(painter)
        self._paint_clock(painter)
        self._paint_progress(painter)
        if self.key:
            hint = f"Hold {self._keys.hint('hold_tissue')} to see tissue only"
            rect = self._key_rect()
            if self._bright["key"]:
                osd.plate(painter, rect)
            osd.draw_key(painter, rect.adjusted(12, 0, -12, 0), self.key, hint)

    def _clock_rect(self) -> QRectF:
        left = self.width() - osd.MARGIN - theme.px(164)
        return QRectF(left, osd.MARGIN - 10, theme.px(176), theme.px(84))

    def _key_rect(self) -> QRectF:
        hint = f"Hold {self._keys.hint('hold_tissue')} to see tissue only"
        wide, high = osd.key_size(self.key, hint)
        right, middle = self.width() - osd.MARGIN, self.height() * 0.46
        return QRectF(right - wide - 12, middle - high / 2 - 8, wide + 24, high + 16)

    def _paint_phase(self, painter: QPainter) -> None:
        session, block = self._session, self.block
        assert session.asset is not None  # noqa: S101 - asked by the caller
        if block is None:
            return
        phase = session.shown_taxonomy.phase(block.segment.phase)
        since = self.time_ms - session.asset.time_ms(block.segment.start_pts)
        lines = [osd.Text(text=f"{moment(since)} in this phase", role="small")]
        said = "The model says"
        if block.human:
            said = "Imported, or decided since" if session.imported else "You decided"
        other = self.other_phase
        if other is not None:
            said += f", the model says {session.shown_taxonomy.phase_name(other)}"
        lines.append(
            osd.Text(text=said, role="small", token="osd_text_3")  # noqa: S106 - a colour token
        )
        lines += self._foreseen()
        name = session.shown_taxonomy.phase_name(block.segment.phase)
        if self._bright["left"]:
            beside = theme.px(22) + 9  # the letter's square
            wide = max(osd.width([osd.Text(text=name, role="title")]) + beside, osd.width(lines))
            high = theme.px(28) + osd.height(lines)
            osd.plate(painter, QRectF(osd.MARGIN - 12, osd.MARGIN - 10, wide + 24, high + 20))
        at = QPointF(osd.MARGIN, osd.MARGIN)
        osd.draw_phase(
            painter,
            at,
            phase.code if phase else "?",
            name,
            phase.colour if phase else None,
            human=block.human,
        )
        osd.draw_lines(painter, lines, at + QPointF(0, theme.px(28)), right=False)

    def _foreseen(self) -> list[osd.Text]:
        """What is likely next and when, and how long the rest takes."""
        lines = short_words(self.forecast, self._session.shown_taxonomy)
        tokens, gaps = ("osd_text", "osd_text_3"), (8, 4)
        return [
            osd.Text(text=text, role="small", token=token, gap=gap)
            for text, token, gap in zip(lines, tokens, gaps, strict=False)
        ]

    def _paint_clock(self, painter: QPainter) -> None:
        asset = self._session.asset
        assert asset is not None  # noqa: S101
        whole, fraction = clock(self.time_ms)
        frame = self.frame
        left = max(0.0, asset.duration_ms - self.time_ms)
        lines = [
            osd.Text(
                text=f"frame {count(frame.index)}" if frame else "",
                role="small",
                token="osd_text_3",  # noqa: S106
            ),
            osd.Text(text=self._left_words(left), role="small", gap=8),
        ]
        right = self.width() - osd.MARGIN
        if self._bright["right"]:
            osd.plate(painter, self._clock_rect())
        osd.draw_clock(painter, QPointF(right, osd.MARGIN - 4), whole, fraction, exact=self.exact)
        at = QPointF(right, osd.MARGIN + theme.px(28))
        osd.draw_lines(painter, lines, at, right=True)

    def _left_words(self, left_ms: float) -> str:
        asset = self._session.asset
        recorded = asset is not None and asset.has_recording
        return f"{'Recording' if recorded else 'Labels'}: {moment(left_ms)} left"

    def _paint_progress(self, painter: QPainter) -> None:
        if not self.progress:
            return
        lines = [
            osd.Text(text=t, role="small", token="osd_text" if i == 0 else "osd_text_3", gap=2)
            for i, t in enumerate(self.progress)
        ]
        high = osd.height(lines)
        at = QPointF(self.width() - osd.MARGIN, self.height() - osd.MARGIN - high)
        if self._bright["bottom"]:
            wide = osd.width(lines)
            osd.plate(painter, QRectF(at.x() - wide - 12, at.y() - 8, wide + 24, high + 16))
        osd.draw_lines(painter, lines, at, right=True)


class HoverCard(QFrame):
    """The picture at the moment under the pointer, over the ribbon."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        mark(self, "osd")
        self.setFixedSize(theme.px(CARD.width()), theme.px(CARD.height()))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.image = QImage()
        self.code, self.name, self.time = "", "", ""
        self.paint: theme.Paint | None = None
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Picture, letter, name, time."""
        painter = QPainter(self)
        osd.plate(painter, QRectF(self.rect()), 8)
        foot = theme.px(34)
        place = QRectF(1, 1, self.width() - 2, self.height() - foot - 1)
        painter.fillRect(place, theme.color("stage"))
        if not self.image.isNull():
            size = self.image.size().scaled(
                place.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio
            )
            x = place.x() + (place.width() - size.width()) / 2
            y = place.y() + (place.height() - size.height()) / 2
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRectF(x, y, size.width(), size.height()), self.image)
        line = QRectF(10, self.height() - foot, self.width() - 20, foot)
        x = line.x()
        if self.paint is not None:
            side = theme.px(16)
            square = QRectF(x, line.center().y() - side / 2, side, side)
            draw_letter(painter, square, self.code, self.paint)
            x += side + 8
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("osd_text_2"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line, right, self.time)
        painter.setPen(theme.color("osd_text"))
        room = QRectF(x, line.y(), line.right() - theme.px(52) - x, line.height())
        name = painter.fontMetrics().elidedText(
            self.name, Qt.TextElideMode.ElideRight, int(room.width())
        )
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, name)


class ReviewWorkspace(QWidget):
    """Stage, transport plate, ribbon, hover card."""

    def __init__(
        self, session: Session, player: PlayerBridge, thumbnails: Thumbnails, keys: KeyMap
    ) -> None:
        super().__init__()
        self._session = session
        self._player = player
        self._thumbnails = thumbnails
        self.stage = ReviewStage(session, keys)
        self.ribbon = Ribbon()
        self.lanes = ReviewLanes(self)
        self.lanes.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.stage, 1)
        layout.addWidget(self.ribbon)
        layout.addWidget(self.lanes)
        self.transport = Transport(keys, self.stage)
        self.card = HoverCard(self)
        self.stage.moved.connect(lambda _: self.transport.wake())
        self.stage.activated.connect(lambda _: self._clicked())
        self.ribbon.hovered.connect(self._hover)
        self.ribbon.view_changed.connect(self._follow_view)
        for part, groups in (
            (self.stage, (FIND, PICTURE, LOOK, STRETCH)),
            (self.ribbon, (LOOK_AT, STRETCH)),
        ):
            part.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            part.customContextMenuRequested.connect(
                lambda at, w=part, g=groups: self._menu(w, at, g)
            )
        self._keys = keys

    def regions(self) -> tuple[QWidget, ...]:
        """What F6 visits, in order."""
        own = (self.stage, self.transport, self.ribbon)
        return (*own, self.lanes) if self.lanes_open else own

    @property
    def lanes_open(self) -> bool:
        """Whether the lanes are shown below the ribbon."""
        return not self.lanes.isHidden()

    def show_lanes(self, *, shown: bool) -> None:
        """Show the lanes below the ribbon, or the picture in their place."""
        self.lanes.setVisible(shown)
        self.ribbon.set_left(self.lanes.left_px if shown else None)
        self._follow_view()
        self._place()

    def _follow_view(self) -> None:
        self.lanes.set_view(self.ribbon.shown_ms)

    def show_frame(self, time_ms: float, *, exact: bool) -> None:
        """The frame on screen changed."""
        self.stage.time_ms, self.stage.exact = time_ms, exact
        self.ribbon.set_time(time_ms)
        self.lanes.set_time(time_ms)
        self._name_phase()
        self.stage.update()  # labels alone have no new picture that would repaint clock and phase

    def show_key(self, key: tuple[osd.KeyRow, ...]) -> None:
        """The outlines on screen changed."""
        self.stage.set_key(key)

    def show_progress(self, lines: tuple[str, ...], tail_words: str) -> None:
        """How far the analysis is."""
        self.stage.progress = lines
        self.stage.update()
        if self.ribbon.data.tail_words != tail_words:
            self.ribbon.data.tail_words = tail_words
            self.ribbon.invalidate()

    def refresh_phases(self, tail_words: str) -> None:
        """The human's or the model's tier changed."""
        self.ribbon.show_session(self._session, tail_words)
        self.lanes.show_session(self._session)
        self._name_phase()
        self._place()

    def _name_phase(self) -> None:
        self.stage.block = self.ribbon.block_at(self.stage.time_ms)
        self.stage.other_phase = self._other_phase(self.stage.time_ms)
        name = ""
        if self.stage.block is not None:
            name = (
                ", "
                + self._session.shown_taxonomy.phase_name(self.stage.block.segment.phase).lower()
            )
        whole, _ = clock(self.stage.time_ms)
        self.stage.setAccessibleName(f"Video, {whole}{name}")
        self._foresee()

    def _foresee(self) -> None:
        """What the model foresaw at the frame on screen."""
        asset, model, found = self._session.asset, self._session.model, None
        if asset is not None and model is not None and model.foreseen_run is not None:
            reach = round(FORECAST_HOLDS_S / asset.time_base)
            here = asset.pts(self.stage.time_ms)
            found = forecast_at(model.foreseen_run, model.foreseen, here, reach)
            block = self.stage.block
            if found is not None:
                phase = block.segment.phase if block is not None else None
                found = found.beside(phase, self._session.shown_taxonomy)
        self.ribbon.set_forecast(found)
        self.stage.set_forecast(found)

    def _other_phase(self, ms: float) -> str | None:
        """What the model says where a human decided otherwise."""
        block, asset, model = self.ribbon.block_at(ms), self._session.asset, self._session.model
        if block is None or asset is None or model is None or not block.human:
            return None
        said = model.timeline.phase_at(asset.pts(ms))
        return said if said != block.segment.phase else None

    def _menu(self, part: QWidget, at: QPoint, groups: tuple[tuple[str, ...], ...]) -> None:
        if self._session.frame is not None:
            open_menu(self, self._keys, part.mapToGlobal(at), *groups)

    def _clicked(self) -> None:
        self.stage.setFocus(Qt.FocusReason.MouseFocusReason)
        self._keys.trigger("play")

    def _hover(self, ms: float, x: float) -> None:
        asset = self._session.asset
        if ms < 0 or asset is None:
            self.card.hide()
            return
        block = self.ribbon.block_at(ms)
        words = self._session.shown_taxonomy
        phase = words.phase(block.segment.phase) if block else None
        card = self.card
        card.time = moment(ms)
        card.name = words.phase_name(block.segment.phase) if block else "Not analysed"
        card.code = phase.code if phase else ""
        marked = self.ribbon.bookmark_at(x)
        if marked is not None:
            card.name = marked.note or "Bookmark"
        elif (join := self.ribbon.join_at(x)) is not None:
            card.name = join.words
        elif lost_ms := self.ribbon.lost_at(ms):
            card.name = f"No picture for {lost_ms / 1000:.1f} s"
        elif (other := self._said_beside(asset.pts(ms))) is not None:
            card.name = f"{card.name}, or {words.phase_name(other).lower()}"
        card.paint = None
        if phase is not None and block is not None:
            card.paint = (theme.human_paint if block.human else theme.model_paint)(phase.colour)
        height = round((card.height() - theme.px(34)) * self.devicePixelRatioF())
        image = None
        if asset.has_recording:
            image = self._thumbnails.at(asset, ms, height, self._card_image)
        if image is not None:
            card.image = image
        left = min(max(8.0, x - card.width() / 2), self.width() - card.width() - 8.0)
        card.move(QPoint(round(left), self.ribbon.y() - card.height() - 6))
        card.show()
        card.raise_()
        card.update()

    def _said_beside(self, pts: int) -> str | None:
        """What the other one of two that disagree says at a moment."""
        found = (d for d in self.ribbon.data.differences if d.start_pts <= pts < d.end_pts)
        return next((d.other for d in found), None)

    def _card_image(self, image: QImage) -> None:
        self.card.image = image
        self.card.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the plate above the ribbon; a low window has a low ribbon."""
        super().resizeEvent(event)
        self.ribbon.set_compact(compact=self.height() < 760)
        self.lanes.room_px = self.height() * LANES_SHARE
        self._place()

    def showEvent(self, event: object) -> None:
        """Look at the corners while visible."""
        self.stage.start()
        self.transport.wake()
        self._place()

    def hideEvent(self, event: object) -> None:
        """Nothing runs while hidden."""
        self.stage.stop()
        self.transport.stop()
        self.card.hide()

    def _place(self) -> None:
        self.transport.adjustSize()
        below = self.lanes.sizeHint().height() if self.lanes_open else 0
        stage_height = self.height() - self.ribbon.sizeHint().height() - below
        self.transport.move(
            (self.width() - self.transport.width()) // 2,
            stage_height - self.transport.height() - (16 if self.height() < 760 else 30),
        )
        self.transport.raise_()
