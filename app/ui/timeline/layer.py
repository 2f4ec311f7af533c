"""The parts of the timeline that change seldom, painted into one picture. GUI thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from app.core.timeline import Segment
from app.ui import theme
from app.ui.strip import Strip
from app.ui.timeline import blocks, paint
from app.ui.timeline.data import TimelineData
from app.ui.timeline.geometry import CONFIDENCE_PX, LABELS_PX, Kind, Row, View
from app.ui.timeline.join_marks import draw_joins
from app.ui.timeline.lane_paint import draw_lane
from app.ui.timeline.lanes import Lane, surest_last
from app.ui.timeline.sound_lane import draw_sound

if TYPE_CHECKING:
    from app.video.sound.waveform import Waveform


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything the static picture depends on.

    Attributes:
        view: the visible stretch, over the tiers' area.
        whole: the whole asset over the same area.
        hint_you, hint_model: words in an empty tier.
        strip: small pictures of the recording.
        sound: how loud it is, None where there is nothing to show.
    """

    data: TimelineData
    looks: paint.PhaseLooks
    rows: tuple[Row, ...]
    view: View
    whole: View
    hint_you: str
    hint_model: str
    strip: Strip = field(default_factory=Strip)
    sound: Waveform | None = None


def paint_scene(painter: QPainter, scene: Scene, width_px: float, height_px: float) -> None:
    """Paint all rows; the playhead, selection and pointer come on top of it."""
    painter.fillRect(QRectF(0, 0, width_px, height_px), theme.color("panel"))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for row in scene.rows:
        _label(painter, row)
        painter.save()
        painter.setClipRect(QRectF(scene.view.left_px, row.top_px, scene.view.width_px, 9999))
        _PAINT[row.kind](painter, scene, row)
        painter.restore()
    _lines(painter, scene, width_px)


def bar_of(row: Row, view: View) -> QRectF:
    """Where a row's blocks lie: its middle, over the visible width."""
    extra = CONFIDENCE_PX + 3 if row.kind is Kind.MODEL and not row.folded else 0
    top = row.top_px + (row.height_px - row.bar_px - extra) / 2
    return QRectF(view.left_px, round(top), view.width_px, row.bar_px)


def window_of(scene: Scene, row: Row) -> QRectF:
    """The zoom window on the whole-case strip."""
    bar = bar_of(row, scene.whole)
    x0, x1 = scene.whole.x(scene.view.start_pts), scene.whole.x(scene.view.end_pts)
    return QRectF(x0, bar.top() - 3, max(x1 - x0, 12), bar.height() + 6)


_SMALL = (
    Kind.LANE,
    Kind.INSTRUMENT,
    Kind.INSTRUMENTS,
    Kind.OUTLINES,
    Kind.DISAGREEMENT,
    Kind.PICTURES,
    Kind.SOUND,
)


def _label(painter: QPainter, row: Row) -> None:
    small = row.kind in _SMALL
    font = theme.font("caption" if small or row.folded else "small")
    metrics = QFontMetricsF(font)
    painter.setFont(font)
    painter.setPen(theme.color("text_3" if small or row.folded else "text_2"))
    middle = row.top_px + row.height_px / 2
    if row.kind is Kind.MODEL and not row.folded:
        middle -= (CONFIDENCE_PX + 3) / 2
    # The end of an instrument's name says how it is known.
    cut = (
        Qt.TextElideMode.ElideMiddle if row.kind is Kind.INSTRUMENT else Qt.TextElideMode.ElideRight
    )
    text = metrics.elidedText(row.label, cut, theme.px(LABELS_PX) - 24)
    painter.drawText(QPointF(16, middle + metrics.capHeight() / 2), text)
    painter.setPen(Qt.PenStyle.NoPen)


def _lines(painter: QPainter, scene: Scene, width_px: float) -> None:
    line = theme.color("line")
    kinds = [r.kind for r in scene.rows]
    for row, kind in zip(scene.rows, kinds, strict=True):
        if kind in (Kind.RULER, Kind.OUTLINES, Kind.SOUND) or (
            kind in (Kind.INSTRUMENT, Kind.INSTRUMENTS) and row.index == 0
        ):
            painter.fillRect(QRectF(0, row.top_px, width_px, 1), line)
    if scene.rows:
        last = scene.rows[-1]
        bottom = last.top_px + last.height_px
        top = scene.rows[0].height_px
        painter.fillRect(QRectF(scene.view.left_px - 1, top, 1, bottom - top), line)


