"""Many blocks in one go look as if each were painted by itself."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from pytestqt.qtbot import QtBot

from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment, Timeline
from app.ui import theme
from app.ui.ribbon import merged_blocks
from app.ui.timeline import blocks
from app.ui.timeline.geometry import bounds_of
from app.ui.timeline.paint import BlockLook, PhaseLooks

WIDE, HIGH = 900, 30
ROW = QRectF(11, 4, 860, 22)
KEYS = [p.key for p in find_taxonomy("cholecystectomy").phases]


def canvas(ratio: float) -> QImage:
    image = QImage(round(WIDE * ratio), round(HIGH * ratio), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(theme.color("panel"))
    return image


def painter_on(image: QImage) -> QPainter:
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return painter


def pixels(image: QImage) -> np.ndarray:
    flat = np.frombuffer(image.constBits(), np.uint8)
    return flat.reshape(image.height(), image.width(), 4)[..., :3].astype(int)


def spread(seed: int, low: float, high: float) -> np.ndarray:
    """Blocks at odd places, with a pixel and more between them."""
    dice, x, out = np.random.default_rng(seed), ROW.left() + 0.3, []
    while x + high < ROW.right():
        wide = dice.uniform(low, high)
        out.append((x, x + wide))
        x += wide + dice.uniform(1.1, 3)
    return np.array(out)


def paint_each(painter: QPainter, edges: np.ndarray, looks: list[BlockLook]) -> None:
    """By the definition: fill, bright top edge, on light themes a line around; one by one."""
    for (left, right), look in zip(edges.tolist(), looks, strict=True):
        wide = right - left - (1 if right - left > 4 else 0)
        body = QRectF(left, ROW.top(), wide, ROW.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.fill)
        if wide > 6:
            painter.drawRoundedRect(body, 3, 3)
        else:
            painter.drawRect(body)
        inset = min(2.0, wide / 2)
        painter.setBrush(look.edge or QColor(0, 0, 0, 0))
        painter.drawRect(QRectF(left + inset, ROW.top(), wide - 2 * inset, 1))
        if theme.theme_name() == "light":
            painter.setPen(QPen(theme.color("line_strong"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inner = body.adjusted(0.5, 0.5, -0.5, -0.5)
            if wide > 6:
                painter.drawRoundedRect(inner, 3, 3)
            else:
                painter.setPen(QPen(theme.color("line_strong"), 1, j=Qt.PenJoinStyle.MiterJoin))
                painter.drawRect(inner)


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize(("low", "high"), [(2.0, 6.9), (7.1, 60.0)])
@pytest.mark.parametrize(("tier", "ratio"), [("you", 1.0), ("model", 1.0), ("model", 2.0)])
def test_many_blocks_look_like_each_by_itself(
    qtbot: QtBot, name: str, low: float, high: float, tier: str, ratio: float
) -> None:
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance()
    assert isinstance(application, QApplication)
    theme.apply(application, name)
    try:
        edges = spread(3, low, high)
        looks = PhaseLooks(find_taxonomy("cholecystectomy"))
        named = [looks.look(key, tier) for key in KEYS]  # type: ignore[arg-type]
        kinds = np.arange(len(edges)) % len(named)
        expected, drawn = canvas(ratio), canvas(ratio)
        painter = painter_on(expected)
        paint_each(painter, edges, [named[k] for k in kinds])
        painter.end()
        painter = painter_on(drawn)
        blocks.draw_blocks(painter, edges, kinds, named, ROW, words=False)
        painter.end()
        apart = np.abs(pixels(drawn) - pixels(expected))
        # Qt strokes a rectangle's corners in its own way: some pixels of a narrow block's line.
        is_stroked = name == "light" and high < 7
        assert apart.max() <= (60 if is_stroked else 4)
        assert apart.mean() < 0.8
    finally:
        theme.apply(application, "dark")


def test_what_has_no_room_shares_columns_and_the_last_one_is_seen(qtbot: QtBot) -> None:
    looks = PhaseLooks(find_taxonomy("cholecystectomy"))
    named = [looks.look(key, "you") for key in KEYS[:2]]
    edges = np.array([[20.0, 20.2], [20.2, 20.4], [40.0, 40.0]])
    image = canvas(1.0)
    painter = painter_on(image)
    blocks.draw_blocks(painter, edges, np.array([0, 1, 0]), named, ROW)
    painter.end()
    assert image.pixelColor(20, 15) == image.pixelColor(21, 15) == named[1].fill
    assert image.pixelColor(19, 15) == image.pixelColor(22, 15) == theme.color("panel")
    assert image.pixelColor(40, 15) == theme.color("panel")


def test_words_are_written_only_where_they_fit(qtbot: QtBot) -> None:
    look = PhaseLooks(find_taxonomy("cholecystectomy")).look(KEYS[0], "you")
    whole = theme.text_px("letter", look.code) + theme.text_px("small", look.name) + 23
    for wide, texts in ((15.0, 0), (40.0, 1), (whole + 2.0, 2)):
        shots = []
        for words in (False, True):
            image = canvas(1.0)
            painter = painter_on(image)
            edges = np.array([[20.0, 20.0 + wide]])
            blocks.draw_blocks(painter, edges, np.zeros(1, int), [look], ROW, words=words)
            painter.end()
            shots.append(pixels(image))
        inked = np.flatnonzero((shots[0] != shots[1]).any(axis=(0, 2)))
        assert bool(inked.size) is bool(texts)
        if texts == 1:
            assert inked.max() - inked.min() < 12
        if texts == 2:
            assert inked.max() - inked.min() > theme.text_px("small", look.name)


@pytest.mark.parametrize("seed", range(20))
def test_the_ribbon_has_the_humans_word_and_the_models_elsewhere(seed: int) -> None:
    dice = np.random.default_rng(seed)

    def line() -> Timeline:
        cuts = np.sort(dice.choice(200, 2 * int(dice.integers(0, 12)), replace=False)).tolist()
        pairs = zip(cuts[::2], cuts[1::2], strict=True)
        some = tuple(
            Segment(start_pts=a, end_pts=b, phase=str(dice.choice(KEYS))) for a, b in pairs
        )
        return Timeline(start_pts=0, end_pts=200, segments=some)

    human, model = line(), line()
    merged = merged_blocks(human, model)
    bounds = bounds_of([b.segment for b in merged])
    assert (bounds[1:, 0] >= bounds[:-1, 1]).all()
    for pts in range(200):
        said = human.phase_at(pts) or model.phase_at(pts)
        here = [b for b in merged if b.segment.start_pts <= pts < b.segment.end_pts]
        assert [(b.segment.phase, b.human) for b in here] == (
            [(said, human.phase_at(pts) is not None)] if said else []
        )
