"""How long the phases of a case took beside the library's other cases of its operation. Any thread.

A case counts among the others where its phases are known from end to end: named by a human over
nine tenths of the recordings, or by a model that saw all of them. A phase that a case lacks is no
phase of length 0 there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.analysis.summary import telling_run
from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.prediction import PHASES
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy
from app.core.timeline import Timeline, timeline_of_run
from app.store import Library

log = logging.getLogger(__name__)

WHOLE_SHARE = 0.9
HUMAN, MODEL = "human", "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLength:
    """One phase.

    Attributes:
        phase: its key.
        here_s: how long it took in the case, all its stretches together; None where it is absent.
        others_s: how long it took in the other cases that have it, ascending.
    """

    phase: str
    here_s: float | None
    others_s: tuple[float, ...]

    @property
    def median_s(self) -> float | None:
        """The middle of the other cases."""
        return float(np.median(self.others_s)) if self.others_s else None

    @property
    def middle_half_s(self) -> tuple[float, float] | None:
        """Between which lengths the middle half of the other cases lies."""
        if not self.others_s:
            return None
        low, high = np.quantile(self.others_s, (0.25, 0.75))
        return float(low), float(high)

    @property
    def longer_than_percent(self) -> int | None:
        """How many of a hundred other cases were shorter here."""
        if self.here_s is None or not self.others_s:
            return None
        here = self.here_s
        return round(100 * sum(s < here for s in self.others_s) / len(self.others_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The phases of a case, in their usual order.

    Attributes:
        taxonomy: names the phases.
        is_named: whether anybody said which operation it is; without that there are no others.
        by: who named this case's phases: ``HUMAN``, ``MODEL``, or where one did not the other.
        imported_from: names of the label files that they came from, if a human did.
        cases: how many other cases there are to compare with.
    """

    taxonomy: Taxonomy
    phases: tuple[PhaseLength, ...]
    is_named: bool
    by: frozenset[str]
    cases: int
    imported_from: tuple[str, ...] = ()


def phase_lengths(
    library: Library,
    case_id: str,
    *,
    words: Taxonomy | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Lengths:
    """Compare a case with the others of its operation.

    Args:
        library: the open library.
        case_id: which case.
        words: names the phases; that of the case's operation when None.
        cancelled: asked before each case; what was read until then counts.

    Raises:
        BadInput: there is no such case.
    """
    case = library.case(case_id)
    taxonomy = words or find_taxonomy(case.procedure)
    is_named = case.procedure != UNKNOWN_PROCEDURE
    here, by, _ = _seconds(library, case)
    others: list[dict[str, float]] = []
    for other in library.cases() if is_named else ():
        if cancelled():
            break
        if other.case_id != case_id and other.procedure == case.procedure:
            found = _whole_seconds(library, other)
            if found:
                others.append(found)
    usual = [p.key for p in taxonomy.phases]
    seen = {*here, *(key for some in others for key in some)}
    keys = [k for k in usual if k in seen] + sorted(seen - set(usual))
    return Lengths(
        taxonomy=taxonomy,
        phases=tuple(
            PhaseLength(
                phase=key,
                here_s=here.get(key),
                others_s=tuple(sorted(some[key] for some in others if key in some)),
            )
            for key in keys
        ),
        is_named=is_named,
        by=by,
        cases=len(others),
        imported_from=tuple(f.name for f in library.label_files(case_id)) if HUMAN in by else (),
    )


def _whole_seconds(library: Library, case: Case) -> dict[str, float]:
    """Seconds of each phase of a case that can be compared with; nothing else.

    What is past reading leaves a case out: it hides no other one.
    """
    try:
        found, _, is_whole = _seconds(library, case)
    except BadInput as error:
        log.info("case %s is left out of the lengths: %s", case.case_id, error.user_message)
        return {}
    return found if is_whole else {}


def _seconds(library: Library, case: Case) -> tuple[dict[str, float], frozenset[str], bool]:
    """Seconds of each phase, who named them, and whether they are known throughout."""
    out: dict[str, float] = {}
    by: set[str] = set()
    is_whole = bool(case.assets)
    for asset in case.assets:
        line, named, whole = _phases(library, case, asset)
        by, is_whole = by | named, is_whole and whole
        for s in line.segments if line is not None else ():
            seconds = float((s.end_pts - s.start_pts) * asset.time_base)
            out[s.phase] = out.get(s.phase, 0.0) + seconds
    return out, frozenset(by), is_whole


def _phases(
    library: Library, case: Case, asset: Asset
) -> tuple[Timeline | None, frozenset[str], bool]:
    """The human tier, and where that names nothing the model's, as the ribbon shows them."""
    human = library.human_timeline(asset.asset_id)
    line = human.timeline if human is not None and human.timeline.segments else None
    if line is not None:
        named = sum(s.end_pts - s.start_pts for s in line.segments)
        if named >= WHOLE_SHARE * (asset.end_pts - asset.start_pts):
            return line, frozenset((HUMAN,)), True
    by = frozenset((HUMAN,) if line is not None else ())
    # Where no model has said anything, asking would make a file.
    if not any(library.predictions_stamp(case.case_id)):
        return line, by, False
    store = library.predictions(case.case_id)
    run = telling_run(store.runs(asset.asset_id), PHASES)
    if run is None:
        return line, by, False
    said = timeline_of_run(run, store.phases(run.run_id), asset.start_pts, asset.end_pts)
    for s in line.segments if line is not None else ():
        said = said.painted(s.start_pts, s.end_pts, s.phase)
    return said, by | {MODEL}, run.finished


def lengths_in_words(found: PhaseLength, words: Callable[[float], str]) -> str:
    """``8:12; middle of 14 cases 7:30, from 4:10 to 12:55``, in the caller's way to write lengths.

    Args:
        words: writes seconds.
    """
    here = "not in this case" if found.here_s is None else words(found.here_s)
    if found.median_s is None:
        return f"{here}; no other case has it"
    count = len(found.others_s)
    low, high = words(found.others_s[0]), words(found.others_s[-1])
    if count == 1:
        return f"{here}; {low} in the one other case"
    return f"{here}; middle of {count} cases {words(found.median_s)}, from {low} to {high}"