def _whole(painter: QPainter, scene: Scene, row: Row) -> None:
    bar = bar_of(row, scene.whole)
    tiers = scene.data.tiers
    painter.fillRect(bar, theme.color("control"))
    if tiers.model is not None:
        blocks.draw_tier(
            painter, tiers.model.segments, scene.looks, "model", scene.whole.x, bar, words=False
        )
    if tiers.you is not None:
        blocks.draw_tier(
            painter, tiers.you.segments, scene.looks, "you", scene.whole.x, bar, words=False
        )
    unseen = scene.whole.x(scene.data.analysed_to_pts)
    if unseen < bar.right() - 1:
        rest = QRectF(unseen, bar.top(), bar.right() - unseen, bar.height())
        paint.draw_stripes(painter, rest, theme.color("control_edge"))
    window = window_of(scene, row)
    veil = QColor(theme.color("panel"))
    veil.setAlphaF(0.5)
    painter.fillRect(QRectF(bar.left(), bar.top(), window.left() - bar.left(), bar.height()), veil)
    painter.fillRect(
        QRectF(window.right(), bar.top(), bar.right() - window.right(), bar.height()), veil
    )
    _ring(painter, window.adjusted(1, 1, -1, -1))
    painter.setBrush(theme.color("playhead"))
    painter.setPen(Qt.PenStyle.NoPen)
    for x in (window.left(), window.right()):
        painter.drawRoundedRect(QRectF(x - 2.5, window.center().y() - 5.5, 5, 11), 2, 2)


def _strip(
    painter: QPainter,
    segments: Sequence[Segment],
    scene: Scene,
    tier: Literal["you", "model"],
    bar: QRectF,
) -> None:
    blocks.draw_tier(painter, segments, scene.looks, tier, scene.whole.x, bar, words=False)


def _ring(painter: QPainter, rect: QRectF) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.color("playhead"), 2))
    painter.drawRoundedRect(rect, blocks.RADIUS_PX, blocks.RADIUS_PX)


def _ruler(painter: QPainter, scene: Scene, row: Row) -> None:
    data, view = scene.data, scene.view
    first, last = data.time_ms(round(view.start_pts)), data.time_ms(round(view.end_pts))
    px_per_ms = view.width_px / max(last - first, 1e-9)
    metrics = QFontMetricsF(theme.font("caption"))
    bottom = row.top_px + row.height_px
    painter.setFont(theme.font("caption"))
    for at in _steps(first, last, paint.minor_step_ms(first, last, px_per_ms)):
        x = view.left_px + (at - first) * px_per_ms
        painter.fillRect(QRectF(round(x), bottom - 4, 1, 4), theme.color("line_strong"))
    for at in paint.ticks(first, last, px_per_ms):
        x = view.left_px + (at - first) * px_per_ms
        painter.fillRect(QRectF(round(x), bottom - 7, 1, 7), theme.color("control_edge"))
        text = paint.clock(at)
        half = metrics.horizontalAdvance(text) / 2
        # At the left edge the words move in, so that the first moment can be read.
        left = max(x - half, view.left_px + 2)
        if left + 2 * half > view.left_px + view.width_px:
            continue
        painter.setPen(theme.color("text_3"))
        painter.drawText(QPointF(left, row.top_px + 4 + metrics.ascent()), text)
    draw_joins(painter, data.joins, view.x, row.top_px + 6, bottom)
    for pts in data.bookmarks:
        paint.draw_diamond(painter, view.x(pts), bottom - 6, 5)
    painter.setPen(Qt.PenStyle.NoPen)


def _steps(first: float, last: float, step: float) -> Iterator[float]:
    at = first // step * step
    while at <= last:
        yield at
        at += step


def _pictures(painter: QPainter, scene: Scene, row: Row) -> None:
    """Keyframes side by side, each the nearest to the middle of its place."""
    bar, view, strip = bar_of(row, scene.view), scene.view, scene.strip
    if row.folded or not strip.pictures:
        painter.fillRect(bar, theme.color("control"))
        return
    size = strip.pictures[0].size()
    wide = max(8.0, round(bar.height() * size.width() / max(1, size.height())))
    painter.fillRect(bar, theme.color("stage"))
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    x = bar.left()
    while x < bar.right():
        found = strip.nearest(scene.data.time_ms(round(view.pts(x + wide / 2))))
        if found is not None:
            painter.drawImage(QRectF(x, bar.top(), wide - 1, bar.height()), found)
        x += wide


