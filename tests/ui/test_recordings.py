"""A recorder's folder in the window: found, ordered, joined, played, lost and found again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage, QPainter
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.join_sheet import FACTS, NAME, NOTE, JoinSheet
from app.ui.joins import gap_words, joins_of
from app.ui.main_window import MainWindow
from app.ui.message_slot import MessageLine
from app.ui.messages import Message, Tone
from app.ui.timeline.join_marks import draw_joins
from app.video import find_recordings, opening
from app.video.index import OpenCancelled, PacketIndex
from app.video.indexing import Indexing
from tests.helpers.clips import number_of
from tests.helpers.parts import four_parts, write_part
from tests.ui.conftest import on_screen

PATIENCE_MS = 20_000
LENGTHS = (12, 10, 14, 9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four parts, made once."""
    return four_parts(tmp_path_factory.mktemp("made"), ".ts", LENGTHS)


@pytest.fixture
def stick(made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recorder's folder with sidecar files; they are the tests' own and not looked at first."""
    monkeypatch.setattr("app.video.opening.first_look", lambda _path, _cancelled: None)
    folder = tmp_path / "stick"
    folder.mkdir()
    for path in made:
        shutil.copy2(path, folder)
    (folder / "REC_0007.XML").write_text("<x/>")
    (folder / "REC_0007.THM").write_bytes(b"thumbnail")
    return folder


def drop(window: MainWindow, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, buttons, none))


def offered(window: MainWindow, qtbot: QtBot, *paths: Path) -> JoinSheet:
    sheet = window.sheets.recordings.join
    drop(window, *paths)
    qtbot.waitUntil(sheet.isVisible, timeout=PATIENCE_MS)
    assert not messages(window, "looking")
    return sheet


def messages(window: MainWindow, key: str) -> list[Message]:
    lines = [x for x in window.slot.lines if isinstance(x, MessageLine)]
    return [x.message for x in lines if x.message.key == key]


def names(sheet: JoinSheet) -> list[list[str]]:
    return [[p.name for p in parts] for parts in sheet.recordings()]


def joined(window: MainWindow, qtbot: QtBot, folder: Path) -> None:
    sheet = offered(window, qtbot, folder)
    qtbot.keyClick(sheet.list, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: on_screen(window) is not None, timeout=PATIENCE_MS)
    window.services.player.player.pause()


def shows(window: MainWindow, qtbot: QtBot, index: int) -> Callable[[], bool]:
    window.services.player.player.seek_index(index)

    def is_there() -> bool:
        frame = window.services.session.frame
        return frame is not None and frame.index == index and number_of(frame.rgb) == index

    return is_there


def column(window: MainWindow, ms: float) -> set[str]:
    """Colours of the ribbon's phase row at a moment, left out what moves with the playhead."""
    ribbon = window.review.ribbon
    image = ribbon.grab().toImage()
    ratio = image.width() / ribbon.width()
    _, top, _, _ = ribbon._rows()
    x = round(round(ribbon._x(ms)) * ratio)
    rows = range(round((top - 2) * ratio), round((top + 20) * ratio))
    return {image.pixelColor(x, y).name() for y in rows}


def check_marks(window: MainWindow) -> None:
    """A line at each join, and words for it; none elsewhere."""
    asset, ribbon = window.services.session.asset, window.review.ribbon
    assert asset is not None
    window.services.player.player.seek_index(asset.frames - 1)
    line = theme.color("text_3").name()
    for number, part in enumerate(asset.parts[1:], 2):
        ms = asset.time_ms(part.first_pts)
        assert line in column(window, ms)
        assert line not in column(window, ms + 100)
        join = ribbon.join_at(ribbon._x(ms) + 1)
        assert join is not None
        assert join.words == f"Part {number}, REC_0007_{number}.ts"
    assert ribbon.join_at(ribbon._x(100)) is None


def check_hatch(window: MainWindow) -> None:
    """The missing part is hatched from its beginning to its end."""
    asset, ribbon = window.services.session.asset, window.review.ribbon
    assert asset is not None
    part, warn = asset.parts[2], theme.color("warn").name()
    first, last = asset.time_ms(part.first_pts), asset.time_ms(part.end_pts)
    assert warn in column(window, (first + last) / 2)
    assert warn not in column(window, last + 60)
    image = QImage(40, 20, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    draw_joins(painter, joins_of(asset, frozenset({2})), lambda _pts: 0.0, 0.0, 20.0)
    painter.end()
    seen = {image.pixelColor(1, y).value() for y in range(20)}
    assert min(seen) > 100, "a block under the hatch is not seen"
    join = ribbon.join_at(ribbon._x((first + last) / 2))
    assert join is not None
    assert join.words == "Part 3, REC_0007_3.ts: is missing"


def test_a_dropped_folder_is_one_case_that_plays_across_its_joins(
    window: MainWindow, qtbot: QtBot, stick: Path
) -> None:
    sheet = offered(window, qtbot, stick)
    assert names(sheet) == [[f"REC_0007_{i}.ts" for i in range(1, 5)]]
    assert sheet.join.text() == "Join as one"
    assert sheet.join.isEnabled()
    qtbot.mouseClick(sheet.join, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: on_screen(window) is not None, timeout=PATIENCE_MS)
    window.services.player.player.pause()
    asset = window.services.session.asset
    assert asset is not None
    assert (asset.frames, len(asset.parts)) == (sum(LENGTHS), 4)
    for index in (11, 12, 21, 22, 44, 0):
        qtbot.waitUntil(shows(window, qtbot, index), timeout=PATIENCE_MS)
    check_marks(window)
    library = window.services.library
    qtbot.waitUntil(
        lambda: all(f.sha256 and f.pictures for f in library.cases()[0].assets[0].files),
        timeout=PATIENCE_MS,
    )


def test_several_files_may_be_separate_cases(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    files = [write_part(tmp_path / f"{name}.mp4", range(8)) for name in ("left", "right")]
    files[1] = write_part(tmp_path / "right.mp4", range(3, 14))
    sheet = offered(window, qtbot, *files)
    assert names(sheet) == [["left.mp4"], ["right.mp4"]]
    assert (sheet.join.text(), sheet.separate.isVisible()) == ("Make 2 cases", False)
    sheet.join.click()
    library = window.services.library
    qtbot.waitUntil(lambda: len(library.cases()) == 2, timeout=PATIENCE_MS)
    sheet = offered(window, qtbot, *files)
    sheet.all_as_one.click()
    qtbot.waitUntil(lambda: len(library.cases()) == 3, timeout=PATIENCE_MS)
    assert [Path(p.path).name for p in library.cases()[2].assets[0].parts] == [
        "left.mp4", "right.mp4",
    ]  # fmt: skip
    qtbot.waitUntil(lambda: on_screen(window) is not None, timeout=PATIENCE_MS)


def test_parts_are_moved_by_keys_and_between_recordings(
    window: MainWindow, qtbot: QtBot, stick: Path, tmp_path: Path
) -> None:
    other = write_part(tmp_path / "other.ts", range(8))
    sheet = offered(window, qtbot, stick, other)
    assert names(sheet) == [["other.ts"], [f"REC_0007_{i}.ts" for i in range(1, 5)]]
    sheet.list.setCurrentRow(3)
    qtbot.keyClick(sheet.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert names(sheet)[1][:2] == ["REC_0007_2.ts", "REC_0007_1.ts"]
    assert sheet.list.currentItem().data(NAME) == "REC_0007_1.ts"
    assert sheet.list.model().moveRow(QModelIndex(), 3, QModelIndex(), 1)
    qtbot.waitUntil(
        lambda: sheet.list.item(0).data(FACTS).startswith("2 parts"), timeout=PATIENCE_MS
    )
    assert names(sheet)[0] == ["REC_0007_2.ts", "other.ts"]
    sheet.list.setCurrentRow(1)
    qtbot.keyClick(sheet.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    sheet.list.setCurrentRow(1)
    for _ in range(5):
        qtbot.keyClick(sheet.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert [len(parts) for parts in names(sheet)] == [1, 4]
    assert sheet.join.text() == "Make 2 cases"
    sheet.list.setCurrentRow(1)
    qtbot.keyClick(sheet.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert names(sheet) == [[f"REC_0007_{i}.ts" for i in (2, 1, 3, 4)] + ["other.ts"]]
    assert sheet.join.text() == "Join as one"
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
    assert window.services.library.cases() == ()


def test_names_and_times_that_disagree_are_asked_about(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    write_part(folder / "r_1_2.ts", range(50), start_s=Fraction(10))
    write_part(folder / "r_1_1.ts", range(50, 100), start_s=Fraction(13))
    sheet = offered(window, qtbot, folder)
    assert sheet.question.isVisible()
    assert not sheet.join.isEnabled()
    assert "2nd by its time" in sheet.list.item(1).data(NOTE)
    sheet.by_time.click()
    assert names(sheet) == [["r_1_2.ts", "r_1_1.ts"]]
    assert sheet.join.isEnabled()
    assert not sheet.question.isVisible()
    assert sheet.list.item(2).data(NOTE) == "1.0 s lost before it"
    assert gap_words(-90_000) == "2 min recorded twice"


def test_a_folder_without_video_is_said(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(window.services.cases.not_found, timeout=PATIENCE_MS):
        drop(window, tmp_path)
    # Whether it holds labels is looked at before anything is said.
    qtbot.waitUntil(lambda: bool(messages(window, "open")), timeout=PATIENCE_MS)
    assert "no video" in messages(window, "open")[0].text
    assert window.workspace == "library"


def test_a_damaged_file_beside_the_only_good_one_is_named(
    window: MainWindow, qtbot: QtBot, stick: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(b"nothing")
    sheet = offered(window, qtbot, stick / "REC_0007_1.ts", damaged)
    assert names(sheet) == [["REC_0007_1.ts"]]
    assert sheet.left_out.isVisible()
    assert sheet.left_out.text().startswith("Left out: damaged.ts ")


def test_many_files_are_counted_and_can_be_stopped(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    first = write_part(tmp_path / "r_1_1.mp4", range(4))
    for number in range(2, 13):
        shutil.copy(first, tmp_path / f"r_1_{number}.mp4")
    drop(window, tmp_path)
    qtbot.waitUntil(
        lambda: any(" of 12" in m.text for m in messages(window, "looking")), timeout=PATIENCE_MS
    )
    (said,) = messages(window, "looking")
    assert said.action is not None
    with qtbot.waitSignal(window.services.cases.not_found, timeout=PATIENCE_MS):
        said.action()
    assert not messages(window, "looking")
    assert not window.sheets.recordings.join.isVisible()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a file is being read through, which goes on until nobody wants it."""
    begun = threading.Event()

    def read(_self: Indexing, cancelled: Callable[[], bool]) -> PacketIndex:
        begun.set()
        while not cancelled():
            time.sleep(0.005)
        raise OpenCancelled

    monkeypatch.setattr(Indexing, "whole", read)
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    return begun


def test_a_join_can_be_stopped_while_its_parts_are_read(
    window: MainWindow, qtbot: QtBot, stick: Path, endless: threading.Event
) -> None:
    sheet = offered(window, qtbot, stick)
    sheet.join.click()
    qtbot.waitUntil(endless.is_set, timeout=PATIENCE_MS)
    (said,) = messages(window, "reading")
    assert said.button == "Stop"
    assert said.action is not None
    with qtbot.waitSignal(window.services.cases.not_opened, timeout=PATIENCE_MS):
        said.action()
    assert not messages(window, "reading")
    assert not messages(window, "open")
    assert window.workspace == "library"
    assert window.services.library.cases() == ()
    assert window.services.player.previewed is None


@pytest.mark.timeout(60)
def test_closing_does_not_wait_for_a_join(
    window: MainWindow, qtbot: QtBot, stick: Path, endless: threading.Event
) -> None:
    sheet = offered(window, qtbot, stick)
    sheet.join.click()
    qtbot.waitUntil(endless.is_set, timeout=PATIENCE_MS)
    window.services.cases.close()
    assert window.services.library.cases() == ()


def test_what_was_dropped_next_takes_the_sheet_over(
    window: MainWindow, qtbot: QtBot, stick: Path
) -> None:
    sheet = offered(window, qtbot, stick)
    parts = [stick / f"REC_0007_{i}.ts" for i in (1, 2)]
    window.services.cases.found.emit(find_recordings(parts))
    assert sheet.isVisible()
    assert names(sheet) == [[p.name for p in parts]]


def test_a_missing_part_is_said_marked_and_found(
    window: MainWindow, qtbot: QtBot, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(window, qtbot, stick)
    case = window.services.session.case
    assert case is not None
    window.services.session.close()
    away = tmp_path / "away"
    away.mkdir()
    (stick / "REC_0007_3.ts").rename(away / "renamed.ts")
    analysis, settings = window.services.analysis, window.services.settings
    analysis.cards = ()
    settings.set(analyse_at_once=True)
    with qtbot.waitSignal(window.services.cases.opened, timeout=PATIENCE_MS):
        window.services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: bool(messages(window, "missing")), timeout=PATIENCE_MS)
    (said,) = messages(window, "missing")
    qtbot.waitUntil(lambda: bool(analysis.cards), timeout=PATIENCE_MS)
    assert not analysis.running, "it would end in a second message about the same file"
    assert not messages(window, "analysis")
    settings.set(analyse_at_once=False)
    analysis.said.emit(Message(text="old", tone=Tone.ERROR, key="analysis"))
    assert "REC_0007_3.ts is not where it was" in said.text
    assert window.services.session.gone == {2}
    check_hatch(window)
    qtbot.waitUntil(lambda: on_screen(window) is not None, timeout=PATIENCE_MS)
    window.services.player.player.pause()
    qtbot.waitUntil(shows(window, qtbot, 40), timeout=PATIENCE_MS)
    assert said.action is not None
    said.action()
    sheet = window.sheets.recordings.relink
    qtbot.waitUntil(sheet.isVisible, timeout=PATIENCE_MS)
    picked = iter([str(tmp_path / "stick"), str(away)])
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: next(picked))
    with qtbot.waitSignal(window.services.cases.relinked, timeout=PATIENCE_MS):
        sheet.folder.click()
    assert sheet.words.text() == "None of them is there."
    with qtbot.waitSignal(window.services.cases.opened, timeout=PATIENCE_MS):
        qtbot.keyClick(sheet, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not sheet.isVisible(), timeout=PATIENCE_MS)
    assert window.services.session.gone == frozenset()
    qtbot.waitUntil(lambda: on_screen(window) == 40, timeout=PATIENCE_MS)
    assert not window.services.player.state.playing
    qtbot.waitUntil(shows(window, qtbot, 25), timeout=PATIENCE_MS)
    assert not messages(window, "missing")
    assert not messages(window, "analysis")


def test_a_file_that_only_looks_like_the_recording_is_said(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    """It is opened at once by head and tail; the whole is compared behind the open case."""
    recording = write_part(tmp_path / "a.mp4", range(20))
    with recording.open("ab") as file:
        box = 3 << 20
        file.write(box.to_bytes(4, "big") + b"free" + bytes(box - 8))
    window.open_files([recording])
    library = window.services.library
    qtbot.waitUntil(
        lambda: bool(library.cases()) and bool(library.cases()[0].assets[0].sha256),
        timeout=PATIENCE_MS,
    )
    window.services.session.close()
    data = bytearray(recording.read_bytes())
    recording.unlink()
    data[len(data) // 2] ^= 255
    (tmp_path / "b.mp4").write_bytes(data)
    with qtbot.waitSignal(window.services.cases.relinked, timeout=PATIENCE_MS):
        window.services.cases.relink([tmp_path])
    assert library.cases()[0].assets[0].path == str(tmp_path / "b.mp4")
    qtbot.waitUntil(
        lambda: any(
            "is not the same inside" in line.accessibleName() for line in window.slot.lines
        ),
        timeout=PATIENCE_MS,
    )


def test_stop_ends_all_that_is_being_read(
    window: MainWindow, qtbot: QtBot, stick: Path, made: list[Path]
) -> None:
    cases, ready, over = window.services.cases, threading.Event(), []
    cases.not_opened.connect(lambda: over.append("not opened"))
    cases._io.run(ready.wait)
    drop(window, stick / made[0].name)
    drop(window, stick / made[1].name)
    cases.stop_reading()
    ready.set()
    qtbot.waitUntil(lambda: len(over) == 2, timeout=PATIENCE_MS)
    assert window.services.library.cases() == ()
