"""A ten-minute asset at 25 frames per second, with both tiers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pytestqt.qtbot import QtBot

from app.core.case import Asset
from app.core.correction import Correction, HumanTimeline
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment
from app.core.timeline import Timeline as Line
from app.ui import theme
from app.ui.timeline.commands import TimelineCommands
from app.ui.timeline.data import TimelineData, timeline_data
from app.ui.timeline.widget import Timeline

FPS = 25
FRAMES = 600 * FPS
CALOT, CLIP, GALL, BAG = (
    "calot_triangle_dissection",
    "clipping_cutting",
    "gallbladder_dissection",
    "gallbladder_packaging",
)


def line(*parts: tuple[float, float, str]) -> Line:
    """A timeline from seconds."""
    segments = tuple(
        Segment(start_pts=round(a * FPS), end_pts=round(b * FPS), phase=p) for a, b, p in parts
    )
    return Line(start_pts=0, end_pts=FRAMES, segments=segments)


def make_asset() -> Asset:
    return Asset(
        asset_id="a",
        path="/somewhere/case.mp4",
        quick_hash="",
        stream=0,
        time_base=Fraction(1, FPS),
        start_pts=0,
        end_pts=FRAMES,
        frames=FRAMES,
        width_px=854,
        height_px=480,
        codec="h264",
    )


def make_data(you: Line | None = None, model: Line | None = None, **more: object) -> TimelineData:
    return timeline_data(
        "0001",
        make_asset(),
        find_taxonomy("cholecystectomy"),
        you=you,
        model=model,
        analysed_to_pts=FRAMES,
        **more,
    )


class Desk:
    """A timeline whose corrections are applied, as the workspace would."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.commands = TimelineCommands(timeline)
        self.corrections: list[Correction] = []
        self.sought: list[int] = []
        self.refused: list[str] = []
        timeline.corrected.connect(self._apply)
        timeline.seek_requested.connect(self.sought.append)
        timeline.refused.connect(self.refused.append)

    def _apply(self, correction: Correction) -> None:
        self.corrections.append(correction)
        after = correction.changes[0].after
        assert isinstance(after, HumanTimeline)
        assert self.timeline.data is not None
        self.timeline.set_data(self.timeline.data.with_you(after.timeline))

    @property
    def you(self) -> list[tuple[float, float, str]]:
        """The human tier in seconds."""
        assert self.timeline.data is not None
        tier = self.timeline.data.tiers.you
        segments = tier.segments if tier else ()
        return [(s.start_pts / FPS, s.end_pts / FPS, s.phase) for s in segments]


@pytest.fixture
def desk(qtbot: QtBot, qapp: object) -> Desk:
    theme.apply(qapp)
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(1348, 330)
    timeline.set_data(
        make_data(
            line((0, 200, CALOT), (200, 400, CLIP)),
            line((0, 210, CALOT), (210, 500, CLIP), (500, 600, GALL)),
        )
    )
    timeline.show()
    qtbot.waitExposed(timeline)
    return Desk(timeline)
