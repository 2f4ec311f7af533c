"""The look: colours, type and icons from ``resources/themes``. GUI thread.

One theme is current at a time; ``apply`` swaps it for the whole application. No other module of
the window names a colour.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache, lru_cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QIcon,
    QImage,
    QPainter,
    QPalette,
    QPen,
    QPixmap,
)
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from app.core.errors import EnvironmentProblem
from app.core.resources import resources_dir

FAMILY = "Inter"
SCALES = (1.0, 1.15, 1.3, 1.5)
WORD_GAP_PX = 4

# role: (px, line px, weight)
ROLES: dict[str, tuple[int, int, QFont.Weight]] = {
    "clock": (26, 30, QFont.Weight.DemiBold),
    "hero": (32, 40, QFont.Weight.DemiBold),
    "display": (22, 28, QFont.Weight.DemiBold),
    "title": (17, 22, QFont.Weight.DemiBold),
    "touch": (16, 20, QFont.Weight.DemiBold),
    "far_clock": (40, 46, QFont.Weight.DemiBold),
    "far_title": (24, 30, QFont.Weight.DemiBold),
    "far": (16, 22, QFont.Weight.Medium),
    "lead": (15, 22, QFont.Weight.Normal),
    "body": (13, 18, QFont.Weight.Normal),
    "control": (13, 18, QFont.Weight.Medium),
    "heading": (13, 18, QFont.Weight.DemiBold),
    "small": (12, 16, QFont.Weight.Normal),
    "caption": (11, 14, QFont.Weight.Medium),
    "letter": (11, 14, QFont.Weight.Bold),
}


@dataclass(slots=True)
class _Look:
    """The current theme; replaced as a whole by ``apply``."""

    name: str = "dark"
    scale: float = 1.0
    tokens: dict[str, str] = field(default_factory=dict)
    outlines: tuple[str, ...] = ()
    letters: dict[str, str] = field(default_factory=dict)
    outline_px: float = 2.0


_look = _Look()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Fill of a phase block and the colour of the text on it."""

    fill: QColor
    text: QColor


@cache
def read_theme(name: str) -> dict[str, dict[str, str]]:
    """One theme file's tables: ``tokens``, ``stage``, ``outlines``, ``lines``, ``letters``."""
    path = resources_dir() / "themes" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return {key: dict(table) for key, table in data.items() if isinstance(table, dict)}


def _load(name: str, scale: float) -> None:
    data = read_theme(name)
    _look.name = name
    _look.scale = scale
    _look.tokens = {**data["tokens"], **data["stage"]}
    _look.outlines = tuple(data["outlines"].values())
    _look.letters = data["letters"]
    _look.outline_px = float(data["lines"]["outline_px"])
    color.cache_clear()
    pixmap.cache_clear()
    icon.cache_clear()
    word_icon.cache_clear()
    font.cache_clear()
    text_px.cache_clear()
    human_paint.cache_clear()
    model_paint.cache_clear()


def tokens() -> dict[str, str]:
    """Token name to colour (``#RRGGBB`` or ``#AARRGGBB``) of the current theme."""
    return _look.tokens


def theme_name() -> str:
    """``dark``, ``light`` or ``contrast``."""
    return _look.name


def scale() -> float:
    """Factor on text sizes and heights, 1.0 to 1.5."""
    return _look.scale


def px(length: float) -> int:
    """A height or width of something that holds text, in logical pixels at the current scale."""
    return round(length * _look.scale)


@cache
def color(token: str) -> QColor:
    """The colour of a token; treat it as read-only."""
    return QColor(_look.tokens[token])


def outlines() -> tuple[QColor, ...]:
    """Outline colours on tissue, in the order objects get them."""
    return tuple(QColor(c) for c in _look.outlines)


def outline_px() -> float:
    """Width of outlines on tissue in logical pixels."""
    return _look.outline_px


