"""A window over a library that another process writes: everything is seen, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.inference.new_case import case_of
from app.store import Library
from app.ui.application import open_library
from app.ui.main_window import MainWindow
from app.ui.message_slot import MessageLine
from app.ui.messages import Message
from app.ui.services import Services
from app.ui.session import READ_ONLY
from app.ui.settings import Settings
from tests.ui.conftest import on_screen


@pytest.fixture
def reading(
    dressed: QApplication, qtbot: QtBot, own_library: Path, clip: Path
) -> Iterator[MainWindow]:
    """A window over a library of one case that somebody else writes."""
    with Library.open(own_library, ballast_bytes=1 << 16) as writer:
        case = case_of(writer, [clip], procedure=UNKNOWN_PROCEDURE)
        library, locked = open_library(own_library)
        made = MainWindow(Services(library, Settings()), locked)
        made.show()
        with qtbot.waitSignal(made.services.session.frame_shown, timeout=20_000):
            made.services.cases.open_case(case.case_id)
        qtbot.waitUntil(lambda: made.services.player.state.shown > 2, timeout=20_000)
        yield made
        made.close()
        made.deleteLater()
        dressed.processEvents()


def test_the_lock_beside_the_name_says_who_writes(reading: MainWindow, qtbot: QtBot) -> None:
    lock = reading.top.lock
    assert lock.isVisible()
    assert lock.geometry().right() <= reading.top.name.geometry().left()
    assert "is being written by" in lock.toolTip()
    assert lock.accessibleDescription() == lock.toolTip()
    lock.click()
    lines = [x for x in reading.slot.lines if isinstance(x, MessageLine)]
    assert [x.message.text for x in lines] == [lock.toolTip()]


def test_nothing_can_be_changed_and_the_window_says_so(reading: MainWindow, qtbot: QtBot) -> None:
    services, told = reading.services, list[Message]()
    services.said.connect(told.append)
    services.cases.set_procedure("cholecystectomy")
    reading.keys.trigger("undo")
    services.analysis.start()
    assert [m.text for m in told] == [READ_ONLY] * 3
    assert services.session.unsaved == 0
    assert not services.analysis.running
    case = services.session.case
    assert case is not None
    assert services.library.case(case.case_id).procedure == UNKNOWN_PROCEDURE
    reading.show_workspace("annotate")
    assert reading.annotate is not None
    assert reading.annotate.editor.locked_reason == READ_ONLY
    reading.ask_to_delete(case)
    assert [c.case_id for c in services.library.cases()] == [case.case_id]


def test_a_new_case_is_refused_on_the_press_with_what_to_do(
    reading: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for dialog in ("getOpenFileNames", "getExistingDirectory"):
        monkeypatch.setattr(QFileDialog, dialog, lambda *_, name=dialog: asked.append(name))
    for key in ("open", "open_folder"):
        reading.slot.clear("locked")
        reading.keys.trigger(key)
        (said,) = (x.message.text for x in reading.slot.lines if isinstance(x, MessageLine))
        assert said.startswith("No case can be added before")
        assert said.endswith(reading.top.lock.toolTip())
        assert "close it there or wait" in said
    assert not asked
    # What is dropped may be a case that is there already; another one is refused unread.
    new = tmp_path / "new.mp4"
    new.write_bytes(b"nothing that could be opened" * 100)
    told: list[str] = []
    reading.services.said.connect(lambda m: told.append(m.text))
    reading.open_files([new])
    qtbot.waitUntil(lambda: any("for reading only; close" in t for t in told), timeout=20_000)


def test_it_still_plays_and_seeks(reading: MainWindow, qtbot: QtBot) -> None:
    player = reading.services.player.player
    player.pause()
    player.seek_index(42)
    qtbot.waitUntil(lambda: on_screen(reading) == 42, timeout=10_000)


def test_a_library_of_one_s_own_has_no_lock(opened: MainWindow) -> None:
    assert not opened.top.lock.isVisible()
    assert opened.top.name.text() == "Recording"
