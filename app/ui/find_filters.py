"""What moments are looked for among: phase, instrument, case, and by which model. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.case import Case
from app.core.taxonomy import taxonomy_naming
from app.ui.find import Answer
from app.ui.find_cards import case_words, phase_name
from app.ui.widgets import Combo, Label

if TYPE_CHECKING:
    from app.analysis.moment_rows import Encoder
    from app.analysis.moments import Wanted

ANY_PHASE, ANY_INSTRUMENT, ALL_CASES = "Any phase", "Any instrument", "All cases"
OTHER_CASES, THIS_CASE = "Other cases", "This case"
THIS_FRAME, NO_PROMPT = "This frame", "Choose words"
MOST_CASES = 300
"""That can be named by themselves; the command names any."""

_OTHERS, _THIS = "others", "this"


class FindFilters(QWidget):
    """Drop-down lists, each with what the library has.

    Signals:
        changed: the user chose something else.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._case: Case | None = None
        self._known: tuple[Case, ...] = ()
        self.prompts, self.phases = Combo("Looking for"), Combo("Phase")
        self.instruments, self.cases = Combo("Instrument"), Combo("Case")
        self.encoders = Combo("Compared by")
        self._heads: dict[Combo, Label] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for combo, words in (
            (self.prompts, "Looking for"),
            (self.phases, "Phase"),
            (self.instruments, "Instrument in view"),
            (self.cases, "Case"),
            (self.encoders, "Compared by"),
        ):
            combo.setSizeAdjustPolicy(Combo.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.activated.connect(lambda _: self.changed.emit())
            self._heads[combo] = Label(words, "caption", "2")
            layout.addWidget(self._heads[combo])
            layout.addWidget(combo)

    def begin(self, case: Case | None) -> None:
        """Nothing is chosen, and nothing known yet, for a frame of this case, or for words."""
        self._case, self._known = case, ()
        for combo in self._heads:
            combo.clear()
        self._offer((), (), ())
        self._show(self.prompts, shown=False)
        self._show(self.encoders, shown=False)

    def offer(self, answer: Answer) -> None:
        """What can be chosen now; what is chosen stays."""
        self._known = answer.cases
        self._offer(answer.phases, answer.instruments, answer.cases)
        _fill(self.encoders, [(answer.title_of(e), e) for e in answer.encoders])
        first = THIS_FRAME if self._case is not None else NO_PROMPT
        _fill(self.prompts, [(first, ""), *((words, words) for words in answer.prompts)])
        self._show(self.prompts, shown=bool(answer.prompts))
        several = len(answer.encoders) > 1 and not answer.question.prompt and self._case is not None
        self._show(self.encoders, shown=several)

    @property
    def prompt(self) -> str:
        """Words that are looked for, "" for the frame."""
        return self.prompts.currentData() or ""

    @property
    def encoder(self) -> Encoder | None:
        """Whose features are compared, None before any is known."""
        return self.encoders.currentData()

    def wanted(self) -> Wanted:
        """Which moments count."""
        from app.analysis.moments import Wanted

        phase, instrument = self.phases.currentData(), self.instruments.currentData()
        return Wanted(
            phases=frozenset({phase} if phase else ()),
            instruments=frozenset({instrument} if instrument else ()),
            cases=self._wanted_cases(),
        )

    def _wanted_cases(self) -> frozenset[str]:
        chosen = self.cases.currentData()
        own = frozenset({self._case.case_id} if self._case else ())
        if chosen == _THIS:
            return own
        if chosen == _OTHERS:
            # An empty set would let all through.
            return frozenset(c.case_id for c in self._known) - own or frozenset({""})
        return frozenset({chosen} if chosen else ())

    def _offer(
        self, phases: Sequence[str], instruments: Sequence[str], cases: Sequence[Case]
    ) -> None:
        taxonomy = taxonomy_naming(self._case.procedure if self._case else "", phases)
        procedure = taxonomy.procedure
        order = {p.key: i for i, p in enumerate(taxonomy.phases)}
        by_place = sorted(phases, key=lambda k: order.get(k, len(order)))
        _fill(self.phases, [(ANY_PHASE, ""), *((phase_name(k, procedure), k) for k in by_place)])
        tools = sorted((taxonomy.instrument_name(k), k) for k in instruments)
        _fill(self.instruments, [(ANY_INSTRUMENT, ""), *tools])
        newest = sorted(cases, key=lambda c: -c.created_utc_ms)[:MOST_CASES]
        each = [(f"{c.case_id}  {case_words(c)}", c.case_id) for c in newest]
        near = [(OTHER_CASES, _OTHERS), (THIS_CASE, _THIS)] if self._case is not None else []
        _fill(self.cases, [(ALL_CASES, ""), *near, *each])

    def _show(self, combo: Combo, *, shown: bool) -> None:
        combo.setVisible(shown)
        self._heads[combo].setVisible(shown)


def _fill(combo: Combo, items: Sequence[tuple[str, object]]) -> None:
    """Offer other items; the chosen one stays where it is among them."""
    if [(combo.itemText(i), combo.itemData(i)) for i in range(combo.count())] == [*items]:
        return
    chosen = combo.currentData()
    combo.clear()
    for words, value in items:
        combo.addItem(words, value)
    place = next((i for i, (_, value) in enumerate(items) if value == chosen), 0)
    combo.setCurrentIndex(place)