def blend(over: QColor, under: QColor, share: float) -> QColor:
    """``share`` of ``over`` on ``under``, opaque."""
    return QColor(
        *(
            round(a * share + b * (1 - share))
            for a, b in zip(over.getRgb()[:3], under.getRgb()[:3], strict=True)
        )
    )


def contrast(a: QColor, b: QColor) -> float:
    """WCAG 2 contrast ratio of two opaque colours, 1 to 21."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(c: QColor) -> float:
    parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in c.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def text_on(fill: QColor) -> QColor:
    """Black or white, whichever reads better on ``fill``."""
    return _text_on(fill.rgb())


@cache
def _text_on(fill: int) -> QColor:
    black, white = QColor(Qt.GlobalColor.black), QColor(Qt.GlobalColor.white)
    return max((black, white), key=lambda c: contrast(c, QColor.fromRgb(fill)))


@cache
def human_paint(phase_colour: str) -> Paint:
    """A human's block: the phase's colour at full strength."""
    fill = QColor(phase_colour)
    return Paint(fill=fill, text=text_on(fill))


@cache
def model_paint(phase_colour: str) -> Paint:
    """A model's block: toned over the panel, with text of at least 4.5:1 on it."""
    for share in (0.62, 0.58):
        fill = blend(QColor(phase_colour), color("panel"), share)
        if contrast(color("text"), fill) >= 4.5:
            return Paint(fill=fill, text=color("text"))
    fill = blend(QColor(phase_colour), color("panel"), 0.62)
    return Paint(fill=fill, text=text_on(fill))


def letter_color(phase_colour: str) -> QColor:
    """The phase's colour where it is text on the panel."""
    return QColor(_look.letters.get(phase_colour.upper(), phase_colour))


def stripes(line: QColor, gap_px: int = 6, width_px: float = 1.5) -> QBrush:
    """45 degree stripes: forecast and not yet analysed (grey), disagreement (white)."""
    return _stripes(line.rgba(), gap_px, width_px)


@cache
def _stripes(rgba: int, gap_px: int, width_px: float) -> QBrush:
    tile = QImage(gap_px, gap_px, QImage.Format.Format_ARGB32_Premultiplied)
    tile.fill(Qt.GlobalColor.transparent)
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor.fromRgba(rgba), width_px))
    for shift in (-gap_px, 0, gap_px):
        painter.drawLine(shift, gap_px, shift + gap_px, 0)
    painter.end()
    return QBrush(tile)


@cache
def font(role: str) -> QFont:
    """The font of a role of the type scale, with tabular figures; treat it as read-only."""
    size, _, weight = ROLES[role]
    made = QFont(FAMILY)
    made.setPixelSize(px(size))
    made.setWeight(weight)
    made.setFeature(QFont.Tag("tnum"), 1)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return made


@lru_cache(maxsize=2048)
def text_px(role: str, text: str) -> float:
    """How wide a text is in a role of the type scale, in logical pixels."""
    return QFontMetricsF(font(role)).horizontalAdvance(text)


@cache
def pixmap(name: str, size: int, token: str, ratio: float = 1.0) -> QPixmap:
    """A Lucide icon drawn in a token's colour, ``size`` logical pixels square."""
    return _draw_icon(name, size, color(token), ratio)


def _draw_icon(name: str, size: int, colour: QColor, ratio: float) -> QPixmap:
    svg = (resources_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    stroke = "1.6" if size <= 16 else "1.75"
    svg = svg.replace("currentColor", colour.name()).replace(
        'stroke-width="2"', f'stroke-width="{stroke}"'
    )
    side = max(1, round(size * ratio))
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, side, side))
    painter.end()
    made = QPixmap.fromImage(image)
    made.setDevicePixelRatio(ratio)
    return made


