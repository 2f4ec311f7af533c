"""Find a moment: ten hours searched, beside numpy case by case and beside a plain loop.

The library is real, with a feature a second of ten operations of an hour each; its features are
random, which changes nothing for the arithmetic.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.analysis.moments import LIMIT, NEIGHBOURS_MS, MomentIndex
from app.store import Library
from tests.benchmarks.measure import Row, Times, interleaved, row_of
from tests.helpers.seen_cases import directions, seen_case

CASES, SECONDS = 10, 3600
CHANNELS = (96, 384, 768)
NAIVE = "numpy, case by case"


def find(rounds: int) -> list[Row]:
    """One row for each size of features: the demo's, EndoMamba-small's, SurgVLP's."""
    return [row for channels in CHANNELS for row in _searched(channels, rounds)]


def _searched(channels: int, rounds: int) -> list[Row]:
    cases = [directions(SECONDS, channels, seed) for seed in range(CASES)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder) / "library", ballast_bytes=0) as library,
    ):
        for number, vectors in enumerate(cases):
            seen_case(library, f"case {number}", vectors)
        index = MomentIndex(library)
        index.refresh()
        encoder = index.encoders()[0]
        query = cases[3][1234].astype(np.float32)
        assert index.search(encoder, query)[0].time_ms == 1_234_000
        times = interleaved(
            {
                "ours": lambda: index.search(encoder, query),
                "peer": lambda: _naive(cases, query),
                "loop": lambda: _loop(cases, query),
                "read": lambda: MomentIndex(library).refresh(),
                "again": index.refresh,
            },
            rounds,
        )
    return [*_rows(channels, times)]


def _rows(channels: int, times: dict[str, Times]) -> list[Row]:
    hours = CASES * SECONDS // 3600
    what = f"{hours} h x {channels}"
    note = f"{CASES * SECONDS} vectors, {LIMIT} moments; a byte a number in memory"
    return [
        row_of(f"find, {what}", times, note, peer="peer", peer_name=NAIVE),
        row_of(f"find, {what}, beside a loop", times, note, peer="loop", peer_name="a plain loop"),
        row_of(f"find, {what}, index read", times, "from the case files, once", ours="read"),
        row_of(f"find, {what}, index up to date", times, "before each search", ours="again"),
    ]


def _naive(cases: list[NDArray[np.float16]], query: NDArray[np.float32]) -> list[tuple[int, int]]:
    """As one writes it first: floats, norms and cosines of each case anew, all sorted."""
    unit = query / np.linalg.norm(query)
    scored: list[tuple[float, int, int]] = []
    for number, vectors in enumerate(cases):
        floats = vectors.astype(np.float32)
        cosines = floats @ unit / np.linalg.norm(floats, axis=1)
        scored += [(-score, number, second) for second, score in enumerate(cosines.tolist())]
    return _merged(scored)


def _loop(cases: list[NDArray[np.float16]], query: NDArray[np.float32]) -> list[tuple[int, int]]:
    """One vector after the other."""
    unit = query / np.linalg.norm(query)
    scored = []
    for number, vectors in enumerate(cases):
        for second, vector in enumerate(vectors):
            floats = vector.astype(np.float32)
            cosine = float(floats @ unit) / float(np.linalg.norm(floats))
            scored.append((-cosine, number, second))
    return _merged(scored)


def _merged(scored: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for _, number, second in sorted(scored):
        near = (abs(second - s) * 1000 <= NEIGHBOURS_MS for n, s in found if n == number)
        if not any(near):
            found.append((number, second))
        if len(found) == LIMIT:
            break
    return found
