"""What is worth a look, in the real window: tiers, lanes, forecasts, doubts, lengths."""

from __future__ import annotations

import json
from threading import Event

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.analysis.doubt import uncertain_cases
from app.annotate import phases
from app.core.errors import BadInput
from app.core.foreseen import HORIZON_MIN, Foreseen
from app.core.prediction import (
    ACTIVITIES,
    ACTIVITY_NAMES,
    ANTICIPATION,
    FEATURES_OF,
    PHASES,
    PhasePrediction,
)
from app.core.uncertainty import Doubt
from app.store import Library
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from app.ui.stage_menu import LOOK_AT, open_menu
from app.ui.timeline.data import timeline_data
from app.ui.timeline.geometry import Kind
from app.ui.widgets import Label
from tests.ui.conftest import on_screen

CALOT, CLIP = "calot_triangle_dissection", "clipping_cutting"
DIFFER_FROM, DIFFER_TO = 20, 30


def _run(window: MainWindow, task: str, model: str, classes: tuple[str, ...], **settings: object):
    asset = window.services.session.asset
    store = window.services.library.predictions(window.services.session.case.case_id)
    return store, store.start_run(
        asset=asset, model=model, task=task, weights_sha256="0", classes=classes,
        settings=settings, sample_every=1, frames_expected=60,
    )  # fmt: skip


def _pts(window: MainWindow, index: int) -> int:
    asset = window.services.session.asset
    return asset.start_pts + index * (asset.end_pts - asset.start_pts) // asset.frames


def _say(window: MainWindow, task: str, model: str, change: int, sure: float, **more: object):
    """A run whose first class holds until a frame, then its second."""
    classes = (CALOT, CLIP)
    store, run = _run(window, task, model, classes, **more)
    said = [
        PhasePrediction(
            pts=_pts(window, i), index=i,
            probabilities=(sure, 1 - sure) if i < change else (1 - sure, sure),
        )
        for i in range(60)
    ]  # fmt: skip
    store.put_phases(run.run_id, said)
    store.finish(run.run_id)


@pytest.fixture
def told(opened: MainWindow, qtbot: QtBot) -> MainWindow:
    """The clip, named as it went and afterwards, with activities and what is foreseen."""
    settings = opened.services.settings
    settings.set(models={PHASES: "after", ACTIVITIES: "scenes"})
    _say(opened, PHASES, "live", DIFFER_TO, 0.95)
    _say(opened, PHASES, "after", DIFFER_FROM, 0.97, **{FEATURES_OF: "live"})
    _say(opened, ACTIVITIES, "scenes", 40, 0.9, **{ACTIVITY_NAMES: "outside_body,operating"})
    store, run = _run(opened, ANTICIPATION, "ahead", (CALOT, CLIP), **{HORIZON_MIN: 30.0})
    rows = [
        Foreseen(
            pts=_pts(opened, i), index=i, next_probabilities=(0.05, 0.9, 0.05),
            minutes_to=(0.0, 14.0), minutes_left=(8.0, 12.0, 19.0),
        )
        for i in range(50)
    ]  # fmt: skip
    store.put_foreseen(run.run_id, rows)
    store.finish(run.run_id)
    opened.services.cases.set_procedure("cholecystectomy")
    with qtbot.waitSignal(opened.services.session.model_changed, timeout=20_000):
        opened.services.cases.refresh_predictions()
    session = opened.services.session
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=20_000)
    qtbot.waitUntil(lambda: session.unsaved == 0, timeout=20_000)
    return opened


def _press(window: MainWindow, key: Qt.Key, modifier: object = None) -> None:
    window.activateWindow()
    window.review.stage.setFocus()
    QTest.keyClick(window.review.stage, key, modifier or Qt.KeyboardModifier.NoModifier)


