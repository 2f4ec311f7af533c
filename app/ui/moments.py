"""What a user types to go somewhere: a time, a frame, a share, or a step from here. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.errors import BadInput
from app.ui.words import count, fine_moment

HINT = "7:09.5, frame 12886, 50 %, +10 s"
_UNITS_MS = {"s": 1000.0, "sec": 1000.0, "min": 60_000.0, "m": 60_000.0, "h": 3_600_000.0}
_FAR = 1e9
_FRAMES = {"f", "fr", "frame", "frames"}
_NUMBER = re.compile(r"(\d+(?:[.,]\d+)?|[.,]\d+)\s*([a-z%]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where the playhead stands, and how long the recording is.

    Attributes:
        frames: of the recording.
        duration_ms: of the recording.
        index: of the frame on screen.
        time_ms: of that frame.
    """

    frames: int
    duration_ms: float
    index: int
    time_ms: float


def parse_moment(text: str, here: Here) -> tuple[str, float]:
    """Read what was typed.

    Args:
        text: ``7:09``, ``1:07:09.5``, ``95 s``, ``12886`` or ``frame 12886``, ``50 %``; with a
            sign in front, from here: ``+10 s``, ``-1:30``, ``+5`` frames.
        here: where it is typed.

    Returns:
        ``("frame", index)`` or ``("ms", milliseconds)``.

    Raises:
        BadInput: one sentence: what is wrong and what would be right.
    """
    words = text.strip().lower().replace("\N{MINUS SIGN}", "-")
    if not words:
        raise BadInput(f"Type where to go: {HINT}.")
    sign = {"+": 1, "-": -1}.get(words[0], 0)
    kind, value = _amount(words[1:] if sign else words, text.strip())
    if kind == "share":
        if sign or not 0 <= value <= 100:
            raise BadInput("A share goes from 0 to 100 %.")
        return "ms", here.duration_ms * value / 100
    if kind == "frame":
        return "frame", _frame(int(here.index + sign * value if sign else value), here)
    return "ms", _time(here.time_ms + sign * value if sign else value, here)


def _amount(words: str, typed: str) -> tuple[str, float]:
    if ":" in words:
        return "ms", _clock(words, typed)
    for name in sorted(_FRAMES, key=len, reverse=True):
        if words.startswith(name) and words[len(name) :].strip():
            words = words[len(name) :].strip() + " f"
            break
    grouped = re.sub(r"(?<=\d)[, ](?=\d{3}(?!\d))", "", words).strip()
    found = _NUMBER.fullmatch(grouped)
    if found is None:
        raise BadInput(f"“{typed[:24]}” is no place; type {HINT}.")
    number, unit = float(found[1].replace(",", ".")), found[2]
    if unit == "%":
        return "share", number
    if unit in _UNITS_MS:
        return "ms", number * _UNITS_MS[unit]
    if unit == "" or unit in _FRAMES:
        if number != int(number):
            raise BadInput(f"A frame has a whole number; for a time, type {found[1]} s.")
        return "frame", number
    raise BadInput(f"“{unit}” is no unit; type s, min, h, frame or %.")


def _clock(words: str, typed: str) -> float:
    try:
        parts = [float(p.replace(",", ".")) for p in words.split(":")]
    except ValueError:
        raise BadInput(f"“{typed[:24]}” is no time; type one such as 7:09.5.") from None
    if len(parts) > 3 or not all(0 <= p < _FAR for p in parts):
        raise BadInput(f"“{typed[:24]}” is no time; type one such as 1:07:09.")
    if any(p >= 60 for p in parts[1:]) or any(p != int(p) for p in parts[:-1]):
        raise BadInput("Minutes and seconds go to 59; type a time such as 1:07:09.5.")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + part
    return seconds * 1000


def _frame(index: int, here: Here) -> int:
    if not 0 <= index < here.frames:
        raise BadInput(f"This recording has the frames 0 to {count(here.frames - 1)}.")
    return index


def _time(time_ms: float, here: Here) -> float:
    if not 0 <= time_ms <= here.duration_ms:
        raise BadInput(f"This recording goes from 0:00 to {fine_moment(here.duration_ms)}.")
    return time_ms
