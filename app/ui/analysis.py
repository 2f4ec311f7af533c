"""The analysis of cases as the window steers it: the open one first. GUI thread.

A case that another one, or a live picture, takes the models from goes on by itself afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.core.case import Case
from app.core.errors import TrocarError
from app.core.frame import Frame
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy
from app.ui.background import Background
from app.ui.cases import Cases
from app.ui.inference_worker import InferenceWorker
from app.ui.load_case import ANTICIPATION, PHASES, SEGMENTATION
from app.ui.messages import Message, Tone, from_error
from app.ui.model_sheet import DEMO_WORDS, OPTIONAL_TASKS, DeviceFacts, fit_words
from app.ui.playback import Playback
from app.ui.session import READ_ONLY, Session
from app.ui.settings import Settings
from app.ui.words import length

if TYPE_CHECKING:
    from app.inference import AnalysisResult, DeviceChoice, Progress
    from app.store import Library
    from models import ModelCard

TASKS = (SEGMENTATION, PHASES)
LIVE_WORDS = "The analysis waits while a picture is live"


def pick(cards: Sequence[ModelCard], task: str, wanted: str, procedure: str) -> ModelCard | None:
    """The model for a task: the one asked for, else as ``default_models`` chooses."""
    able = [c for c in cards if c.task == task and c.weights_path is not None]
    able.sort(
        key=lambda c: (
            c.name == wanted,
            not c.why_not_live,
            c.suits(procedure),
            not c.demo,
            c.created,
            c.name,
        )
    )
    return able[-1] if able else None


class Analysis(QObject):
    """Starts, pauses and stops the analysis, and says how it goes.

    Signals:
        changed: progress, state, models or device; read the attributes.
        said: (Message)

    Attributes:
        running, paused: what the worker does.
        case_id: of the case that runs, or ran last.
        live: a live picture has the models; the analysis waits.
        progress: the newest, None before the first.
        device: None while nobody asked for it.
        cards: installed models.
    """

    changed = Signal()
    said = Signal(object)

    def __init__(
        self,
        library: Library,
        settings: Settings,
        session: Session,
        cases: Cases,
        playback: Playback,
    ) -> None:
        super().__init__()
        self._library = library
        self._settings = settings
        self._session = session
        self._cases = cases
        self.worker = InferenceWorker(library)
        self._io = Background("trocar-cards")
        self._generation = 0
        self.case_id = ""
        self._later: list[str] = []  # cases that go on when nothing else runs, the last one first
        self._under_way: dict[int, str] = {}  # requests that the worker has not answered
        self._left: list[tuple[str, Callable[[], object]]] = []
        self._percent: dict[str, int] = {}
        self._by_itself = True
        self.running = self.paused = False
        self.live = False
        self.progress: Progress | None = None
        self.device: DeviceChoice | None = None
        self.cards: tuple[ModelCard, ...] = ()
        self.ms_per_frame: dict[str, float] = {}
        self.worker.progressed.connect(self._progressed)
        self.worker.completed.connect(self._completed)
        self.worker.device_known.connect(self._device_known)
        cases.opened.connect(
            lambda loaded: self._opened(
                whole=loaded.case.assets[0].has_recording and not (loaded.missing or loaded.gone)
            )
        )
        session.case_opened.connect(self.changed)
        session.model_changed.connect(playback.refresh_view)
        playback.unknown.connect(self._look_at)
        self._playback = playback

    def close(self) -> None:
        """End the inference thread."""
        self._io.close()
        self.worker.close()

    def read_cards(self, done: Callable[[], object] | None = None) -> None:
        """Read the cards of the installed models."""

        def work() -> tuple[tuple[ModelCard, ...], list[str]]:
            from app.inference import model_cards

            problems: list[str] = []
            return model_cards(self._library.folder, problems), problems

        def show(found: tuple[tuple[ModelCard, ...], list[str]]) -> None:
            self.cards, problems = found
            self._session.know_models({c.name: c.procedures[0] for c in self.cards if c.procedures})
            for sentence in problems:
                self.said.emit(Message(text=sentence, tone=Tone.WARN, key=sentence))
            self.changed.emit()
            if done is not None:
                done()

        self._io.run(work, show, self._failed)

    def in_use(self) -> dict[str, ModelCard]:
        """Task to the model used for the open case."""
        case = self._session.case
        return self._suited(case.procedure if case else UNKNOWN_PROCEDURE)

    def _suited(self, procedure: str) -> dict[str, ModelCard]:
        wanted = self._settings.values.models
        tasks = [*TASKS, *(t for t in OPTIONAL_TASKS if wanted.get(t))]
        found = ((t, pick(self.cards, t, wanted.get(t, ""), procedure)) for t in tasks)
        chosen = {task: card for task, card in found if card is not None}
        # What foresees comes with the model whose features it reads, unless the user wants none.
        phases = chosen.get(PHASES)
        if phases is not None and wanted.get(ANTICIPATION) != "" and ANTICIPATION not in chosen:
            makers = {phases.name, phases.features_of} - {""}
            ahead = [c for c in self.cards if c.features_of in makers]
            card = pick(ahead, ANTICIPATION, "", procedure)
            chosen |= {} if card is None else {ANTICIPATION: card}
        return chosen

    def choose(self, task: str, name: str) -> None:
        """Use another model from now on, or none by ""; the open case is analysed with it."""
        models = self._settings.values.models
        before = self.in_use().get(task)
        if ("" if before is None else before.name) == name:
            return
        self._settings.set(models={**models, task: name})
        self._cases.refresh_predictions()
        self.start()

    def hold_back(self) -> None:
        """Start no analysis by itself in this window."""
        self._by_itself = False

    def make_way(self) -> None:
        """A live picture has the models from now on: what runs stops and goes on afterwards."""
        self.live = True
        if self.running:
            self._put_aside(self.case_id)
            self.worker.cancel()
        self.changed.emit()

    def take_back(self) -> None:
        """The live picture is gone: go on where the analysis stopped."""
        if not self.live:
            return
        self.live = False
        self._go_on()
        self.changed.emit()

    def start(self) -> None:
        """Analyse the open case with the models in use."""
        case, asset = self._session.case, self._session.asset
        if case is None or asset is None:
            return
        if not asset.has_recording:
            words = "There is nothing to analyse: the case has labels alone."
            self.said.emit(Message(text=words, lasting_s=4, key="analysis"))
            return
        if self.live:
            self._put_aside(case.case_id)
            self.changed.emit()
            return
        if not self._library.is_writable:
            self.said.emit(Message(text=READ_ONLY, tone=Tone.WARN, lasting_s=4, key="locked"))
            return
        self.read_cards(lambda: self._start_open(case))

    def queue(self, case_ids: Sequence[str]) -> None:
        """Analyse these cases, in order, whenever nothing else runs."""
        if not self._library.is_writable:
            self.said.emit(Message(text=READ_ONLY, tone=Tone.WARN, lasting_s=4, key="locked"))
            return
        known = {*self._later, *self._under_way.values()}
        self._later = [*reversed([c for c in case_ids if c not in known]), *self._later]
        self.read_cards(self._go_on)

    def toggle(self) -> None:
        """Analyse the open case, pause, or go on."""
        if self.runs_here:
            self.toggle_pause()
        else:
            self.start()

    def toggle_pause(self) -> None:
        """Pause what runs, or go on with it."""
        self.paused = not self.paused
        self.worker.set_paused(paused=self.paused)
        self.changed.emit()

    def stop(self) -> None:
        """Stop what runs; what was done is kept."""
        if self.running:
            self.worker.cancel()

    def leave(self, case_id: str, then: Callable[[], object]) -> None:
        """Analyse a case no more; ``then`` is called once nothing of it runs."""
        self._later = [c for c in self._later if c != case_id]
        self._percent.pop(case_id, None)
        if case_id not in self._under_way.values():
            then()
            return
        self._left.append((case_id, then))
        if self.case_id == case_id:
            self.stop()

    @property
    def runs_here(self) -> bool:
        """Whether what runs is of the open case."""
        case = self._session.case
        return self.running and case is not None and case.case_id == self.case_id

    def states(self) -> dict[str, str]:
        """How the analysis of cases stands that were begun and are not whole, in words."""
        return {c: f"{self._state_of(c)} {percent} %" for c, percent in self._percent.items()}

    def _state_of(self, case_id: str) -> str:
        if case_id in self._later:
            return "Waits at"
        runs = self.running and not self.paused and case_id == self.case_id
        return "Analysing," if runs else "Paused at"

    def facts(self) -> DeviceFacts | None:
        """What the models sheet says about the device."""
        if self.device is None:
            return None
        return DeviceFacts(
            name=self.device.name,
            reason=self.device.reason,
            memory_mb=self.device.memory_mb,
            ms_per_frame=self.ms_per_frame,
        )

    def caution(self) -> str:
        """Where a model in use is a demo, or does not fit the case; "" where all is well."""
        asset = self._session.asset
        if asset is None or not asset.has_recording:
            return ""
        demo = any(c.demo for c in self.in_use().values())
        return self.fit(self._session.taxonomy) or (DEMO_WORDS if demo else "")

    def suggested_procedure(self) -> str:
        """What the models in use were made for, where they agree; else that nobody knows."""
        made_for = {p for c in self.in_use().values() for p in c.procedures}
        return made_for.pop() if len(made_for) == 1 else UNKNOWN_PROCEDURE

    def fit(self, taxonomy: Taxonomy) -> str:
        """Which model in use does not fit a procedure, as a sentence; "" where all do."""
        words = (fit_words(c, taxonomy) for c in self.in_use().values())
        return next((w for w in words if w), "")

    def words(self) -> tuple[str, float]:
        """The status line and the share done, ("", 0) when nothing runs."""
        if self.live and self._later:
            return LIVE_WORDS, 0.0
        if not self.running:
            return "", 0.0
        p = self.progress
        if p is None or p.total == 0:
            return f"Preparing the analysis of {self.case_id}", 0.0
        share = p.done / p.total
        if self.paused:
            return f"Analysis of {self.case_id} paused at {100 * p.done // p.total} %", share
        rest = f", {length(p.eta_s)} to go" if p.eta_s is not None else ""
        then = f", then {', '.join(reversed(self._later))}" if self._later else ""
        return f"Analysing {self.case_id}{rest}{then}", share

    def tail_words(self) -> str:
        """What stands on the part of the ribbon that is not analysed."""
        asset = self._session.asset
        if asset is not None and not asset.has_recording:
            return ""
        if not self._library.is_writable:
            return "Not analysed: the library is open for reading"
        if not self.in_use():
            return "Not analysed: no model is installed"
        if self.live:
            return f"Not analysed yet: {LIVE_WORDS.lower()}"
        if not self.runs_here:
            return "Not analysed yet: double-click or Ctrl+R to analyse"
        if self.paused:
            return "Not analysed yet: the analysis is paused"
        p = self.progress
        if p is None or p.eta_s is None:
            return "Not analysed yet"
        return f"Not analysed yet, about {length(p.eta_s)} to go"

    def _opened(self, *, whole: bool) -> None:
        by_itself = self._by_itself and self._library.is_writable and whole
        if self._settings.values.analyse_at_once and by_itself:
            self.start()
        else:
            self.read_cards()

    def _put_aside(self, case_id: str) -> None:
        """It goes on when nothing else runs."""
        self._later = [*(c for c in self._later if c != case_id), case_id]

    def _go_on(self) -> None:
        """With the case that was put aside last."""
        if self.live or self.running or not self._later:
            return
        case_id = self._later[-1]

        def start(case: Case) -> None:
            if not self.live and not self.running and case_id in self._later:
                self._start(case, tuple(self._suited(case.procedure).values()))

        def failed(error: TrocarError) -> None:
            self._later = [c for c in self._later if c != case_id]
            self._failed(error)

        self._io.run(lambda: self._library.case(case_id), start, failed)

    def _start_open(self, case: Case) -> None:
        current = self._session.case
        cards = tuple(self.in_use().values())
        if current is None or current.case_id != case.case_id:
            return
        if not cards:
            self.said.emit(
                Message(
                    text="No model is installed, so nothing is analysed; you can draw outlines.",
                    tone=Tone.WARN,
                    key="analysis",
                )
            )
            return
        if self.running and not self.paused and self.case_id != case.case_id:
            self._put_aside(self.case_id)
        self._start(case, cards)

    def _start(self, case: Case, cards: tuple[ModelCard, ...]) -> None:
        from app.inference.cards import with_readers

        self._later = [c for c in self._later if c != case.case_id]
        installed = [c for c in self.cards if c.task == PHASES]
        cards = with_readers(cards, installed, case.procedure)
        self._generation = self.worker.analyse(case, cards, self._settings.values.engine)
        self._under_way[self._generation] = self.case_id = case.case_id
        self._percent.setdefault(case.case_id, 0)
        self.running, self.paused, self.progress = True, False, None
        self.changed.emit()

    def _look_at(self, frame: Frame) -> None:
        asset = self._session.asset
        if self.runs_here and asset is not None:
            self.worker.look_at(frame, asset.asset_id)

    @Slot(int, object)
    def _progressed(self, generation: int, progress: Progress) -> None:
        if generation != self._generation:
            return
        self.progress = progress
        if progress.device is not None:
            self._device_known(progress.device)
        self.ms_per_frame.update(progress.model_ms)
        if progress.total:
            self._percent[self.case_id] = 100 * progress.done // progress.total
        if self.runs_here:
            self._cases.refresh_predictions()
            self._playback.want_overlay()
        self.changed.emit()

    @Slot(int, object)
    def _completed(self, generation: int, outcome: AnalysisResult | TrocarError | None) -> None:
        self._under_way.pop(generation, None)
        if generation == self._generation:
            self.running = self.paused = False
            failed = outcome is None or isinstance(outcome, TrocarError)
            if not (failed or outcome.cancelled) or not self._percent.get(self.case_id):
                self._percent.pop(self.case_id, None)
            self._cases.refresh_predictions()
            self._cases.refresh()
            if isinstance(outcome, TrocarError):
                self.said.emit(from_error(outcome, key="analysis"))
        self.changed.emit()
        busy = self._under_way.values()
        done = [then for case_id, then in self._left if case_id not in busy]
        self._left = [left for left in self._left if left[0] in busy]
        for then in done:
            then()
        self._go_on()

    @Slot(object)
    def _device_known(self, device: DeviceChoice) -> None:
        if device != self.device:
            fell_back = self.device is not None and not self.device.is_cpu and device.is_cpu
            self.device = device
            self.changed.emit()
            if fell_back:
                self.said.emit(Message(text=device.reason, tone=Tone.WARN, key="device"))

    def _failed(self, error: TrocarError) -> None:
        self.said.emit(from_error(error, key="models"))
