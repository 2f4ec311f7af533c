"""When the frames of a DICOM file are shown, where its header alone says so (PS3.3 C.7.6.5)."""

from __future__ import annotations

from fractions import Fraction

from app.video.dicom.file import DicomFile

TICKS_PER_S = 90_000
"""Pts units per second."""

_USUAL_RATE = Fraction(25)
_LONGEST_MS = 3_600_000


def frame_ticks(file: DicomFile, count: int, fallback: Fraction | None = None) -> list[int]:
    """When each of ``count`` frames is shown, and when the last one ends, in 1/90000 s.

    By the element to which FrameIncrementPointer points, else the first of Frame Time, Frame Time
    Vector, Cine Rate and Recommended Display Frame Rate that is there (PS3.3 C.7.6.5).

    Args:
        file: the header.
        count: frames.
        fallback: frames per second where the header says nothing; else 25.

    Returns:
        count + 1 ticks, ascending from 0.
    """
    steps_ms = _vector_ms(file, count)
    if steps_ms is None:
        step_ms = _step_ms(file) or 1000 / (fallback or _USUAL_RATE)
        return [round(step_ms * n * TICKS_PER_S / 1000) for n in range(count + 1)]
    ticks, at_ms = [0], Fraction(0)
    for step_ms in (*steps_ms[1:], steps_ms[-1] if count > 1 else 1000 / _USUAL_RATE):
        at_ms += step_ms
        ticks.append(max(round(at_ms * TICKS_PER_S / 1000), ticks[-1] + 1))
    return ticks


def says_when(file: DicomFile) -> bool:
    """Whether the header says how fast its frames follow one another."""
    return _step_ms(file) is not None or bool(file.dataset.get("FrameTimeVector"))


def _vector_ms(file: DicomFile, count: int) -> list[Fraction] | None:
    vector = file.dataset.get("FrameTimeVector")
    pointer = str(file.dataset.get("FrameIncrementPointer", ""))
    if vector is None or not hasattr(vector, "__len__") or len(vector) < count or not count:
        return None
    if "1065" not in pointer and file.number("FrameTime"):
        return None
    try:
        steps = [Fraction(str(v)) for v in vector[:count]]
    except (ValueError, ZeroDivisionError):
        return None
    return steps if all(0 <= s < _LONGEST_MS for s in steps) else None


def _step_ms(file: DicomFile) -> Fraction | None:
    step = file.number("FrameTime")
    if step is not None and 0 < step < _LONGEST_MS:
        return step
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = file.number(keyword)
        if rate is not None and 0 < rate <= 10_000:
            return 1000 / rate
    return None
