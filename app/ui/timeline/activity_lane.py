"""What a model says goes on, as plain blocks with words: activities are no phases. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from app.core.timeline import Timeline
from app.ui import theme
from app.ui.timeline import paint


def activity_name(key: str) -> str:
    """The words for an activity's key."""
    return key.replace("_", " ").capitalize()


class _Looks:
    """Grey by the activity's place, so that neighbours differ; the words tell which it is."""

    def __init__(self, activity: Timeline) -> None:
        self._places = {k: i for i, k in enumerate(sorted({s.phase for s in activity.segments}))}

    def look(self, phase: str, tier: str) -> paint.BlockLook:
        """How blocks of an activity look."""
        del tier  # activities are the model's alone
        token = ("control", "line_strong", "pressed")[self._places[phase] % 3]
        name = activity_name(phase)
        return paint.BlockLook(
            code="", name=name, fill=theme.color(token), text=theme.color("text")
        )


def draw_activity(
    painter: QPainter, area: QRectF, activity: Timeline, to_x: paint.ToX, *, words: bool
) -> None:
    """Paint the blocks of a timeline of activities."""
    paint.draw_tier(painter, activity, _Looks(activity), "model", to_x, area, words=words)
