"""How times, lengths and numbers are written in the window. No Qt."""

from __future__ import annotations

from datetime import datetime


def clock(time_ms: float) -> tuple[str, str]:
    """A moment as ``("0:07:09", ".53")``: hours always, hundredths apart."""
    hundredths = max(0, int(time_ms // 10))
    seconds, rest = divmod(hundredths, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}", f".{rest:02d}"


def moment(time_ms: float) -> str:
    """A moment on a ruler: ``7:09``, from an hour on ``1:00:00``."""
    seconds = max(0, int(time_ms // 1000))
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}"


def fine_moment(time_ms: float) -> str:
    """A moment to the tenth of a second: ``7:09.5``."""
    return f"{moment(time_ms)}.{int(max(0.0, time_ms) // 100) % 10}"


def length(seconds: float) -> str:
    """How long something takes, without false precision: ``40 s``, ``38 min``, ``1 h 09``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d}"


def count(number: int) -> str:
    """A whole number with separators: ``12,886``."""
    return f"{number:,}"


def date(utc_ms: int) -> str:
    """A date in this PC's time zone: ``12 Nov 2026``."""
    day = datetime.fromtimestamp(utc_ms / 1000).astimezone()
    return f"{day.day} {day:%b %Y}"


def time_of_day(utc_ms: int) -> str:
    """A time of day in this PC's time zone: ``14:32:07``."""
    return f"{datetime.fromtimestamp(utc_ms / 1000).astimezone():%H:%M:%S}"


def numbered(names: list[str], place: int) -> str:
    """The name at a place: ``Grasper``, or ``Grasper 2`` where several bear it."""
    name = names[place]
    if names.count(name) < 2:
        return name
    return f"{name} {names[: place + 1].count(name)}"
