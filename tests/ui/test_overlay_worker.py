"""Overlays read ahead, dropped when stale, and the newest known frame while analysis runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, Signal, Slot
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.case import Asset, Case
from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance, Run
from app.overlay import Dial
from app.store import Library, db
from app.ui.human_work import HumanWork
from app.ui.overlay_worker import Composed, OverlayWorker, View
from app.ui.playback import overlay_style
from app.ui.session import Session
from tests.helpers.human_work import asset as make_asset

PATIENCE_MS = 10_000


class Bench:
    """A worker over a case whose frames 0 to 19 are stored."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.asset: Asset = make_asset()
        self.case: Case = library.writer.create_case("Recording", "unknown", (self.asset,)).result()
        self.store = library.predictions(self.case.case_id)
        self.run: Run = self.store.start_run(
            asset=self.asset,
            model="m",
            task="instance-segmentation",
            weights_sha256="0" * 64,
            classes=("hook",),
            settings={},
            sample_every=1,
            frames_expected=self.asset.frames,
        )
        self.step = (self.asset.end_pts - self.asset.start_pts) // self.asset.frames
        self.store.put_frames(self.run.run_id, [self.prediction(i) for i in range(20)])
        self.worker = OverlayWorker(library)
        self.told: list[Composed] = []
        self.worker.ready.connect(self.told.append)
        self.session = Session(library)

    def pts(self, index: int) -> int:
        return self.asset.start_pts + index * self.step

    def prediction(self, index: int) -> FramePrediction:
        plane = np.zeros((self.asset.height_px, self.asset.width_px), bool)
        plane[10:20, 5 + index : 15 + index] = True
        instance = Instance(label="hook", mask=Mask.from_full(plane), score=0.9, track=1)
        return FramePrediction(pts=self.pts(index), index=index, instances=(instance,))

    def view(self, dial: Dial = Dial.OUTLINE) -> View:
        return View(
            case_id=self.case.case_id,
            asset=self.asset,
            work=HumanWork(self.asset),
            run=self.run,
            style=overlay_style(self.session, dial, 0.2, 1.0),
            size_px=(self.asset.width_px, self.asset.height_px),
        )


@pytest.fixture
def bench(qtbot: QtBot, dressed: QApplication, own_library: Path) -> Iterator[Bench]:
    with Library.open(own_library, ballast_bytes=1 << 16) as library:
        made = Bench(library)
        yield made
        made.worker.close()


def test_the_frame_on_screen_comes_first_and_then_those_ahead(bench: Bench, qtbot: QtBot) -> None:
    bench.worker.set_view(bench.view())
    bench.worker.want(bench.pts(3), 1)
    qtbot.waitUntil(lambda: bool(bench.told), timeout=PATIENCE_MS)
    first = bench.told[0]
    assert first.pts == bench.pts(3)
    assert first.raster is not None
    assert first.raster.any()
    qtbot.waitUntil(lambda: bench.worker.at_hand(bench.pts(10)) is not None, timeout=PATIENCE_MS)
    assert bench.worker.at_hand(bench.pts(2)) is None


def test_a_new_view_forgets_the_old_pictures(bench: Bench, qtbot: QtBot) -> None:
    old = bench.worker.set_view(bench.view())
    bench.worker.want(bench.pts(3), 0)
    qtbot.waitUntil(lambda: bool(bench.told), timeout=PATIENCE_MS)
    new = bench.worker.set_view(bench.view(Dial.FILL))
    assert new != old
    assert bench.worker.at_hand(bench.pts(3)) is None
    assert bench.told[0].generation == old


def test_nothing_on_the_dial_draws_nothing_and_still_knows(bench: Bench, qtbot: QtBot) -> None:
    bench.worker.set_view(bench.view(Dial.NOTHING))
    bench.worker.want(bench.pts(3), 0)
    qtbot.waitUntil(lambda: bool(bench.told), timeout=PATIENCE_MS)
    assert bench.told[0].raster is None
    assert len(bench.told[0].shown) == 1


def test_while_playing_beyond_what_is_known_the_newest_known_frame_is_told(
    bench: Bench, qtbot: QtBot
) -> None:
    bench.worker.set_view(bench.view())
    bench.worker.want(bench.pts(22), 1)
    qtbot.waitUntil(lambda: len(bench.told) == 2, timeout=PATIENCE_MS)
    unknown, recent = bench.told
    assert (unknown.pts, unknown.prediction) == (bench.pts(22), None)
    assert recent.pts == bench.pts(19)
    assert recent.raster is not None


def test_paused_beyond_what_is_known_shows_no_other_frame(bench: Bench, qtbot: QtBot) -> None:
    bench.worker.set_view(bench.view())
    bench.worker.want(bench.pts(22), 0)
    qtbot.waitUntil(lambda: bool(bench.told), timeout=PATIENCE_MS)
    qtbot.wait(100)
    assert [c.pts for c in bench.told] == [bench.pts(22)]


def test_touched_frames_are_composed_again(bench: Bench, qtbot: QtBot) -> None:
    bench.worker.set_view(bench.view())
    bench.worker.want(bench.pts(3), 0)
    qtbot.waitUntil(lambda: bench.worker.at_hand(bench.pts(3)) is not None, timeout=PATIENCE_MS)
    bench.worker.forget(frozenset({bench.pts(3)}))
    assert bench.worker.at_hand(bench.pts(3)) is None


class _Asker(QObject):
    """Reads the library on whatever thread it lives on."""

    asked = Signal()

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.library = library
        self.answers = 0

    @Slot()
    def ask(self) -> None:
        self.library.cases()
        self.answers += 1
        self.asked.emit()


def test_a_thread_of_qt_keeps_its_connection_from_call_to_call(
    bench: Bench, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    real = db.connect_reader

    def counted(path: Path) -> sqlite3.Connection:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(db, "connect_reader", counted)
    asker, thread = _Asker(bench.library), QThread()
    asker.moveToThread(thread)
    thread.start()
    try:
        for count in range(1, 21):
            QMetaObject.invokeMethod(asker, "ask", Qt.ConnectionType.QueuedConnection)
            qtbot.waitUntil(lambda wanted=count: asker.answers == wanted, timeout=PATIENCE_MS)
    finally:
        thread.quit()
        thread.wait()
    assert len(opened) == 1
