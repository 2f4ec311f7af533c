"""What there is to say about a case: phases with their lengths, instruments in view, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.analysis.agreement import agreement
from app.core.case import Asset, Case
from app.core.prediction import PHASES, SEGMENTATION, Run
from app.core.taxonomy import Taxonomy, find_taxonomy
from app.core.timeline import Timeline, timeline_of_run
from app.core.tools import seconds_seen, telling_tools
from app.store import Library, PredictionStore
from models.metrics.phases import PhaseMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class InView:
    """How long a class of instrument was in view, as a run outlined it or told."""

    label: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSummary:
    """One recording of a case.

    Attributes:
        asset: which.
        timeline: the human tier where there is one, else the model's; None without either.
        is_human: whose timeline it is.
        segmentation: the run over outlines that tells, None where none was made.
        in_view: as it outlined them, longest first.
        tools: the run that tells which tools are there without outlining them, None without one.
        told: as it tells them, longest first.
        runs: all runs, oldest first.
        agreement: the model's figures beside the human tier, None without both.
    """

    asset: Asset
    timeline: Timeline | None
    is_human: bool
    segmentation: Run | None
    in_view: tuple[InView, ...]
    tools: Run | None
    told: tuple[InView, ...]
    runs: tuple[Run, ...]
    agreement: PhaseMetrics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case for its report.

    Attributes:
        case: which.
        taxonomy: of its operation.
        assets: its recordings.
        imported_from: names of the label files that its human tier began as.
    """

    case: Case
    taxonomy: Taxonomy
    assets: tuple[AssetSummary, ...]
    imported_from: tuple[str, ...]


def summarise(library: Library, case_id: str) -> CaseSummary:
    """Collect what a report says.

    Raises:
        BadInput: there is no such case.
    """
    case = library.case(case_id)
    return CaseSummary(
        case=case,
        taxonomy=find_taxonomy(case.procedure),
        assets=tuple(_asset(library, case, a) for a in case.assets),
        imported_from=tuple(f.name for f in library.label_files(case_id)),
    )


def _asset(library: Library, case: Case, asset: Asset) -> AssetSummary:
    store = library.predictions(case.case_id)
    runs = store.runs(asset.asset_id)
    human = library.human_timeline(asset.asset_id)
    timeline = human.timeline if human is not None and human.timeline.segments else None
    is_human = timeline is not None
    run = telling_run(runs, PHASES)
    beside = None
    if run is not None:
        model = timeline_of_run(run, store.phases(run.run_id), asset.start_pts, asset.end_pts)
        if timeline is None:
            timeline = model
        elif model.segments:
            beside = agreement(timeline, model, asset)
    masks = telling_run(runs, SEGMENTATION)
    in_view: list[InView] = []
    if masks is not None:
        seen = store.presence(masks.run_id)
        for i, label in enumerate(seen.classes):
            # A second counts when at least half of the frames looked at show the class.
            seconds = int(((2 * seen.present[:, i] >= seen.looked_at) & (seen.looked_at > 0)).sum())
            if seconds:
                in_view.append(InView(label=label, seconds=float(seconds)))
    tools = telling_tools(runs)
    return AssetSummary(
        asset=asset,
        timeline=timeline,
        is_human=is_human,
        segmentation=masks,
        in_view=tuple(sorted(in_view, key=lambda v: -v.seconds)),
        tools=tools,
        told=told_in_view(store, asset, tools) if tools else (),
        runs=runs,
        agreement=beside,
    )


def told_in_view(store: PredictionStore, asset: Asset, run: Run) -> tuple[InView, ...]:
    """How long a run tells that each tool was there, longest first; those never there left out."""
    seen = seconds_seen(store.tools(run.run_id), asset.start_pts, asset.time_base)
    sums = zip(run.tools, seen.sum(axis=0).tolist(), strict=True)
    found = (InView(label=key, seconds=float(n)) for key, n in sums if n)
    return tuple(sorted(found, key=lambda v: -v.seconds))


def telling_run(runs: Sequence[Run], task: str) -> Run | None:
    """The newest run that saw the whole recording, else the newest."""
    found = [r for r in runs if r.task == task]
    finished = [r for r in found if r.finished]
    return next(reversed(finished or found), None)
