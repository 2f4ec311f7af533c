"""The sheet of moments like the frame on screen: found, filtered, opened, by keyboard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from app.core.case import Case
from app.core.prediction import PHASES, RETRIEVAL, PhasePrediction
from app.inference import prompts
from app.ui.find import Question
from app.ui.find_cards import MOMENT_ROLE, spoken
from app.ui.find_sheet import (
    CHOOSE_WORDS,
    NO_WORDS,
    NOT_SEEN,
    NOT_SEEN_HERE,
    NOTHING,
    NOTHING_SO,
    OPEN_FOR_FRAME,
    QUEUED,
    FindSheet,
)
from app.ui.main_window import MainWindow
from app.video import describe_asset
from models.card import ModelCard, write_card
from models.prompts import PROMPTS_FILE, read_prompts, write_prompts
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.seen_cases import WEIGHTS, decide_phase, directions
from tests.ui.conftest import on_screen

SECONDS = 3


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, the same recipe in another file."""
    return make_clip(tmp_path_factory.mktemp("find") / "other.mp4", RECIPES["h264-mp4-no-b"])


def add(window: MainWindow, path: Path, name: str) -> Case:
    asset = describe_asset(path, name)
    writer = window.services.library.writer
    return writer.create_case(name, "cholecystectomy", (asset,)).result()


def see(
    window: MainWindow, case: Case, vectors: np.ndarray, weights: str = WEIGHTS, task: str = PHASES
) -> None:
    """A model saw the recording, a vector every 25th frame, and named a phase."""
    asset = case.assets[0]
    store = window.services.library.predictions(case.case_id)
    run = store.start_run(
        asset=asset,
        model="eye",
        task=task,
        weights_sha256=weights,
        classes=("preparation", "clipping_cutting"),
        settings={},
        sample_every=0,
        frames_expected=len(vectors),
    )
    step = (asset.end_pts - asset.start_pts) // asset.frames
    pts = [asset.start_pts + 25 * step * i for i in range(len(vectors))]
    store.put_features(run.run_id, list(zip(pts, vectors, strict=True)))
    store.put_phases(
        run.run_id,
        [PhasePrediction(pts=p, index=25 * i, probabilities=(0.9, 0.1)) for i, p in enumerate(pts)],
    )
    store.finish(run.run_id)


def answered(window: MainWindow, qtbot: QtBot) -> FindSheet:
    sheet = window.sheets.find
    question = window.services.finder
    qtbot.waitUntil(
        lambda: (
            sheet._answer is not None
            and sheet._answer.is_whole
            and sheet._answer.question is question._question
        ),
        timeout=20_000,
    )
    return sheet


@pytest.fixture
def library_of_two(opened: MainWindow, longer: Path) -> tuple[MainWindow, Case]:
    """The open case and another one that share a moment; one that no model saw."""
    vectors = directions(SECONDS, seed=1)
    case = opened.services.session.case
    assert case is not None
    opened.services.cases.set_procedure("cholecystectomy")
    see(opened, case, vectors)
    other = add(opened, longer, "other")
    there = directions(SECONDS, seed=2)
    there[2] = vectors[0]
    see(opened, other, there)
    decide_phase(opened.services.library, other, "clipping_cutting")
    return opened, other


