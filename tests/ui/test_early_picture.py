"""A new recording is on screen before its case is made, which needs the whole of its index."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from app.video import index as indexing
from app.video import opening
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.ui.conftest import on_screen

PATIENCE_MS = 20_000


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No file is read through beyond its 40th packet before this is set."""
    opened, read = threading.Event(), indexing.read_packets

    def slow(*args: Any, **options: Any) -> Iterator[Any]:
        for number, packet in enumerate(read(*args, **options)):
            if number == 40:
                assert opened.wait(PATIENCE_MS / 1000)
            yield packet

    monkeypatch.setattr(indexing, "read_packets", slow)
    monkeypatch.setattr(indexing, "_FIRST_TOLD", 8)
    monkeypatch.setattr(indexing, "_HELD_BACK", 4)
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    yield opened
    opened.set()


def test_the_picture_does_not_wait_for_the_case(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, gate: threading.Event
) -> None:
    path = make_clip(tmp_path / "operation.ts", RECIPES["h264-ts"])
    window.open_files([path])
    stage, services = window.review.stage, window.services
    qtbot.waitUntil(lambda: stage.frame is not None, timeout=PATIENCE_MS)
    assert stage.frame is not None
    assert number_of(stage.frame.rgb) == 0
    assert (services.session.case, services.session.frame) == (None, None)
    assert not services.player.state.is_whole
    qtbot.waitUntil(
        lambda: any("Reading through" in x.accessibleName() for x in window.slot.lines),
        timeout=PATIENCE_MS,
    )
    services.player.player.seek_index(10)
    qtbot.waitUntil(
        lambda: stage.frame is not None and stage.frame.index == 10, timeout=PATIENCE_MS
    )
    gate.set()
    qtbot.waitUntil(lambda: services.session.case is not None, timeout=PATIENCE_MS)
    assert services.session.asset is not None
    assert services.session.asset.frames == 60
    # It goes on from where it stands, now with its case.
    qtbot.waitUntil(lambda: (on_screen(window) or 0) >= 10, timeout=PATIENCE_MS)
    assert services.player.state.is_whole
    assert services.player.previewed is None


def test_a_case_opens_while_a_long_file_is_read(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, gate: threading.Event
) -> None:
    services = window.services
    window.open_files([make_clip(tmp_path / "first.mp4", RECIPES["h264-mp4"])])
    qtbot.waitUntil(lambda: services.session.case is not None, timeout=PATIENCE_MS)
    assert services.session.case is not None
    first = services.session.case.case_id
    window.open_files([make_clip(tmp_path / "long.ts", RECIPES["h264-ts"])])
    with qtbot.waitSignal(services.cases.opened, timeout=PATIENCE_MS // 2):
        services.cases.open_case(first)
    listed: list[list[object]] = []
    services.cases.listed.connect(listed.append)
    gate.set()
    qtbot.waitUntil(lambda: len(services.library.cases()) == 2, timeout=PATIENCE_MS)
    # It is in the list; what was asked for last stays on screen.
    qtbot.waitUntil(lambda: bool(listed) and len(listed[-1]) == 2, timeout=PATIENCE_MS)
    assert services.session.case.case_id == first


def test_a_file_that_is_no_recording_leaves_no_picture(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"no video at all" * 100)
    with qtbot.waitSignal(window.services.cases.not_opened, timeout=PATIENCE_MS):
        window.open_files([path])
    assert window.review.stage.frame is None
    assert window.services.player.previewed is None
    qtbot.waitUntil(
        lambda: len([x for x in window.slot.lines if "notes.mp4" in x.accessibleName()]) == 1,
        timeout=PATIENCE_MS,
    )


def test_a_file_that_nobody_waits_for_is_closed(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, gate: threading.Event
) -> None:
    window.open_files([make_clip(tmp_path / "operation.ts", RECIPES["h264-ts"])])
    services = window.services
    qtbot.waitUntil(lambda: window.review.stage.frame is not None, timeout=PATIENCE_MS)
    ribbon = window.review.ribbon
    qtbot.waitUntil(lambda: ribbon.toolTip().endswith(", still reading"), timeout=PATIENCE_MS)
    assert ribbon.toolTip().startswith("About ")
    striped = ribbon.grab().toImage()
    qtbot.waitUntil(lambda: any(x.message.button == "Stop" for x in window.slot.lines))
    with qtbot.waitSignal(services.cases.not_opened, timeout=PATIENCE_MS):
        (line,) = (x for x in window.slot.lines if x.message.button == "Stop")
        line._act()
        gate.set()
    qtbot.waitUntil(lambda: ribbon.toolTip() == "", timeout=PATIENCE_MS)
    assert ribbon.grab().toImage() != striped
    assert not window.slot.lines
    qtbot.waitUntil(lambda: services.player.state.path is None, timeout=PATIENCE_MS)
    assert window.review.stage.frame is None
    assert not services.library.cases()
