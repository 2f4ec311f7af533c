"""What the window does while saving fails, waits or is overtaken: nothing is lost unsaid."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.annotate import bookmarks, phases
from app.core.correction import Correction
from app.core.frame import FrameIdentity
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Timeline
from app.store import Library
from app.ui.closing import STAY
from app.ui.main_window import MainWindow
from app.ui.messages import Message
from app.ui.services import Services
from app.ui.session import STEP_UNDER_WAY
from app.ui.settings import Settings
from tests.helpers.asked_to_close import press, when_asked
from tests.helpers.full_disk import allow_all, full_disk

PATIENCE_MS = 20_000
CHOLECYSTECTOMY = find_taxonomy("cholecystectomy")
KEYS = tuple(p.key for p in CHOLECYSTECTOMY.phases)


@pytest.fixture
def told(opened: MainWindow) -> list[str]:
    """Sentences said to the user."""
    heard: list[str] = []
    opened.services.said.connect(lambda message: heard.append(_text(message)))
    return heard


def _text(message: Message) -> str:
    return message.text


def _start(window: MainWindow, share: float, key: str) -> Correction | None:
    """The human says that a phase begins at a share of the recording."""
    session = window.services.session
    assert session.case is not None
    assert session.asset is not None
    asset = session.asset
    tiers = phases.Tiers(
        case_id=session.case.case_id,
        asset_id=asset.asset_id,
        taxonomy=CHOLECYSTECTOMY,
        you=session.human_timeline,
        model=None,
        start_pts=asset.start_pts,
        end_pts=asset.end_pts,
    )
    pts = asset.start_pts + int(share * (asset.end_pts - asset.start_pts))
    return phases.start_at(tiers, pts, key)


def _stored(window: MainWindow) -> Timeline | None:
    services = window.services
    services.library.writer.flush().result(20)
    assert services.session.asset is not None
    human = services.library.human_timeline(services.session.asset.asset_id)
    return human.timeline if human else None


def _wait_saved(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.services.session.unsaved == 0, timeout=PATIENCE_MS)


def test_a_change_while_undo_is_under_way_is_refused_in_words(
    opened: MainWindow, qtbot: QtBot, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, writer = opened.services.session, opened.services.library.writer
    session.commit(_start(opened, 0, KEYS[0]))
    session.commit(_start(opened, 0.5, KEYS[1]))
    _wait_saved(opened, qtbot)
    undone = writer.undo(session.case.case_id)
    late: Future[Any] = Future()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "undo", lambda _case_id: late)
        session.undo()
    session.commit(_start(opened, 0.7, KEYS[2]))
    late.set_result(undone.result(20))
    _wait_saved(opened, qtbot)
    assert told == [STEP_UNDER_WAY]
    assert session.human_timeline == _stored(opened)
    session.commit(_start(opened, 0.3, KEYS[3]))
    _wait_saved(opened, qtbot)
    assert session.human_timeline == _stored(opened)
    assert [s.phase for s in session.human_timeline.segments] == [KEYS[0], KEYS[3]]
    session.redo()
    session.undo()
    session.undo()
    _wait_saved(opened, qtbot)
    assert session.human_timeline == _stored(opened)


def test_what_was_refused_by_the_library_is_read_anew(
    opened: MainWindow, qtbot: QtBot, told: list[str]
) -> None:
    services, session = opened.services, opened.services.session
    session.commit(_start(opened, 0, KEYS[0]))
    _wait_saved(opened, qtbot)
    behind = _start(opened, 0.2, KEYS[4])
    assert behind is not None
    services.library.writer.commit(behind).result(20)
    session.commit(_start(opened, 0.5, KEYS[1]))
    session.commit(_start(opened, 0.7, KEYS[2]))
    qtbot.waitUntil(lambda: session.human_timeline == _stored(opened), timeout=PATIENCE_MS)
    assert any("changed meanwhile" in t for t in told)
    assert [s.phase for s in session.human_timeline.segments] == [KEYS[0], KEYS[4]]
    session.commit(_start(opened, 0.7, KEYS[2]))
    _wait_saved(opened, qtbot)
    assert session.human_timeline == _stored(opened)
    assert len(session.human_timeline.segments) == 3


def _mark(window: MainWindow, moments: int) -> None:
    """Set bookmarks on as many frames, one correction each."""
    session = window.services.session
    assert session.case is not None
    assert session.asset is not None
    asset = session.asset
    for i in range(moments):
        pts = asset.start_pts + i * (asset.end_pts - asset.start_pts) // 60
        frame = FrameIdentity(asset_id=asset.asset_id, stream=asset.stream, pts=pts)
        session.commit(bookmarks.mark(session.case.case_id, frame, None))


def test_closing_on_a_full_disk_asks_and_goes_by_itself_once_all_is_saved(
    opened: MainWindow, qtbot: QtBot, own_library: Path
) -> None:
    session = opened.services.session
    asset_id = session.asset.asset_id
    with full_disk():
        _mark(opened, 30)
        qtbot.waitUntil(lambda: session.problem is not None, timeout=PATIENCE_MS)
        asked = when_asked(press(STAY))
        assert not opened.close()
        assert asked == ["30 corrections are not saved yet."]
        assert opened.isVisible()
        assert session.unsaved == 30
        when_asked(lambda box: allow_all())
        opened.close()
    assert not opened.isVisible()
    with Library.open(own_library, "read") as library:
        assert len(library.bookmarks(asset_id)) == 30


def test_closing_without_what_is_not_saved_ends(
    opened: MainWindow, qtbot: QtBot, own_library: Path
) -> None:
    session = opened.services.session
    asset_id = session.asset.asset_id
    with full_disk():
        _mark(opened, 1)
        asked = when_asked(press("Close"))
        opened.close()
    assert asked == ["1 correction is not saved yet."]
    assert not opened.isVisible()
    with Library.open(own_library, "read") as library:
        assert library.bookmarks(asset_id) == ()


def test_closing_takes_the_window_away_before_any_thread_is_waited_for(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, seen = opened.services, []
    end = services.analysis.worker.close

    def close() -> None:
        seen.append((opened.isVisible(), services.player.state.playing))
        end()

    monkeypatch.setattr(services.analysis.worker, "close", close)
    services.player.player.play()
    assert opened.close()
    assert seen == [(False, False)]


def test_deleting_a_case_on_a_full_disk_holds_nothing_up(
    opened: MainWindow, qtbot: QtBot, own_library: Path
) -> None:
    services = opened.services
    case_id = services.session.case.case_id
    with full_disk():
        services.cases.delete(case_id)
        qtbot.waitUntil(lambda: services.session.problem is not None, timeout=PATIENCE_MS)
        with qtbot.waitSignal(services.cases.listed, timeout=PATIENCE_MS):
            services.cases.refresh()
        asked = when_asked(press("Close"))
        opened.close()
    assert asked == ["A change of the library is not saved yet."]
    with Library.open(own_library, "read") as library:
        assert [c.case_id for c in library.cases()] == [case_id]


def test_a_backup_that_fails_is_said_once(
    dressed: QApplication, qtbot: QtBot, own_library: Path
) -> None:
    library = Library.open(own_library, ballast_bytes=1 << 16, backup_every_s=0.05)
    (own_library / "backups").write_bytes(b"in the way")
    library.writer.create_case("Case", "unknown").result(20)
    window = MainWindow(Services(library, Settings()))
    heard: list[str] = []
    window.services.said.connect(lambda message: heard.append(_text(message)))
    try:
        window.show()
        qtbot.waitUntil(lambda: bool(heard), timeout=PATIENCE_MS)
        qtbot.wait(1500)
        assert len(heard) == 1
        assert "backup was not made" in heard[0]
        assert "--to" in heard[0]
        (own_library / "backups").unlink()
        qtbot.waitUntil(lambda: library.backup_problem is None, timeout=PATIENCE_MS)
        assert library.backups()
    finally:
        window.close()
        window.deleteLater()
