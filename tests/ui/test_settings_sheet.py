"""The settings sheet of the real window: what is chosen there is done at once."""

from __future__ import annotations

from PySide6.QtWidgets import QAbstractButton, QComboBox
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.annotate.workspace import LOW_PX, RIGHT_PX, TIMELINE_PX
from app.ui.main_window import MainWindow


def test_high_contrast_is_chosen_in_the_sheet_and_drawn_wider(
    opened: MainWindow, qtbot: QtBot
) -> None:
    sheet = opened.sheets.settings
    opened.keys.trigger("settings")
    look = next(c for c in sheet.findChildren(QComboBox) if c.accessibleName() == "Look")
    look.setCurrentIndex(look.findData("contrast"))
    assert theme.theme_name() == "contrast"
    assert opened.services.settings.values.theme == "contrast"
    assert opened.services.playback.style().outline_px == 3.0
    assert opened.top.grab().toImage().pixelColor(300, 5) == theme.color("window")
    look.setCurrentIndex(look.findData("dark"))
    assert opened.services.playback.style().outline_px == 2.0


def test_the_layout_is_put_back(opened: MainWindow, qtbot: QtBot) -> None:
    opened.show_workspace("annotate")
    annotate = opened.annotate
    assert annotate is not None
    qtbot.waitUntil(lambda: annotate.upper.width() > 1000)
    annotate.upper.setSizes([300, 700, 600])
    annotate.outer.setSizes([300, 700])
    annotate.save_layout()
    assert abs(annotate.outer.sizes()[1] - TIMELINE_PX) > 50
    opened.keys.trigger("settings")
    sheet = opened.sheets.settings
    next(b for b in sheet.findChildren(QAbstractButton) if "layout" in b.text()).click()
    assert opened.services.settings.values.layout == {}
    wanted = TIMELINE_PX if annotate.height() >= LOW_PX else 204
    qtbot.waitUntil(lambda: abs(annotate.outer.sizes()[1] - wanted) <= 8)
    assert abs(annotate.upper.sizes()[2] - RIGHT_PX) <= 40
