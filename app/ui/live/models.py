"""The networks in Live: they leave a recorded analysis for the live picture. GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.core.case import Asset
from app.core.errors import TrocarError
from app.core.forecast import Forecast, forecast
from app.core.prediction import ANTICIPATION, PHASES, SEGMENTATION
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy
from app.ui.analysis import TASKS, pick
from app.ui.background import Background
from app.ui.live.answers import AnswerDrawer, Drawn
from app.ui.live.strip import Stretch
from app.ui.messages import Message, Tone, from_error
from app.ui.model_sheet import DEMO_WORDS, fit_words
from app.ui.services import Services

if TYPE_CHECKING:
    from app.inference import LiveAnalysis, LiveAnswer, LiveRuns
    from app.video.live.capture import LiveFrame
    from models import ModelCard


def live_cards(
    cards: Sequence[ModelCard], wanted: Mapping[str, str], procedure: str
) -> tuple[list[ModelCard], list[str]]:
    """The models for a live picture, and a sentence for each chosen one that cannot look at one.

    Args:
        cards: installed models.
        wanted: names that were chosen, by task.
        procedure: key of the operation.
    """
    from app.inference.live import foresees_live

    able = [c for c in cards if not c.why_not_live]
    found = (pick(able, task, wanted.get(task, ""), procedure) for task in TASKS)
    chosen = [card for card in found if card is not None]
    phases = next((c for c in chosen if c.task == PHASES), None)
    ahead = [c for c in cards if foresees_live(c, phases)]
    foresees = pick(ahead, ANTICIPATION, wanted.get(ANTICIPATION, ""), procedure)
    chosen += [] if foresees is None else [foresees]
    refusals = []
    for card in cards:
        if card in chosen or card.task == ANTICIPATION:
            continue
        if card.why_not_live and wanted.get(card.task) == card.name:
            other = next((c.title for c in chosen if c.task == card.task), "")
            meanwhile = f"{other} is used live." if other else "No phases are named live."
            refusals.append(f"{card.why_not_live} {meanwhile}")
    return chosen, refusals


class LiveModels(QObject):
    """Looks at the live picture with the models in use.

    Signals:
        drawn: (Drawn) the newest outlines.
        named: (LiveAnswer) with a phase.
        said: (Message)

    Attributes:
        drawer: draws answers on the inference thread.
        analysis: what looks now, None while nothing does.
        phase: key of the phase that runs now, as the model says; None while unknown.
        likely: how likely the newest look alone makes that phase, 0 to 1, and its pts.
        forecast: what comes next as seen at its newest look, None where no model foresees.
        stretches: the model's phases so far, in pts: (start, end, key).
    """

    drawn = Signal(object)
    named = Signal(object)
    said = Signal(object)

    def __init__(self, services: Services, io: Background) -> None:
        super().__init__()
        self._services, self._io = services, io
        self.drawer = AnswerDrawer()
        self.drawer.drawn.connect(self._drawn)
        self.drawer.named.connect(self._named)
        services.analysis.worker.watched.connect(self._watched)
        self.analysis: LiveAnalysis | None = None
        self._runs: LiveRuns | None = None
        self._recorded: tuple[str, Asset] | None = None
        self._storing: Future[None] = Future()
        self._storing.set_result(None)
        self._wanted = False
        self._taxonomy = find_taxonomy(UNKNOWN_PROCEDURE)
        self.phase: str | None = None
        self.likely: tuple[float, int] | None = None
        self.forecast: Forecast | None = None
        self.stretches: list[tuple[int, int, str]] = []
        self._operation = 0

    @property
    def has_outlines(self) -> bool:
        """Whether a model for outlines is in use."""
        live = self.analysis
        return live is not None and any(c.task == SEGMENTATION for c in live.cards)

    @property
    def caution(self) -> str:
        """Where a model is a demo or does not fit the operation; "" where all is well."""
        cards = self.analysis.cards if self.analysis else ()
        unfit = next((w for c in cards if (w := fit_words(c, self._taxonomy))), "")
        return unfit or (DEMO_WORDS if any(c.demo for c in cards) else "")

    def start(self, procedure: str, ready: Callable[[], object]) -> None:
        """Read the cards, choose, load and look; ``ready`` is called when frames are welcome."""
        self._wanted = True
        self._taxonomy = find_taxonomy(procedure)
        self._forget()
        self._operation = 0
        self.drawer.keep_in(None)  # what was said of another source is nobody's
        analysis = self._services.analysis
        analysis.make_way()
        analysis.read_cards(lambda: self._begin(procedure, ready))

    def feed(self, frame: LiveFrame) -> None:
        """A frame, on the thread that decodes it."""
        live = self.analysis
        if live is not None:
            live.put(frame)

    def begin_anew(self) -> None:
        """Another operation begins: nothing counts that was seen of the one before."""
        self._forget()
        if self.analysis is not None:
            self._operation = self.analysis.begin_anew()

    def keep(self, case_id: str, asset: Asset) -> None:
        """Answers about this recording are its runs, from its first picture on."""
        self._recorded = (case_id, asset)
        live, library = self.analysis, self._services.library
        if live is None:
            return  # the models are still being chosen

        def begin() -> LiveRuns:
            from app.inference import LiveRuns

            return LiveRuns(library.predictions(case_id), asset, live)

        def begun(runs: LiveRuns) -> None:
            if self._recorded == (case_id, asset) and self._runs is None:
                self._runs = runs
                self.drawer.keep_in(runs, asset.start_pts, self._operation)
            else:
                runs.finish()

        self._io.run(begin, begun, lambda error: self.said.emit(from_error(error)))

    def keep_no_more(self) -> None:
        """The recording has ended: its runs are closed."""
        self._recorded = None
        self.drawer.keep_in(None)
        runs, self._runs = self._runs, None
        if runs is not None:
            self._storing = runs.finish()
            self._io.follow(self._storing, lambda _: self._say_problem(runs))

    def stop(self) -> None:
        """Nothing is looked at any more; a recorded analysis may go on."""
        self._wanted = False
        self.keep_no_more()
        live, self.analysis = self.analysis, None
        if live is not None:
            live.stop()
        self._services.analysis.take_back()

    def close(self) -> Callable[[], object]:
        """As ``stop``; what it returns waits, on another thread, until what was said is stored."""
        self._wanted = False
        self._recorded = None
        self.drawer.keep_in(None)
        runs, self._runs = self._runs, None
        live, self.analysis = self.analysis, None
        storing = self._storing

        def end() -> None:
            if live is not None:
                live.stop()
            wait([storing, *([] if runs is None else [runs.finish()])])

        return end

    def _begin(self, procedure: str, ready: Callable[[], object]) -> None:
        if not self._wanted or self.analysis is not None:
            return
        values, analysis = self._services.settings.values, self._services.analysis
        cards, refusals = live_cards(analysis.cards, values.models, procedure)
        for text in refusals:
            self.said.emit(Message(text=text, tone=Tone.WARN, key="not-live", lasting_s=8))
        if not cards:
            text = "No model is installed, so the picture is shown and recorded alone."
            self.said.emit(Message(text=text, tone=Tone.WARN, key="live-models", lasting_s=8))
            analysis.take_back()
            return
        from app.inference import LiveAnalysis

        self.analysis = LiveAnalysis(
            cards, analysis.device, limit_ms=values.live_limit_ms, engine=values.engine
        )
        analysis.worker.watch(self.analysis, self.drawer.take)
        ready()
        if self._recorded is not None:
            self.keep(*self._recorded)

    @Slot(object)
    def _drawn(self, drawn: Drawn) -> None:
        if self.analysis is not None:
            self.drawn.emit(drawn)

    @Slot(object)
    def _named(self, answer: LiveAnswer) -> None:
        if self.analysis is None or answer.operation < self._operation:
            return
        if answer.operation > self._operation:  # it began by itself: the clock did
            self._operation = answer.operation
            self._forget()
        if answer.phase_now is not None:
            self.phase = answer.phase_now
            self._weigh(self.analysis, answer)
            self._foresee(self.analysis, answer)
            self._extend(answer.picture.pts, answer.phase_now)
            self.named.emit(answer)

    def _forget(self) -> None:
        self.phase = self.likely = self.forecast = None
        self.stretches.clear()

    def _weigh(self, live: LiveAnalysis, answer: LiveAnswer) -> None:
        """The raw number: what a course or a short wait makes the phase says nothing of it."""
        card = next((c for c in live.cards if c.task == PHASES), None)
        if card is not None and answer.phase is not None and answer.phase_now in card.class_keys:
            place = card.class_keys.index(answer.phase_now)
            self.likely = answer.phase.probabilities[place], answer.phase.pts

    def _foresee(self, live: LiveAnalysis, answer: LiveAnswer) -> None:
        card = next((c for c in live.cards if c.task == ANTICIPATION), None)
        if card is not None and answer.foreseen is not None:
            settings = live.describe(ANTICIPATION)
            self.forecast = forecast(card.class_keys, settings, answer.foreseen)

    def _extend(self, pts: int, phase: str) -> None:
        if self.stretches and self.stretches[-1][2] == phase:
            start, _, _ = self.stretches[-1]
            self.stretches[-1] = (start, pts, phase)
        else:
            if self.stretches:
                start, _, before = self.stretches[-1]
                self.stretches[-1] = (start, pts, before)
            self.stretches.append((pts, pts, phase))

    @Slot(object, object)
    def _watched(self, live: LiveAnalysis, error: TrocarError | None) -> None:
        if live is self.analysis:
            self.analysis = None
            if error is not None:
                self.said.emit(from_error(error, key="live-models"))

    def _say_problem(self, runs: LiveRuns) -> None:
        if runs.problem is not None:
            self.said.emit(from_error(runs.problem, key="live-runs"))


def in_ms(stretches: list[tuple[int, int, str]], start_pts: int) -> tuple[Stretch, ...]:
    """The model's phases on the recording's clock; those from before it began are cut."""
    return tuple(
        Stretch(
            start_ms=max(0.0, (start - start_pts) / 90),
            end_ms=(end - start_pts) / 90,
            phase=phase,
            human=False,
        )
        for start, end, phase in stretches
        if end > start_pts
    )