def test_both_tiers_are_shown_and_one_jumps_through_where_they_differ(
    told: MainWindow, qtbot: QtBot
) -> None:
    session = told.services.session
    assert session.model is not None
    assert session.model.run is not None
    assert (session.model.run.model, session.model.beside.run.model) == ("after", "live")
    (found,) = session.differences
    assert (found.start_pts, found.end_pts) == (_pts(told, DIFFER_FROM), _pts(told, DIFFER_TO))
    assert not found.is_human
    said = []
    told.looking.said.connect(lambda m: said.append(m.text))
    _press(told, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: on_screen(told) == DIFFER_FROM, timeout=10_000)
    assert said[-1].startswith(
        "1 of 1: Afterwards the model says Clip and cut, live Calot triangle"
    )
    menu = open_menu(told.review, told.keys, QPoint(0, 0), LOOK_AT)
    named = {a.text().partition("\t")[0]: a for a in menu.actions()}
    named["Next disagreement"].trigger()
    menu.close()
    assert said[-1] == "No disagreement after this moment."
    _press(told, Qt.Key.Key_N)
    assert said[-1] == said[-2]
    _press(told, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert said[-1] == "No disagreement before this moment."
    assert on_screen(told) == DIFFER_FROM
    told.show_workspace("annotate")
    assert told.annotate is not None
    scene = told.annotate.timeline.scene()
    assert scene is not None
    assert [r.label for r in scene.rows if r.kind is Kind.LANE] == [
        "Model, live", "Uncertain", "Activity",
    ]  # fmt: skip
    assert "Model, afterwards" in [r.label for r in scene.rows]
    assert scene.data.differences == session.differences
    told.keys.trigger("doubt_on")
    assert on_screen(told) == DIFFER_FROM
    tiers = timeline_data(session.case.case_id, session.asset, session.taxonomy, you=None).tiers
    session.commit(phases.start_at(tiers, session.asset.start_pts, CALOT))
    (mine,) = session.differences
    assert mine.is_human
    assert (mine.one, mine.other, mine.end_pts) == (CALOT, CLIP, session.asset.end_pts)
    assert told.looking.doubts() == (), "what a human named is no question any more"


def test_lanes_open_fold_seek_and_stay_as_they_were(
    told: MainWindow, qtbot: QtBot, dressed: QApplication
) -> None:
    review, lanes = told.review, told.review.lanes
    assert not review.lanes_open
    assert lanes not in review.regions()
    high = review.stage.height()
    _press(told, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: review.stage.height() < high, timeout=5_000)
    assert review.regions()[-1] is lanes
    labels = [r.label for r in lanes.rows()]
    assert labels == ["Disagreement", "Model, live", "Uncertain", "Activity"]
    assert "activity by the model: Outside body, Operating" in lanes.accessibleDescription()
    assert review.ribbon._x(0.0) == lanes.x_of(0.0)
    assert review.ribbon._x(2000.0) == lanes.x_of(2000.0)
    row = next(r for r in lanes.rows() if r.label == "Activity")
    middle = round(row.top_px + row.height_px / 2)
    x = round(lanes.x_of(told.services.session.asset.time_ms(_pts(told, 45)) + 20))
    qtbot.mouseClick(lanes, Qt.MouseButton.LeftButton, pos=QPoint(x, middle))
    qtbot.waitUntil(lambda: on_screen(told) == 45, timeout=10_000)
    qtbot.mouseMove(lanes, QPoint(x, middle))
    qtbot.waitUntil(lambda: "Operating" in lanes._card.text(), timeout=5_000)
    qtbot.mouseClick(lanes, Qt.MouseButton.LeftButton, pos=QPoint(40, middle))
    folded = next(r for r in lanes.rows() if r.label == "Activity")
    assert folded.folded
    assert folded.height_px < row.height_px
    menu = lanes.open_menu(QPoint(0, 0))
    marks = {a.text(): a.isChecked() for a in menu.actions()}
    assert marks["Activity"] is False
    assert marks["Uncertain"] is True
    next(a for a in menu.actions() if a.text() == "Uncertain").trigger()
    menu.close()
    kept = json.loads(Settings().values.layout["review lanes"])
    assert kept["open"] is True
    assert {"lane activity", "lane unsure"} <= set(kept["folded"])
    folder = told.services.library.folder
    told.close()
    again = MainWindow(Services(Library.open(folder, ballast_bytes=1 << 16), Settings()))
    try:
        assert again.review.lanes_open
        assert {"lane activity", "lane unsure"} <= again.review.lanes.folded
        again.looking.reset_layout()
        assert not again.review.lanes_open
    finally:
        again.close()
        again.deleteLater()


def test_lanes_are_gone_through_by_keyboard(
    told: MainWindow, qtbot: QtBot, dressed: QApplication
) -> None:
    lanes, asset = told.review.lanes, told.services.session.asset
    assert asset is not None
    _press(told, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: told.review.lanes_open, timeout=5_000)

    def walk(key: Qt.Key) -> None:
        QTest.keyClick(lanes, key)

    told.activateWindow()
    lanes.setFocus(Qt.FocusReason.TabFocusReason)
    assert lanes.accessibleName() == "Lanes"
    walk(Qt.Key.Key_Right)
    assert on_screen(told) == 0, "a lane is looked through before one goes anywhere"
    assert lanes.accessibleName().startswith("Disagreement: Afterwards the model says ")
    assert lanes.accessibleName().endswith("1 of 1")
    assert lanes._card.isVisible()
    walk(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: on_screen(told) == DIFFER_FROM, timeout=10_000)
    for _ in range(9):
        walk(Qt.Key.Key_Down)
    assert lanes.accessibleName().startswith("Activity: Outside body, 0:00 to 0:01")
    assert lanes.accessibleName().endswith("1 of 2")
    walk(Qt.Key.Key_Right)
    assert lanes.accessibleName().startswith("Activity: Operating")
    walk(Qt.Key.Key_Right)
    assert lanes.accessibleName().endswith("2 of 2"), "the last one stays"
    ring = theme.color("playhead")
    assert lanes._piece is not None
    row = next(r for r in lanes.rows() if r.label == "Activity")
    x, y = lanes.x_of(asset.time_ms(lanes._piece.start_pts)), row.top_px + row.height_px / 2
    image = lanes.grab().toImage()
    left = {image.pixelColor(round(x) + d, round(y)).name() for d in range(-4, 2)}
    assert ring.name() in left
    walk(Qt.Key.Key_Enter)
    qtbot.waitUntil(lambda: on_screen(told) == 40, timeout=10_000)
    walk(Qt.Key.Key_Left)
    assert lanes.accessibleName().startswith("Activity: Outside body")
    walk(Qt.Key.Key_Up)
    assert lanes.accessibleName().startswith("Uncertain: ")
    told.review.stage.setFocus(Qt.FocusReason.TabFocusReason)
    assert not lanes._card.isVisible()
    _press(told, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: on_screen(told) == 39, timeout=10_000)


def test_what_is_foreseen_is_said_and_drawn_for_as_long_as_it_counts(
    told: MainWindow, qtbot: QtBot
) -> None:
    stage, ribbon = told.review.stage, told.review.ribbon
    told.services.playback.go_to(0.0)
    qtbot.waitUntil(lambda: stage.forecast is not None, timeout=10_000)
    assert [t.text for t in stage._foreseen()] == [
        "Clip and cut in about 14 min", "Operation: about 12 min left (8 to 19)",
    ]  # fmt: skip
    said = "for about 12 min, in eight of ten such moments for 8 to 19 min"
    assert said in stage.accessibleDescription()
    assert said in stage.tip_at(QPointF(30, 30))
    assert stage.tip_at(QPointF(stage.rect().center())) == ""
    drawn = ribbon.grab().toImage()
    ribbon.set_forecast(None)
    assert ribbon.grab().toImage() != drawn
    model = told.services.session.model
    assert model is not None
    assert len(model.foreseen) == 50
    # Beside another phase than the one it sees, a forecast would contradict what is shown.
    told.services.player.player.seek_index(40)
    qtbot.waitUntil(lambda: stage.forecast is None, timeout=10_000)
    told.services.playback.go_to(0.0)
    qtbot.waitUntil(lambda: stage.forecast is not None, timeout=10_000)
    services = told.services
    services.settings.set(models={**services.settings.values.models, ANTICIPATION: ""})
    services.cases.refresh_predictions()
    qtbot.waitUntil(lambda: stage.forecast is None, timeout=10_000)
    assert stage._foreseen() == []


def test_the_queue_goes_to_the_most_uncertain_place_first(told: MainWindow, qtbot: QtBot) -> None:
    places = told.looking.doubts()
    assert [(d.start_pts, d.end_pts) for d in places] == [
        (_pts(told, DIFFER_FROM), _pts(told, DIFFER_TO))
    ]
    _press(told, Qt.Key.Key_U)
    qtbot.waitUntil(lambda: on_screen(told) == DIFFER_FROM, timeout=10_000)
    told.services.playback.go_to(0.0)
    qtbot.waitUntil(lambda: on_screen(told) == 0, timeout=10_000)
    _press(told, Qt.Key.Key_U, Qt.KeyboardModifier.ControlModifier)
    sheet = told.looking.next
    assert sheet.isVisible()
    wanted = [sheet.list.item(i).text() for i in range(sheet.list.count())]
    assert wanted[0] == "This case"
    assert isinstance(sheet.list.currentItem().data(Qt.ItemDataRole.UserRole), Doubt)
    qtbot.waitUntil(
        lambda: sheet.list.item(sheet.list.count() - 1).text().startswith("Case 0001"),
        timeout=20_000,
    )
    qtbot.keyClick(sheet.list, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: on_screen(told) == DIFFER_FROM, timeout=10_000)
    assert not sheet.isVisible()


def test_the_sheet_of_lengths_says_what_there_is_to_compare(told: MainWindow, qtbot: QtBot) -> None:
    _press(told, Qt.Key.Key_P, Qt.KeyboardModifier.ShiftModifier)
    sheet = told.looking.lengths
    assert sheet.isVisible()
    qtbot.waitUntil(lambda: sheet.chart is not None, timeout=20_000)
    assert sheet.chart is not None
    assert sheet.chart.accessibleDescription() == (
        "Calot triangle: 0.8 s; no other case has it; Clip and cut: 1.6 s; no other case has it"
    )
    sheet.grab()
    sheet.chart.setFixedHeight(5000)  # as with many phases in a low window
    bar = sheet.scroll.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0, timeout=20_000)
    focus = told.focusWidget()
    assert focus is not None
    qtbot.keyClick(focus, Qt.Key.Key_PageDown)
    assert bar.value() > 0
    qtbot.keyClick(focus, Qt.Key.Key_End)
    assert bar.value() == bar.maximum()
    qtbot.keyClick(focus, Qt.Key.Key_Home)
    assert bar.value() == 0
    told.keys.trigger("escape")
    assert not sheet.isVisible()


