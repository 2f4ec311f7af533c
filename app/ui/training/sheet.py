"""The sheet of trainings: what goes on now, its curves and pictures, the runs before it. GUI."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import (
    QBoxLayout,
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QWidget,
)

from app.core.prediction import ENHANCEMENT
from app.learning.run_log import HELD_OUT, LOSS
from app.learning.run_view import UNFINISHED, RunView
from app.ui import theme
from app.ui.model_sheet import figure_words
from app.ui.sheet import Sheet
from app.ui.teaching import Teaching
from app.ui.training.curves import Curves, Legend, Line
from app.ui.training.run_row import RunRow, left_words, state_words
from app.ui.training.runs import TrainingRuns
from app.ui.training.samples import Samples
from app.ui.widgets import Button, Combo, Elided, Label, column, line, row
from app.ui.words import count, length

NONE_YET = (
    "No training yet. Teach a model from corrections with Ctrl+T, or open the folder that "
    "“trocar train” was given with --out."
)
NOT_MEASURED = "Nothing is held out, so nothing is measured."
NOT_LOGGED = "The curve begins with the first report."
STOP = "End this training now; the best weights so far become the model"
PAUSE = "End the process; “Go on” starts it again where it was"
GO_ON = "Go on where it was, with the same cases, base and steps"
GO_ON_ELSEWHERE = "To go on, start the same command again."


class TrainingSheet(Sheet):
    """Trainings of the library and of folders that were opened.

    Args:
        window: it lies over.
        runs: what reads them.
        teaching: what goes on with those that it started.
    """

    def __init__(self, window: QWidget, runs: TrainingRuns, teaching: Teaching) -> None:
        super().__init__(window, "Trainings", 1180, 860)
        self._runs, self._window, self._teaching = runs, window, teaching
        self._views: tuple[RunView, ...] = ()
        self._rows: dict[Path, RunRow] = {}
        self._chosen: Path | None = None
        self._compared: list[Path] = []
        self._stopping: set[Path] = set()
        self._wanted_name = ""
        self.folder = Button("Open run folder", icon="folder-open")
        self.folder.setToolTip("Follow a run that “trocar train” writes into a folder")
        self.folder.clicked.connect(self._ask_for_folder)
        self.head.insertWidget(self.head.count() - 1, self.folder)
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.list = column(spacing=2)
        self.note = Label("", tone="error")
        self.note.setWordWrap(True)
        self.title = Elided("", "title")
        self.state = Label("", "control", "2")
        self.facts = Elided("", tone="2")
        self.bar = QProgressBar()
        self.why = Label("", tone="2")
        self.why.setWordWrap(True)
        self.stop = Button("Stop", tooltip=STOP)
        self.pause = Button("Pause", tooltip=PAUSE)
        self.go_on = Button("Go on", "main", tooltip=GO_ON)
        self.parts = Combo("Which loss")
        self.figures = Combo("Which figure")
        self.loss = Curves("Loss", empty=NOT_LOGGED)
        self.held_out = Curves("Held out", empty=NOT_MEASURED)
        self.legend = Legend()
        self.samples = Samples()
        self._lay_out()
        self.stop.clicked.connect(self._stop)
        self.pause.clicked.connect(self._pause)
        self.go_on.clicked.connect(self._go_on)
        teaching.failed.connect(self._failed)
        for combo in (self.parts, self.figures):
            combo.activated.connect(self._show_curves)
        self.samples.wanted.connect(runs.show_pictures)
        runs.listed.connect(self._listed)
        runs.pictured.connect(self.samples.show_pictures)
        runs.opened.connect(self.choose)
        runs.failed.connect(self._failed)
        self.closed.connect(lambda: runs.follow(on=False))

    def _lay_out(self) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("How far the training is")
        charts = QWidget()
        side = QHBoxLayout(charts)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(24)
        for combo, chart, words in (
            (self.parts, self.loss, "Loss"),
            (self.figures, self.held_out, "Held out"),
        ):
            head = row(Label(words, "heading"), 0, combo)
            side.addWidget(column(head, chart, spacing=4), 1)
        self.empty = Label(NONE_YET, tone="2")
        self.empty.setWordWrap(True)
        top, facts = (
            row(self.title, self.go_on, self.pause, self.stop, spacing=12),
            row(self.state, self.facts, spacing=16),
        )
        self.detail = column(
            top, facts, self.why, self.bar, 8, charts, self.legend, 8,
            Label("Held-out pictures as the model sees them", "heading"), self.samples,
            spacing=6,
        )  # fmt: skip
        for box, place in ((top, 0), (facts, 1), (self.detail, 4)):
            layout = box.layout()
            assert isinstance(layout, QBoxLayout)  # noqa: S101 - row and column made them
            layout.setStretch(place, 1)
        self.left = column(self.list, self.note, 0, spacing=8)
        body = QWidget()
        across = QHBoxLayout(body)
        across.setContentsMargins(20, 16, 28, 12)
        across.setSpacing(20)
        across.addWidget(self.left)
        across.addWidget(line(vertical=True))
        across.addWidget(column(self.empty, self.detail, spacing=0), 1)
        self.set_body(body)
        for part in (self.note, self.legend, self.parts, self.figures, self.why):
            part.hide()
        self.detail.hide()

    def open_sheet(self) -> None:
        """Show it and follow what is read."""
        self.left.setFixedWidth(theme.px(280))
        super().open_sheet()
        self._runs.follow(on=True)

    def choose(self, folder: Path) -> None:
        """Look at the run in a folder."""
        self._chosen = folder
        self.note.hide()
        self._show()

    def choose_by_name(self, name: str) -> None:
        """Look at a run of the library once it is there."""
        self._wanted_name = name

    def _listed(self, views: tuple[RunView, ...]) -> None:
        self._views = views
        self._stopping &= {v.folder for v in views if v.runs}
        for view in views:
            if view.name == self._wanted_name:
                self._chosen, self._wanted_name = view.folder, ""
        if self._chosen not in [v.folder for v in views]:
            self._chosen = next((v.folder for v in views if v.runs), None)
            self._chosen = self._chosen or (views[0].folder if views else None)
        if [v.folder for v in views] != list(self._rows):
            self._make_rows()
        for view in views:
            self._rows[view.folder].show_run(view)
        self._show()

    def _make_rows(self) -> None:
        layout = self.list.layout()
        assert layout is not None  # noqa: S101 - column made it
        kept = {v.folder: self._rows.get(v.folder) for v in self._views}
        for folder, old in self._rows.items():
            layout.removeWidget(old)
            if folder not in kept:
                self._group.removeButton(old.face)
                old.deleteLater()
        self._rows = {}
        for view in self._views:
            made = kept[view.folder] or self._new_row(view)
            self._rows[view.folder] = made
            layout.addWidget(made)
        self._compared = [f for f in self._compared if f in self._rows]

    def _new_row(self, view: RunView) -> RunRow:
        made = RunRow(view)
        self._group.addButton(made.face)
        made.chosen.connect(lambda: self.choose(view.folder))
        made.compared.connect(lambda on: self._compare(view.folder, on=on))
        return made

    def _compare(self, folder: Path, *, on: bool) -> None:
        self._compared = [f for f in self._compared if f != folder] + ([folder] if on else [])
        self._show_curves()

    def _view(self) -> RunView | None:
        return next((v for v in self._views if v.folder == self._chosen), None)

    def _show(self) -> None:
        view = self._view()
        self.detail.setVisible(view is not None)
        self.empty.setVisible(view is None)
        if view is None:
            return
        self._rows[view.folder].face.setChecked(True)
        self.title.setText(view.title if view.title == view.name else f"{view.title}  {view.name}")
        words, token = state_words(view)
        facts = [view.doing or f"{count(view.step)} of {count(view.steps)} batches"]
        facts += [left_words(view)]
        facts += [f"took {length(view.seconds)}" if view.seconds and not view.runs else ""]
        facts += [view.device]
        if view.pieces > 1:
            facts.append(f"memory is short: batches in {view.pieces} pieces")
        self.state.setText(words)
        self.facts.setText("   ".join(f for f in facts if f))
        self.state.set_tone(token if token in ("warn", "error") else "2")
        self.bar.setVisible(view.runs)
        self.bar.setValue(round(1000 * view.step / max(1, view.steps)))
        self._show_buttons(view)
        self._offer(self.parts, view, "loss", LOSS)
        self._offer(self.figures, view, HELD_OUT + view.score, HELD_OUT)
        truth = "Without smoke" if view.task == ENHANCEMENT else "True"
        self.samples.show_files(view.samples, truth)
        self._show_curves()

    def _show_buttons(self, view: RunView) -> None:
        asked = view.folder in self._stopping
        for button in (self.stop, self.pause):
            button.setEnabled(not asked)
        self.stop.setVisible(view.runs and not view.doing)
        self.stop.setText("Stopping" if asked else "Stop")
        self.pause.setVisible(view.runs and view.asked is not None)
        ours = view.can_go_on and view.folder.parent == self._teaching.runs_folder
        self.go_on.setVisible(ours)
        busy = self._teaching.running
        self.go_on.setEnabled(not busy)
        self.go_on.setToolTip(f"{self._teaching.name} is being taught" if busy else GO_ON)
        elsewhere = view.state in UNFINISHED and not ours
        self.why.setText(" ".join(filter(None, (view.sentence, elsewhere and GO_ON_ELSEWHERE))))
        self.why.setVisible(bool(self.why.text()))

    def _offer(self, combo: Combo, view: RunView, first: str, prefix: str) -> None:
        names = [n for n in view.columns if n.startswith(prefix) and n != first]
        names = ([first] if first in view.columns else []) + names
        if names == [combo.itemData(i) for i in range(combo.count())]:
            return
        before = combo.currentData()
        combo.clear()
        for name in names:
            combo.addItem(
                "All" if name == "loss" else figure_words(name.removeprefix(prefix)), name
            )
        combo.setCurrentIndex(max(0, combo.findData(before)))
        combo.setVisible(len(names) > 1)

    def _show_curves(self) -> None:
        view = self._view()
        if view is None:
            return
        compared = [v for v in self._views if v.folder in self._compared and v != view]
        shown = [view, *compared]
        self.legend.show_names([v.name for v in shown])
        loss, figure = self.parts.currentData() or "loss", self.figures.currentData() or ""
        steps = max(v.steps if v.runs else v.step for v in shown)
        self.loss.show_lines([_line(v, loss) for v in shown], steps)
        is_score = figure == HELD_OUT + view.score
        lines = [_line(v, figure, best=is_score) for v in shown]
        words = figure_words(figure.removeprefix(HELD_OUT)) if figure else "Held out"
        self.held_out.set_name(words, NOT_MEASURED if view.columns else NOT_LOGGED)
        self.held_out.show_lines(lines, steps)

    def _stop(self) -> None:
        view = self._view()
        if view is not None:
            self._stopping.add(view.folder)
            self._runs.stop_run(view.folder)
            self._show()

    def _pause(self) -> None:
        view = self._view()
        if view is not None:
            self._stopping.add(view.folder)
            self._runs.pause_run(view.folder)
            self._show()

    def _go_on(self) -> None:
        view = self._view()
        if view is not None:
            self.note.hide()
            self._teaching.go_on(view)
            self._show()

    def _ask_for_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self._window, "Open run folder", str(Path.home()))
        if name:
            self._runs.open(Path(name))

    def _failed(self, sentence: str) -> None:
        self.note.setText(sentence)
        self.note.show()


def _line(view: RunView, name: str, *, best: bool = False) -> Line:
    return Line(name=view.name, points=view.columns.get(name, ()), best=view.best if best else None)
