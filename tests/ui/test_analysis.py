"""Analysis in the real window with tiny real networks: overlay, ribbon, pause, stop, models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QRadioButton
from pytestqt.qtbot import QtBot

from app.core.taxonomy import find_taxonomy
from app.inference.new_case import case_of
from app.store import Library
from app.ui.analysis import pick
from app.ui.main_window import MainWindow
from app.ui.model_sheet import DEMO_WORDS, card_lines, fit_words
from app.ui.services import Services
from app.ui.settings import Settings
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.conftest import save_instruments, save_phases
from tests.ui.conftest import on_screen

PATIENCE_MS = 90_000


@pytest.fixture
def window(dressed: QApplication, qtbot: QtBot, own_library: Path) -> Iterator[MainWindow]:
    """A window over a library with two tiny models that analyses what it opens."""
    (own_library / "models").mkdir(parents=True)
    save_instruments(own_library / "models")
    save_phases(own_library / "models")
    settings = Settings()
    settings.set(models={"instance-segmentation": "tools", "phase-recognition": "phases"})
    library = Library.open(own_library, ballast_bytes=1 << 16)
    made = MainWindow(Services(library, settings))
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.deleteLater()


def test_a_dropped_clip_gets_masks_and_phases_by_itself(
    window: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    session, analysis = window.services.session, window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(lambda: analysis.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: len(session.instances) > 0, timeout=PATIENCE_MS)
    assert window.status.work.text()
    qtbot.waitUntil(lambda: not analysis.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(
        lambda: session.segment_run is not None and session.segment_run.finished,
        timeout=PATIENCE_MS,
    )
    assert session.model is not None
    assert session.model.analysed_to_pts == session.asset.end_pts
    assert session.model.confidence
    blocks = window.review.ribbon.data.blocks
    assert blocks
    assert not any(b.human for b in blocks)
    assert window.status.device.text() not in ("", "Models")
    assert "ms per frame" in window.status.speed.text()
    assert DEMO_WORDS in window.status.fits.text()
    store = window.services.library.predictions(session.case.case_id)
    assert len(store.stored_pts(session.segment_run.run_id)) == session.asset.frames

    window.services.player.player.pause()
    window.services.player.player.seek_index(17)
    qtbot.waitUntil(
        lambda: (
            on_screen(window) == 17
            and session.prediction is not None
            and session.prediction.index == 17
        ),
        timeout=PATIENCE_MS,
    )
    stored = store.frame(session.segment_run.run_id, session.frame.pts)
    assert session.prediction == stored


def test_pause_serves_the_screen_and_stop_keeps_what_is_done(
    window: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    session, analysis = window.services.session, window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(lambda: analysis.progress is not None, timeout=PATIENCE_MS)
    window.keys.trigger("analyse")
    assert analysis.paused
    assert window.review.stage.progress[-1] == "paused"
    window.services.player.player.pause()
    window.services.player.player.seek_index(55)
    qtbot.waitUntil(
        lambda: on_screen(window) == 55 and session.prediction is not None, timeout=PATIENCE_MS
    )
    window.status.stop.click()
    qtbot.waitUntil(lambda: not analysis.running, timeout=PATIENCE_MS)
    store = window.services.library.predictions(session.case.case_id)
    run = store.runs(session.asset.asset_id)[0]
    kept = len(store.stored_pts(run.run_id))
    assert kept >= 1
    window.keys.trigger("analyse")
    qtbot.waitUntil(lambda: analysis.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not analysis.running, timeout=PATIENCE_MS)
    assert len(store.stored_pts(run.run_id)) == session.asset.frames


def test_pause_serves_the_screen_in_a_case_of_two_recordings(
    window: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    services, session = window.services, window.services.session
    second = make_clip(tmp_path / "second.mp4", RECIPES["h264-mp4-no-b"])
    case = case_of(services.library, [clip, second], procedure="unknown")
    services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: services.analysis.progress is not None, timeout=PATIENCE_MS)
    window.keys.trigger("analyse")
    services.player.player.pause()
    services.player.player.seek_index(55)
    qtbot.waitUntil(
        lambda: on_screen(window) == 55 and session.prediction is not None, timeout=PATIENCE_MS
    )
    assert services.analysis.paused
    assert session.prediction.index == 55


def test_closing_in_the_middle_of_an_analysis_loses_nothing(
    window: MainWindow, qtbot: QtBot, clip: Path, own_library: Path
) -> None:
    analysis = window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(
        lambda: analysis.progress is not None and analysis.progress.done > 0, timeout=PATIENCE_MS
    )
    done = analysis.progress.done
    window.close()
    with Library.open(own_library, "read") as library:
        case = library.cases()[0]
        store = library.predictions(case.case_id)
        runs = store.runs(case.assets[0].asset_id)
        assert max(len(store.stored_pts(r.run_id)) for r in runs) >= done


def test_a_case_that_gives_way_to_another_goes_on_by_itself(
    window: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    services, analysis = window.services, window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(
        lambda: analysis.progress is not None and analysis.progress.done > 0, timeout=PATIENCE_MS
    )
    first = services.session.case
    assert first is not None
    cards = window.library.model
    assert cards.cards[0].state[0].startswith("Analysing, ")
    words = []
    analysis.changed.connect(lambda: words.append(analysis.states().get(first.case_id, "")))
    window.open_files([make_clip(tmp_path / "second.mp4", RECIPES["h264-mp4-no-b"])])
    qtbot.waitUntil(
        lambda: analysis.running and analysis.case_id != first.case_id, timeout=PATIENCE_MS
    )
    assert analysis.runs_here
    assert words[-1].startswith("Waits at ")
    assert f"then {first.case_id}" in window.status.work.text() or analysis.progress is None
    second = analysis.case_id
    qtbot.waitUntil(lambda: not analysis.running and not analysis.states(), timeout=PATIENCE_MS)
    for case_id in (first.case_id, second):
        store = services.library.predictions(case_id)
        asset_id = services.library.case(case_id).assets[0].asset_id
        runs = store.runs(asset_id)
        assert len(runs) == 2
        assert all(r.finished for r in runs), case_id


def test_a_case_that_is_deleted_is_not_taken_up_again(
    window: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    services, analysis = window.services, window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(lambda: analysis.progress is not None, timeout=PATIENCE_MS)
    first = analysis.case_id
    window.open_files([make_clip(tmp_path / "second.mp4", RECIPES["h264-mp4-no-b"])])
    qtbot.waitUntil(lambda: analysis.running and analysis.case_id != first, timeout=PATIENCE_MS)
    analysis.leave(first, lambda: services.cases.delete(first))
    qtbot.waitUntil(lambda: not analysis.running and not analysis.states(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: len(services.library.cases()) == 1, timeout=PATIENCE_MS)
    assert not list((services.library.folder / "predictions").glob(f"*{first}*"))


def test_a_broken_model_gets_one_sentence(
    window: MainWindow, qtbot: QtBot, clip: Path, own_library: Path
) -> None:
    weights = own_library / "models" / "tools" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    window.open_files([clip])
    qtbot.waitUntil(
        lambda: any("weight" in x.accessibleName().lower() for x in window.slot.lines),
        timeout=20_000,
    )
    assert not window.services.analysis.running
    assert window.services.player.state.info is not None


def test_the_models_sheet_says_what_runs_where(
    window: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    window.keys.trigger("models")
    analysis = window.services.analysis
    qtbot.waitUntil(lambda: analysis.device is not None, timeout=PATIENCE_MS)
    words = [label.text() for label in window.sheets.models.findChildren(QLabel)]
    assert analysis.device.reason in words
    assert analysis.device.name in words
    assert DEMO_WORDS in words
    chosen = [b.text() for b in window.sheets.models.findChildren(QRadioButton) if b.isChecked()]
    # No activities unless they are chosen; nothing is foreseen from this phase model's features.
    assert sorted(chosen) == ["None", "None", "Phases", "Tools"]


def test_the_models_sheet_stands_still_while_the_analysis_runs(
    window: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    analysis, sheet = window.services.analysis, window.sheets.models
    window.keys.trigger("models")
    qtbot.waitUntil(lambda: analysis.device is not None, timeout=PATIENCE_MS)
    radios = sheet.findChildren(QRadioButton)
    assert radios
    name = analysis.cards[0].name
    analysis.ms_per_frame[name] = 41.0
    analysis.changed.emit()
    assert [r for r in sheet.findChildren(QRadioButton) if r in radios] == radios
    assert "41 ms per frame here" in [x.text() for x in sheet.findChildren(QLabel)]


def test_figures_of_a_model_are_words_behind_a_button(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    from dataclasses import replace

    figures = {"phantom_held_out_map50_95": 0.5984, "real_stills_iou": 0.65}
    card = replace(save_instruments(tmp_path), figures=figures)
    sheet = window.sheets.models
    sheet.show_facts(None, (card,), {}, find_taxonomy("unknown"))
    sheet.open_sheet()
    said = {x.text(): x for x in sheet.findChildren(QLabel)}
    held_out = said["Synthetic held out mAP 50 to 95"]
    assert not any("_" in text for text in said)
    assert not held_out.isVisible()
    button = next(b for b in sheet.findChildren(QPushButton) if b.text() == "Figures")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert held_out.isVisible()
    assert said["0.598"].isVisible()


def test_a_model_for_another_operation_is_named(own_library: Path) -> None:
    from dataclasses import replace

    (own_library / "models").mkdir(parents=True)
    card = replace(save_instruments(own_library / "models"), procedures=("cholecystectomy",))
    other = replace(find_taxonomy("cholecystectomy"), procedure="x", name="Appendectomy")
    assert "not for appendectomy" in fit_words(card, other)
    assert fit_words(card, find_taxonomy("cholecystectomy")) == ""
    assert fit_words(card, find_taxonomy("unknown")) == ""
    assert card_lines(card, other)[0] == (DEMO_WORDS, "warn")


def test_the_wanted_model_is_used_else_one_that_suits(own_library: Path) -> None:
    from dataclasses import replace

    (own_library / "models").mkdir(parents=True)
    first = save_instruments(own_library / "models", "a")
    second = replace(
        save_instruments(own_library / "models", "b"), procedures=("other",), demo=False
    )
    task = "instance-segmentation"
    assert pick((first, second), task, "", "cholecystectomy") is first
    assert pick((first, second), task, "b", "cholecystectomy") is second
    assert pick((first, second), task, "gone", "other") is second
    assert pick((), task, "a", "other") is None
