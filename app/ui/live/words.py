"""What Live says: the source, the age of the outlines, the recording. Pure; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.ui.words import length

if TYPE_CHECKING:
    from app.inference import Pace
    from app.video.live.capture import LiveState
    from app.video.live.devices import Mode

AMBER_MS = 150.0
TIGHT_S, LOW_S = 3600.0, 600.0
_GIGABYTE = 1e9


def size(number: int) -> str:
    """A size on disk: ``840 MB``, ``11.4 GB``."""
    if number < 0.95 * _GIGABYTE:
        return f"{max(1, round(number / 1e6))} MB" if number else "0 MB"
    return f"{number / _GIGABYTE:.1f} GB"


def picture(size_px: tuple[int, int] | None) -> str:
    """A format as people say it: ``1920 x 1080``."""
    return "" if size_px is None else f"{size_px[0]} x {size_px[1]}"


def mode_words(mode: Mode) -> str:
    """A device's mode: ``1920 x 1080, 60 per second, mjpeg``."""
    rate = f", {mode.rate:g} per second" if mode.rate else ""
    coding = f", {mode.coding}" if mode.coding else ""
    return f"{mode.width_px} x {mode.height_px}{rate}{coding}"


def room(seconds: float | None) -> str:
    """How much longer the disk lasts; "" while nobody knows."""
    if seconds is None:
        return ""
    if seconds < LOW_S:
        return f"Disk almost full: {length(seconds)} left"
    if seconds > 48 * TIGHT_S:
        return "room for days"
    return f"room for {length(seconds)} more"


def signal(state: LiveState, silent_s: float, *, recording: bool) -> tuple[str, str, str, str]:
    """What the plate over the picture says: icon, title, detail, tone; no title where all is well.

    Args:
        state: of the source.
        silent_s: how long nothing has come.
        recording: the recording goes on meanwhile.
    """
    attempt = f"attempt {state.attempts}" if state.attempts > 1 else ""
    kept = "The recording goes on and marks the gap." if recording else ""
    if state.status == "connecting":
        again = f"{state.sentence} ({attempt})" if attempt else ""
        return "radio", "Waiting for the picture", again or state.sentence, "osd_text_2"
    if state.status in ("lost", "reconnecting"):
        trying = f"Trying again, {attempt}." if attempt else "Trying again."
        lost = f"No signal for {length(silent_s)}"
        return "wifi-off", lost, f"{trying} {kept}".strip(), "osd_warn"
    if state.status == "ended":
        stays = "Stop the recording to make it a case." if recording else "Choose another source."
        return "film", "The source has come to its end", stays, "osd_text_2"
    if state.status == "failed":
        return "circle-alert", "The source cannot be used", state.sentence, "osd_error"
    return "", "", "", ""


def outlines(
    pace: Pace, age_ms: float | None, *, hidden: bool, has_outlines: bool, limit_ms: float
) -> tuple[str, str, str]:
    """The line about the overlay: words, token of its dot, words below.

    Args:
        pace: how fast this machine answers.
        age_ms: of the newest answer, None before the first.
        hidden: it is too old to be shown.
        has_outlines: a model for outlines is in use.
        limit_ms: no outline is shown that is older.
    """
    if not has_outlines:
        return "No outlines", "osd_text_3", "no model for them is installed"
    if not pace.helps:
        seconds = (pace.age_ms + pace.compute_ms) / 1000
        return (
            "Phases alone",
            "osd_warn",
            f"outlines would lie {seconds:.1f} s behind on this computer",
        )
    if age_ms is None:
        return "Outlines are being prepared", "osd_text_3", ""
    below = f"hidden above {limit_ms:.0f} ms"
    if hidden:
        old = f"{age_ms / 1000:.1f} s" if age_ms >= 1000 else f"{age_ms:.0f} ms"
        return f"Overlay hidden, {old} old", "osd_warn", below
    return f"Overlay {age_ms:.0f} ms old", "osd_warn" if age_ms >= AMBER_MS else "osd_ok", below
