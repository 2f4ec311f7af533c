"""What one model saw of one recording, a row for each second, as the search for moments reads it.

Read on the thread that searches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.analysis.summary import telling_run
from app.core.case import Asset, Case
from app.core.prediction import PHASES, RETRIEVAL, SEGMENTATION, Run
from app.core.taxonomy import taxonomy_naming
from app.core.timeline import Timeline, timeline_of_run
from app.core.tools import seconds_seen, telling_tools
from app.store import Library, PredictionStore

_NO_PHASE = -1
_STEP_MS = 1000.0
# What was on screen at a whole second may have begun a frame before it.
_FRAME_MS = 100.0
_MOST = 127


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Encoder:
    """A model whose features are compared with each other and with no other's.

    Attributes:
        model: its name.
        weights_sha256: of its weights.
        reads_words: a prompt's vector lies in the same space as its pictures' vectors.
    """

    model: str
    weights_sha256: str
    reads_words: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A recording as one encoder saw it, in order of time, at most one row a second.

    Attributes:
        case, asset: which recording.
        encoder, run_id: what saw it, and in which run.
        pts: int64 (T,).
        times_ms: float64 (T,), from the recording's start.
        codes: int8 (T, C), the features' directions; see ``coded``.
        phases: int16 (T,), places in ``phase_keys``; -1 where none is known.
        phase_keys: phases of the human tier where there is one, else of the model's.
        human: the phases are a human's.
        procedure: whose taxonomy names the phases: the case's, or where nobody said which operation
            it is, the one that has the phases of whoever named them.
        seen: bool (T, K), whether an instrument was in view in that second: a model outlined it, or
            told that it was there.
        seen_keys: the instruments' class keys.
    """

    case: Case
    asset: Asset
    encoder: Encoder
    run_id: int
    pts: NDArray[np.int64]
    times_ms: NDArray[np.float64]
    codes: NDArray[np.int8]
    phases: NDArray[np.int16]
    phase_keys: tuple[str, ...]
    human: bool
    procedure: str
    seen: NDArray[np.bool_]
    seen_keys: tuple[str, ...]

    def phase_at(self, row: int) -> str:
        """The phase's key, "" where none is known."""
        place = int(self.phases[row])
        return self.phase_keys[place] if place != _NO_PHASE else ""

    def fitting(self, phases: frozenset[str], instruments: frozenset[str]) -> NDArray[np.bool_]:
        """bool (T,): rows in one of the phases with all of the instruments in view; an empty set
        lets all through."""
        fits = np.ones(len(self.pts), np.bool_)
        if phases:
            wanted = [i for i, key in enumerate(self.phase_keys) if key in phases]
            fits &= np.isin(self.phases, wanted)
        for key in instruments:
            if key in self.seen_keys:
                fits &= self.seen[:, self.seen_keys.index(key)]
            else:
                fits[:] = False
        return fits


