"""Cases whose files are not as they were: told, never taken for what they are not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.core.case import Asset
from app.core.prediction import COURSE, PhasePrediction
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy
from app.store import Library
from app.store.prediction_file import APPLICATION_ID as PREDICTIONS_ID
from app.ui import theme
from app.ui.main_window import MainWindow
from app.video import find_recordings, full_hash
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.seen_cases import decide_phase
from tests.ui.conftest import on_screen

PATIENCE_MS = 20_000


def test_another_file_in_the_place_of_a_recording_is_not_played(
    opened: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    services = opened.services
    case = services.session.case
    assert case is not None
    place = tmp_path / "operation.mp4"
    place.write_bytes(clip.read_bytes())
    asset = replace(case.assets[0], path=str(place))
    services.library.writer.update_asset(asset).result()
    make_clip(place, RECIPES["h264-one-frame"])
    services.player.player.play()
    services.cases.open_case(case.case_id)
    qtbot.waitUntil(
        lambda: any("Another file" in x.accessibleName() for x in opened.slot.lines),
        timeout=PATIENCE_MS,
    )
    qtbot.waitUntil(lambda: not services.player.state.playing, timeout=PATIENCE_MS)
    assert services.session.case is not None
    assert services.session.frame is None
    place.write_bytes(clip.read_bytes())
    services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: on_screen(opened) is not None, timeout=PATIENCE_MS)


def test_a_case_that_cannot_be_read_stands_damaged_among_the_others(
    opened: MainWindow, qtbot: QtBot
) -> None:
    library, session = opened.services.library, opened.services.session
    assert session.asset is not None
    asset = replace(session.asset, asset_id="newer", quick_hash="other")
    case = library.writer.create_case("Case", "unknown", (asset,)).result()
    folder = library.folder / "predictions"
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / f"{case.case_id}.sqlite")) as conn:
        conn.execute("CREATE TABLE of_another_year (x)")
        conn.execute(f"PRAGMA application_id={PREDICTIONS_ID}")
        conn.execute("PRAGMA user_version=99")
    opened.show_workspace("library")
    model = opened.library.model
    qtbot.waitUntil(lambda: model.rowCount() == 2, timeout=PATIENCE_MS)
    words = {c.case.case_id: c.spoken() for c in model.cards}
    assert "Damaged" in words[case.case_id]
    assert "newer Trocar" in words[case.case_id]
    assert "Damaged" not in words[session.case.case_id]
    opened.library.search.setText("damaged")
    assert opened.library.count.text() == "1 of 2"


def test_a_case_that_is_being_recorded_or_contradicts_itself_hides_no_other(
    opened: MainWindow, qtbot: QtBot
) -> None:
    library, session = opened.services.library, opened.services.session
    assert session.asset is not None
    growing = replace(
        session.asset, asset_id="growing", quick_hash="g", end_pts=session.asset.start_pts + 1
    )
    odd = replace(session.asset, asset_id="odd", quick_hash="o")
    ids = []
    for asset, settings in ((growing, {}), (odd, {COURSE: "no course"})):
        case = library.writer.create_case("Case", "unknown", (asset,)).result()
        _say_phases(library, case.case_id, asset, settings)
        ids.append(case.case_id)
    opened.show_workspace("library")
    model = opened.library.model
    qtbot.waitUntil(lambda: model.rowCount() == 3, timeout=PATIENCE_MS)
    cards = {c.case.case_id: c for c in model.cards}
    assert cards[ids[0]].damage == ""
    assert "contradicts" in cards[ids[1]].damage


def _say_phases(
    library: Library, case_id: str, asset: Asset, settings: dict[str, str | int | float | bool]
) -> None:
    store = library.predictions(case_id)
    run = store.start_run(
        asset=asset,
        model="phases",
        task="phase-recognition",
        weights_sha256="0" * 64,
        classes=("a", "b"),
        settings=settings,
        sample_every=0,
        frames_expected=4,
    )
    later = [asset.start_pts + 450_000 + 90_000 * i for i in range(4)]
    store.put_phases(
        run.run_id,
        [PhasePrediction(pts=p, index=i, probabilities=(0.9, 0.1)) for i, p in enumerate(later)],
    )


def test_a_hash_that_comes_late_does_not_undo_a_relink(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = opened.services
    case = services.session.case
    assert case is not None
    (old,) = services.library.case(case.case_id).assets
    first, moved, begun = tmp_path / "first.mp4", tmp_path / "moved.mp4", []
    first.write_bytes(Path(old.path).read_bytes())
    may_end = [threading.Event(), threading.Event()]

    def slow_hash(path: str, cancelled: Callable[[], bool]) -> str:
        begun.append(path)
        may_end[len(begun) - 1].wait(20)
        return full_hash(path, cancelled=cancelled)

    monkeypatch.setattr("app.video.opening.full_hash", slow_hash)
    without = replace(old, path=str(first), sha256="")
    services.library.writer.update_asset(without).result(20)
    services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: len(begun) == 1, timeout=PATIENCE_MS)
    first.rename(moved)
    with qtbot.waitSignal(services.cases.opened, timeout=PATIENCE_MS):
        services.cases.relink([moved])
    may_end[0].set()
    qtbot.waitUntil(lambda: len(begun) == 2, timeout=PATIENCE_MS)
    services.library.writer.flush().result(20)
    (now,) = services.library.case(case.case_id).assets
    assert (now.path, now.sha256) == (str(moved), "")
    may_end[1].set()
    stored = partial(services.library.case, case.case_id)
    qtbot.waitUntil(lambda: bool(stored().assets[0].sha256), timeout=PATIENCE_MS)
    (found,) = stored().assets
    assert (found.path, found.sha256) == (str(moved), full_hash(moved))


def test_the_look_at_a_second_folder_ends_that_at_the_first(
    window: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        for part in (1, 2):
            (folder / f"REC_{part:04}.mp4").write_bytes(clip.read_bytes())
    begun, second_asked = threading.Event(), threading.Event()

    def slow(paths: list[Path], *hooks: Callable[..., object]) -> object:
        if paths[0] == folders[0]:
            begun.set()
            assert second_asked.wait(PATIENCE_MS / 1000)
        return find_recordings(paths, *hooks)  # type: ignore[arg-type]

    monkeypatch.setattr("app.video.find_recordings", slow)
    cases, answers = window.services.cases, []
    cases.found.connect(answers.append)
    cases.not_found.connect(lambda: answers.append(None))
    window.open_files([folders[0]])
    assert begun.wait(PATIENCE_MS / 1000)
    window.open_files([folders[1]])
    second_asked.set()
    qtbot.waitUntil(lambda: bool(answers), timeout=PATIENCE_MS)
    (found,) = answers
    assert {f.path.parent for r in found.recordings for f in r.files} == {folders[1]}


def test_from_the_search_field_to_a_case_by_keyboard(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    phases = tmp_path / "video05-phase.txt"
    phases.write_text("Frame\tPhase\n" + "".join(f"{n}\tPreparation\n" for n in range(50)))
    with qtbot.waitSignal(opened.services.cases.opened, timeout=20_000):
        opened.open_files([phases])
    opened.show_workspace("library")
    library = opened.library
    qtbot.waitUntil(lambda: library.filter.rowCount() == 2, timeout=20_000)
    asked: list[str] = []
    library.opened.connect(asked.append)
    library.find()
    QTest.keyClicks(library.search, "video05")
    qtbot.waitUntil(lambda: library.filter.rowCount() == 1, timeout=20_000)
    library.view.clearSelection()
    QTest.keyClick(library.search, Qt.Key.Key_Down)
    assert library.view.hasFocus()
    QTest.keyClick(library.view, Qt.Key.Key_Return)
    case = opened.services.session.case
    assert case is not None
    assert asked == [case.case_id]


def test_phases_of_an_operation_that_nobody_named_have_their_colours_on_its_card(
    opened: MainWindow, qtbot: QtBot
) -> None:
    services = opened.services
    case = services.session.case
    assert case is not None
    decide_phase(services.library, case, "gallbladder_dissection")
    opened.show_workspace("library")
    view, model = opened.library.view, opened.library.filter

    def colours() -> set[str]:
        index = model.index(0, 0)
        image = view.grab(view.visualRect(index)).toImage()
        points = ((x, y) for x in range(0, image.width(), 4) for y in range(image.height()))
        return {image.pixelColor(x, y).name() for x, y in points}

    phase = find_taxonomy("cholecystectomy").phase("gallbladder_dissection")
    assert phase is not None
    wanted = theme.human_paint(phase.colour).fill.name()
    for procedure in (UNKNOWN_PROCEDURE, "cholecystectomy"):
        services.cases.set_procedure(procedure)
        qtbot.waitUntil(lambda: wanted in colours(), timeout=PATIENCE_MS)