def _you(painter: QPainter, scene: Scene, row: Row) -> None:
    bar, you = bar_of(row, scene.view), scene.data.tiers.you
    if you is None or not you.segments:
        _empty(painter, bar, "" if row.folded else scene.hint_you)
        return
    blocks.draw_tier(
        painter, you.segments, scene.looks, "you", scene.view.x, bar, words=not row.folded
    )


def _model(painter: QPainter, scene: Scene, row: Row) -> None:
    bar, data = bar_of(row, scene.view), scene.data
    if data.tiers.model is None or not data.tiers.model.segments:
        _empty(painter, bar, "" if row.folded else scene.hint_model)
        return
    blocks.draw_tier(
        painter,
        data.tiers.model.segments,
        scene.looks,
        "model",
        scene.view.x,
        bar,
        words=not row.folded,
        unsure=data.unsure,
    )
    edge = scene.view.x(data.analysed_to_pts)
    if edge < bar.right() - 1:
        rest = QRectF(max(edge, bar.left()), bar.top(), bar.right() - edge, bar.height())
        paint.draw_stripes(painter, rest.intersected(bar), theme.color("control_edge"))
    if row.folded or len(data.confidence) < 2:
        return
    strip = QRectF(bar.left(), bar.bottom() + 3, bar.width(), CONFIDENCE_PX)
    reach = (data.confidence[-1][0] - data.confidence[0][0]) / (len(data.confidence) - 1)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    paint.draw_confidence(painter, data.certainties, reach, scene.view.x, strip)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)


def _lane(painter: QPainter, scene: Scene, row: Row) -> None:
    lane, bar = scene.data.rows[row.index], bar_of(row, scene.view)
    draw_lane(painter, lane, bar, scene.view.x, scene.looks, folded=row.folded)


def _empty(painter: QPainter, bar: QRectF, words: str) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.color("control_edge"), 1, Qt.PenStyle.DashLine))
    painter.drawRoundedRect(bar.adjusted(0.5, 0.5, -0.5, -0.5), blocks.RADIUS_PX, blocks.RADIUS_PX)
    font = theme.font("small")
    painter.setFont(font)
    painter.setPen(theme.color("text_3"))
    text = QFontMetricsF(font).elidedText(words, Qt.TextElideMode.ElideRight, bar.width() - 24)
    inside = bar.adjusted(12, 0, 0, 0)
    painter.drawText(inside, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
    painter.setPen(Qt.PenStyle.NoPen)


def _disagreement(painter: QPainter, scene: Scene, row: Row) -> None:
    bar = bar_of(row, scene.view)
    blocks.draw_disagreements(painter, scene.data.differences, scene.view.x, bar)


def _instrument(painter: QPainter, scene: Scene, row: Row) -> None:
    _draw_lanes(painter, scene, row, scene.data.instruments[row.index : row.index + 1])


def _instruments(painter: QPainter, scene: Scene, row: Row) -> None:
    _draw_lanes(painter, scene, row, scene.data.instruments)


def _draw_lanes(painter: QPainter, scene: Scene, row: Row, lanes: Sequence[Lane]) -> None:
    for lane in surest_last(lanes):
        draw_lane(painter, lane, bar_of(row, scene.view), scene.view.x, scene.looks, folded=False)


def _outlines(painter: QPainter, scene: Scene, row: Row) -> None:
    bar = bar_of(row, scene.view)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("text_2"))
    reach, last = bar.height() / 2, -99.0
    for pts in scene.data.marks:
        x = scene.view.x(pts)
        if bar.left() - reach <= x <= bar.right() + reach and x - last >= 2:
            y = bar.center().y()
            painter.drawPolygon(
                [
                    QPointF(x, y - reach),
                    QPointF(x + reach, y),
                    QPointF(x, y + reach),
                    QPointF(x - reach, y),
                ]
            )
            last = x


def _sound(painter: QPainter, scene: Scene, row: Row) -> None:
    if scene.sound is not None:
        data, view = scene.data, scene.view
        first_ms, last_ms = (data.time_ms(round(p)) for p in (view.start_pts, view.end_pts))
        draw_sound(painter, bar_of(row, view), scene.sound, first_ms, last_ms)


_PAINT = {
    Kind.WHOLE: _whole,
    Kind.RULER: _ruler,
    Kind.PICTURES: _pictures,
    Kind.YOU: _you,
    Kind.DISAGREEMENT: _disagreement,
    Kind.MODEL: _model,
    Kind.LANE: _lane,
    Kind.INSTRUMENT: _instrument,
    Kind.INSTRUMENTS: _instruments,
    Kind.OUTLINES: _outlines,
    Kind.SOUND: _sound,
}
