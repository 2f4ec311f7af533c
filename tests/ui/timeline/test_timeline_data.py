"""Times in words, ticks, presence rows, and what counts as unsure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.annotate.phases import Block
from app.core.taxonomy import find_taxonomy
from app.store.predictions import Presence
from app.ui.timeline import paint
from app.ui.timeline.geometry import Kind, View, lay_out, snapped
from app.ui.timeline.lanes import (
    LaneKind,
    activity_lane,
    lane_of,
    named_lanes,
    phases_lane,
    tool_lanes,
)
from app.ui.timeline.speech import (
    block_name,
    difference_lines,
    difference_name,
    hover_lines,
    item_name,
    lane_lines,
    summary,
)
from tests.ui.timeline.conftest import CALOT, CLIP, FPS, line, make_asset, make_data


def test_blocks_are_named_as_people_say_them() -> None:
    data = make_data(line((0, 200, CALOT)), line((0, 64.2, CLIP)))
    assert block_name(data, Block(row="you", index=0)) == "Calot triangle, from 0:00 to 3:20, yours"
    said = block_name(data, Block(row="model", index=0))
    assert said == "Model says Clip and cut from 0:00 to 1:04"
    assert block_name(data, Block(row="you", index=9)) == ""
    assert hover_lines(data, Block(row="you", index=0))[1] == "0:00 to 3:20, 3:20, by you"
    assert summary(data) == "1 phases by you, 1 by the model, 1 disagreements"


@pytest.mark.parametrize(
    ("ms", "text"), [(3400, "3.4 s"), (32_000, "32 s"), (233_000, "3:53"), (4_140_000, "1 h 09")]
)
def test_lengths_in_words(ms: float, text: str) -> None:
    assert paint.duration(ms) == text


@given(st.floats(0, 1e7), st.floats(1e3, 1e7), st.floats(200, 3000))
def test_ticks_are_even_and_not_too_close(first: float, length: float, width: float) -> None:
    found = paint.ticks(first, first + length, width / length)
    assert all(first <= t <= first + length for t in found)
    steps = {round(b - a) for a, b in pairwise(found)}
    assert len(steps) <= 1
    if steps and min(steps) < 3_600_000:
        assert min(steps) * width / length >= 96


def test_presence_becomes_stretches_of_whole_seconds() -> None:
    present = np.array([[0, 20], [25, 13], [13, 0], [12, 0], [0, 25]], np.int32)
    presence = Presence(
        classes=("grasper", "hook"), looked_at=np.full(5, 25, np.int32), present=present
    )
    found = named_lanes(tool_lanes(presence, make_asset()), find_taxonomy("cholecystectomy"))
    rows = [(x.name, [(s.start_pts, s.end_pts) for s in x.lines[0]]) for x in found]
    assert rows == [
        ("Grasper, outlined", [(FPS, 3 * FPS)]),
        ("Hook, outlined", [(0, 2 * FPS), (4 * FPS, 5 * FPS)]),
    ]


def test_a_segment_of_low_probability_is_unsure() -> None:
    model = line((0, 100, CALOT), (100, 200, CLIP))
    confidence = tuple((s * FPS, 0.9 if s < 100 else 0.4) for s in range(200))
    data = make_data(None, model, confidence=confidence)
    assert data.unsure == frozenset({1})


def test_instruments_share_a_row_where_there_is_no_room() -> None:
    names = tuple(f"tool {i}" for i in range(8))
    high = lay_out(names, (), 1.0, 330, outlines=False)
    low = lay_out(names, (), 1.0, 200, outlines=False)
    assert sum(r.kind is Kind.INSTRUMENT for r in high) == 8
    assert [r.kind for r in low].count(Kind.INSTRUMENTS) == 1
    assert not any(r.kind is Kind.INSTRUMENT for r in low)
    bottoms = [r.top_px + r.height_px for r in high]
    assert all(a == b.top_px for a, b in zip(bottoms, high[1:], strict=False))


@given(
    st.floats(0, 1e5), st.floats(10, 1e5), st.floats(0.1, 30), st.floats(0, 900), st.floats(0, 1)
)
def test_zooming_keeps_what_is_under_the_pointer(
    start: float, length: float, factor: float, width: float, share: float
) -> None:
    view = View(start_pts=start, end_pts=start + length, left_px=132, width_px=width + 10)
    x = 132 + share * (width + 10)
    zoomed = view.zoomed(factor, x)
    assert zoomed.pts(x) == pytest.approx(view.pts(x), abs=1e-6 * (1 + start + length) + 1e-3)
    fitted = zoomed.fitted(0, 2e5, 8)
    assert fitted.start_pts >= 0
    assert fitted.end_pts <= 2e5 + 1e-3
    assert fitted.end_pts - fitted.start_pts >= 8 - 1e-6


def test_snapping_takes_the_nearest_within_reach() -> None:
    view = View(start_pts=0, end_pts=1000, left_px=0, width_px=1000)
    assert snapped(105, {100, 111, 300}, view) == 100
    assert snapped(120, {100, 300}, view) is None


def test_the_sound_gives_way_before_the_instruments_do() -> None:
    instruments = ("Grasper", "Hook")

    def kinds(height_px: float, folded: tuple[Kind, ...] = ()) -> dict[Kind, bool]:
        rows = lay_out(instruments, folded, 1.0, height_px, outlines=True, sound=True)
        assert [r.top_px for r in rows] == list(np.cumsum([0, *(r.height_px for r in rows[:-1])]))
        return {r.kind: r.folded for r in rows}

    assert kinds(330)[Kind.SOUND] is False
    assert kinds(330, (Kind.SOUND,))[Kind.SOUND] is True
    low = kinds(210)
    assert low[Kind.SOUND] is True
    assert Kind.INSTRUMENT in low
    lowest = kinds(190)
    assert lowest[Kind.SOUND] is True
    assert Kind.INSTRUMENTS in lowest
    without = lay_out(instruments, (), 1.0, 330, outlines=True)
    assert Kind.SOUND not in {r.kind for r in without}


def test_a_lane_has_a_row_below_the_model_and_folds_by_its_own_key() -> None:
    lanes = (
        activity_lane(line((0, 100, "outside_body"), (100, 200, "operating"))),
        lane_of("label Steps", "Steps", LaneKind.COURSE, line((0, 50, "cut")).segments, "imported"),
    )
    rows = lay_out((), (), 1.0, 900, outlines=False, lanes=lanes)
    kinds = [r.kind for r in rows]
    assert Kind.LANE not in {r.kind for r in lay_out((), (), 1.0, 900, outlines=False)}
    place = kinds.index(Kind.MODEL) + 1
    assert [r.label for r in rows[place : place + 2]] == ["Activity", "Steps"]
    folded = lay_out((), ("lane activity",), 1.0, 900, outlines=False, lanes=lanes)
    assert [r.folded for r in folded if r.kind is Kind.LANE] == [True, False]
    assert folded[place].height_px < rows[place].height_px
    low = lay_out((), (), 1.0, 190, outlines=False, lanes=lanes)
    assert all(r.folded for r in low if r.kind is Kind.LANE), "lanes give way where room is short"


def test_a_lane_says_what_it_tells_at_a_moment() -> None:
    data = make_data(lanes=(activity_lane(line((0, 100, "outside_body"), (100, 200, "cut"))),))
    (lane,) = data.rows
    said = lane_lines(lane, 150 * FPS, 0.5, data.words, data.time_ms)
    assert said == ("Cut", "1:40 to 3:20, 1:40, by the model")
    assert lane_lines(lane, 300 * FPS, 0.5, data.words, data.time_ms) is None
    assert summary(data).endswith("activity by the model: Outside body, Cut")


def test_disagreements_are_named_with_both_words() -> None:
    data = make_data(line((0, 200, CALOT)), line((0, 210, CLIP)), beside=line((0, 250, CALOT)))
    first, second = data.differences
    assert difference_name(first, data.words, data.time_ms) == (
        "Disagreement, 3:20, at 0:00: you say Calot triangle, the model Clip and cut"
    )
    assert difference_lines(second, data.words, data.time_ms)[0] == (
        "Afterwards the model says Calot triangle, live Clip and cut"
    )
    along = phases_lane(line((0, 250, CALOT)), (), is_offline=False)
    turned = make_data(None, line((0, 210, CLIP)), beside=line((0, 250, CALOT)), lanes=(along,))
    assert difference_lines(turned.differences[0], data.words, data.time_ms)[0] == (
        "Afterwards the model says Clip and cut, live Calot triangle"
    )


def test_imported_phases_are_not_called_yours() -> None:
    data = replace(make_data(line((0, 200, CALOT)), line((0, 210, CLIP))), imported=True)
    you = Block(row="you", index=0)
    assert hover_lines(data, you)[1] == "0:00 to 3:20, 3:20, imported, or named by you since"
    assert block_name(data, you).endswith(", imported, or named by you since")
    assert item_name(data, you).endswith(", imported, or named by you since")
    assert difference_lines(data.differences[0], data.words, data.time_ms)[0] == (
        "The labels say Calot triangle, the model Clip and cut"
    )
