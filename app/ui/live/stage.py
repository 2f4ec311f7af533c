"""The live picture with what must be read from two metres away. GUI thread.

Larger type than elsewhere: nobody in a theatre stands at the screen. Words lie on plates where the
picture behind them is bright, as in Review.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QFontMetricsF, QImage, QPainter, QPen

from app.core.taxonomy import Phase
from app.ui import osd, theme
from app.ui.stage import Stage
from app.ui.widgets import draw_letter
from app.ui.words import clock

MOST_MARKS = 4
THUMB = (112, 63)
_DOT_PX = 9.0
_QUIET, _WARN = "osd_text_2", "osd_warn"
_BESIDE_PX, _WIDEST_LIKELY = 14, "100 %"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRow:
    """One marked stretch as the list shows it."""

    title: str
    detail: str
    image: QImage = field(compare=False, default_factory=QImage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A plate over the middle of the picture: what is wrong and what is being done."""

    icon: str
    title: str
    detail: str = ""
    tone: str = "osd_warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toast:
    """What was just done, at the bottom of the picture for a moment."""

    text: str
    small: str = ""
    icon: str = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """What is written on the picture.

    Attributes:
        recording: the red dot is lit.
        elapsed_ms: of the recording; None while there is none: that is said in its place.
        lines: below the time: size, room left; or that nothing is recorded.
        warn: the last of ``lines`` is a warning.
        phase: that runs now, None while unknown.
        phase_human: a human keyed it.
        phase_likely: how likely the model's newest look makes it, 0 to 1; None where a human keyed
            it and while nothing new is said.
        phase_lines: below the phase.
        foreseen: what comes next in full, "" where nothing is foreseen.
        overlay: age of the overlay in words, "" without one.
        overlay_tone: colour token of its dot.
        overlay_detail: below it.
        caution: what to know about the models, "" for nothing.
        marks: newest first; the list shows four.
        mark_count: how many there are.
        notice: over the middle, None when all is well.
        toast: at the bottom for a moment.
        toast_floor_px: how much of the picture is covered from below; the toast lies above.
    """

    recording: bool = False
    elapsed_ms: float | None = None
    lines: tuple[str, ...] = ()
    warn: bool = False
    phase: Phase | None = None
    phase_human: bool = False
    phase_likely: float | None = None
    phase_lines: tuple[str, ...] = ()
    foreseen: str = ""
    overlay: str = ""
    overlay_tone: str = "osd_text_3"
    overlay_detail: str = ""
    caution: str = ""
    marks: tuple[MarkRow, ...] = ()
    mark_count: int = 0
    notice: Notice | None = None
    toast: Toast | None = None
    toast_floor_px: int = 0

    @property
    def likely_words(self) -> str:
        """``83 %``, "" without a number."""
        return "" if self.phase_likely is None else f"{100 * self.phase_likely:.0f} %"

    @property
    def spoken(self) -> str:
        """The phase and what is foreseen, for those who hear it."""
        said = "" if self.phase is None else f"{self.phase.name} {self.likely_words}".strip()
        return ". ".join(part for part in (said, self.foreseen) if part)