def test_found_and_opened_by_keyboard(
    library_of_two: tuple[MainWindow, Case], qtbot: QtBot
) -> None:
    window, other = library_of_two
    add(window, Path(window.services.session.asset.path), "unseen")  # type: ignore[union-attr]
    QTest.keyClick(window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    sheet = answered(window, qtbot)
    assert sheet.isVisible()
    # The frame's own recording is shorter than what is left out around it.
    assert [m.case.case_id for m in sheet.model.rows] == [other.case_id]
    found = sheet.model.rows[0]
    assert (found.time_ms, round(found.similarity, 2)) == (2000.0, 1.0)
    assert "at 0:02" in spoken(found)
    assert "Clip and cut, decided by a person, similarity 1.00" in spoken(found)
    assert "1 moment" in sheet.said.text()
    assert sheet.lacking.isVisible()
    assert "1 case not searched: “eye”" in sheet.lacking.text()
    # No analysis would run that model now, so none is offered.
    assert "Choose it in Models" in sheet.lacking.text()
    assert not sheet.analyse.isVisible()
    qtbot.waitUntil(lambda: sheet.model.index(0).data(MOMENT_ROLE + 1) is not None, timeout=20_000)
    assert not sheet.model.index(0).data(MOMENT_ROLE + 1).isNull()
    qtbot.waitUntil(lambda: not sheet.picture.pixmap().isNull(), timeout=10_000)
    assert window.focusWidget() is sheet.view
    QTest.keyClick(sheet.view, Qt.Key.Key_Return)
    session = window.services.session
    qtbot.waitUntil(
        lambda: (
            session.case is not None
            and session.case.case_id == other.case_id
            and session.frame is not None
            and session.frame.pts == found.pts
        ),
        timeout=20_000,
    )
    assert not sheet.isVisible()
    assert not window.services.player.state.playing


def test_a_moment_of_a_cases_second_recording_is_found_and_shown(
    opened: MainWindow, longer: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    own = opened.services.session.case
    assert own is not None
    vectors = directions(SECONDS, seed=1)
    see(opened, own, vectors)
    first = describe_asset(make_clip(tmp_path / "one.mp4", RECIPES["h264-mp4-no-b"]), "one")
    second = describe_asset(longer, "two")
    writer = opened.services.library.writer
    other = writer.create_case("Two files", "cholecystectomy", (first, second)).result()
    see(opened, replace(other, assets=(second,)), vectors)
    QTest.keyClick(opened, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    sheet = answered(opened, qtbot)
    found = sheet.model.rows[0]
    assert (found.case.case_id, found.asset.asset_id) == (other.case_id, "two")
    assert "Recording 2, Two files" in spoken(found)
    sheet.open_chosen()
    session = opened.services.session
    qtbot.waitUntil(
        lambda: (
            session.asset is not None
            and session.asset.asset_id == "two"
            and session.frame is not None
            and session.frame.pts == found.pts
        ),
        timeout=20_000,
    )
    opened._open_case(other.case_id)
    qtbot.waitUntil(
        lambda: session.asset is not None and session.asset.asset_id == "one", timeout=20_000
    )


def test_filters(library_of_two: tuple[MainWindow, Case], qtbot: QtBot) -> None:
    window, other = library_of_two
    window.keys.trigger("more_like")
    sheet = answered(window, qtbot)
    words = [sheet.filters.phases.itemText(i) for i in range(sheet.filters.phases.count())]
    assert words == ["Any phase", "Preparation", "Clip and cut"]
    for phase, count in (("Preparation", 0), ("Clip and cut", 1)):
        sheet.filters.phases.setCurrentText(phase)
        sheet.filters.phases.activated.emit(sheet.filters.phases.currentIndex())
        answered(window, qtbot)
        assert len(sheet.model.rows) == count
        assert sheet.filters.phases.currentText() == phase
        assert (sheet.said.text() == NOTHING_SO) == (not count)
    for case, count in (("This case", 0), ("Other cases", 1), (f"{other.case_id}  other", 1)):
        sheet.filters.cases.setCurrentText(case)
        sheet.filters.cases.activated.emit(sheet.filters.cases.currentIndex())
        answered(window, qtbot)
        assert len(sheet.model.rows) == count
    QTest.keyClick(sheet.view, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
    assert sheet.model.rows == ()


def test_by_words(
    library_of_two: tuple[MainWindow, Case], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, other = library_of_two
    vectors = directions(SECONDS, seed=7)
    case = window.services.session.case
    assert case is not None
    see(window, case, vectors, "c" * 64, RETRIEVAL)
    see(window, other, directions(SECONDS, seed=8), "c" * 64, RETRIEVAL)
    card = ModelCard(
        name="eye",
        title="Eye",
        system="surgvlp",
        task=RETRIEVAL,
        classes=(),
        weights_sha256="c" * 64,
    )
    folder = window.services.library.folder / "models" / "eye"
    write_card(card, folder)
    write_prompts({"a clip is applied": vectors[1].astype(np.float32)}, folder)
    window.keys.trigger("more_like")
    sheet = answered(window, qtbot)
    # However many slices a question takes, it reads the prompts once. A list of cases that is read
    # again meanwhile asks anew, as it should.
    read: list[tuple[Path, Question | None]] = []
    finder = window.services.finder
    monkeypatch.setattr("app.ui.find._SLICE_S", 0.0)
    monkeypatch.setattr(
        prompts,
        "read_prompts",
        lambda f: read.append((f, finder._prompts_for)) or read_prompts(f),
    )
    sheet.ask()
    answered(window, qtbot)
    assert (folder, finder._question) in read
    questions = [question for _, question in read]
    assert all(q is not p for i, q in enumerate(questions) for p in questions[:i])
    assert "“Eye”" in sheet.said.text()  # as Models calls it
    assert sheet.filters.encoders.currentText() == "Eye"
    assert sheet.filters.prompts.isVisible()
    assert sheet.filters.encoders.isVisible()
    sheet.filters.prompts.setCurrentText("a clip is applied")
    sheet.filters.prompts.activated.emit(1)
    answered(window, qtbot)
    assert sheet.filters.prompts.currentText() == "a clip is applied"
    assert not sheet.filters.encoders.isVisible()
    # Words are not a frame: its own recording is searched too.
    found = sheet.model.rows[0]
    assert (found.case.case_id, found.time_ms) == (case.case_id, 1000.0)
    assert found.similarity > 0.99
    # Prompts that are past reading are told; frames are looked for all the same.
    sheet.close_sheet()
    (folder / PROMPTS_FILE).write_bytes(b"no tensors at all")
    window.keys.trigger("more_like")
    answered(window, qtbot)
    assert sheet.model.rows
    assert PROMPTS_FILE in sheet.said.text()
    assert not sheet.filters.prompts.isVisible()


def test_from_the_cases_words_can_be_looked_for_and_that_frames_cannot_is_said(
    library_of_two: tuple[MainWindow, Case], qtbot: QtBot
) -> None:
    window, other = library_of_two
    window.show_workspace("library")
    qtbot.waitUntil(lambda: window.library.view.hasFocus(), timeout=10_000)
    window.keys.trigger("find_case")
    assert window.library.search.hasFocus()
    window.keys.trigger("find_case")
    sheet = answered(window, qtbot)
    assert sheet.isVisible()
    assert sheet.said.text() == f"{NO_WORDS} {OPEN_FOR_FRAME}"
    assert not sheet.model.rows
    for part in (sheet.picture, sheet.lacking, sheet.analyse, sheet.filters.prompts):
        assert not part.isVisible()
    sheet.close_sheet()
    vectors = directions(SECONDS, seed=8)
    see(window, other, vectors, "c" * 64, RETRIEVAL)
    folder = window.services.library.folder / "models" / "eye"
    write_card(
        ModelCard(
            name="eye",
            title="Eye",
            system="surgvlp",
            task=RETRIEVAL,
            classes=(),
            weights_sha256="c" * 64,
        ),
        folder,
    )
    write_prompts({"a clip is applied": vectors[2].astype(np.float32)}, folder)
    window.library.moments_asked.emit()
    answered(window, qtbot)
    assert sheet.said.text() == f"{CHOOSE_WORDS} {OPEN_FOR_FRAME}"
    sheet.filters.prompts.setCurrentText("a clip is applied")
    sheet.filters.prompts.activated.emit(1)
    answered(window, qtbot)
    assert [m.case.case_id for m in sheet.model.rows][:1] == [other.case_id]
    assert sheet.model.rows[0].time_ms == 2000.0
    window.sheets.find.close_sheet()
    window.show_workspace("review")
    window.keys.trigger("more_like")
    answered(window, qtbot)
    assert sheet.picture.isVisible()


def test_another_moment_of_the_same_case(
    opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording is too short for the usual distance, so it is made smaller."""
    monkeypatch.setattr("app.analysis.moments.NEIGHBOURS_MS", 500.0)
    case = opened.services.session.case
    assert case is not None
    see(opened, case, directions(3))
    opened.keys.trigger("more_like")
    sheet = answered(opened, qtbot)
    assert {m.time_ms for m in sheet.model.rows} == {1000.0, 2000.0}
    # What is read later may come before what the user has chosen meanwhile.
    sheet.view.setCurrentIndex(sheet.model.index(1))
    chosen = sheet.model.rows[1]
    sheet._show_moments(sheet.model.rows[::-1])
    assert sheet.view.currentIndex().data(MOMENT_ROLE) == chosen
    sheet._show_moments(sorted(sheet.model.rows, key=lambda m: m.time_ms))
    rect = sheet.view.visualRect(sheet.model.index(0))
    viewport = sheet.view.viewport()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=rect.center() - QPoint(10, 10))
    qtbot.waitUntil(lambda: on_screen(opened) == 25, timeout=10_000)
    assert not sheet.isVisible()
    assert opened.services.session.case == case


def test_what_was_not_analysed(opened: MainWindow, qtbot: QtBot) -> None:
    case = opened.services.session.case
    assert case is not None
    opened.review.stage.customContextMenuRequested.emit(QPoint(5, 5))
    menu = opened.review.findChildren(QMenu)[-1]
    next(a for a in menu.actions() if "More like this frame" in a.text()).trigger()
    menu.close()
    sheet = answered(opened, qtbot)
    assert sheet.said.text() == NOT_SEEN
    asked: list[list[str]] = []
    sheet.analyse_asked.connect(asked.append)
    sheet.analyse_asked.disconnect(opened.services.analysis.queue)
    assert sheet.analyse.isVisible()
    sheet.analyse.click()
    assert asked == [[case.case_id]]
    assert sheet.said.text() == QUEUED
    assert not sheet.analyse.isVisible()
    # What the analysis stored meanwhile is read when the list of cases is read again.
    see(opened, case, directions(1))
    opened.services.cases.refresh()
    qtbot.waitUntil(lambda: sheet.said.text() == NOTHING, timeout=10_000)
    assert not sheet.analyse.isVisible()
    sheet.close_sheet()
    opened.services.player.player.seek_index(55)
    qtbot.waitUntil(lambda: on_screen(opened) == 55, timeout=10_000)
    opened.keys.trigger("more_like")
    answered(opened, qtbot)
    assert sheet.said.text() == NOT_SEEN_HERE


def test_a_recording_that_is_not_there(
    library_of_two: tuple[MainWindow, Case], qtbot: QtBot, tmp_path: Path
) -> None:
    window, other = library_of_two
    library = window.services.library
    lost = replace(other.assets[0], path=str(tmp_path / "gone.mp4"))
    library.writer.update_asset(lost).result()
    window.keys.trigger("more_like")
    sheet = answered(window, qtbot)
    image = MOMENT_ROLE + 1
    qtbot.waitUntil(lambda: sheet.model.index(0).data(image) is not None, timeout=20_000)
    assert sheet.model.index(0).data(image).isNull()
    sheet.grab()  # it is painted with words


def test_in_annotate_it_stands_in_the_menu_of_the_frame(
    library_of_two: tuple[MainWindow, Case], qtbot: QtBot
) -> None:
    """And what is found opens there."""
    window, other = library_of_two
    window.show_workspace("annotate")
    assert window.annotate is not None
    canvas = window.annotate.canvas
    at = canvas.rect().center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, canvas.mapToGlobal(at))
    QApplication.sendEvent(canvas, event)
    menu = window.annotate.findChildren(QMenu)[-1]
    entry = next(a for a in menu.actions() if "More like this frame" in a.text())
    entry.trigger()
    menu.close()
    sheet = answered(window, qtbot)
    assert sheet.model.rows
    sheet.open_chosen()
    session = window.services.session
    qtbot.waitUntil(
        lambda: session.case is not None and session.case.case_id == other.case_id, timeout=20_000
    )
    qtbot.waitUntil(lambda: window.workspace == "annotate", timeout=20_000)
    qtbot.waitUntil(lambda: on_screen(window) == 50, timeout=20_000)


@pytest.mark.long
def test_cases_that_were_not_seen_are_analysed_and_then_found(
    opened: MainWindow, qtbot: QtBot, longer: Path
) -> None:
    """By the demo models, one case after the other, while the sheet is open."""
    other = add(opened, longer, "other")
    analysis = opened.services.analysis
    opened.keys.trigger("more_like")
    sheet = answered(opened, qtbot)
    sheet.analyse.click()
    qtbot.waitUntil(sheet.lacking.isVisible, timeout=240_000)
    assert "1 case not searched: “Phases, demo”" in sheet.lacking.text()
    qtbot.waitUntil(lambda: not analysis.running, timeout=120_000)
    sheet.close_sheet()
    opened.keys.trigger("more_like")
    answered(opened, qtbot)
    sheet.analyse.click()
    qtbot.waitUntil(lambda: len(sheet.model.rows) == 1, timeout=240_000)
    assert sheet.model.rows[0].case.case_id == other.case_id
    assert not sheet.lacking.isVisible()
    qtbot.waitUntil(lambda: not analysis.running, timeout=120_000)
