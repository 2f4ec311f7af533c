"""What is read from the library when a case is opened. Runs on the thread ``trocar-io``; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.core.case import Asset, Case
from app.core.differences import differences
from app.core.errors import BadInput
from app.core.prediction import (
    ACTIVITIES,
    ANTICIPATION,
    PHASES,
    SEGMENTATION,
    PhasePrediction,
    Run,
)
from app.core.timeline import Timeline, timeline_from_phases, timeline_of_run
from app.core.tools import telling_tools
from app.core.uncertainty import uncertainty
from app.ui.human_work import HumanWork
from app.ui.session import ModelTier, PhaseTier, came_after
from app.ui.timeline.lanes import (
    Lane,
    activity_lane,
    label_lanes,
    phases_lane,
    strip_lane,
    told_lanes,
    tool_lanes,
)

if TYPE_CHECKING:
    from app.core.labels import LabelFile
    from app.store import Library, PredictionStore


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A case with everything that the window shows of it.

    Attributes:
        case: the case.
        work: the human work on its first recording.
        run: the segmentation run to show, None before the first.
        model: the model's tier, None before the first phase run.
        missing: why its recording cannot be played, in a sentence; "" where it can.
        gone: positions of the parts of a split recording that are not there, where others are.
        label_lanes: what imported label files say beside the phases, in the recording's time.
        imported: whether the case keeps label files that can be written again.
    """

    case: Case
    work: HumanWork
    run: Run | None
    model: ModelTier | None
    missing: str
    gone: frozenset[int] = frozenset()
    label_lanes: tuple[Lane, ...] = ()
    imported: bool = False


class Readings:
    """What whole runs of one recording said: it stays as it is, so it is read once.

    Used by one thread at a time.
    """

    def __init__(self) -> None:
        self._asset: Asset | None = None
        self._kept: dict[tuple[str, int], object] = {}

    def begin(self, asset: Asset) -> None:
        """Read of this recording from now on; of another one, or a longer one, nothing is known."""
        if asset != self._asset:
            self._asset = asset
            self._kept.clear()

    def of(self, kind: str, run: Run, read: Callable[[int], T]) -> T:
        """What ``read`` says of a run, from memory where the run is whole and was read before."""
        if not run.finished:
            return read(run.run_id)
        if (kind, run.run_id) not in self._kept:
            self._kept[kind, run.run_id] = read(run.run_id)
        return self._kept[kind, run.run_id]  # type: ignore[return-value]


def load_case(
    library: Library, case_id: str, models: Mapping[str, str], asset_id: str = ""
) -> Loaded:
    """Read a case, to show one of its recordings.

    Args:
        library: the open library.
        case_id: which case.
        models: task to the name of the model whose run is preferred.
        asset_id: of the recording, which then comes first in the case; the first one without it.

    Raises:
        BadInput: there is no such case, or it has no recording.
    """
    case = library.case(case_id)
    if not case.assets and (files := library.label_files(case_id)):
        raise BadInput(_without_times(case, files))
    if not case.assets:
        raise BadInput(f"Case {case_id} has no recording; add one by dropping its video here.")
    case = replace(case, assets=tuple(sorted(case.assets, key=lambda a: a.asset_id != asset_id)))
    asset = case.assets[0]
    files = library.labels_of(case_id, asset.asset_id)
    work = load_work(library, asset)
    run, model = load_predictions(library, case_id, asset, models)
    missing, gone = _missing(asset)
    return Loaded(
        case=case,
        work=work,
        run=run,
        model=model,
        missing=missing,
        gone=gone,
        label_lanes=_label_lanes(files, asset),
        imported=bool(files),
    )


def _label_lanes(files: Sequence[LabelFile], asset: Asset) -> tuple[Lane, ...]:
    """Tools, steps and the like of the label files that a case was imported from."""
    if not files:
        return ()
    from app.exchange.labels.library import rows_for
    from app.exchange.labels.reading import layout_of

    titles = dict.fromkeys(layout_of(file.layout).TITLE for file in files)
    return label_lanes(rows_for(files, asset), f"imported labels of {' and '.join(titles)}")


def _without_times(case: Case, files: Sequence[LabelFile]) -> str:
    from app.exchange.labels.reading import read_again

    facts = "; ".join(read_again(files).facts)
    return f"Case {case.case_id} has labels of the operation as a whole and no times: {facts}."


def _missing(asset: Asset) -> tuple[str, frozenset[int]]:
    """Why nothing can be played, and which parts are not there where others are."""
    from app.video.opening import not_there

    if not asset.has_recording:
        return "", frozenset()
    problems = [not_there(file) for file in asset.files]
    gone = frozenset(i for i, problem in enumerate(problems) if problem)
    if len(gone) < len(problems):
        return "", gone
    if not asset.quick_hash:
        # A live recording: no file elsewhere can be known as it.
        return problems[0], frozenset()
    if any(Path(file.path).is_file() for file in asset.files):
        return "Another file lies where the recording was. Show Trocar the recording.", frozenset()
    return "The recording is not where it was. Show Trocar the file.", frozenset()


def load_work(library: Library, asset: Asset) -> HumanWork:
    """What humans decided about a recording."""
    said = library.human_timeline(asset.asset_id)
    return HumanWork(
        asset,
        library.annotations(asset.asset_id),
        (f.pts for f in library.reviewed_frames(asset.asset_id)),
        said.timeline if said else None,
        library.bookmarks(asset.asset_id),
    )