@cache
def word_icon(name: str, size: int, tint: str) -> QIcon:
    """An icon that stands before a word: with room on its right."""
    made = QIcon()
    for token, mode in ((tint, QIcon.Mode.Normal), ("text_off", QIcon.Mode.Disabled)):
        for ratio in (1.0, 2.0):
            wide = QPixmap(round((size + WORD_GAP_PX) * ratio), round(size * ratio))
            wide.setDevicePixelRatio(ratio)
            wide.fill(Qt.GlobalColor.transparent)
            painter = QPainter(wide)
            painter.drawPixmap(0, 0, pixmap(name, size, token, ratio))
            painter.end()
            made.addPixmap(wide, mode)
    return made


@cache
def icon(name: str, size: int = 18, tint: str = "text_2", on_tint: str = "accent") -> QIcon:
    """An icon for buttons in the token ``tint``; ``on_tint`` while checked, grey when disabled."""
    made = QIcon()
    for ratio in (1.0, 2.0):
        made.addPixmap(pixmap(name, size, tint, ratio))
        made.addPixmap(pixmap(name, size, on_tint, ratio), QIcon.Mode.Normal, QIcon.State.On)
        made.addPixmap(pixmap(name, size, "text_off", ratio), QIcon.Mode.Disabled)
    return made


def stylesheet() -> str:
    """The Qt style sheet of the current theme."""
    from app.ui.qss import generate

    return generate()


def nearest_scale(wanted: float) -> float:
    """The offered text scale next to ``wanted``."""
    return min(SCALES, key=lambda s: abs(s - wanted))


def apply(application: QApplication, name: str = "dark", text_scale: float = 1.0) -> None:
    """Make a theme current: fonts, palette, style, sheet; every widget repaints.

    Args:
        application: the running application.
        name: ``dark``, ``light`` or ``contrast``.
        text_scale: factor on text sizes and heights, 1.0 to 1.5.

    Raises:
        EnvironmentProblem: the bundled fonts cannot be loaded.
    """
    from app.ui.style import TrocarStyle

    load_fonts()
    _load(name, nearest_scale(text_scale))
    if not isinstance(application.style(), TrocarStyle):
        application.setStyle(TrocarStyle())
    application.setFont(font("body"))
    application.setPalette(_palette())
    application.setStyleSheet(stylesheet())


@cache
def load_fonts() -> None:
    """Make the bundled fonts known to Qt.

    Raises:
        EnvironmentProblem: they cannot be loaded.
    """
    for path in sorted((resources_dir() / "fonts").glob("*.otf")):
        if QFontDatabase.addApplicationFont(str(path)) < 0:
            raise EnvironmentProblem(
                f"The font {path.name} cannot be loaded; install Trocar again.", path.name
            )


def _palette() -> QPalette:
    roles = {
        QPalette.ColorRole.Window: "window",
        QPalette.ColorRole.WindowText: "text",
        QPalette.ColorRole.Base: "panel",
        QPalette.ColorRole.AlternateBase: "raised",
        QPalette.ColorRole.Text: "text",
        QPalette.ColorRole.Button: "control",
        QPalette.ColorRole.ButtonText: "text",
        QPalette.ColorRole.BrightText: "text",
        QPalette.ColorRole.Highlight: "accent",
        QPalette.ColorRole.HighlightedText: "on_accent",
        QPalette.ColorRole.Link: "accent",
        QPalette.ColorRole.ToolTipBase: "raised",
        QPalette.ColorRole.ToolTipText: "text",
        QPalette.ColorRole.PlaceholderText: "text_3",
        QPalette.ColorRole.Mid: "line",
        QPalette.ColorRole.Dark: "line",
        QPalette.ColorRole.Light: "hover",
        QPalette.ColorRole.Accent: "accent",
    }
    palette = QPalette()
    for role, token in roles.items():
        palette.setColor(role, color(token))
    for role in (
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
        QPalette.ColorRole.WindowText,
    ):
        palette.setColor(QPalette.ColorGroup.Disabled, role, color("text_off"))
    return palette


_load("dark", 1.0)
