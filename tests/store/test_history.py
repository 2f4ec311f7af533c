"""Corrections, undo and redo of a case against a model of them, with reopening in between."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.core.case import Case, CaseState
from app.core.correction import FrameReview, State
from app.core.errors import BadInput, Refused
from app.store import Library
from tests.helpers.human_work import (
    annotation,
    asset,
    change,
    correction,
    draw,
    fields,
    object_id,
    review,
    timeline,
)
from tests.store.conftest import open_small

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # syncing is not the point here
NAMES = tuple(f"a{i}" for i in range(4))
STATES = st.one_of(
    st.builds(
        annotation,
        st.sampled_from(NAMES),
        st.integers(0, 5),
        frame=st.integers(0, 3),
        label=st.sampled_from(("grasper", "hook")),
    ),
    st.builds(review, st.integers(0, 3)),
    st.builds(
        lambda cuts: timeline(*sorted(cuts)),
        st.lists(st.integers(0, 100), min_size=2, max_size=5, unique=True),
    ),
    st.builds(fields, st.sampled_from(("One", "Two", "Three")), st.sampled_from(("unknown", "x"))),
)


class HistoryMachine(RuleBasedStateMachine):
    """Every edit, undo and redo, as the model of two stacks has it."""

    @initialize()
    def start(self) -> None:
        """A library with one case."""
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.library = open_small(Path(self.folder.name) / "library")
        self.case = self.library.writer.create_case("One", "unknown", (asset(),)).result()
        self.states: dict[str, State] = {"case": fields("One")}
        self.past: list[tuple[str, dict[str, State]]] = []
        self.future: list[tuple[str, dict[str, State]]] = []
        self.title = 0

    @rule(wanted=st.lists(STATES, min_size=1, max_size=3, unique_by=object_id), drop=st.booleans())
    def edit(self, wanted: list[State], drop: bool) -> None:
        """Set or remove some objects together."""
        changes, after = [], dict(self.states)
        for state in wanted:
            id_ = object_id(state)
            before = self.states.get(id_)
            if drop and before is not None and id_ != "case":
                changes.append(change(before, None))
                del after[id_]
            else:
                changes.append(change(before, state))
                after[id_] = state
        self.title += 1
        name = f"Edit {self.title}"
        self.library.writer.commit(correction(self.case.case_id, name, *changes)).result()
        self.past.append((name, self.states))
        self.future.clear()
        self.states = after

    @rule(states=st.integers(1, 4))
    def undo(self, states: int) -> None:
        """Some steps back."""
        for _ in range(states):
            done = self.library.writer.undo(self.case.case_id).result()
            if not self.past:
                assert done is None
                return
            name, before = self.past.pop()
            assert done is not None
            assert done.title == name
            self.future.append((name, self.states))
            self.states = before

    @rule(states=st.integers(1, 4))
    def redo(self, states: int) -> None:
        """Some steps forward."""
        for _ in range(states):
            done = self.library.writer.redo(self.case.case_id).result()
            if not self.future:
                assert done is None
                return
            name, after = self.future.pop()
            assert done is not None
            assert done.title == name
            self.past.append((name, self.states))
            self.states = after

    @precondition(lambda self: self.past or self.future)
    @rule()
    def reopen(self) -> None:
        """Close the program and open it tomorrow."""
        self.library.close()
        self.library = open_small(Path(self.folder.name) / "library")
        assert self.library.problems == ()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """All objects, both titles and the count."""
        got = _all_states(self.library, self.case)
        assert got == self.states
        case_id = self.case.case_id
        assert self.library.undo_title(case_id) == (self.past[-1][0] if self.past else None)
        assert self.library.redo_title(case_id) == (self.future[-1][0] if self.future else None)
        assert self.library.case(case_id).corrections == len(self.past)

    def teardown(self) -> None:
        """Everything still adds up when the history is checked from its first row."""
        if hasattr(self, "library"):
            report = self.library.verify()
            self.library.close()
            self.folder.cleanup()
            assert report.problems == ()


def _all_states(library: Library, case: Case) -> dict[str, State]:
    now = library.case(case.case_id)
    states: list[State] = [fields(now.title, now.procedure, now.state.value)]
    states += library.annotations("asset-1")
    states += [FrameReview(frame=f) for f in library.reviewed_frames("asset-1")]
    human = library.human_timeline("asset-1")
    states += [human] if human else []
    return {object_id(s): s for s in states}


_QUICK = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHistory = HistoryMachine.TestCase
TestHistory.settings = _QUICK


@pytest.mark.long
class TestHistoryLong(HistoryMachine.TestCase):
    """The same with many more runs."""

    settings = settings(_QUICK, max_examples=2000, stateful_step_count=40)


def test_a_correction_of_a_stale_state_is_refused_and_changes_nothing(
    library: Library, case: Case
) -> None:
    first = annotation("a", 1)
    library.writer.commit(correction(case.case_id, "Draw", change(None, first))).result()
    hook, scissors = replace(first, label="hook"), replace(first, label="scissors")
    library.writer.commit(correction(case.case_id, "Relabel", change(first, hook))).result()
    stale = correction(case.case_id, "Too late", change(None, review(3)), change(first, scissors))
    with pytest.raises(Refused, match="changed meanwhile"):
        library.writer.commit(stale).result()
    assert library.annotations("asset-1") == (hook,)
    assert library.reviewed_frames("asset-1") == ()
    assert library.undo_title(case.case_id) == "Relabel"


def test_a_refused_correction_keeps_what_can_be_redone(library: Library, case: Case) -> None:
    library.writer.commit(draw(case.case_id, "a")).result()
    library.writer.undo(case.case_id).result()
    with pytest.raises(Refused):
        library.writer.commit(
            correction(case.case_id, "Stale", change(annotation("b"), None))
        ).result()
    assert library.redo_title(case.case_id) == "Draw a"


def test_undo_of_a_title_keeps_the_state_that_an_analysis_set(library: Library, case: Case) -> None:
    step = correction(
        case.case_id, "Rename", change(fields("Case one"), fields("Case two", "unknown"))
    )
    library.writer.commit(step).result()
    library.writer.set_state(case.case_id, CaseState.DONE).result()
    library.writer.undo(case.case_id).result()
    now = library.case(case.case_id)
    assert (now.title, now.state) == ("Case one", CaseState.DONE)


def test_undo_is_per_case(library: Library, case: Case) -> None:
    other = library.writer.create_case("Other", "unknown", (asset("asset-2"),)).result()
    library.writer.commit(draw(case.case_id, "mine")).result()
    theirs = annotation("theirs", asset_id="asset-2")
    library.writer.commit(correction(other.case_id, "Draw", change(None, theirs))).result()
    assert library.writer.undo(case.case_id).result() is not None
    assert library.annotations("asset-1") == ()
    assert library.annotations("asset-2") == (theirs,)


def test_an_object_of_another_case_is_a_bug_and_harms_nothing(library: Library, case: Case) -> None:
    foreign = annotation("a", asset_id="asset-9")
    with pytest.raises(ValueError, match="asset-9"):
        library.writer.commit(correction(case.case_id, "Draw", change(None, foreign))).result()
    with pytest.raises(BadInput, match="no longer"):
        library.writer.commit(draw("0099", "a")).result()
    assert library.corrections(case.case_id) == ()
