"""Contrast of both themes, no colour outside them, phases told apart, icons and fonts there."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFontInfo
from PySide6.QtWidgets import QApplication, QMessageBox

from app.core.taxonomy import list_taxonomies
from app.ui import theme
from app.ui.settings import Settings
from app.ui.settings_sheet import wanted_theme
from app.ui.theme import contrast

PROJECT = Path(__file__).resolve().parents[2]
SURFACES = ("window", "panel", "raised", "control")
TEXT = ("text", "text_2", "text_3", "accent", "ok", "warn", "error")


THEMES = ("dark", "light", "contrast")


@pytest.fixture(params=THEMES)
def tokens(request: pytest.FixtureRequest) -> dict[str, str]:
    return theme.read_theme(request.param)["tokens"]


def test_text_reads_on_every_surface(tokens: dict[str, str]) -> None:
    for text in TEXT:
        for surface in SURFACES:
            ratio = contrast(QColor(tokens[text]), QColor(tokens[surface]))
            assert ratio >= 4.5, f"{text} on {surface}: {ratio:.2f}"


def test_text_reads_on_special_surfaces(tokens: dict[str, str]) -> None:
    pairs = [
        ("on_accent", "accent", 4.5),
        ("accent", "accent_tint", 4.5),
        ("text", "hover", 4.5),
        ("text_2", "hover", 4.5),
        ("text_2", "pressed", 4.5),
        ("warn", "banner_bg", 4.5),
        ("control_edge", "window", 3.0),
        ("control_edge", "panel", 3.0),
        ("control_edge", "raised", 3.0),
        ("accent", "window", 3.0),
    ]
    for front, back, least in pairs:
        ratio = contrast(QColor(tokens[front]), QColor(tokens[back]))
        assert ratio >= least, f"{front} on {back}: {ratio:.2f}"


def test_measured_figures_of_the_look() -> None:
    dark = theme.read_theme("dark")["tokens"]
    ratios = [contrast(QColor(dark["text"]), QColor(dark[s])) for s in SURFACES]
    assert [round(r, 1) for r in ratios] == [17.6, 16.6, 15.5, 14.2]


def test_surfaces_have_no_hue(tokens: dict[str, str]) -> None:
    for surface in (*SURFACES, "stage", "hover", "pressed", "line", "line_strong"):
        colour = QColor(tokens[surface])
        assert colour.red() == colour.green() == colour.blue()


def test_high_contrast_text_is_seven_to_one_on_every_surface() -> None:
    tokens = theme.read_theme("contrast")["tokens"]
    for surface in (*SURFACES, "hover", "pressed", "banner_bg", "accent_tint"):
        for text in ("text", "text_2", "text_3"):
            assert contrast(QColor(tokens[text]), QColor(tokens[surface])) >= 7, (text, surface)
    for text in TEXT:
        for surface in SURFACES:
            ratio = contrast(QColor(tokens[text]), QColor(tokens[surface]))
            assert ratio >= 7, f"{text} on {surface}: {ratio:.2f}"
    for text, surface in (("on_accent", "accent"), ("warn", "banner_bg"), ("text_off", "panel")):
        assert contrast(QColor(tokens[text]), QColor(tokens[surface])) >= 7, (text, surface)
    for edge in ("line", "control_edge"):
        assert contrast(QColor(tokens[edge]), QColor(tokens["panel"])) >= 7, edge


def test_high_contrast_follows_the_system_unless_told_not_to(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    high, none = Qt.ContrastPreference.HighContrast, Qt.ContrastPreference.NoPreference
    settings.set(theme="light")
    assert [wanted_theme(settings, asked) for asked in (none, high)] == ["light", "contrast"]
    settings.set(follow_contrast=False)
    assert wanted_theme(settings, high) == "light"
    settings.set(theme="contrast")
    assert wanted_theme(settings, none) == "contrast"


@pytest.mark.parametrize("name", THEMES)
def test_text_reads_on_phase_blocks(name: str, dressed: QApplication) -> None:
    theme.apply(dressed, name)
    for taxonomy in list_taxonomies():
        for phase in taxonomy.phases:
            for paint in (theme.human_paint(phase.colour), theme.model_paint(phase.colour)):
                assert contrast(paint.fill, paint.text) >= 4.5, phase.key


def test_letters_read_on_the_ribbon(dressed: QApplication) -> None:
    for name in THEMES:
        theme.apply(dressed, name)
        for taxonomy in list_taxonomies():
            for phase in taxonomy.phases:
                ratio = contrast(theme.letter_color(phase.colour), theme.color("window"))
                assert ratio >= 4.5, f"{phase.key} in {name}: {ratio:.2f}"


def test_outlines_differ_from_each_other() -> None:
    for a, b in combinations(theme.outlines(), 2):
        assert sum(abs(x - y) for x, y in zip(a.getRgb()[:3], b.getRgb()[:3], strict=True)) > 100


def test_no_colour_outside_the_themes() -> None:
    hex_colour = re.compile(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b|rgba?\(\s*\d|QColor\(\s*\d")
    guilty = [
        f"{path.name}:{number}"
        for path in (PROJECT / "app" / "ui").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if hex_colour.search(line)
    ]
    assert guilty == []


@pytest.mark.parametrize("name", ["light", "contrast"])
def test_all_themes_name_the_same_tokens(name: str) -> None:
    dark, other = theme.read_theme("dark"), theme.read_theme(name)
    assert dark.keys() == other.keys()
    for table in ("tokens", "stage", "outlines", "lines"):
        assert dark[table].keys() == other[table].keys()


def test_roles_have_their_weight_and_tabular_figures(dressed: QApplication) -> None:
    for role, (_, _, weight) in theme.ROLES.items():
        info = QFontInfo(theme.font(role))
        assert info.family() == "Inter"
        assert info.weight() == weight
    from PySide6.QtGui import QFontMetricsF

    metrics = QFontMetricsF(theme.font("body"))
    assert metrics.horizontalAdvance("1111") == metrics.horizontalAdvance("0000")


def test_icons_take_the_colour_of_their_token(dressed: QApplication) -> None:
    image = theme.pixmap("check", 24, "ok").toImage()
    solid = [
        image.pixelColor(x, y)
        for x in range(24)
        for y in range(24)
        if image.pixelColor(x, y).alpha() > 250
    ]
    assert solid
    wanted = theme.color("ok")
    assert all(abs(c.red() - wanted.red()) <= 2 for c in solid)


def test_every_icon_named_in_the_window_is_there() -> None:
    have = {p.stem for p in (PROJECT / "resources" / "icons").glob("*.svg")}
    named: set[str] = set()
    for path in (PROJECT / "app" / "ui").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"theme\.(?:icon|pixmap)\(\s*\"([a-z0-9-]+)\"", text))
        named |= set(re.findall(r"IconButton\(\s*\"([a-z0-9-]+)\"", text))
    assert named <= have


def test_light_theme_swaps_at_once(dressed: QApplication) -> None:
    theme.apply(dressed, "light")
    assert dressed.palette().window().color() == QColor(theme.tokens()["window"])
    assert theme.tokens()["window"] in dressed.styleSheet()


def test_the_words_of_a_question_are_whole(dressed: QApplication) -> None:
    box = QMessageBox()
    box.setText("End it?")
    for word in ("End the recording", "Go on recording"):
        box.addButton(word, QMessageBox.ButtonRole.RejectRole)
    box.show()
    dressed.processEvents()
    for button in box.buttons():
        assert button.width() >= button.sizeHint().width(), button.text()
    box.close()
