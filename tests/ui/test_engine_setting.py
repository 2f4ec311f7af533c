"""The engine is chosen in the settings, and among those that are installed alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from app.inference.engines import kinds
from app.ui.settings import Settings
from app.ui.settings_sheet import SettingsSheet
from app.ui.widgets import Combo


def engine_box(sheet: SettingsSheet) -> Combo:
    return next(c for c in sheet.findChildren(Combo) if c.accessibleName() == "Engine")


def choices(box: Combo) -> list[str]:
    return [box.itemData(i) for i in range(box.count())]


def test_an_engine_is_chosen_and_kept(qtbot, tmp_path: Path) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    settings = Settings(tmp_path)
    sheet = SettingsSheet(window, settings)
    sheet.open_sheet()
    box = engine_box(sheet)
    assert box.currentData() == "auto"
    box.setCurrentIndex(choices(box).index("torch-half"))
    assert settings.values.engine == "torch-half"
    assert Settings(tmp_path).values.engine == "torch-half"


def test_what_is_not_installed_is_not_offered(
    qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    monkeypatch.setattr(kinds, "which", lambda _: None)
    window = QWidget()
    qtbot.addWidget(window)
    settings = Settings(tmp_path)
    settings.set(engine="openvino")
    sheet = SettingsSheet(window, settings)
    sheet.open_sheet()
    box = engine_box(sheet)
    assert choices(box) == ["auto", "torch", "torch-half"]
    assert box.currentData() == "auto"
