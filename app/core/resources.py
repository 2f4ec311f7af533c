"""Where the data that ships with Trocar lies: beside the packages, frozen or not."""

from __future__ import annotations

from pathlib import Path

RESEARCH_USE_SHORT = "Research and education only"
RESEARCH_USE = f"{RESEARCH_USE_SHORT}. Do not use it to decide about a patient."


def resources_dir() -> Path:
    """The folder ``resources`` of this installation."""
    return Path(__file__).resolve().parents[2] / "resources"


def demo_recording() -> Path | None:
    """The recording of the demo case, None in an installation without it."""
    found = sorted((resources_dir() / "demo").glob("*.mp4"))
    return found[0] if found else None
