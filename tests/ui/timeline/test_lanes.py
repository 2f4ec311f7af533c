"""Lanes: what overlaps lies on lines of its own, as few as can be; rows of labels become lanes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from app.core.labels import LabelRow
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment
from app.core.tools import ToolsTold
from app.core.uncertainty import DOUBT_BITS
from app.exchange.labels.reading import read_labels
from app.store.predictions import Presence
from app.ui.timeline.lane_paint import draw_lane
from app.ui.timeline.lanes import (
    MOST_LINES,
    LaneKind,
    Source,
    label_lanes,
    lane_of,
    levels_of,
    named_lanes,
    strip_lane,
    told_lanes,
    tool_lanes,
)
from app.ui.timeline.paint import PhaseLooks
from app.ui.timeline.speech import lane_lines, strip_words
from tests.ui.timeline.conftest import FPS, make_asset

spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda x: (x[0], x[0] + x[1])),
    max_size=30,
).map(sorted)


@given(spans)
def test_no_two_of_a_line_overlap_and_there_are_as_few_lines_as_can_be(
    found: list[tuple[int, int]],
) -> None:
    levels = levels_of(found)
    for level in set(levels):
        line = [span for span, of in zip(found, levels, strict=True) if of == level]
        assert all(a[1] <= b[0] for a, b in pairwise(line))
    deepest = max((sum(a <= p < b for a, b in found) for p in range(100)), default=0)
    assert len(set(levels)) == deepest


@given(spans)
def test_a_lane_finds_every_segment_on_its_line(found: list[tuple[int, int]]) -> None:
    segments = [Segment(start_pts=a, end_pts=b, phase=f"{i}") for i, (a, b) in enumerate(found)]
    lane = lane_of("x", "X", LaneKind.COURSE, segments)
    assert len(lane.lines) <= MOST_LINES
    for place, line in enumerate(lane.lines):
        for pts in range(-2, 100):
            plain = next((s for s in line if s.start_pts <= pts < s.end_pts), None)
            assert lane.at(pts, place) == plain


def test_rows_of_labels_become_lanes_of_their_kind() -> None:
    def row(name: str, *parts: tuple[int, int, str]) -> LabelRow:
        some = tuple(Segment(start_pts=a, end_pts=b, phase=p) for a, b, p in parts)
        return LabelRow(name=name, segments=some)

    lanes = label_lanes(
        [
            row("Grasper", (0, 5, "grasper")),
            row("Out of body", (2, 4, "out_of_body"), (3, 9, "out_of_body")),
            row("Steps", (0, 3, "cut"), (2, 9, "clip")),
            row("Nothing"),
        ]
    )
    assert [(x.name, x.kind, len(x.lines)) for x in lanes] == [
        ("Grasper", LaneKind.TOOL, 1),
        ("Out of body", LaneKind.INTERVAL, 2),
        ("Steps", LaneKind.COURSE, 2),
    ]
    assert {x.by for x in lanes} == {"imported"}


def heights(*bits: float) -> list[float]:
    lane = strip_lane(np.arange(len(bits)), np.array(bits))
    assert lane.strip is not None
    assert lane.at(0) is None
    return [round(float(v), 3) for v in lane.strip[:, 1]]


def test_a_strip_shows_where_a_case_is_worse_than_its_own_middle() -> None:
    torn = [1.4] * 48 + [2.2, 2.2]
    assert heights(*torn) == [0.0] * 48 + [1.0, 1.0], "models torn throughout do not fill it"
    said = strip_words(strip_lane(np.arange(50), np.array(torn)))
    assert said == "tall: less sure than in most of this case; the models are torn in most of it"
    sure = [0.02] * 48 + [0.06, 0.06]
    assert max(heights(*sure)) < 0.1, "nor does what hardly differs"
    assert "torn" not in strip_words(strip_lane(np.arange(50), np.array(sure)))
    assert heights(*([0.1] * 48 + [DOUBT_BITS] * 2))[-1] == 1.0
    assert heights(*([1.0] * 48 + [1.3] * 2))[-1] == 0.6, "half a bit more is needed"
    lane = strip_lane(np.arange(50), np.array(torn))
    said = lane_lines(lane, 49.5, 0.5, find_taxonomy("unknown"), lambda pts: 1000.0 * pts)
    assert said is not None
    assert said[0] == "Very unsure at 0:50"


def told(*rows: tuple[float, float], pts: list[int] | None = None) -> ToolsTold:
    at = pts or [FPS * i for i in range(len(rows))]
    return ToolsTold(
        keys=("hook", "grasper"), pts=np.array(at), probabilities=np.array(rows, np.float16)
    )


def test_what_is_told_has_lanes_of_its_own_and_says_so() -> None:
    asset = make_asset()
    found = told((0.9, 0.1), (0.7, 0.2), (0.2, 0.1), (0.3, 0.9), (0.1, 0.1))
    (lane,) = told_lanes(found, asset, "endonet")  # a grasper for one second is a glimpse
    assert [(s.start_pts, s.end_pts, s.phase) for s in lane.lines[0]] == [(0, 2 * FPS, "hook")]
    words = find_taxonomy("cholecystectomy")
    (named,) = named_lanes([lane], words)
    assert named.name == "Hook, told"
    assert lane_lines(named, FPS + 3, 0.5, words, asset.time_ms) == (
        "Hook, told",
        "0:00 to 0:02, 2.0 s, told by endonet, not outlined, 70 % sure here",
    )
    gap = told(*[(0.9, 0.1)] * 6, pts=[FPS * s for s in (0, 1, 2, 60, 61, 62)])
    (lane,) = told_lanes(gap, asset, "endonet")
    assert [(s.start_pts // FPS, s.end_pts // FPS) for s in lane.lines[0]] == [(0, 3), (60, 63)]


def test_one_instrument_of_three_sources_stands_together_the_surest_first() -> None:
    asset, words = make_asset(), find_taxonomy("cholecystectomy")
    presence = Presence(
        classes=("hook", "grasper"),
        looked_at=np.full(3, 1, np.int32),
        present=np.ones((3, 2), np.int32),
    )
    rows = [
        LabelRow(name=name, segments=(Segment(start_pts=0, end_pts=50, phase=key),))
        for name, key in (("SpecimenBag", "specimen_bag"), ("Hook", "hook"), ("Laser", "laser"))
    ]
    lanes = (
        *told_lanes(told(*[(0.9, 0.9)] * 4), asset, "endonet"),
        *tool_lanes(presence, asset),
        *label_lanes(rows, "imported labels of Cholec80"),
    )
    assert [lane.name for lane in named_lanes(lanes, words)] == [
        "Grasper, outlined",
        "Grasper, told",
        "Hook, labels",
        "Hook, outlined",
        "Hook, told",
        "Specimen bag, labels",
        "Laser, labels",
    ]
    by = {lane.source: lane.by for lane in lanes}
    assert by == {
        Source.LABELS: "imported labels of Cholec80",
        Source.OUTLINED: "outlined by the model",
        Source.TOLD: "told by endonet, not outlined",
    }


@pytest.mark.parametrize("shown", [(0, 400), (100, 300), (0, 1600)])
def test_a_strip_says_nothing_of_a_gap_in_the_recording(
    qtbot: QtBot, shown: tuple[int, int]
) -> None:
    pts = np.concatenate([np.arange(50), np.arange(250, 300)])
    lane = strip_lane(pts, np.full(pts.size, 9.0))
    assert lane.strip is not None
    lane.strip[:, 1] = 1.0
    wide, (start, end) = 200, shown
    picture = QImage(wide, 12, QImage.Format.Format_ARGB32_Premultiplied)
    picture.fill(0)
    painter = QPainter(picture)
    looks = PhaseLooks(find_taxonomy("cholecystectomy"))
    draw_lane(
        painter, lane, QRectF(0, 0, wide, 12), lambda p: (p - start) / (end - start) * wide,
        looks, folded=False,
    )  # fmt: skip
    painter.end()
    tall = [x for x in range(wide) if picture.pixelColor(x, 0).alpha()]
    times = [start + (x + 0.5) / wide * (end - start) for x in tall]
    step = (end - start) / wide
    near = [t for t in times if t < 53 + step or 250 - step < t < 303 + step]
    assert near == times, "no bar over the gap"
    inside = sum(max(0, min(b, end) - max(a, start)) for a, b in ((0, 50), (250, 300)))
    assert len(tall) >= int(inside / step)


def test_lanes_come_in_their_order() -> None:
    kinds = [LaneKind.TOOL, LaneKind.COURSE, LaneKind.PHASES, LaneKind.INTERVAL]
    lanes = [lane_of(f"{k}", "specimen_bag", k, ()) for k in kinds]
    seen = lane_of("tool specimen_bag", "specimen_bag", LaneKind.TOOL, ())
    lanes.append(replace(seen, source=Source.OUTLINED))
    shown = named_lanes(lanes, find_taxonomy("cholecystectomy"))
    assert [x.kind for x in shown] == sorted((x.kind for x in lanes), key=list(LaneKind).index)
    assert shown[-1].name == "Specimen bag, outlined"


def test_real_labels_become_lanes_that_tell_all_of_them(shared_data: Path) -> None:
    seen: set[tuple[str, LaneKind]] = set()
    most = 0
    folders = ("multibypass140/*.json", "cholect50/labels/*.json")
    for file in (f for pattern in folders for f in sorted(shared_data.glob(pattern))[:3]):
        for case in read_labels([file]):
            lanes = label_lanes(case.rows)
            told = {row.name: row.segments for row in case.rows if row.segments}
            assert [lane.name for lane in lanes] == list(told)
            for lane in lanes:
                seen.add((lane.name, lane.kind))
                most = max(most, len(lane.lines))
                held = sorted(
                    (s for line in lane.lines for s in line),
                    key=lambda s: (s.start_pts, s.end_pts, s.phase),
                )
                plain = sorted(told[lane.name], key=lambda s: (s.start_pts, s.end_pts, s.phase))
                assert held == plain, "nothing is left out"
                for line in lane.lines:
                    assert all(a.end_pts <= b.start_pts for a, b in pairwise(line))
    assert ("Out of body", LaneKind.INTERVAL) in seen
    assert ("Steps", LaneKind.COURSE) in seen
    assert ("Grasper", LaneKind.TOOL) in seen
    assert most > 1, "triplets overlap"
