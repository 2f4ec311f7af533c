"""Moments of the whole library that look like one of them, or like what a prompt says.

One index holds the frame features of all analysed recordings as one matrix for each encoder. It
belongs to one thread at a time; no Qt. Features of different models or weights are never compared.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.analysis.moment_rows import Encoder, Rows, read_rows
from app.core.case import Asset, Case
from app.core.errors import TrocarError
from app.core.timeline import Timeline
from app.store import Library

log = logging.getLogger(__name__)

NEIGHBOURS_MS = 10_000.0
"""Seconds of one recording that lie this close to a moment are part of it; those this close to the
frame that was asked about look like it and are not told."""

LIMIT = 48
_NEAR_MS = 1_500.0
_AT_ONCE = 1024
_NONE = -2.0
_Stamp = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which moments count; an empty set lets all through.

    Attributes:
        phases: keys; in one of them.
        instruments: class keys; all of them in view.
        cases: case ids; of one of them.
    """

    phases: frozenset[str] = frozenset()
    instruments: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A stretch of a recording that was found.

    Attributes:
        case, asset: which recording.
        pts: of the frame that is most alike.
        time_ms: of that frame, from the recording's start.
        first_ms, last_ms: of the seconds around it that would have been found by themselves.
        phase: its key, "" where none is known.
        human: a human named the phase.
        procedure: whose taxonomy names the phase.
        similarity: cosine, -1 to 1.
    """

    case: Case
    asset: Asset
    pts: int
    time_ms: float
    first_ms: float
    last_ms: float
    phase: str
    human: bool
    procedure: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Matrix:
    """All rows of one encoder, in the order of cases and of time."""

    parts: tuple[Rows, ...]
    starts: NDArray[np.int64]
    codes: NDArray[np.int8]
    inverse_norms: NDArray[np.float32]


class MomentIndex:
    """What the library's recordings look like, second by second.

    Args:
        library: open for reading or writing.

    Attributes:
        cases: of the library, as it was read last.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self.cases: tuple[Case, ...] = ()
        self._left: list[Case] = []
        self._rows: dict[str, list[Rows]] = {}
        self._stamps: dict[str, _Stamp] = {}
        self._matrices: dict[Encoder, _Matrix] = {}

    def refresh(self, *, first: str = "", for_s: float = float("inf")) -> tuple[int, int]:
        """Read what is new in the library; what is known already is not read again.

        Args:
            first: a case that is read before the others.
            for_s: stop after that many seconds; the next call goes on with the other cases.

        Returns:
            How many cases are known, of how many; both are the same once all were looked at.
        """
        began = time.monotonic()
        if not self._left:
            self.cases = tuple(sorted(self._library.cases(), key=lambda c: c.case_id))
            self._forget({c.case_id for c in self.cases})
            self._left = [*reversed(self.cases)]
        self._left.sort(key=lambda c: c.case_id == first)  # taken from the end
        while self._left:
            self._read(self._left.pop())
            if time.monotonic() - began > for_s:
                break
        return len(self.cases) - len(self._left), len(self.cases)

    def encoders(self, asset_id: str = "") -> tuple[Encoder, ...]:
        """Encoders that saw a recording, or any; first those that saw most cases, and of those
        that saw as many the one that was made to compare pictures."""
        cases: dict[Encoder, set[str]] = {}
        of_asset: set[Encoder] = set()
        for rows in self._all():
            cases.setdefault(rows.encoder, set()).add(rows.case.case_id)
            if rows.asset.asset_id == asset_id:
                of_asset.add(rows.encoder)
        chosen = [e for e in cases if not asset_id or e in of_asset]
        return tuple(sorted(chosen, key=lambda e: (-len(cases[e]), not e.reads_words, e)))

    def lacking(self, encoder: Encoder) -> tuple[Case, ...]:
        """Cases with a recording that the encoder did not see."""
        known = {rows.case.case_id for rows in self._all() if rows.encoder == encoder}
        return tuple(
            c
            for c in self.cases
            if c.case_id not in known and any(a.has_recording for a in c.assets)
        )

    def searched(self, encoder: Encoder) -> int:
        """How many cases are searched."""
        return len({rows.case.case_id for rows in self._all() if rows.encoder == encoder})

    def seconds(self, encoder: Encoder) -> int:
        """How many seconds are searched."""
        return sum(len(rows.pts) for rows in self._all() if rows.encoder == encoder)

    def phases(self, encoder: Encoder) -> tuple[str, ...]:
        """Keys of all phases that its rows have, in the order of cases."""
        found = (k for rows in self._all() if rows.encoder == encoder for k in rows.phase_keys)
        return tuple(dict.fromkeys(found))

    def instruments(self, encoder: Encoder) -> tuple[str, ...]:
        """Class keys of all instruments that were in view, in the order of cases."""
        found = (
            key
            for rows in self._all()
            if rows.encoder == encoder
            for key, seen in zip(rows.seen_keys, rows.seen.any(axis=0), strict=True)
            if seen
        )
        return tuple(dict.fromkeys(found))

    def vector_at(self, encoder: Encoder, asset_id: str, time_ms: float) -> NDArray[np.float32]:
        """The direction (C,) of the second nearest to a moment; empty where none is near."""
        for rows in self._all():
            if rows.encoder == encoder and rows.asset.asset_id == asset_id:
                at = int(np.abs(rows.times_ms - time_ms).argmin())
                if abs(rows.times_ms[at] - time_ms) <= _NEAR_MS:
                    return rows.codes[at].astype(np.float32)
        return np.zeros(0, np.float32)

    def search(
        self,
        encoder: Encoder,
        vector: NDArray[np.floating],
        wanted: Wanted | None = None,
        *,
        apart_from: tuple[str, float] | None = None,
        limit: int = LIMIT,
    ) -> tuple[Moment, ...]:
        """Moments by similarity, then by case and time; at most one in ``NEIGHBOURS_MS``.

        Args:
            encoder: whose features are compared.
            vector: (C,), what to look for; its length does not matter.
            wanted: which moments count.
            apart_from: asset id and milliseconds; what lies within ``NEIGHBOURS_MS`` is left out.
            limit: how many at most.
        """
        matrix = self._matrix(encoder)
        length = float(np.linalg.norm(vector))
        if matrix is None or vector.shape != matrix.codes.shape[1:] or not length:
            return ()
        scores = _similarities(matrix, (vector / length).astype(np.float32))
        scores[~_allowed(matrix, wanted or Wanted(), apart_from)] = _NONE
        left = scores.copy()
        found: list[tuple[int, float]] = []
        while len(found) < limit:
            best = int(left.argmax())
            if left[best] == _NONE:
                break
            found.append((best, float(left[best])))
            part, row = _place(matrix, best)
            low, high = _around(matrix.parts[part], row, NEIGHBOURS_MS)
            left[matrix.starts[part] + low : matrix.starts[part] + high] = _NONE
        least = found[-1][1] if found else 0.0
        return tuple(_moment(matrix, scores, at, score, least) for at, score in found)

    def _all(self) -> list[Rows]:
        return [rows for case in self.cases for rows in self._rows.get(case.case_id, ())]

    def _forget(self, present: set[str]) -> None:
        for case_id in self._rows.keys() - present:
            self._put(case_id, [])
            del self._rows[case_id]
            self._stamps.pop(case_id, None)

    def _read(self, case: Case) -> None:
        assets = [a for a in case.assets if a.has_recording]
        files = self._library.predictions_stamp(case.case_id)
        if not any(files):  # no model has said anything; asking would make a file
            self._stamps.pop(case.case_id, None)
            self._put(case.case_id, [])
            return
        try:
            tiers = {a.asset_id: self._tier(a) for a in assets}
            stamp = (
                files,
                case.procedure,
                tuple((a.asset_id, a.start_pts, a.end_pts, tiers[a.asset_id]) for a in assets),
            )
            if self._stamps.get(case.case_id) == stamp:
                if any(rows.case != case for rows in self._rows[case.case_id]):
                    fresh = [replace(r, case=case) for r in self._rows[case.case_id]]
                    self._put(case.case_id, fresh)
                return
            found = [
                r for a in assets for r in read_rows(self._library, case, a, tiers[a.asset_id])
            ]
        except TrocarError as error:
            log.info("case %s is not searched: %s", case.case_id, error.detail)
            self._stamps.pop(case.case_id, None)  # it is read again once it can be
            self._put(case.case_id, [])
            return
        self._stamps[case.case_id] = stamp
        self._put(case.case_id, found)

    def _tier(self, asset: Asset) -> Timeline | None:
        said = self._library.human_timeline(asset.asset_id)
        return said.timeline if said is not None else None

    def _put(self, case_id: str, rows: list[Rows]) -> None:
        touched = {r.encoder for r in (*self._rows.get(case_id, ()), *rows)}
        self._rows[case_id] = rows
        for encoder in touched:
            self._matrices.pop(encoder, None)

    def _matrix(self, encoder: Encoder) -> _Matrix | None:
        if encoder not in self._matrices:
            parts = tuple(rows for rows in self._all() if rows.encoder == encoder)
            if not parts:
                return None
            codes = np.concatenate([rows.codes for rows in parts])
            squares = np.einsum("ij,ij->i", codes, codes, dtype=np.int32)
            starts = np.cumsum([0, *(len(rows.pts) for rows in parts)])
            parts = self._share(parts, codes, starts)
            self._matrices[encoder] = _Matrix(
                parts=parts,
                starts=starts,
                codes=codes,
                inverse_norms=(1 / np.sqrt(np.maximum(squares, 1))).astype(np.float32),
            )
        return self._matrices[encoder]

    def _share(
        self, parts: tuple[Rows, ...], codes: NDArray[np.int8], starts: NDArray[np.int64]
    ) -> tuple[Rows, ...]:
        """The same rows, whose codes are parts of the matrix: kept once."""
        made = {
            id(rows): replace(rows, codes=codes[starts[i] : starts[i + 1]])
            for i, rows in enumerate(parts)
        }
        for case_id, kept in self._rows.items():
            self._rows[case_id] = [made.get(id(rows), rows) for rows in kept]
        return tuple(made[id(rows)] for rows in parts)


