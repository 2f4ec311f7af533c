"""Phase blocks, many at once: a row is one picture, words come last. GUI thread.

Used by Annotate's timeline, Review's ribbon and lanes, and Live's strip.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen

from app.core.differences import Difference
from app.core.timeline import Segment
from app.ui import theme
from app.ui.timeline import raster
from app.ui.timeline.geometry import bounds_of
from app.ui.timeline.paint import BlockLook, Looks, ToX, draw_columns
from app.ui.timeline.raster import Floats

RADIUS_PX = 3.0
MIN_BLOCK_PX = 2.0
MIN_LETTER_PX = 16.0
_PAD_PX = 8.0
_GAP_PX = 7.0
_MIN_DASHED_PX = 8.0
_MIN_HATCH_PX = 4.0
_BAR_RADIUS_PX = 2.0
_MIN_ROUND_PX = 2 * RADIUS_PX + 1
Key = TypeVar("Key", bound=Hashable)


def draw_tier(
    painter: QPainter,
    segments: Sequence[Segment],
    looks: Looks,
    tier: Literal["you", "model"],
    to_x: ToX,
    area: QRectF,
    *,
    words: bool = True,
    unsure: Container[int] = (),
) -> None:
    """All blocks of one tier that lie in ``area``; see ``draw_blocks``.

    Args:
        to_x: pts to logical x, of an array.
        area: the row; blocks end where it ends.
    """
    edges = to_x(bounds_of(segments)).clip(area.left(), area.right())
    kinds, known = kinds_of([s.phase for s in segments])
    named = [looks.look(phase, tier) for phase in known]
    draw_blocks(painter, edges, kinds, named, area, words=words, unsure=unsure)


def kinds_of(keys: Iterable[Key]) -> tuple[NDArray[np.intp], list[Key]]:
    """Which of the different keys each one is, and these."""
    known: dict[Key, int] = {}
    places = [known.setdefault(key, len(known)) for key in keys]
    return np.array(places, np.intp), list(known)


def draw_blocks(
    painter: QPainter,
    edges: Floats,
    kinds: NDArray[np.intp],
    looks: Sequence[BlockLook],
    area: QRectF,
    *,
    words: bool = True,
    unsure: Container[int] = (),
) -> None:
    """Blocks with fill, edges, letter and, where it fits, the name.

    Those under 2 px share the columns of pixels that they touch.

    Args:
        edges: left and right of each block in logical pixels, float64 (N, 2), none over another.
        kinds: which look each has, (N,).
        looks: all there are.
        area: the row.
        words: write letters and names.
        unsure: indices of blocks with a dashed edge: the model's mean probability is below a half.
    """
    widths = edges[:, 1] - edges[:, 0]
    rounded = np.flatnonzero(widths > _MIN_ROUND_PX).tolist()
    narrow = np.flatnonzero((widths > 0) & (widths <= _MIN_ROUND_PX))
    painter.save()
    bodies = [
        _Body(QRectF(x, area.top(), wide - 1, area.height()), looks[kind], i in unsure)
        for i, x, wide, kind in zip(
            rounded,
            edges[rounded, 0].tolist(),
            widths[rounded].tolist(),
            kinds[rounded].tolist(),
            strict=True,
        )
    ]
    _draw_rounded(painter, bodies)
    if narrow.size:
        _draw_narrow(painter, edges[narrow], kinds[narrow], looks, area)
    if words:
        _draw_words(painter, [b for b in bodies if b.rect.width() >= MIN_LETTER_PX - 1])
    painter.restore()


def draw_bars(
    painter: QPainter, segments: Sequence[Segment], to_x: ToX, area: QRectF, colour: QColor
) -> None:
    """Bars of one colour; those under 2 px share columns."""
    edges = to_x(bounds_of(segments)).clip(area.left(), area.right())
    widths = edges[:, 1] - edges[:, 0]
    narrow = (widths > 0) & (widths <= 2 * _BAR_RADIUS_PX)
    wide = widths > 2 * _BAR_RADIUS_PX
    if narrow.any():
        place = _Place(painter, area)
        inks = np.repeat(_inks([colour]), int(narrow.sum()), axis=1)
        spans = place.to_pixels(edges[narrow])
        spans[:, 1] = np.maximum(spans[:, 1], spans[:, 0] + 1)
        line = raster.covered(spans, inks, place.wide)
        place.draw(np.repeat(raster.to_bytes(line.clip(0, 255))[None], place.high, axis=0))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for x, width in zip(edges[wide, 0].tolist(), widths[wide].tolist(), strict=True):
        bar = QRectF(x, area.top(), width, area.height())
        painter.drawRoundedRect(bar, _BAR_RADIUS_PX, _BAR_RADIUS_PX)


def draw_disagreements(
    painter: QPainter, found: Sequence[Difference], to_x: ToX, area: QRectF
) -> None:
    """A white 45 degree hatch with a notch at both ends for each that lies in ``area``.

    Those too narrow for a hatch share columns.
    """
    edges = to_x(bounds_of(found)).clip(area.left(), area.right())
    widths = edges[:, 1] - edges[:, 0]
    wide = widths >= _MIN_HATCH_PX
    narrow = (widths > 0) & ~wide
    white = theme.color("text")
    columns = np.zeros(max(1, round(area.width())), np.uint32)
    first = (edges[narrow, 0] - area.left()).astype(int).clip(0, columns.size - 1)
    columns[first] = columns[np.minimum(first + 1, columns.size - 1)] = white.rgba()
    draw_columns(painter, area, columns)
    painter.save()
    hatch = theme.stripes(white, 5, 1.2)
    for x, width in zip(edges[wide, 0].tolist(), widths[wide].tolist(), strict=True):
        place = QRectF(x, area.top(), width, area.height())
        painter.setClipRect(place)
        painter.setBrushOrigin(place.topLeft())
        painter.fillRect(place.adjusted(0, 2, 0, -2), hatch)
        painter.fillRect(QRectF(x, area.top(), 1, area.height()), white)
        painter.fillRect(QRectF(place.right() - 1, area.top(), 1, area.height()), white)
    painter.restore()


class _Body(NamedTuple):
    """A block that is wide enough for round corners, without the hairline at its right."""

    rect: QRectF
    look: BlockLook
    unsure: bool


def _draw_rounded(painter: QPainter, bodies: Sequence[_Body]) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    for rect, look, _ in bodies:
        painter.setBrush(look.fill)
        painter.drawRoundedRect(rect, RADIUS_PX, RADIUS_PX)
        if look.edge is not None:
            inset = RADIUS_PX - 1
            top = QRectF(rect.x() + inset, rect.y(), rect.width() - 2 * inset, 1)
            painter.fillRect(top, look.edge)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    is_dark, plain = theme.theme_name() == "dark", QPen(theme.color("line_strong"), 1)
    for rect, look, unsure in bodies:
        if unsure and rect.width() > _MIN_DASHED_PX:
            painter.setPen(QPen(look.edge or look.text, 1, Qt.PenStyle.DashLine))
        elif is_dark:
            continue
        else:
            painter.setPen(plain)
        painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)


def _draw_narrow(
    painter: QPainter,
    edges: Floats,
    kinds: NDArray[np.intp],
    looks: Sequence[BlockLook],
    area: QRectF,
) -> None:
    """Blocks without room for corners or words, as one picture."""
    place = _Place(painter, area)
    widths = edges[:, 1] - edges[:, 0]
    seen = widths >= MIN_BLOCK_PX
    gap = np.where(widths > 4, 1.0, 0.0)
    bodies = np.stack([edges[:, 0], edges[:, 1] - gap], axis=1)[seen]
    middle, top, bottom = _narrow_lines(place, bodies, kinds[seen], looks)
    pixels = np.empty((place.high, place.wide, 4), np.uint8)
    pixels[:] = raster.to_bytes(middle)
    thick = max(1, round(place.ratio))
    pixels[-thick:] = raster.to_bytes(bottom)
    pixels[:thick] = raster.to_bytes(top)
    # Those under 2 px take two columns each; where some meet, the last one is seen.
    thin = raster.to_bytes(_inks([x.thin or x.fill for x in looks]))[kinds[~seen]]
    first = place.to_pixels(edges[~seen, 0]).astype(int)[:, None] + np.arange(2)
    pixels[:, first.clip(0, place.wide - 1).ravel()] = np.repeat(thin, 2, axis=0)
    place.draw(pixels)


def _narrow_lines(
    place: _Place, bodies: Floats, kinds: NDArray[np.intp], looks: Sequence[BlockLook]
) -> tuple[Floats, Floats, Floats]:
    """The line in the middle, the top one with the bright edges, the bottom one."""
    spans, wide = place.to_pixels(bodies), place.wide
    middle = raster.covered(spans, _inks([x.fill for x in looks])[:, kinds], wide)
    top = bottom = middle
    if any(x.edge is not None for x in looks):
        inset = np.minimum(RADIUS_PX - 1, (bodies[:, 1] - bodies[:, 0]) / 2)
        cut = place.to_pixels(bodies + np.stack([inset, -inset], axis=1))
        edges = _inks([x.edge or QColor(Qt.GlobalColor.transparent) for x in looks])[:, kinds]
        top = raster.over(raster.covered(cut, edges, wide), middle)
    if theme.theme_name() != "dark":
        inks = np.repeat(_inks([theme.color("line_strong")]), len(spans), axis=1)
        inner = spans + np.array([place.ratio, -place.ratio])
        inner[:, 1] = np.maximum(inner[:, 1], inner[:, 0])
        end = raster.covered(spans, inks, wide)
        sides = end - raster.covered(inner, inks, wide)
        middle, top, bottom = (
            raster.over(line, below) for line, below in ((sides, middle), (end, top), (end, bottom))
        )
    return middle, top, bottom


class _Place:
    """A row in the device's own pixels."""

    def __init__(self, painter: QPainter, area: QRectF) -> None:
        device = painter.device()
        self._painter = painter
        self.ratio = device.devicePixelRatioF() if device is not None else 1.0
        self.left = round(area.left() * self.ratio)
        self.top = round(area.top() * self.ratio)
        self.wide = max(1, round(area.right() * self.ratio) - self.left)
        self.high = max(1, round(area.bottom() * self.ratio) - self.top)

    def to_pixels(self, edges: Floats) -> Floats:
        """Logical x to pixels from the row's left end."""
        return edges * self.ratio - self.left

    def draw(self, pixels: NDArray[np.uint8]) -> None:
        """Lay pixels, uint8 (high, wide, 4) premultiplied BGRA, over the row."""
        layout = QImage.Format.Format_ARGB32_Premultiplied
        image = QImage(pixels.data, self.wide, self.high, 4 * self.wide, layout)
        image.setDevicePixelRatio(self.ratio)
        self._painter.drawImage(QPointF(self.left / self.ratio, self.top / self.ratio), image)