def test_a_change_between_two_frames_does_not_hold_the_keys_up(
    told: MainWindow, qtbot: QtBot
) -> None:
    session = told.services.session
    assert session.asset is not None
    assert session.case is not None
    tiers = timeline_data(session.case.case_id, session.asset, session.taxonomy, you=None).tiers
    between = _pts(told, 10) + (_pts(told, 11) - _pts(told, 10)) // 3
    session.commit(phases.create(tiers, between, _pts(told, 40) + 7, "preparation"))
    assert session.human_timeline is not None
    assert session.human_timeline.segments[0].start_pts == between
    for wanted in (10, 40):
        told.keys.trigger("boundary_on")
        qtbot.waitUntil(lambda i=wanted: on_screen(told) == i, timeout=10_000)
    told.keys.trigger("boundary_back")
    qtbot.waitUntil(lambda: on_screen(told) == 10, timeout=10_000)


def test_lengths_of_an_operation_that_nobody_named_have_the_words_of_the_ribbon(
    told: MainWindow, qtbot: QtBot
) -> None:
    session = told.services.session
    told.services.cases.set_procedure("unknown")
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "unknown", timeout=20_000)
    session.know_models({"after": "cholecystectomy"})
    told.keys.trigger("lengths")
    sheet = told.looking.lengths
    qtbot.waitUntil(lambda: sheet.chart is not None, timeout=20_000)
    assert sheet.chart is not None
    assert sheet.chart.accessibleDescription().startswith("Calot triangle: 0.8 s")
    assert "nobody said" in sheet.findChildren(Label)[-1].text()
    told.keys.trigger("escape")