class LiveStage(Stage):
    """The picture, its overlay and the words in its corners."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Live picture")
        self.view = LiveView()
        self._bright = {"left": False, "right": False, "marks": False}
        self._luma_timer = QTimer(self)
        self._luma_timer.setInterval(1000)
        self._luma_timer.timeout.connect(self.look_at_corners)

    def show_view(self, view: LiveView) -> None:
        """Write something else."""
        if view != self.view:
            if view.spoken != self.view.spoken:
                self.setAccessibleDescription(view.spoken)
            before = self._corners()
            self.view = view
            if self._corners() != before:
                self.look_at_corners()
            self.update()

    def tip_at(self, point: QPointF) -> str:
        """What is foreseen, in full, over its words."""
        return self.view.foreseen if self._left_rect().contains(point) else ""

    def start(self) -> None:
        """Begin to look at the corners once a second."""
        self.look_at_corners()
        self._luma_timer.start()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._luma_timer.stop()

    def look_at_corners(self) -> None:
        """Where the picture is bright, words get a plate."""
        corners = self._corners()
        bright = self.bright_behind(corners, spots=corners)  # pale tissue beside a dark wall
        if bright is not None and bright != self._bright:
            self._bright = bright
            self.update()

    def _corners(self) -> dict[str, QRectF]:
        return {
            "left": self._left_rect(),
            "right": self._right_rect(),
            "marks": self._marks_rect(),
        }

    def paint_over(self, painter: QPainter) -> None:
        """Corners, list of marks, notice, toast."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.view.notice is not None:
            # A picture that stands still must not pass for a live one.
            painter.fillRect(self.rect(), theme.color("dim"))
        self._paint_left(painter)
        self._paint_right(painter)
        if self.view.notice is not None:
            self._paint_notice(painter, self.view.notice)
        if self.view.toast is not None:
            self._paint_toast(painter, self.view.toast)

    def _left_lines(self) -> list[osd.Text]:
        view = self.view
        return [
            osd.Text(
                text=text,
                role="far",
                token=_WARN if view.warn and i == len(view.lines) - 1 else _QUIET,
                gap=2,
            )
            for i, text in enumerate(view.lines)
        ]

    def _left_rect(self) -> QRectF:
        lines, high = self._left_lines(), float(theme.px(46))
        wide = float(theme.px(190))
        if lines:
            high += osd.height(lines) + 4
            wide = max(wide, osd.width(lines))
        if self.view.phase is not None:
            name = theme.text_px("far_title", self.view.phase.name)
            likely = theme.text_px("far", _WIDEST_LIKELY) if self.view.likely_words else 0.0
            wide = max(wide, name + likely + theme.px(42 + _BESIDE_PX))
            high += theme.px(24 + 34) + len(self.view.phase_lines) * theme.px(24)
            wide = max(
                wide,
                *(
                    QFontMetricsF(theme.font("far")).horizontalAdvance(t)
                    for t in self.view.phase_lines
                ),
                0.0,
            )
        return QRectF(osd.MARGIN - 14, osd.MARGIN - 12, wide + 28, high + 24)

    def _paint_left(self, painter: QPainter) -> None:
        view = self.view
        if self._bright["left"]:
            osd.plate(painter, self._left_rect())
        x, y = float(osd.MARGIN), float(osd.MARGIN)
        self._paint_clock(painter, x, y)
        y += theme.px(46) + 4
        lines = self._left_lines()
        if lines:
            osd.draw_lines(painter, lines, QPointF(x, y), right=False)
            y += osd.height(lines)
        if view.phase is not None:
            self._paint_phase(painter, view.phase, x, y + theme.px(20))

    def _paint_clock(self, painter: QPainter, x: float, y: float) -> None:
        view = self.view
        reach = theme.px(_DOT_PX)
        dot = QPointF(x + reach, y + theme.px(23))
        if view.recording:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("osd_record"))
            painter.drawEllipse(dot, reach, reach)
        else:
            painter.setPen(QPen(theme.color("osd_text_3"), 2.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(dot, reach - 1, reach - 1)
        role, text = "far_title", "Not recording"
        if view.elapsed_ms is not None:
            role, text = "far_clock", clock(view.elapsed_ms)[0]
        metrics = QFontMetricsF(theme.font(role))
        at = QPointF(x + theme.px(30), y + (theme.px(46) + metrics.capHeight()) / 2)
        osd.draw_text(painter, at, text, role, theme.color("osd_text"))

    def _paint_phase(self, painter: QPainter, phase: Phase, x: float, y: float) -> None:
        view, side = self.view, theme.px(30)
        paint = (theme.human_paint if view.phase_human else theme.model_paint)(phase.colour)
        draw_letter(painter, QRectF(x, y, side, side), phase.code, paint, "touch")
        metrics = QFontMetricsF(theme.font("far_title"))
        at = QPointF(x + side + 12, y + (side + metrics.capHeight()) / 2)
        osd.draw_text(painter, at, phase.name, "far_title", theme.color("osd_text"))
        beside = theme.text_px("far_title", phase.name) + theme.px(_BESIDE_PX)
        words, there = view.likely_words, at + QPointF(beside, 0)
        osd.draw_text(painter, there, words, "far", theme.color(_QUIET))
        lines = [osd.Text(text=t, role="far", token=_QUIET, gap=2) for t in view.phase_lines]
        if lines:
            osd.draw_lines(painter, lines, QPointF(x, y + side + 6), right=False)

    def _right_lines(self) -> list[osd.Text]:
        view = self.view
        if not view.overlay:
            return []
        below = ((view.overlay_detail, _QUIET), (view.caution, _WARN))
        return [
            osd.Text(text=view.overlay, role="far"),
            *(osd.Text(text=t, role="body", token=token, gap=2) for t, token in below if t),
        ]

    def _right_rect(self) -> QRectF:
        lines = self._right_lines()
        if not lines:
            return QRectF()
        wide = max(osd.width(lines), osd.width(lines[:1]) + theme.px(16) + 5)
        left = self.width() - osd.MARGIN - wide
        return QRectF(left - 14, osd.MARGIN - 12, wide + 28, osd.height(lines) + 24)

    def _marks_rect(self) -> QRectF:
        """Below the words about outlines."""
        if not self.view.marks:
            return QRectF()
        words = self._right_rect()
        top = words.bottom() + 6 if words.height() else osd.MARGIN - 12.0
        high = theme.px(30) + len(self._marks()) * theme.px(THUMB[1] + 10)
        wide = theme.px(286) + 28.0
        return QRectF(self.width() - osd.MARGIN + 14 - wide, top, wide, high + 16)

    def _paint_right(self, painter: QPainter) -> None:
        view = self.view
        for place, rect in (("right", self._right_rect()), ("marks", self._marks_rect())):
            if self._bright[place] and rect.height():
                osd.plate(painter, rect)
        right, y = float(self.width() - osd.MARGIN), float(osd.MARGIN)
        lines = self._right_lines()
        if lines:
            osd.draw_lines(painter, lines, QPointF(right, y), right=True)
            wide = osd.width(lines[:1])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(view.overlay_tone))
            painter.drawEllipse(QPointF(right - wide - theme.px(16), y + theme.px(11)), 5, 5)
        if view.marks:
            self._paint_marks(painter, right, self._marks_rect().top() + 12)

    def _marks(self) -> tuple[MarkRow, ...]:
        """As many as leave the picture free: a low window shows the newest alone."""
        room = (self.height() / 2 - theme.px(110)) / theme.px(THUMB[1] + 10)
        return self.view.marks[: max(1, min(MOST_MARKS, int(room)))]

    def _paint_marks(self, painter: QPainter, right: float, y: float) -> None:
        view = self.view
        head = [osd.Text(text=f"Marked {view.mark_count}", role="far", token=_QUIET)]
        osd.draw_lines(painter, head, QPointF(right, y), right=True)
        y += theme.px(30)
        wide, high = theme.px(THUMB[0]), theme.px(THUMB[1])
        for row in self._marks():
            frame = QRectF(right - wide, y, wide, high)
            painter.fillRect(frame, theme.color("stage"))
            if not row.image.isNull():
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                painter.drawImage(frame, row.image)
            painter.setPen(theme.color("osd_line"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(frame.adjusted(0.5, 0.5, -0.5, -0.5))
            lines = [
                osd.Text(text=row.title, role="far"),
                osd.Text(text=row.detail, role="body", token=_QUIET, gap=0),
            ]
            osd.draw_lines(painter, lines, QPointF(right - wide - 12, y + theme.px(8)), right=True)
            y += high + theme.px(10)

    def _paint_notice(self, painter: QPainter, notice: Notice) -> None:
        title, body = theme.font("far_title"), theme.font("far")
        side = theme.px(40)
        wide = max(
            QFontMetricsF(title).horizontalAdvance(notice.title),
            QFontMetricsF(body).horizontalAdvance(notice.detail),
        )
        wide = min(wide + side + theme.px(76), self.width() - 64.0)
        high = theme.px(96 if notice.detail else 76)
        rect = QRectF((self.width() - wide) / 2, (self.height() - high) / 2, wide, high)
        osd.plate(painter, rect, 14)
        icon = theme.pixmap(notice.icon, side, notice.tone, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(rect.x() + theme.px(24), rect.center().y() - side / 2), icon)
        words = rect.adjusted(theme.px(36) + side, theme.px(16), -theme.px(20), -theme.px(16))
        left = Qt.AlignmentFlag.AlignLeft
        painter.setFont(title)
        painter.setPen(theme.color("osd_text"))
        place = Qt.AlignmentFlag.AlignTop if notice.detail else Qt.AlignmentFlag.AlignVCenter
        painter.drawText(words, left | place, notice.title)
        painter.setFont(body)
        painter.setPen(theme.color("osd_text_2"))
        text = QFontMetricsF(body).elidedText(
            notice.detail, Qt.TextElideMode.ElideRight, words.width()
        )
        painter.drawText(words, left | Qt.AlignmentFlag.AlignBottom, text)

    def _paint_toast(self, painter: QPainter, toast: Toast) -> None:
        far, body = theme.font("far"), theme.font("body")
        side, gap = theme.px(20), theme.px(12)
        first = QFontMetricsF(far).horizontalAdvance(toast.text)
        second = QFontMetricsF(body).horizontalAdvance(toast.small)
        gaps = 2 * gap if toast.small else gap
        wide = first + second + side + gaps + theme.px(36)
        high = theme.px(52)
        y = self.height() - self.view.toast_floor_px - high - 24.0
        rect = QRectF((self.width() - wide) / 2, y, wide, high)
        osd.plate(painter, rect)
        icon = theme.pixmap(toast.icon, side, "osd_ok", self.devicePixelRatioF())
        x = rect.x() + theme.px(18)
        painter.drawPixmap(QPointF(x, rect.center().y() - side / 2), icon)
        x += side + gap
        baseline = rect.center().y() + QFontMetricsF(far).capHeight() / 2
        osd.draw_text(painter, QPointF(x, baseline), toast.text, "far", theme.color("osd_text"))
        at = QPointF(x + first + gap, baseline)
        osd.draw_text(painter, at, toast.small, "body", theme.color("osd_text_2"))
