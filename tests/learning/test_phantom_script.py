"""The scripted operations against the aggregates of 80 labelled ones."""

import numpy as np
import pytest

from app.learning.phantom.script import LETTERS, PHASES, TOOL_SETS, Span, write_procedure

# Share of time %, cases with it of 80, and the percent of its seconds a tool shows.
TABLE = {
    "preparation": (4.6, 71, {"grasper": 47.8}),
    "calot_triangle_dissection": (40.5, 80, {"grasper": 65.7, "hook": 76.9}),
    "clipping_cutting": (7.6, 80, {"grasper": 53.5, "scissors": 19.6, "clipper": 40.2}),
    "gallbladder_dissection": (31.7, 80, {"grasper": 44.8, "hook": 76.0}),
    "gallbladder_packaging": (4.1, 80, {"grasper": 78.9, "specimen_bag": 77.4}),
    "cleaning_coagulation": (7.8, 74, {"grasper": 50.8, "bipolar": 30.7, "irrigator": 38.5}),
    "gallbladder_retraction": (3.6, 80, {"grasper": 34.8, "specimen_bag": 28.5}),
}


@pytest.fixture(scope="module")
def procedures():
    return [write_procedure(seed) for seed in range(160)]


def test_a_script_depends_on_its_seed(procedures) -> None:
    assert write_procedure(7) == procedures[7]
    assert procedures[7] != procedures[8]


def test_phases_follow_one_another_without_a_gap(procedures) -> None:
    for procedure in procedures:
        assert procedure.phases[0].start_s == 0
        for before, after in zip(procedure.phases, procedure.phases[1:], strict=False):
            assert before.end_s == after.start_s
            assert before.name != after.name
        assert all(0 <= t.start_s < t.end_s <= procedure.seconds for t in procedure.tools)
        assert procedure.phase_at(0) == procedure.phases[0].name
        assert procedure.phase_at(procedure.seconds - 1) == procedure.phases[-1].name


def test_lengths_of_operations(procedures) -> None:
    minutes = [p.seconds / 60 for p in procedures]
    low, median, high = np.percentile(minutes, [10, 50, 90])
    assert low == pytest.approx(20.5, rel=0.15)
    assert median == pytest.approx(34.9, rel=0.12)
    assert high == pytest.approx(56.9, rel=0.15)


@pytest.mark.parametrize("phase", PHASES)
def test_shares_of_phases_and_tools(procedures, phase: str) -> None:
    share, cases, tools = TABLE[phase]
    spans = [(p, s) for p in procedures for s in p.phases if s.name == phase]
    seconds = sum(s.end_s - s.start_s for _, s in spans)
    total = sum(p.seconds for p in procedures)
    assert 100 * seconds / total == pytest.approx(share, rel=0.2)
    assert 80 * len(spans) / len(procedures) == pytest.approx(cases, abs=5)
    for tool, percent in tools.items():
        shown = sum(
            max(0, min(t.end_s, s.end_s) - max(t.start_s, s.start_s))
            for p, s in spans
            for t in p.tools
            if t.name == tool
        )
        assert 100 * shown / seconds == pytest.approx(percent, abs=9)


def test_how_long_tools_stay(procedures) -> None:
    stays = {}
    for procedure in procedures:
        for tool in procedure.tools:
            stays.setdefault(tool.name, []).append(tool.end_s - tool.start_s)
    assert 10 <= np.median(stays["hook"]) <= 30
    assert 5 <= np.median(stays["clipper"]) <= 20
    assert 4 <= np.median(stays["irrigator"]) <= 10
    assert np.percentile(stays["hook"], 90) > 60


def test_the_next_phases_tool_comes_before_the_phase_changes(procedures) -> None:
    led = 0
    changes = [
        (p, after)
        for p in procedures
        for before, after in zip(p.phases, p.phases[1:], strict=False)
        if before.end_s - before.start_s > 40
    ]
    for procedure, after in changes:
        tools = procedure.tools_at(after.start_s - 1)
        letters = {name: letter for letter, name in LETTERS.items()}
        found = "".join(sorted(letters[t] for t in tools))
        wanted = {"".join(sorted(s)) for s in TOOL_SETS[PHASES.index(after.name)] if s}
        led += found in wanted
    assert led / len(changes) > 0.9


def test_orders(procedures) -> None:
    orders = [tuple(s.name for s in p.phases) for p in procedures]
    assert len(set(orders)) >= 4
    usual = sum(o == PHASES for o in orders) / len(orders)
    assert usual == pytest.approx(51 / 80, abs=0.1)


def test_a_span_must_last() -> None:
    with pytest.raises(ValueError, match="start < end"):
        Span(name="x", start_s=5, end_s=5)
