"""Cases of made-up recordings that a model saw: frame features, phases, instruments in view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.core.case import Case
from app.core.correction import Change, Correction, HumanTimeline
from app.core.mask import Mask
from app.core.prediction import (
    PHASES,
    SEGMENTATION,
    TOOL_NAMES,
    FramePrediction,
    Instance,
    PhasePrediction,
)
from app.core.timeline import Timeline
from app.store import Library
from tests.helpers.human_work import asset

SECOND_PTS = 12_800
WEIGHTS = "a" * 64


def directions(count: int, channels: int = 96, seed: int = 0) -> NDArray[np.float16]:
    """Features (T, C) that point everywhere."""
    return np.random.default_rng(seed).normal(size=(count, channels)).astype(np.float16)


def seen_case(
    library: Library,
    name: str,
    vectors: NDArray[np.float16],
    *,
    weights: str = WEIGHTS,
    procedure: str = "cholecystectomy",
) -> Case:
    """A case of one recording with a feature for each second."""
    recording = replace(
        asset(), asset_id=name, end_pts=len(vectors) * SECOND_PTS, frames=25 * len(vectors)
    )
    case = library.writer.create_case(name, procedure, (recording,)).result()
    see(library, case, vectors, weights=weights)
    return case


def see(
    library: Library,
    case: Case,
    vectors: NDArray[np.float16],
    *,
    weights: str = WEIGHTS,
    task: str = PHASES,
    finished: bool = True,
) -> int:
    """Another run of the model, and its number."""
    store = library.predictions(case.case_id)
    run = store.start_run(
        asset=case.assets[0],
        model="eye",
        task=task,
        weights_sha256=weights,
        classes=("preparation", "clipping_cutting"),
        settings={},
        sample_every=0,
        frames_expected=len(vectors),
    )
    store.put_features(run.run_id, [(i * SECOND_PTS, v) for i, v in enumerate(vectors)])
    if finished:
        store.finish(run.run_id)
    return run.run_id


def say_phases(library: Library, case: Case, run_id: int, change_at: int) -> None:
    """The run names ``preparation`` up to a second, then ``clipping_cutting``."""
    store = library.predictions(case.case_id)
    seconds = case.assets[0].end_pts // SECOND_PTS
    said = [
        PhasePrediction(
            pts=i * SECOND_PTS, index=25 * i, probabilities=(0.9, 0.1) if i < change_at else (0, 1)
        )
        for i in range(seconds)
    ]
    store.put_phases(run_id, said)


def show_hook(library: Library, case: Case, second: int) -> None:
    """A hook is in view in one second."""
    store = library.predictions(case.case_id)
    run = store.start_run(
        asset=case.assets[0],
        model="hands",
        task=SEGMENTATION,
        weights_sha256=WEIGHTS,
        classes=("grasper", "hook"),
        settings={},
        sample_every=1,
        frames_expected=1,
    )
    mask = np.zeros((case.assets[0].height_px, case.assets[0].width_px), np.bool_)
    mask[:5, :5] = True
    hook = Instance(label="hook", mask=Mask.from_full(mask), score=0.9)
    store.put_frames(
        run.run_id,
        [FramePrediction(pts=second * SECOND_PTS, index=25 * second, instances=(hook,))],
    )
    store.finish(run.run_id)


def tell_tools(
    library: Library, case: Case, tools: tuple[str, ...], rows: NDArray[np.float16]
) -> int:
    """A model tells of tools from the recording's first second on: float16 (T, M)."""
    store = library.predictions(case.case_id)
    run = store.start_run(
        asset=case.assets[0],
        model="teller",
        task=PHASES,
        weights_sha256="c" * 64,
        classes=("preparation",),
        settings={TOOL_NAMES: ",".join(tools)},
        sample_every=0,
        frames_expected=len(rows),
    )
    store.put_tools(run.run_id, [(i * SECOND_PTS, row) for i, row in enumerate(rows)])
    store.finish(run.run_id)
    return run.run_id


def decide_phase(library: Library, case: Case, phase: str) -> None:
    """A human names the whole recording's phase."""
    recording = case.assets[0]
    line = Timeline(start_pts=recording.start_pts, end_pts=recording.end_pts)
    line = line.painted(line.start_pts, line.end_pts, phase)
    after = HumanTimeline(asset_id=recording.asset_id, timeline=line)
    before = library.human_timeline(recording.asset_id)
    change = Change(object_id=f"timeline:{recording.asset_id}", before=before, after=after)
    library.writer.commit(
        Correction(case_id=case.case_id, title="Phase", changes=(change,))
    ).result()
