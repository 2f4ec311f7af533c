"""Lanes: what overlaps lies on lines of its own, as few as can be; rows of labels become lanes."""

from __future__ import annotations

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
from app.exchange.labels.reading import read_labels
from app.ui.timeline.lane_paint import draw_lane
from app.ui.timeline.lanes import (
    MOST_LINES,
    LaneKind,
    label_lanes,
    lane_of,
    levels_of,
    named_lanes,
    strip_lane,
)
from app.ui.timeline.paint import PhaseLooks

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


def test_a_strip_is_full_at_two_bits_and_a_half() -> None:
    lane = strip_lane(np.array([0, 25]), np.array([1.25, 9.0]))
    assert lane.strip is not None
    assert lane.strip.tolist() == [[0, 0.5], [25, 1]]
    assert lane.at(0) is None


@pytest.mark.parametrize("shown", [(0, 400), (100, 300), (0, 1600)])
def test_a_strip_says_nothing_of_a_gap_in_the_recording(
    qtbot: QtBot, shown: tuple[int, int]
) -> None:
    pts = np.concatenate([np.arange(50), np.arange(250, 300)])
    lane = strip_lane(pts, np.full(pts.size, 9.0))
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
    lanes.append(lane_of("tool specimen_bag", "specimen_bag", LaneKind.TOOL, ()))
    shown = named_lanes(lanes, find_taxonomy("cholecystectomy"))
    assert [x.kind for x in shown] == sorted((x.kind for x in lanes), key=list(LaneKind).index)
    assert shown[-1].name == "Specimen bag"


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
