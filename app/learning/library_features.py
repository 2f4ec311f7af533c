"""Labelled cases of a library as operations that networks of frame features learn from.

A case takes part where a human named its phases and its encoder's features are stored. Runs on a
command's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.learning.recorded import Recorded
from models.types import UNKNOWN

if TYPE_CHECKING:
    from app.core.case import Asset, Case
    from app.core.timeline import Timeline
    from app.store import Library, PredictionStore
    from models import ModelCard


def library_recordings(
    library: Library, cases: Sequence[Case], encoder: ModelCard, classes: Sequence[str]
) -> list[Recorded]:
    """Every recording of some cases that has both phases of a human and features of an encoder.

    Args:
        library: that holds them.
        cases: of it.
        encoder: its features are read, of the newest run that holds some.
        classes: phase keys; samples of other phases and of none count as not known.
    """
    found = []
    for case in cases:
        store = library.predictions(case.case_id)
        for asset in case.assets:
            human = library.human_timeline(asset.asset_id)
            stored = None if human is None else _stored(store, asset, encoder)
            if human is None or stored is None:
                continue
            labels = labels_at(human.timeline, stored[0], classes)
            if (labels >= 0).any():
                found.append(
                    Recorded(
                        name=f"case-{case.case_id}-{asset.asset_id}",
                        group=f"case-{case.case_id}",
                        features=stored[1],
                        labels=labels,
                        probabilities=stored[2],
                    )
                )
    return found


def labels_at(
    timeline: Timeline, pts: NDArray[np.int64], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Index of the phase at each time, by its key; ``UNKNOWN`` where it is none of the classes."""
    place = {key: i for i, key in enumerate(classes)}
    keys = [timeline.phase_at(at) for at in pts.tolist()]
    return np.array([place.get(key or "", UNKNOWN) for key in keys], np.int64)


def _stored(
    store: PredictionStore, asset: Asset, encoder: ModelCard
) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.float32]] | None:
    """Times, features and, where they are all there, the phase probabilities of the newest run."""
    for run in reversed(store.runs(asset.asset_id)):
        same = (run.model, run.weights_sha256) == (encoder.name, encoder.weights_sha256)
        if not same or run.was_live or not run.finished:
            continue
        pts, vectors = store.features(run.run_id)
        if not len(pts):
            continue
        said = {p.pts: p.probabilities for p in store.phases(run.run_id)}
        rows = [said.get(at, ()) for at in pts.tolist()]
        whole = rows if all(rows) else [()] * len(rows)
        return pts, vectors, np.array(whole, np.float32)
    return None