def test_an_answer_that_was_given_up_is_never_shown(
    told: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, asked = Event(), []

    def held_up(library: Library, **more: object):
        asked.append(more)
        go.wait(20)
        return 2 * uncertain_cases(library)

    monkeypatch.setattr("app.analysis.doubt.uncertain_cases", held_up)
    sheet = told.looking.next
    told.keys.trigger("look_next")
    qtbot.waitUntil(lambda: len(asked) == 1, timeout=20_000)
    told.keys.trigger("escape")
    told.keys.trigger("look_next")
    assert sheet.isVisible()
    answers = []
    told.looking._background._finished.connect(lambda *_: answers.append(1))
    go.set()
    qtbot.waitUntil(lambda: len(answers) == 2, timeout=20_000)
    rows = [sheet.list.item(i).text() for i in range(sheet.list.count())]
    assert "Reading" not in rows
    assert len([row for row in rows if row.startswith("Case ")]) == 2


def test_a_library_past_reading_closes_the_sheet_and_says_so(
    told: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise BadInput("The library cannot be read.")

    monkeypatch.setattr("app.analysis.lengths.phase_lengths", damaged)
    with qtbot.waitSignal(told.looking.said, timeout=20_000) as said:
        told.keys.trigger("lengths")
    assert said.args[0].text == "The library cannot be read."
    assert not told.looking.lengths.isVisible()
