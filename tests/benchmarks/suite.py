"""All rows by name, and the report that ``trocar bench`` prints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import torch

from tests.benchmarks import (
    rows_compute,
    rows_engines,
    rows_find,
    rows_live,
    rows_live_window,
    rows_phases,
    rows_pranet,
    rows_scenes,
    rows_video,
    rows_window,
)
from tests.benchmarks.measure import ROUNDS, Row, machine

log = logging.getLogger(__name__)

ROWS: dict[str, Callable[[int], list[Row]]] = {
    "forward": rows_compute.forward,
    "raw": rows_compute.frame_to_raw,
    "post": rows_compute.post,
    "overlay": rows_compute.overlay,
    "phase": rows_phases.phase_step,
    "phase-case": rows_phases.phase_case,
    "file": rows_compute.file_to_stored,
    "engines": rows_engines.engines,
    "engine-file": rows_engines.engine_file,
    "pranet": rows_pranet.pranet,
    "scenes": rows_scenes.scenes,
    "find": rows_find.find,
    "lateness": rows_window.lateness,
    "start": rows_window.cold_start,
    "video": rows_video.video,
    "live": rows_live.live,
    "live-window": rows_live_window.live_window,
}


def run(
    names: Iterable[str] = tuple(ROWS),
    rounds: int = ROUNDS,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure rows one after the other, candidates within a row interleaved.

    Args:
        names: keys of ``ROWS``.
        rounds: of each candidate, after one that does not count.
        told: called with each row's name before it is measured.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: list[Row] = []
    for name in names:
        told(name)
        rows += ROWS[name](rounds)
    return {"machine": machine(), "rows": [r.as_json() for r in rows]}