def load_predictions(
    library: Library,
    case_id: str,
    asset: Asset,
    models: Mapping[str, str],
    known: Readings | None = None,
) -> tuple[Run | None, ModelTier | None]:
    """The segmentation run to show and the model's tier.

    Args:
        library, case_id, asset: whose.
        models: as in ``load_case``.
        known: what was read before.
    """
    store = library.predictions(case_id)
    known = known or Readings()
    known.begin(asset)
    run = newest_run(store, asset.asset_id, SEGMENTATION, models.get(SEGMENTATION, ""))
    phase_run = newest_run(store, asset.asset_id, PHASES, models.get(PHASES, ""))
    foreseen_run, ahead = None, models.get(ANTICIPATION)
    if ahead != "":  # else the user wants none
        foreseen_run = newest_run(store, asset.asset_id, ANTICIPATION, ahead or "")
    presence = store.presence(run.run_id) if run else None
    teller = telling_tools(store.runs(asset.asset_id))
    told = known.of("tools", teller, store.tools) if teller else None
    scenes, activity = load_scenes(store, asset, models, known)
    tier = ModelTier(
        timeline=Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts),
        analysed_to_pts=asset.start_pts,
        presence=presence,
        scenes=scenes,
        activity=activity,
        lanes=(
            *((activity_lane(activity),) if activity else ()),
            *(tool_lanes(presence, asset) if presence else ()),
            *(told_lanes(told, asset, teller.model) if told and teller else ()),
        ),
        foreseen=known.of("foreseen", foreseen_run, store.foreseen) if foreseen_run else (),
        foreseen_run=foreseen_run,
    )
    if phase_run is None:
        return run, tier if presence or scenes or foreseen_run or teller else None
    return run, _with_phases(tier, store, asset, phase_run, known)


def _with_phases(
    tier: ModelTier, store: PredictionStore, asset: Asset, run: Run, known: Readings
) -> ModelTier:
    """The tier with what a run says of the phases, and a run of the other kind beside it."""
    said, shown = known.of("tier", run, lambda _: _phases(store, asset, run))
    timeline = shown.timeline
    end = timeline.segments[-1].end_pts if timeline.segments else asset.start_pts
    older = _other_kind(store.runs(asset.asset_id), run)
    answers, beside = [(run.classes, said)], None
    if older is not None:
        told, beside = known.of("tier", older, lambda _: _phases(store, asset, older))
        answers.append((older.classes, told))
    torn = uncertainty(answers)
    other = beside.timeline if beside is not None else None
    lanes = [strip_lane(torn.pts, torn.bits)] if torn.pts.size > 1 else []
    if beside is not None and beside.timeline.segments:
        is_offline = beside.run.is_offline
        lanes.append(phases_lane(beside.timeline, beside.confidence, is_offline=is_offline))
    return replace(
        tier,
        timeline=timeline,
        confidence=shown.confidence,
        analysed_to_pts=asset.end_pts if run.finished else end,
        run=run,
        beside=beside,
        differences=differences(None, timeline, other, model_came_after=came_after(run, older)),
        uncertainty=torn,
        lanes=(*lanes, *tier.lanes),
    )


def _other_kind(runs: Sequence[Run], run: Run) -> Run | None:
    """Who named phases knowing more or less of the recording: the whole of it beside what came
    before, else what was said live."""
    apart = newest_of((r for r in runs if r.is_offline != run.is_offline), PHASES, "")
    return apart or newest_of((r for r in runs if r.was_live != run.was_live), PHASES, "")


def _phases(
    store: PredictionStore, asset: Asset, run: Run
) -> tuple[tuple[PhasePrediction, ...], PhaseTier]:
    said = store.phases(run.run_id)
    return said, PhaseTier(
        run=run,
        timeline=timeline_of_run(run, said, asset.start_pts, asset.end_pts),
        confidence=tuple((p.pts, max(p.probabilities)) for p in said),
    )


def load_scenes(
    store: PredictionStore, asset: Asset, models: Mapping[str, str], known: Readings
) -> tuple[Run | None, Timeline | None]:
    """The run of activities and areas to show, and its timeline; none where none is chosen."""
    wanted = models.get(ACTIVITIES, "")
    if not wanted:
        return None, None
    run = newest_run(store, asset.asset_id, ACTIVITIES, wanted)
    if run is None:
        return None, None
    said = known.of("activities", run, store.phases)
    # Two seconds of an activity count: one that is seen in a single frame is a glimpse.
    activity = timeline_from_phases(
        said, run.activities, asset.start_pts, asset.end_pts, min_samples=2
    )
    return run, activity if activity.segments else None


def newest_run(store: PredictionStore, asset_id: str, task: str, preferred: str) -> Run | None:
    """The newest run of the preferred model, else of any; a whole one before one under way.

    New weights make a new run: until it is done, what the one before said stays on screen.
    """
    return newest_of(store.runs(asset_id), task, preferred)


def newest_of(all_runs: Iterable[Run], task: str, preferred: str) -> Run | None:
    """See ``newest_run``."""
    runs = [r for r in all_runs if r.task == task]
    wanted = [r for r in runs if r.model == preferred]
    found = wanted or runs
    whole = [r for r in found if r.finished]
    return (whole or found)[-1] if found else None
