"""Edits of the human timeline: titles, taking over the model's blocks, and exact undo."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.annotate import phases
from app.annotate.phases import Block, Tiers
from app.core.correction import Correction, HumanTimeline
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment, Timeline
from tests.core.strategies import PHASES, timelines

CALOT, CLIP, BAG = "calot_triangle_dissection", "clipping_cutting", "gallbladder_packaging"


def _line(*parts: tuple[int, int, str]) -> Timeline:
    segments = tuple(Segment(start_pts=a, end_pts=b, phase=p) for a, b, p in parts)
    return Timeline(start_pts=0, end_pts=100, segments=segments)


def _tiers(you: Timeline | None = None, model: Timeline | None = None, frame: int = 1) -> Tiers:
    return Tiers(
        case_id="0001",
        asset_id="a",
        taxonomy=find_taxonomy("cholecystectomy"),
        you=you,
        model=model,
        start_pts=0,
        end_pts=100,
        frame_pts=frame,
    )


def _after(correction: Correction | None) -> Timeline:
    assert correction is not None
    (change,) = correction.changes
    assert change.object_id == "timeline:a"
    assert isinstance(change.after, HumanTimeline)
    return change.after.timeline


def test_digits_label_a_case_while_it_plays() -> None:
    tiers = _tiers()
    for pts, phase in ((0, CALOT), (30, CLIP), (60, BAG)):
        tiers = replace(tiers, you=_after(phases.start_at(tiers, pts, phase)))
    assert tiers.you == _line((0, 30, CALOT), (30, 60, CLIP), (60, 100, BAG))
    assert phases.start_at(tiers, 70, BAG) is None
    back = _after(phases.start_at(tiers, 30, CALOT))
    assert back == _line((0, 60, CALOT), (60, 100, BAG))
    first = phases.start_at(_tiers(), 0, CALOT)
    assert first is not None
    assert first.title == "Start Calot triangle"
    assert first.changes[0].before is None


def test_dragging_a_boundary_names_it_and_moves_both_blocks() -> None:
    tiers = _tiers(_line((0, 30, CALOT), (30, 60, CLIP)), frame=4)
    correction = phases.move_edge(tiers, Block(row="you", index=1), "start", 41)
    assert correction is not None
    assert correction.title == "Move the start of Clip and cut"
    assert _after(correction) == _line((0, 41, CALOT), (41, 60, CLIP))
    squeezed = _after(phases.move_edge(tiers, Block(row="you", index=1), "start", 99))
    assert squeezed == _line((0, 56, CALOT), (56, 60, CLIP))
    assert phases.move_edge(tiers, Block(row="you", index=1), "start", 30) is None


def test_the_first_edit_of_a_model_block_takes_it_over() -> None:
    tiers = _tiers(model=_line((0, 30, CALOT), (30, 60, CLIP)))
    block = Block(row="model", index=1)
    assert _after(phases.move_edge(tiers, block, "end", 50)) == _line((30, 50, CLIP))
    assert _after(phases.relabel(tiers, block, BAG)) == _line((30, 60, BAG))
    assert _after(phases.split(tiers, block, 40)) == _line((30, 40, CLIP), (40, 60, CLIP))
    assert _after(phases.adopt_block(tiers, block)) == _line((30, 60, CLIP))
    first = Block(row="model", index=0)
    assert _after(phases.merge(tiers, first)) == _line((0, 60, CALOT))
    assert phases.remove(tiers, block) is None


def test_adopting_everything_keeps_what_a_human_wrote() -> None:
    tiers = _tiers(_line((20, 40, BAG)), _line((0, 30, CALOT), (30, 100, CLIP)))
    adopted = _after(phases.adopt_all(tiers))
    assert adopted == _line((0, 20, CALOT), (20, 40, BAG), (40, 100, CLIP))
    assert phases.adopt_all(replace(tiers, you=adopted)) is None
    assert phases.adopt_all(_tiers()) is None


def test_the_nearer_boundary_comes_here() -> None:
    tiers = _tiers(_line((0, 30, CALOT), (30, 60, CLIP)))
    clip = Block(row="you", index=1)
    assert _after(phases.set_boundary(tiers, clip, 35)) == _line((0, 35, CALOT), (35, 60, CLIP))
    assert _after(phases.set_boundary(tiers, clip, 70)) == _line((0, 30, CALOT), (30, 70, CLIP))


def test_split_merge_relabel_remove_and_create() -> None:
    tiers = _tiers(_line((0, 30, CALOT), (30, 60, CLIP)))
    calot = Block(row="you", index=0)
    merged = phases.merge(tiers, calot)
    assert merged is not None
    assert merged.title == "Merge Calot triangle with Clip and cut"
    assert _after(merged) == _line((0, 60, CALOT))
    assert phases.merge(tiers, Block(row="you", index=1)) is None
    assert phases.split(tiers, calot, 0) is None
    assert phases.split(tiers, calot, 31) is None
    assert phases.relabel(tiers, calot, CALOT) is None
    assert _after(phases.remove(tiers, calot)) == _line((30, 60, CLIP))
    assert phases.remove(tiers, Block(row="you", index=5)) is None
    assert _after(phases.create(tiers, 20, 40, BAG)) == _line(
        (0, 20, CALOT), (20, 40, BAG), (40, 60, CLIP)
    )


@given(timelines(), st.data())
def test_any_sequence_of_edits_stays_valid_and_is_undone_exactly(
    model: Timeline, data: st.DataObject
) -> None:
    tiers = Tiers(
        case_id="c",
        asset_id="a",
        taxonomy=find_taxonomy("cholecystectomy"),
        you=None,
        model=model,
        start_pts=model.start_pts,
        end_pts=model.end_pts,
        frame_pts=data.draw(st.integers(1, 6)),
    )
    done: list[tuple[Timeline | None, Correction]] = []
    for _ in range(data.draw(st.integers(1, 12))):
        correction = _random_edit(tiers, data)
        if correction is None:
            continue
        (change,) = correction.changes
        before = change.before.timeline if isinstance(change.before, HumanTimeline) else None
        assert before == tiers.you
        after = _after(correction)
        assert after != tiers.human()
        assert (after.start_pts, after.end_pts) == (model.start_pts, model.end_pts)
        done.append((tiers.you, correction))
        tiers = replace(tiers, you=after)
    for was, correction in reversed(done):
        back = correction.changes[0].reversed()
        assert isinstance(back.before, HumanTimeline)
        assert back.before.timeline == tiers.you
        restored = back.after.timeline if isinstance(back.after, HumanTimeline) else None
        assert restored == was
        tiers = replace(tiers, you=restored)
    assert tiers.you is None


def _random_edit(tiers: Tiers, data: st.DataObject) -> Correction | None:
    pts = data.draw(st.integers(tiers.start_pts - 3, tiers.end_pts + 3))
    phase = data.draw(st.sampled_from(PHASES))
    block = Block(
        row=data.draw(st.sampled_from(("you", "model"))), index=data.draw(st.integers(0, 6))
    )
    edge = data.draw(st.sampled_from(("start", "end")))
    edits = (
        lambda: phases.start_at(tiers, pts, phase),
        lambda: phases.create(tiers, pts, pts + 9, phase),
        lambda: phases.move_edge(tiers, block, edge, pts),
        lambda: phases.set_boundary(tiers, block, pts),
        lambda: phases.split(tiers, block, pts),
        lambda: phases.merge(tiers, block),
        lambda: phases.relabel(tiers, block, phase),
        lambda: phases.remove(tiers, block),
        lambda: phases.adopt_block(tiers, block),
        lambda: phases.adopt_all(tiers),
    )
    return data.draw(st.sampled_from(edits))()