def coded(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Directions of vectors (T, C) in a byte a number: each row is stretched to +-127.

    The angle between a row and what it stands for is below 0.7 degrees at 96 numbers (tested).
    Rows without a direction are 0.
    """
    rows = np.nan_to_num(vectors.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    return np.rint(rows * (_MOST / np.where(largest > 0, largest, 1.0))).astype(np.int8)


def read_rows(library: Library, case: Case, asset: Asset, human: Timeline | None) -> list[Rows]:
    """A recording's rows, of each encoder that saw it: of its newest run that is whole, else of
    its newest one.

    Args:
        library: open.
        case, asset: which recording.
        human: its human tier, None without one.
    """
    store = library.predictions(case.case_id)
    runs = store.runs(asset.asset_id)
    newest: dict[Encoder, tuple[Run, NDArray[np.int64], NDArray[np.float16]]] = {}
    for run in sorted(runs, key=lambda r: (r.finished, r.run_id)):
        pts, vectors = store.features(run.run_id)
        inside = (pts >= asset.start_pts) & (pts < asset.end_pts)
        if inside.any():
            newest[_encoder_of(run)] = run, pts[inside], vectors[inside]
    if not newest:
        return []
    timeline, named = human, {s.phase for s in human.segments} if human is not None else set()
    if not named:
        timeline, named = _said(store, asset, runs)
    procedure = taxonomy_naming(case.procedure, named).procedure
    in_view = _in_view(store, asset, runs)
    return [
        _rows(case, asset, encoder, found, timeline, in_view, procedure, human=timeline is human)
        for encoder, found in newest.items()
    ]


def _encoder_of(run: Run) -> Encoder:
    return Encoder(
        model=run.model,
        weights_sha256=run.weights_sha256,
        reads_words=run.task == RETRIEVAL,
    )


def _rows(
    case: Case,
    asset: Asset,
    encoder: Encoder,
    found: tuple[Run, NDArray[np.int64], NDArray[np.float16]],
    timeline: Timeline | None,
    in_view: tuple[tuple[str, ...], NDArray[np.bool_]],
    procedure: str,
    *,
    human: bool,
) -> Rows:
    run, pts, vectors = found
    times_ms = np.array([asset.time_ms(p) for p in pts.tolist()])
    _, first = np.unique(_second(times_ms), return_index=True)
    pts, times_ms = pts[first], times_ms[first]
    phases, keys = _phases(timeline, pts)
    seen_keys, seconds = in_view
    place = _second(times_ms)
    known = place < len(seconds)
    seen = np.zeros((len(pts), len(seen_keys)), np.bool_)
    seen[known] = seconds[place[known]]
    return Rows(
        case=case,
        asset=asset,
        encoder=encoder,
        run_id=run.run_id,
        pts=pts,
        times_ms=times_ms,
        codes=coded(vectors[first]),
        phases=phases,
        phase_keys=keys,
        human=human,
        procedure=procedure,
        seen=seen,
        seen_keys=seen_keys,
    )


def _second(times_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor((times_ms + _FRAME_MS) / _STEP_MS).astype(np.int64)


def _said(
    store: PredictionStore, asset: Asset, runs: tuple[Run, ...]
) -> tuple[Timeline | None, set[str]]:
    """The model's timeline, and the phases that it can name."""
    run = telling_run(runs, PHASES)
    if run is None:
        return None, set()
    line = timeline_of_run(run, store.phases(run.run_id), asset.start_pts, asset.end_pts)
    return line, set(run.classes)


def _phases(
    timeline: Timeline | None, pts: NDArray[np.int64]
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    phases = np.full(len(pts), _NO_PHASE, np.int16)
    if timeline is None:
        return phases, ()
    keys = tuple(dict.fromkeys(s.phase for s in timeline.segments))
    for segment in timeline.segments:
        first, last = np.searchsorted(pts, (segment.start_pts, segment.end_pts))
        phases[first:last] = keys.index(segment.phase)
    return phases, keys


def _in_view(
    store: PredictionStore, asset: Asset, runs: tuple[Run, ...]
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Keys of instruments, and bool (seconds, keys): outlined, or told to be there."""
    found: list[tuple[tuple[str, ...], NDArray[np.bool_]]] = []
    if (run := telling_run(runs, SEGMENTATION)) is not None:
        presence = store.presence(run.run_id)
        found.append((presence.classes, presence.present > 0))
    if (run := telling_tools(runs)) is not None:
        told = store.tools(run.run_id)
        found.append((told.keys, seconds_seen(told, asset.start_pts, asset.time_base)))
    keys = tuple(dict.fromkeys(key for some, _ in found for key in some))
    seen = np.zeros((max((len(s) for _, s in found), default=0), len(keys)), np.bool_)
    for some, seconds in found:
        seen[: len(seconds), [keys.index(key) for key in some]] |= seconds
    return keys, seen
