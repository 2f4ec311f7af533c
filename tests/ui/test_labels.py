"""Labels without a recording in the window: they open, are read, move and are changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, QRect
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QFileDialog, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

from app.core.taxonomy import find_taxonomy
from app.ui import theme
from app.ui.annotate.case_list import CaseList
from app.ui.main_window import MainWindow
from app.ui.messages import Message
from app.ui.osd import KeyRow
from app.ui.review import ReviewStage
from tests.helpers.clips import RECIPES, make_clip


@pytest.fixture
def labelled(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> MainWindow:
    """The window with a minute of Cholec80's phases and tools, which were dropped on it."""
    phases = tmp_path / "video05-phase.txt"
    phases.write_text(
        "Frame\tPhase\n"
        + "".join(
            f"{n}\t{'Preparation' if n < 500 else 'CalotTriangleDissection'}\n" for n in range(1500)
        ),
        encoding="utf-8",
    )
    tools = tmp_path / "video05-tool.txt"
    names = ["Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag"]
    rows = [f"{25 * n}\t{int(n < 30)}\t0\t{int(n > 20)}\t0\t0\t0\t0\n" for n in range(60)]
    tools.write_text("Frame\t" + "\t".join(names) + "\n" + "".join(rows), encoding="utf-8")
    with qtbot.waitSignal(window.services.cases.opened, timeout=20_000):
        window.open_files([phases, tools])
    return window


def test_it_opens_and_is_read(labelled: MainWindow, qtbot: QtBot) -> None:
    session, stage = labelled.services.session, labelled.review.stage
    assert session.asset is not None
    assert not session.asset.has_recording
    assert [lane.name for lane in session.label_lanes] == ["Grasper", "Hook"]
    ribbon = labelled.review.ribbon
    assert [(b.segment.phase, b.human) for b in ribbon.data.blocks] == [
        ("preparation", True),
        ("calot_triangle_dissection", True),
    ]
    ribbon.seek.emit(30_000.0)
    assert stage.time_ms == 30_000
    assert stage.block is not None
    assert stage.block.segment.phase == "calot_triangle_dissection"
    assert "Labels alone" in stage.accessibleDescription()
    assert labelled.services.player.state.info is None


def test_keys_move_the_playhead(labelled: MainWindow, qtbot: QtBot) -> None:
    stage, keys = labelled.review.stage, labelled.keys
    keys.trigger("second_on")
    assert stage.time_ms == 1000
    keys.trigger("boundary_on")
    assert stage.time_ms == 20_000
    keys.trigger("play")
    keys.trigger("to_end")
    assert stage.time_ms == 60_000
    keys.trigger("to_start")
    assert stage.time_ms == 0


class Written(QPainter):
    """A painter that knows what was written."""

    def __init__(self, canvas: QPixmap) -> None:
        super().__init__(canvas)
        self.words: list[str] = []

    def drawText(self, *given: object) -> None:
        self.words.append(str(given[-1]))
        super().drawText(*given)  # type: ignore[call-overload]


class Painted(QObject):
    """At which times of the stage a part of it was painted."""

    def __init__(self, part: QRect) -> None:
        super().__init__()
        self.part, self.times = part, list[float]()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent) and event.region().intersects(self.part):
            assert isinstance(watched, ReviewStage)
            self.times.append(watched.time_ms)
        return False


def test_clock_and_phase_are_painted_where_the_playhead_is(
    labelled: MainWindow, qtbot: QtBot
) -> None:
    stage = labelled.review.stage
    looked = Painted(stage._clock_rect().toRect())
    stage.installEventFilter(looked)
    qtbot.wait(300)  # nothing is left of the opening
    looked.times.clear()
    labelled.services.playback.go_to(20_000.0)
    qtbot.waitUntil(lambda: 20_000 in looked.times, timeout=5_000)


def test_the_place_stays_in_annotate_and_under_another_name(
    labelled: MainWindow, qtbot: QtBot
) -> None:
    labelled.services.playback.go_to(40_000.0)
    labelled.show_workspace("annotate")
    annotate, asset = labelled.annotate, labelled.services.session.asset
    assert annotate is not None
    assert asset is not None
    assert annotate.canvas.time_ms == 40_000
    assert annotate.timeline.playhead == asset.pts(40_000.0)
    with qtbot.waitSignal(labelled.services.session.case_opened, timeout=10_000):
        labelled.services.cases.rename("0001", "Another name")
    assert labelled.review.stage.time_ms == 40_000


def test_nobody_is_credited_with_what_was_imported_and_no_recording_is_spoken_of(
    labelled: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "app.ui.osd.draw_text", lambda _p, _at, text, _role, _colour: written.append(text)
    )
    labelled.review.stage.grab()
    assert "Imported, or decided since" in written
    assert "Labels: 1:00 left" in written
    assert "You decided" not in written
    labelled.keys.trigger("boundary_on")
    assert "imported" in labelled.review.ribbon.accessibleDescription()
    labelled.show_workspace("annotate")
    assert labelled.annotate is not None
    scene = labelled.annotate.timeline.scene()
    assert scene is not None
    assert scene.data.imported


