"""The Library workspace: filters, search, cards of cases, and the ways in when it is empty."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QItemSelectionModel, QObject, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from app.core.case import Case
from app.core.taxonomy import list_taxonomies
from app.ui import theme
from app.ui.card_grid import CardGrid
from app.ui.case_cards import (
    CARD,
    CARD_ROLE,
    STATE_WORDS,
    Card,
    CardDelegate,
    CaseFilter,
    CaseModel,
)
from app.ui.first_run import FirstRun
from app.ui.keys import KeyMap, Scope, set_widget_scope
from app.ui.widgets import Button, ElidedTick, Label, column, line, mark, row

MOMENTS = "Find a moment in all cases by words  ({0}, {0})"
_TO_CARDS = (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter)


class LibraryWorkspace(QWidget):
    """All cases of the library.

    Attributes:
        may_rename: names can be changed here.

    Signals:
        opened: (case id)
        delete_asked: (Case)
        add_asked, demo_asked, moments_asked: a button for it was pressed.
    """

    opened = Signal(str)
    delete_asked = Signal(object)
    add_asked = Signal()
    demo_asked = Signal()
    moments_asked = Signal()

    def __init__(self, keys: KeyMap, *, demo: Path | None) -> None:
        super().__init__()
        set_widget_scope(self, Scope.LIBRARY)
        self.may_rename = True
        self.model = CaseModel(self)
        self.filter = CaseFilter(self)
        self.filter.setSourceModel(self.model)
        self.first_run = FirstRun(keys, demo=demo)
        self.first_run.open_asked.connect(self.add_asked)
        self.first_run.demo_asked.connect(self.demo_asked)
        self._boxes: dict[str, tuple[str, QCheckBox, QLabel]] = {}
        self.filters = self._make_filters()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a case by number, words, procedure or phase")
        self.search.setAccessibleName("Find a case")
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumHeight(theme.px(36))
        self.search.textChanged.connect(self._filter_again)
        self.search.installEventFilter(self)
        self.count = Label("", "small", "3")
        self.view = self._make_view()
        self._nothing = Label("No case matches.", tone="3")
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._make_page(keys, demo=demo is not None))
        self._stack.addWidget(self.first_run)
        self.filter.layoutChanged.connect(self._counted)

    def regions(self) -> tuple[QWidget, ...]:
        """What F6 visits, in order."""
        if self._stack.currentIndex() == 1:
            return (self.first_run,)
        return self.filters, self.search, self.view

    def set_cards(self, cards: list[Card]) -> None:
        """Show these cases."""
        chosen = self.chosen()
        self.model.set_cards(cards)
        self._stack.setCurrentIndex(0 if cards else 1)
        for key, (kind, box, number) in self._boxes.items():
            fits = [
                c for c in cards if key in (c.case.procedure if kind == "p" else str(c.case.state),)
            ]
            number.setText(str(len(fits)))
            box.parentWidget().setVisible(bool(fits) or box.isChecked() or kind == "s")
        self._counted()
        if chosen is not None:
            self.choose(chosen.case_id)

    def chosen(self) -> Case | None:
        """The selected case."""
        indexes = self.view.selectionModel().selectedIndexes()
        return indexes[0].data(CARD_ROLE).case if indexes else None

    def choose(self, case_id: str) -> None:
        """Select a case."""
        for i in range(self.filter.rowCount()):
            index = self.filter.index(i, 0)
            if index.data(CARD_ROLE).case.case_id == case_id:
                self.view.selectionModel().setCurrentIndex(
                    index, QItemSelectionModel.SelectionFlag.ClearAndSelect
                )

    def set_picture(self, case_id: str, picture: QImage) -> None:
        """A case's thumbnail was made."""
        self.model.set_picture(case_id, picture)

    def open_chosen(self) -> None:
        """Open the selected case."""
        case = self.chosen()
        if case is not None:
            self.opened.emit(case.case_id)

    def rename_chosen(self) -> None:
        """Make the name of the selected case a field."""
        indexes = self.view.selectionModel().selectedIndexes()
        if indexes and self.may_rename:
            self.view.edit(indexes[0])

    def delete_chosen(self) -> None:
        """Ask to delete the selected case."""
        case = self.chosen()
        if case is not None:
            self.delete_asked.emit(case)

    def find(self) -> None:
        """Go to the search field; from there on to moments within the cases."""
        if self.search.hasFocus():
            self.moments_asked.emit()
            return
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _make_page(self, keys: KeyMap, *, demo: bool) -> QWidget:
        add = Button("Add a case", "main", "plus")
        add.clicked.connect(self.add_asked)
        words = f"Open a recorder's folder or a USB stick  ({keys.hint('open_folder')})"
        folder = Button("Add a folder", "", "folder-open", words)
        folder.clicked.connect(lambda: keys.trigger("open_folder"))
        show_demo = Button("Demo", "", "play", "Look at the demo case")
        show_demo.clicked.connect(self.demo_asked)
        show_demo.setVisible(demo)
        moments = Button("Find a moment", "plain", "", MOMENTS.format(keys.hint("find_case")))
        moments.clicked.connect(self.moments_asked)
        delete = Button("Delete", "plain", "trash-2", "Delete the selected case  (Del)")
        delete.clicked.connect(self.delete_chosen)
        rename = Button("Rename", "plain", "", "Give the selected case another name  (F2)")
        rename.clicked.connect(self.rename_chosen)
        ways = (rename, delete, show_demo, folder, add)
        heading = row(Label("Cases", "heading"), self.count, 0, *ways)
        middle = column(
            row(self.search, moments),
            *(heading, self._nothing, self.view),
            spacing=12,
            margins=(24, 16, 12, 0),
        )
        middle.layout().setStretchFactor(self.view, 1)
        page = QWidget()
        layout = QHBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.filters)
        layout.addWidget(line(vertical=True))
        layout.addWidget(middle, 1)
        return page

    def _make_filters(self) -> QWidget:
        box = mark(QWidget(), "panel")
        box.setAccessibleName("Filters")
        box.setFixedWidth(theme.px(264))
        layout = QVBoxLayout(box)
        layout.setContentsMargins(16, 16, 16, 16)
        layout.setSpacing(4)
        layout.addWidget(Label("Procedure", "caption", "2"))
        for taxonomy in list_taxonomies():
            tick = self._tick("p", taxonomy.procedure, taxonomy.name)
            # Until a case is of it: with every procedure the window could not be made small.
            tick.hide()
            layout.addWidget(tick)
        layout.addSpacing(16)
        layout.addWidget(Label("State", "caption", "2"))
        for state, (word, _) in STATE_WORDS.items():
            layout.addWidget(self._tick("s", str(state), word))
        layout.addStretch(1)
        return box

    def _tick(self, kind: str, key: str, word: str) -> QWidget:
        box = ElidedTick(word)
        box.setAccessibleName(word)
        box.setMinimumHeight(theme.px(28))
        box.toggled.connect(self._filter_again)
        number = Label("0", "small", "3")
        self._boxes[key] = (kind, box, number)
        return row(box, 0, number)

    def _make_view(self) -> CardGrid:
        view = CardGrid("Cases", self.filter, CARD[0])
        view.paint_by(CardDelegate(view))
        view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        view.installEventFilter(self)
        view.activated.connect(lambda index: self.opened.emit(index.data(CARD_ROLE).case.case_id))
        return view

    def _filter_again(self) -> None:
        ticked = {
            kind: frozenset(
                k for k, (of, box, _) in self._boxes.items() if of == kind and box.isChecked()
            )
            for kind in ("p", "s")
        }
        self.filter.set_ticked(ticked["p"], ticked["s"])
        self.filter.set_words(self.search.text())
        self._counted()

    def _counted(self) -> None:
        shown, all_ = self.filter.rowCount(), self.model.rowCount()
        self.count.setText(str(all_) if shown == all_ else f"{shown} of {all_}")
        self._nothing.setVisible(all_ > 0 and shown == 0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """From the search field Down and Enter go to the cards; there one is always chosen."""
        down = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if watched is self.search and down and event.key() in _TO_CARDS:
            self.view.setFocus(Qt.FocusReason.ShortcutFocusReason)
            return True
        if watched is self.view and event.type() == QEvent.Type.FocusIn and self.chosen() is None:
            self._choose_first()
        return super().eventFilter(watched, event)

    def _choose_first(self) -> None:
        self.view.selectionModel().setCurrentIndex(
            self.filter.index(0, 0), QItemSelectionModel.SelectionFlag.ClearAndSelect
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Filters fold on small screens."""
        super().resizeEvent(event)
        self.filters.setVisible(self.width() >= theme.px(1100))
