"""What leaves from the window is what the sheet says; a DICOM file is a case like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.ui.leaving import ExportOrder
from app.ui.main_window import MainWindow
from app.video import open_video
from tests.helpers import dicoms
from tests.helpers.clips import number_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's dialog leads."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    return out


def test_the_marked_stretch_leaves_as_dicom_video(
    opened: MainWindow, qtbot: QtBot, folder: Path
) -> None:
    loop = opened.services.loop
    loop.first, loop.last = 10, 29
    sheet = opened.sheets.export
    opened.sheets.export_case()
    assert sheet.isVisible()
    assert sheet.stretch.text() == "the marked stretch alone, 0:00.4 to 0:01.2"
    assert not sheet.masks.isEnabled()
    assert not sheet.stretch.isEnabled()
    for box in (sheet.outlines, sheet.phases, sheet.video):
        box.toggle()
    sheet.stretch.setChecked(True)
    with qtbot.waitSignal(
        opened.services.leaving.said, check_params_cb=lambda m: bool(m.lasting_s), timeout=30_000
    ) as told:
        qtbot.mouseClick(sheet.go, Qt.MouseButton.LeftButton)
    assert told.args[0].text == "DICOM video written to trocar-case-0001."
    assert not sheet.isVisible()
    (written,) = folder.glob("*/*.dcm")
    with open_video(written, trusted=True) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(10, 30))


def test_nothing_ticked_is_nothing_to_write(opened: MainWindow) -> None:
    sheet = opened.sheets.export
    opened.sheets.export_case()
    chosen: list[ExportOrder] = []
    sheet.chosen.connect(chosen.append)
    sheet.outlines.setChecked(False)
    sheet.phases.setChecked(False)
    assert not sheet.go.isEnabled()
    sheet.go.click()
    assert not chosen


def test_a_dicom_loop_opens_under_the_words_of_its_header(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "MUSTER_ERIKA.dcm"
    dicoms.stills(path, "jpeg")
    with qtbot.waitSignal(window.services.session.frame_shown, timeout=20_000):
        window.open_files([path])
    case = window.services.session.case
    assert case is not None
    assert case.title == "Laparoscopic cholecystectomy, Maker Tower 4"
    assert case.procedure == "cholecystectomy"
    qtbot.waitUntil(lambda: window.library.model.rowCount() == 1, timeout=20_000)