def test_a_low_window_names_the_other_phases_too(labelled: MainWindow, qtbot: QtBot) -> None:
    labelled.resize(1280, 800)
    ribbon = labelled.review.ribbon
    qtbot.waitUntil(lambda: ribbon.height() == ribbon.sizeHint().height() == 72, timeout=5_000)
    colours = [theme.letter_color(p.colour) for p in find_taxonomy("cholecystectomy").phases[:2]]
    middle = round(ribbon._rows()[0])
    for at_ms in (5_000.0, 30_000.0):
        ribbon.set_time(at_ms)
        image = ribbon.grab().toImage()
        for begins_ms, colour in zip((0.0, 20_000.0), colours, strict=True):
            left = round(ribbon._x(begins_ms))
            area = [(x, y) for x in range(left, left + 14) for y in range(middle - 6, middle + 7)]
            assert any(image.pixelColor(x, y) == colour for x, y in area)
    # Where the name of the phase on screen lies over the next one, that one is named beside it.
    ribbon.resize(220, ribbon.height())
    ribbon.set_time(5_000.0)
    image = ribbon.grab().toImage()
    area = [(x, y) for x in range(image.width()) for y in range(middle - 6, middle + 7)]
    assert any(image.pixelColor(x, y) == colours[1] for x, y in area)


def test_keys_that_need_a_picture_or_a_model_say_what_is_missing(
    labelled: MainWindow, qtbot: QtBot
) -> None:
    said = []
    labelled.looking.said.connect(lambda m: said.append(m.text))
    labelled.services.said.connect(lambda m: said.append(m.text))
    labelled.keys.trigger("doubt_on")
    labelled.keys.trigger("more_like")
    assert said == [
        "No uncertain place: no model has said anything about the phases yet.",
        "There is no picture here that others could be like.",
    ]
    assert not labelled.sheets.find.isVisible()


