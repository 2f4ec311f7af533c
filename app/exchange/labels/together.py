"""Labels of one operation that stand in several files, as one case. Any thread."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import gcd

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Segment, Timeline


def together(one: LabelledCase, other: LabelledCase) -> LabelledCase:
    """Two files' labels of one operation.

    Raises:
        BadInput: both name its phases, and not the same ones.
    """
    base = _common(one.time_base, other.time_base)
    a, b = _in(one, base), _in(other, base)
    if a.phases is not None and b.phases is not None and a.phases != b.phases:
        names = list(dict.fromkeys(c.files[0].name for c in (one, other)))
        who = " and ".join(names) if len(names) > 1 else f"Two files {names[0]}"
        raise BadInput(f"{who} name different phases for {one.name}; take one of them.")
    length = max(a.length, b.length)
    phases = a.phases or b.phases
    files = {(f.name, f.sha256): f for f in (*a.files, *b.files)}
    return LabelledCase(
        layout=a.layout,
        name=a.name,
        procedure=a.procedure if a.procedure != UNKNOWN_PROCEDURE else b.procedure,
        time_base=base,
        length=length,
        phases=None
        if phases is None
        else Timeline(start_pts=0, end_pts=length, segments=phases.segments),
        rows=(*a.rows, *b.rows),
        facts=tuple(dict.fromkeys((*a.facts, *b.facts))),
        files=tuple(files.values()),
    )


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The longest unit of which both are multiples."""
    return Fraction(
        gcd(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )


def _in(case: LabelledCase, base: Fraction) -> LabelledCase:
    times = case.time_base / base
    factor = times.numerator
    if factor == 1:
        return case
    scaled = _scaled(factor)
    phases = case.phases
    return LabelledCase(
        layout=case.layout,
        name=case.name,
        procedure=case.procedure,
        time_base=base,
        length=case.length * factor,
        phases=None
        if phases is None
        else Timeline(
            start_pts=0,
            end_pts=phases.end_pts * factor,
            segments=tuple(map(scaled, phases.segments)),
        ),
        rows=tuple(
            LabelRow(name=row.name, segments=tuple(map(scaled, row.segments))) for row in case.rows
        ),
        facts=case.facts,
        files=case.files,
    )


def _scaled(factor: int) -> Callable[[Segment], Segment]:
    return lambda s: Segment(
        start_pts=s.start_pts * factor, end_pts=s.end_pts * factor, phase=s.phase
    )