def _inks(colours: Sequence[QColor]) -> Floats:
    """Premultiplied blue, green, red and alpha of each, float64 (4, N)."""
    rgba = np.array([c.getRgb() for c in colours], float).reshape(-1, 4).T
    return np.stack([*(rgba[i] * rgba[3] / 255 for i in (2, 1, 0)), rgba[3]])


def _draw_words(painter: QPainter, bodies: Sequence[_Body]) -> None:
    """Letters, and names where they fit, centred by cap height."""
    letters: list[tuple[float, str, _Body]] = []
    names: list[tuple[float, str, _Body]] = []
    for body in bodies:
        rect, look, _ = body
        left, width = rect.x(), rect.width()
        letter, name = theme.text_px("letter", look.code), theme.text_px("small", look.name)
        if width >= letter + _GAP_PX + name + 2 * _PAD_PX:
            letters.append((left + _PAD_PX, look.code, body))
            names.append((left + _PAD_PX + letter + _GAP_PX, look.name, body))
        elif width >= letter + 4:
            letters.append((left + (width - letter) / 2, look.code, body))
    for role, placed in (("letter", letters), ("small", names)):
        font, ink = theme.font(role), None
        half = QFontMetricsF(font).capHeight() / 2
        painter.setFont(font)
        for x, text, body in placed:
            if body.look.text is not ink:
                ink = body.look.text
                painter.setPen(ink)
            painter.drawText(QPointF(x, body.rect.center().y() + half), text)
