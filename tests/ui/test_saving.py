"""What the window does while saving fails, waits or is overtaken: nothing is lost unsaid."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.annotate import phases
from app.core.correction import Correction
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Timeline
from app.ui.main_window import MainWindow
from app.ui.messages import Message
from app.ui.session import STEP_UNDER_WAY

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
    opened: MainWindow, qtbot: QtBot, told: list[str]
) -> None:
    session = opened.services.session
    session.commit(_start(opened, 0, KEYS[0]))
    session.commit(_start(opened, 0.5, KEYS[1]))
    _wait_saved(opened, qtbot)
    session.undo()
    session.commit(_start(opened, 0.7, KEYS[2]))
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
