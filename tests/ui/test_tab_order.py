"""Tab begins at a room's main control and stays in the room until it has been everywhere."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QSpinBox, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from app.ui.tab_order import begin_at, stops_in


def test_tab_goes_round_a_room_from_its_main_control(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    layout, room = QVBoxLayout(window), QWidget()
    inner = QVBoxLayout(room)
    before, number, main, after = QPushButton("a"), QSpinBox(), QPushButton("m"), QPushButton("z")
    for widget in (before, number, main, after):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        inner.addWidget(widget)
    bar = QPushButton("bar")
    bar.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    layout.addWidget(room)
    layout.addWidget(bar)
    begin_at(main, room)
    begin_at(main, room)  # entered again
    assert stops_in(room) == [before, number, main, after]
    window.show()
    window.activateWindow()
    main.setFocus()
    qtbot.waitUntil(lambda: main.hasFocus())
    seen = []
    for _ in range(5):
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        seen.append(window.focusWidget())
    assert seen == [after, before, number, bar, main]


def test_from_the_cases_tab_goes_to_the_filters_and_the_search(
    opened: MainWindow, qtbot: QtBot
) -> None:
    opened.show_workspace("library")
    library = opened.library
    qtbot.waitUntil(lambda: library.view.hasFocus(), timeout=10_000)
    seen: list[QWidget | None] = []
    while not seen or (seen[-1] is not None and library.isAncestorOf(seen[-1])):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        seen.append(QApplication.focusWidget())
    stops = stops_in(library)
    place = stops.index(library.view)
    round_it = [*stops[place:], *stops[:place]]
    assert [library.view, *seen[:-1]] == [w for w in round_it if w.isVisible() and w.isEnabled()]
    assert library.search in seen