def _similarities(matrix: _Matrix, unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines (N,). Some rows at a time are made floats within the processor's cache: a quarter
    of the memory that floats take, and faster than they are (measured)."""
    codes = matrix.codes
    scores = np.empty(len(codes), np.float32)
    floats = np.empty((_AT_ONCE, codes.shape[1]), np.float32)
    for first in range(0, len(codes), _AT_ONCE):
        some = codes[first : first + _AT_ONCE]
        floats[: len(some)] = some
        np.dot(floats[: len(some)], unit, out=scores[first : first + len(some)])
    scores *= matrix.inverse_norms
    return np.clip(scores, -1.0, 1.0, out=scores)


def _allowed(
    matrix: _Matrix, wanted: Wanted, apart_from: tuple[str, float] | None
) -> NDArray[np.bool_]:
    fits = np.ones(len(matrix.codes), np.bool_)
    for place, rows in enumerate(matrix.parts):
        part = fits[matrix.starts[place] : matrix.starts[place + 1]]
        if wanted.cases and rows.case.case_id not in wanted.cases:
            part[:] = False
        elif wanted.phases or wanted.instruments:
            part &= rows.fitting(wanted.phases, wanted.instruments)
        if apart_from is not None and rows.asset.asset_id == apart_from[0]:
            part &= np.abs(rows.times_ms - apart_from[1]) > NEIGHBOURS_MS
    return fits


def _place(matrix: _Matrix, at: int) -> tuple[int, int]:
    part = int(np.searchsorted(matrix.starts, at, side="right")) - 1
    return part, at - int(matrix.starts[part])


def _around(rows: Rows, row: int, within_ms: float) -> tuple[int, int]:
    """Rows [low, high) not further than ``within_ms`` from one."""
    at_ms = rows.times_ms[row]
    low = int(np.searchsorted(rows.times_ms, at_ms - within_ms, side="left"))
    return low, int(np.searchsorted(rows.times_ms, at_ms + within_ms, side="right"))


def _moment(
    matrix: _Matrix, scores: NDArray[np.float32], at: int, score: float, least: float
) -> Moment:
    part, row = _place(matrix, at)
    rows, start = matrix.parts[part], int(matrix.starts[part])
    low, high = _around(rows, row, NEIGHBOURS_MS)
    first = last = row
    while first > low and scores[start + first - 1] >= least:
        first -= 1
    while last < high - 1 and scores[start + last + 1] >= least:
        last += 1
    return Moment(
        case=rows.case,
        asset=rows.asset,
        pts=int(rows.pts[row]),
        time_ms=float(rows.times_ms[row]),
        first_ms=float(rows.times_ms[first]),
        last_ms=float(rows.times_ms[last]),
        phase=rows.phase_at(row),
        human=rows.human,
        procedure=rows.procedure,
        similarity=score,
    )