def test_outlines_of_the_case_before_are_not_listed(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    opened.services.player.pause()
    shown = (KeyRow(name="Grasper", colour=QColor("#ff00ff")),)

    def stays() -> bool:
        """No answer for the frame on screen is on its way any more."""
        there = opened.review.stage.key == shown
        opened.review.show_key(shown)
        return there

    for _ in range(3):
        qtbot.waitUntil(stays, timeout=20_000)
    opened.show_workspace("library")
    phases = tmp_path / "video05-phase.txt"
    phases.write_text("Frame\tPhase\n" + "".join(f"{n}\tPreparation\n" for n in range(50)))
    with qtbot.waitSignal(opened.services.cases.opened, timeout=20_000):
        opened.open_files([phases])
    assert opened.review.stage.key == ()


def test_the_timeline_of_annotate_is_read_and_changed(labelled: MainWindow, qtbot: QtBot) -> None:
    labelled.show_workspace("annotate")
    annotate, session = labelled.annotate, labelled.services.session
    assert annotate is not None
    scene = annotate.timeline.scene()
    assert scene is not None
    assert [lane.name for lane in scene.data.instruments] == ["Grasper, labels", "Hook, labels"]
    labelled.services.playback.go_to(40_000.0)
    with qtbot.waitSignal(session.saved, timeout=10_000):
        annotate.commands.digit(3)
    assert session.human_timeline is not None
    assert [s.phase for s in session.human_timeline.segments][-1] == "clipping_cutting"


def test_the_files_are_written_again(
    labelled: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    sheet = labelled.sheets.export
    labelled.sheets.export_case()
    assert not sheet.outlines.isEnabled()
    assert sheet.labels.isChecked()
    with qtbot.waitSignal(
        labelled.services.leaving.said, check_params_cb=lambda m: bool(m.lasting_s), timeout=20_000
    ) as told:
        sheet.go.click()
    assert told.args[0].text.startswith("Phases and label files written")
    for name in ("video05-phase.txt", "video05-tool.txt"):
        (written,) = (tmp_path / "out").rglob(name)
        assert written.read_bytes() == (tmp_path / name).read_bytes()


def test_there_is_nothing_to_analyse(labelled: MainWindow, qtbot: QtBot) -> None:
    with qtbot.waitSignal(labelled.services.analysis.said) as told:
        labelled.services.analysis.start()
    assert "nothing to analyse" in told.args[0].text
    assert not labelled.services.analysis.running


def test_a_bad_file_is_named_and_nothing_is_there(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    file = tmp_path / "video05-phase.txt"
    file.write_text("preparation\nsomething else\n", encoding="utf-8")
    with qtbot.waitSignal(window.services.cases.said, timeout=20_000) as told:
        window.open_files([file])
    assert "video05-phase.txt, line 2" in told.args[0].text
    assert window.services.library.cases() == ()


def test_a_folder_of_labels_is_known(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for n in (1, 2):
        (folder / f"label_{n:02d}.txt").write_text("Frame\tPhase\n1\t1\n2\t2\n", encoding="utf-8")
    with qtbot.waitSignal(window.services.cases.opened, timeout=20_000):
        window.open_files([folder])
    assert [c.title for c in window.services.library.cases()] == ["AutoLaparo 01", "AutoLaparo 02"]


def test_many_cases_of_labels_leave_the_open_one_on_screen(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    case = opened.services.session.case
    for n in (1, 2):
        (tmp_path / f"label_{n:02d}.txt").write_text("Frame\tPhase\n1\t1\n2\t2\n")
    opened.show_workspace("library")
    cases = opened.services.cases
    with qtbot.waitSignal(
        cases.said, check_params_cb=lambda m: m.key == "labels", timeout=20_000
    ) as told:
        opened.open_files(sorted(tmp_path.glob("label_*.txt")))
    assert told.args[0].text.startswith("2 cases were made of the labels.")
    assert opened.services.session.case == case
    assert opened.workspace == "library"


def test_labels_beside_recordings_are_laid_on_those_that_are_called_so(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, recipe in (("video01", "h264-mp4-no-b"), ("other", "h264-one-frame")):
        make_clip(folder / f"{name}.mp4", RECIPES[recipe])
    cases, join = window.services.cases, window.sheets.recordings.join
    for name in ("video01-phase.txt", "video07-phase.txt"):
        (folder / name).write_text("preparation\nclippingcutting\n", encoding="utf-8")
    with qtbot.waitSignal(
        cases.said, check_params_cb=lambda m: m.key == "labels", timeout=20_000
    ) as told:
        window.open_files([folder])
    assert told.args[0].button == "Lay them on"
    qtbot.waitUntil(join.isVisible, timeout=20_000)
    join.separate.click()
    with qtbot.waitSignal(
        cases.said, check_params_cb=lambda m: m.key == "labels", timeout=60_000
    ) as done:
        told.args[0].action()
    text = done.args[0].text
    assert text.startswith("1 recording has the labels now.")
    assert "One operation of the labels has no recording here." in text
    library = window.services.library
    by_name = {Path(c.assets[0].path).stem: c.assets[0].asset_id for c in library.cases()}
    assert set(by_name) == {"video01", "other"}
    line = library.human_timeline(by_name["video01"])
    assert line is not None
    assert [s.phase for s in line.timeline.segments] == ["preparation", "clipping_cutting"]
    assert library.human_timeline(by_name["other"]) is None


def test_labels_that_do_not_fit_are_laid_on_when_a_human_insists(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    file = tmp_path / "video05-phase.txt"
    file.write_text("preparation\n" * 3 + "clippingcutting\n" * 40, encoding="utf-8")
    cases, session = opened.services.cases, opened.services.session

    def said(begin: Callable[[], object]) -> Message:
        with qtbot.waitSignal(
            cases.said, check_params_cb=lambda m: m.key == "labels", timeout=20_000
        ) as told:
            begin()
        return told.args[0]

    refused = said(said(lambda: opened.open_files([file])).action)
    assert "is it another one" in refused.text
    assert refused.button == "Lay them on all the same"
    assert "that was cut" in said(refused.action).text
    assert session.case is not None
    assert session.case.case_id == "0001"
    assert session.asset is not None
    assert session.human_timeline is not None
    assert session.human_timeline.segments[-1].end_pts == session.asset.end_pts


def test_labels_are_laid_on_the_open_recording(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    file = tmp_path / "video05-phase.txt"
    file.write_text("preparation\nclippingcutting\n", encoding="utf-8")
    cases, session = opened.services.cases, opened.services.session
    with qtbot.waitSignal(
        cases.said, check_params_cb=lambda m: "labels" in m.key, timeout=20_000
    ) as told:
        opened.open_files([file])
    assert told.args[0].button == "Lay them on case 0001"
    lay = told.args[0].action
    with qtbot.waitSignal(cases.said, check_params_cb=lambda m: "labels" in m.key, timeout=20_000):
        lay()
    assert session.case is not None
    assert session.case.case_id == "0001"
    assert session.human_timeline is not None
    asset = session.asset
    assert asset is not None
    assert [(asset.time_ms(s.start_pts), s.phase) for s in session.human_timeline.segments] == [
        (0, "preparation"),
        (pytest.approx(1000, abs=1), "clipping_cutting"),
    ]
    assert [c.case_id for c in opened.services.library.cases()] == ["0001"]


def test_cards_say_that_there_is_no_recording_and_annotate_lists_names(
    labelled: MainWindow, qtbot: QtBot
) -> None:
    labelled.show_workspace("library")
    qtbot.waitUntil(lambda: labelled.library.model.rowCount() == 1, timeout=10_000)
    (card,) = labelled.library.model.cards
    (title,) = {card.case.title, card.name}
    rows = CaseList(labelled.library.model)
    qtbot.addWidget(rows)
    for view in (labelled.library.view, rows.view):
        option = QStyleOptionViewItem()
        option.rect = QRect(0, 0, 300, 240)
        canvas = QPixmap(300, 240)
        painter = Written(canvas)
        view.itemDelegate().paint(painter, option, view.model().index(0, 0))
        painter.end()
        assert {"No recording", title} <= set(painter.words)
        assert "Laparoscopic cholecystectomy" not in painter.words
    assert card.spoken().endswith("1 correction, no recording")
