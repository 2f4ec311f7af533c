"""What is told of tools, as it is shown: short gaps closed, glimpses left out, gaps kept."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.prediction import PHASES, Run
from app.core.tools import SHOWN_FROM, ToolsTold, steady, telling_tools

SECOND = Fraction(1, 100)


def told(*columns: str, pts: list[int] | None = None) -> ToolsTold:
    """A tool a text, a frame a letter, once a second: ``#`` is told, anything else is not."""
    values = np.array([[0.9 if c == "#" else 0.1 for c in text] for text in columns], np.float16).T
    at = np.arange(len(columns[0])) * 100 if pts is None else np.array(pts)
    keys = tuple(f"tool{i}" for i in range(len(columns)))
    return ToolsTold(keys=keys, pts=at.astype(np.int64), probabilities=values)


def shown(text: str, pts: list[int] | None = None) -> str:
    found = steady(told(text, pts=pts), SECOND)
    return "".join("#" if on else "." for on in found[:, 0])


def test_by_hand() -> None:
    assert shown("##..##") == "######", "two seconds are closed"
    assert shown("##...##") == "##...##", "three are not"
    assert shown("..#..##..") == "..#####..", "closed first"
    assert shown("..#...##.") == "......##.", "a second by itself is a glimpse"
    assert shown("#...") == "...."
    assert shown("#") == "."
    assert shown("##") == "##"
    two = steady(told("#..#", ".##."), SECOND)
    assert two[:, 0].all(), "each tool by itself"
    assert two[:, 1].tolist() == [False, True, True, False]


def test_nothing_reaches_over_a_gap_in_the_frames() -> None:
    pts = [0, 100, 200, 900, 1000, 1100]
    assert shown("##..##", pts) == "##..##"
    assert told("######", pts=pts).ends.tolist() == [100, 200, 300, 1000, 1100, 1200]


def test_a_half_counts_and_what_was_said_stays() -> None:
    said = ToolsTold(
        keys=("a",), pts=np.arange(3) * 100, probabilities=np.full((3, 1), SHOWN_FROM, np.float16)
    )
    assert steady(said, SECOND).all()
    assert (said.probabilities == SHOWN_FROM).all()
    nothing = ToolsTold(keys=("a",), pts=np.zeros(0, np.int64), probabilities=np.zeros((0, 1)))  # type: ignore[arg-type]
    assert steady(nothing, SECOND).shape == (0, 1)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_no_stretch_is_short_and_no_gap_inside_is(found: list[bool]) -> None:
    text = shown("".join("#" if on else "." for on in found))
    assert all(len(part) >= 2 for part in text.split(".") if part)
    assert all(len(gap) > 2 for gap in text.strip(".").split("#") if gap)
    pairs = "".join("#" if on else "." for on in found)
    for place in range(len(pairs) - 1):
        if pairs[place : place + 2] == "##":
            assert text[place : place + 2] == "##", "two seconds are never lost"


def test_the_run_that_tells() -> None:
    def run(number: int, *, tools: str, finished: bool) -> Run:
        return Run(
            run_id=number, asset_id="a", model="m", task=PHASES, weights_sha256="", classes=("x",),
            settings={"tools": tools} if tools else {}, sample_every=0, frames_expected=1,
            finished=finished,
        )  # fmt: skip

    whole, part = run(1, tools="hook,clipper", finished=True), run(2, tools="hook", finished=False)
    silent = run(3, tools="", finished=True)
    assert whole.tools == ("hook", "clipper")
    assert silent.tools == ()
    assert telling_tools([whole, part, silent]) is whole
    assert telling_tools([part, silent]) is part
    assert telling_tools([silent]) is None
