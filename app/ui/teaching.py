"""Teaching a model on corrections from the window: one run at a time, in its own process. GUI."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.ui.messages import Message, Tone

if TYPE_CHECKING:
    from app.learning.process import TrainingProcess
    from app.store import Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is to be taught.

    Attributes:
        cases: numbers of the cases to learn from.
        base: name of the model to start from.
        name: of the new model.
        steps: how long.
    """

    cases: tuple[str, ...]
    base: str
    name: str
    steps: int


class Teaching(QObject):
    """The run, if there is one.

    Signals:
        changed: progress, result or end.
        taught: (model name) a new model is there to choose.
        said: (Message)
    """

    changed = Signal()
    taught = Signal(str)
    said = Signal(object)
    _progressed = Signal(object)
    _ended = Signal(object)
    _broke = Signal(str)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._process: TrainingProcess | None = None
        self.lesson: Lesson | None = None
        self.step, self.steps = 0, 0
        self.losses: list[float] = []
        self.result: dict[str, Any] | None = None
        self._progressed.connect(self._on_progress)
        self._ended.connect(self._on_result)
        self._broke.connect(self._on_failed)

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._process is not None

    def start(self, lesson: Lesson) -> None:
        """Begin; the window stays usable."""
        if self._process is not None:
            return
        from app.learning.process import TrainingProcess

        self.lesson, self.result = lesson, None
        self.step, self.steps, self.losses = 0, lesson.steps, []
        self._process = TrainingProcess(
            _arguments(lesson, str(self._library.folder)),
            on_progress=self._progressed.emit,
            on_result=self._ended.emit,
            on_failed=self._broke.emit,
            threads=max(1, (os.cpu_count() or 2) - 1),
        )
        self.changed.emit()

    def stop(self) -> None:
        """End the run; the same lesson goes on from there when it is started again."""
        if self._process is None:
            return
        self._process.stop()
        self._process = None
        self.changed.emit()

    def close(self) -> None:
        """End the run with the window."""
        self.stop()

    def _on_progress(self, said: dict[str, Any]) -> None:
        if self._process is None:
            return
        self.step, self.steps = int(said["step"]), int(said["steps"])
        self.losses.append(float(said["loss"]))
        self.changed.emit()

    def _on_result(self, said: dict[str, Any]) -> None:
        self._process, self.result = None, said
        self.said.emit(
            Message(text=f"{said['model']} has learnt; choose it in Models.", tone=Tone.OK)
        )
        self.taught.emit(str(said["model"]))
        self.changed.emit()

    def _on_failed(self, sentence: str) -> None:
        self._process = None
        self.said.emit(Message(text=sentence, tone=Tone.ERROR))
        self.changed.emit()


def _arguments(lesson: Lesson, folder: str) -> Sequence[str]:
    cases = [x for case in lesson.cases for x in ("--from", case)]
    return [
        "finetune",
        *cases,
        "--base",
        lesson.base,
        "--name",
        lesson.name,
        "--steps",
        str(lesson.steps),
        "--library",
        folder,
    ]
