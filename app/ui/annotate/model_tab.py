"""What the models say about this frame, in figures: the one place where numbers stand. GUI."""

from __future__ import annotations

from bisect import bisect_right

from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from app.ui.annotate.editor import Editor
from app.ui.keys import KeyMap
from app.ui.session import Session
from app.ui.widgets import Button, Elided, Label, line
from app.ui.words import count


class ModelTab(QWidget):
    """Outlines and phases: which model, how sure, how fast."""

    def __init__(self, session: Session, editor: Editor, keys: KeyMap) -> None:
        super().__init__()
        self._session = session
        self._editor = editor
        self._values: dict[str, Elided] = {}
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 12)
        box.setSpacing(10)
        box.addWidget(Label("Outlines", "heading"))
        box.addLayout(self._grid(("Model", "Frames", "On this frame", "This frame took", "Sure")))
        box.addWidget(line())
        box.addWidget(Label("Phases", "heading"))
        box.addLayout(self._grid(("Phase model", "Says here", "Sure here")))
        self.models = Button("Models and device", tooltip=keys.tooltip("models"))
        self.models.clicked.connect(lambda: keys.trigger("models"))
        box.addWidget(self.models)
        box.addStretch(1)
        for changed in (editor.changed, editor.selection_changed, session.model_changed):
            changed.connect(self.refresh)
        session.case_opened.connect(self.refresh)

    def _grid(self, names: tuple[str, ...]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for row, name in enumerate(names):
            self._values[name] = Elided("")
            self._values[name].setAccessibleName(name)
            grid.addWidget(Label(name.replace("Phase model", "Model"), "body", "2"), row, 0)
            grid.addWidget(self._values[name], row, 1)
        return grid

    def refresh(self) -> None:
        """Read session and editor again; only while it is seen."""
        if not self.isVisible():
            return
        for name, text in {**self._outlines(), **self._phases()}.items():
            if self._values[name].text() != text:
                self._values[name].setText(text)

    def showEvent(self, event: object) -> None:
        """Fill it when it comes to light."""
        self.refresh()

    def _outlines(self) -> dict[str, str]:
        run, said, frame = self._session.segment_run, self._session.prediction, self._session.frame
        shown = self._editor.selected
        here = said is not None and frame is not None and said.pts == frame.pts
        original = self._editor.original_of(shown) if shown else None
        score = shown.score if shown and shown.score is not None else None
        if score is None and original is not None:
            score = original.score
        frames = "Not analysed yet"
        if run is not None:
            frames = f"{count(run.frames_expected)}" + ("" if run.finished else ", not finished")
        return {
            "Model": run.model if run else "None yet",
            "Frames": frames,
            "On this frame": _outlines(len(said.instances)) if here and said else "Not looked at",
            "This frame took": f"{said.computed_ms:.0f} ms" if here and said else "",
            "Sure": _sure(score) if score is not None else "" if shown else "Pick an outline",
        }

    def _phases(self) -> dict[str, str]:
        model, frame = self._session.model, self._session.frame
        says = sure = ""
        if model is not None and frame is not None:
            phase = model.timeline.phase_at(frame.pts)
            says = self._session.shown_taxonomy.phase_name(phase) if phase else "Nothing yet"
            at = bisect_right(model.confidence, frame.pts, key=lambda c: c[0]) - 1
            sure = _sure(model.confidence[at][1]) if at >= 0 and phase else ""
        run = model.run if model else None
        return {
            "Phase model": run.model if run else "None yet",
            "Says here": says,
            "Sure here": sure,
        }


def _outlines(number: int) -> str:
    return f"{number} outline" + ("" if number == 1 else "s")


def _sure(score: float) -> str:
    return f"{round(100 * score)} %"
