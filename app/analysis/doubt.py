"""Which cases of a library models are most uncertain of: what a human is to look at. Any thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from app.analysis.summary import telling_run
from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.prediction import PHASES
from app.core.uncertainty import Doubt, doubts, uncertainty
from app.store import Library

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDoubt:
    """A case with what is open in it.

    Attributes:
        places: stretches that no human decided, the heaviest first.
        seconds: of all of them.
        weight: bits times samples of all of them.
    """

    case: Case
    places: tuple[Doubt, ...]
    seconds: float
    weight: float


def uncertain_cases(
    library: Library, *, cancelled: Callable[[], bool] = lambda: False
) -> tuple[CaseDoubt, ...]:
    """Cases with something open, the most uncertain first.

    Args:
        library: the open library.
        cancelled: asked before each case; what was read until then is told.
    """
    out = []
    for case in library.cases():
        if cancelled():
            break
        if case.assets and (places := _open(library, case, case.assets[0])):
            base = case.assets[0].time_base
            seconds = sum(float((d.end_pts - d.start_pts) * base) for d in places)
            weight = sum(d.weight for d in places)
            out.append(CaseDoubt(case=case, places=places, seconds=seconds, weight=weight))
    return tuple(sorted(out, key=lambda c: (-c.weight, c.case.case_id)))


def _open(library: Library, case: Case, asset: Asset) -> tuple[Doubt, ...]:
    """What is open of a recording, as the run that knew all of it and the one that did not say.

    What is past reading, or was deleted meanwhile, leaves a case out: it hides no other one.
    """
    if not any(library.predictions_stamp(case.case_id)):
        return ()  # no model has said anything; asking would make a file
    try:
        store = library.predictions(case.case_id)
        runs = store.runs(asset.asset_id)
        kinds = ([r for r in runs if r.is_offline], [r for r in runs if not r.is_offline])
        told = [run for some in kinds if (run := telling_run(some, PHASES)) is not None]
        found = uncertainty([(run.classes, store.phases(run.run_id)) for run in told])
        human = library.human_timeline(asset.asset_id)
    except BadInput as error:
        log.info("case %s is left out of the doubts: %s", case.case_id, error.user_message)
        return ()
    return doubts(found, human.timeline if human else None)
