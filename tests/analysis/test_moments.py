"""Moments are found by planted features, merged, filtered, and never across models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.analysis.moment_rows import coded
from app.analysis.moments import NEIGHBOURS_MS, MomentIndex, Wanted
from app.core.prediction import RETRIEVAL
from app.inference.analysis import AnalysisJob
from app.inference.cards import find_model
from app.inference.device import choose_device
from app.store import Library
from app.video import describe_asset
from tests.helpers.human_work import asset
from tests.helpers.seen_cases import (
    decide_phase,
    directions,
    say_phases,
    see,
    seen_case,
    show_hook,
    tell_tools,
)
from tests.store.conftest import open_small


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with open_small(own_library) as opened:
        yield opened


def read(library: Library) -> MomentIndex:
    index = MomentIndex(library)
    done, of = index.refresh()
    assert done == of == len(library.cases())
    return index


def places(index: MomentIndex, vector: np.ndarray, **more: object) -> list[tuple[str, float]]:
    encoder = index.encoders()[0]
    return [
        (m.case.title, m.time_ms / 1000)
        for m in index.search(encoder, vector, **more)  # type: ignore[arg-type]
    ]


def test_a_planted_moment_comes_first(library: Library) -> None:
    one, two = directions(60, seed=1), directions(60, seed=2)
    two[41] = 3 * one[20]  # the same direction, another length
    seen_case(library, "one", one)
    seen_case(library, "two", two)
    index = read(library)
    vector = index.vector_at(index.encoders()[0], "one", 20_300)
    found = index.search(index.encoders()[0], vector, apart_from=("one", 20_300))
    assert (found[0].case.title, found[0].time_ms) == ("two", 41_000)
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    assert all(m.similarity < 0.6 for m in found[1:])
    # What lies around the frame itself is not told; other seconds of its recording are.
    own = [m.time_ms for m in found if m.case.title == "one"]
    assert own
    assert min(abs(t - 20_300) for t in own) > NEIGHBOURS_MS


def test_neighbouring_seconds_are_one_moment(library: Library) -> None:
    vectors = directions(100)
    wanted = vectors[50].copy()
    vectors[48:53] = wanted  # five seconds that are alike
    vectors[80] = wanted
    seen_case(library, "one", vectors)
    index = read(library)
    found = index.search(index.encoders()[0], wanted, limit=2)
    assert [m.time_ms for m in found] == [48_000, 80_000]  # equals by time
    assert (found[0].first_ms, found[0].last_ms) == (48_000, 52_000)
    assert (found[1].first_ms, found[1].last_ms) == (80_000, 80_000)
    many = index.search(index.encoders()[0], wanted)
    times = sorted(m.time_ms for m in many)
    assert np.diff(times).min() > NEIGHBOURS_MS
    assert index.search(index.encoders()[0], np.zeros(96)) == ()
    assert index.search(index.encoders()[0], np.ones(5)) == ()


def test_filters(library: Library) -> None:
    vectors = directions(60)
    one, two = seen_case(library, "one", vectors), seen_case(library, "two", vectors)
    run = library.predictions(one.case_id).runs()[0].run_id
    say_phases(library, one, run, 30)
    decide_phase(library, two, "preparation")
    show_hook(library, two, 12)
    index = read(library)
    clip, hook = frozenset({"clipping_cutting"}), frozenset({"hook"})
    found = places(index, vectors[10], wanted=Wanted(phases=clip))
    assert {name for name, _ in found} == {"one"}
    assert all(at >= 30 for _, at in found)
    assert places(index, vectors[10], wanted=Wanted(instruments=hook)) == [("two", 12.0)]
    assert places(index, vectors[10], wanted=Wanted(instruments=hook, phases=clip)) == []
    assert places(index, vectors[10], wanted=Wanted(instruments=hook | {"grasper"})) == []
    alone = places(index, vectors[10], wanted=Wanted(cases=frozenset({two.case_id})))
    assert alone[0] == ("two", 10.0)
    assert {name for name, _ in alone} == {"two"}
    encoder = index.encoders()[0]
    assert index.phases(encoder) == ("preparation", "clipping_cutting")
    assert index.instruments(encoder) == ("hook",)
    both = index.search(encoder, vectors[10], limit=2)
    assert [(m.case.title, m.phase, m.human) for m in both] == [
        ("one", "preparation", False),
        ("two", "preparation", True),
    ]


def test_phases_of_an_unnamed_operation_are_named_by_what_the_model_can_name(
    library: Library,
) -> None:
    """Other operations have some of these phases too, in other colours."""
    vectors = directions(30)
    case = seen_case(library, "one", vectors, procedure="unknown")
    say_phases(library, case, library.predictions(case.case_id).runs()[0].run_id, 30)
    index = read(library)
    encoder = index.encoders()[0]
    found = index.search(encoder, vectors[3])[0]
    assert (found.phase, found.procedure) == ("preparation", "cholecystectomy")
    decide_phase(library, case, "vagina_transection")
    index.refresh()
    found = index.search(encoder, vectors[3])[0]
    assert (found.phase, found.procedure) == ("vagina_transection", "hysterectomy")


def test_an_instrument_is_in_view_where_it_was_outlined_or_told(library: Library) -> None:
    vectors = directions(60)
    case = seen_case(library, "one", vectors)
    show_hook(library, case, 12)
    rows = np.full((60, 2), 0.2, np.float16)
    rows[30:33, 0] = rows[50, 0] = 0.9  # three seconds, and a glimpse
    rows[40:45, 1] = 0.5
    tell_tools(library, case, ("hook", "clipper"), rows)
    index = read(library)
    encoder = index.encoders()[0]
    assert index.instruments(encoder) == ("hook", "clipper")

    def seen(*keys: str) -> set[float]:
        wanted = Wanted(instruments=frozenset(keys))
        near = (index.search(encoder, v, wanted, limit=60) for v in vectors)
        return {m.time_ms / 1000 for found in near for m in found}

    assert seen("hook") == {12, 30, 31, 32}
    assert seen("clipper") == {40, 41, 42, 43, 44}
    assert seen("hook", "clipper") == set()


def test_other_weights_are_never_compared(library: Library) -> None:
    vectors = directions(30)
    seen_case(library, "one", vectors)
    seen_case(library, "two", vectors)
    other = seen_case(library, "three", vectors, weights="b" * 64)
    index = read(library)
    most, least = index.encoders()
    assert [c.title for c in index.lacking(most)] == ["three"]
    assert [c.title for c in index.lacking(least)] == ["one", "two"]
    assert {m.case.title for m in index.search(most, vectors[3])} == {"one", "two"}
    assert {m.case.title for m in index.search(least, vectors[3])} == {"three"}
    assert index.encoders("three") == (least,)
    assert (index.searched(most), index.searched(least)) == (2, 1)
    # One that was made to compare pictures comes first among those that saw as many cases.
    for case in library.cases():
        see(library, case, vectors, weights="c" * 64, task=RETRIEVAL)
    see(library, other, vectors)
    index.refresh()
    assert [e.reads_words for e in index.encoders("three")] == [True, False, False]


def test_what_changes_in_the_library_is_read_again(library: Library) -> None:
    vectors = directions(40)
    one = seen_case(library, "one", vectors[:20])
    index = read(library)
    assert index.seconds(index.encoders()[0]) == 20
    seen_case(library, "two", vectors[20:])
    index.refresh()
    assert places(index, vectors[25], limit=1) == [("two", 5.0)]
    # A newer run of the same weights takes the older one's place; one under way does not.
    see(library, one, vectors[20:], finished=False)
    index.refresh()
    assert places(index, vectors[25], limit=1) == [("two", 5.0)]
    see(library, one, vectors[::-1][:20])
    decide_phase(library, one, "preparation")
    index.refresh()
    found = index.search(index.encoders()[0], vectors[39], limit=1)
    assert [(m.case.title, m.time_ms, m.phase) for m in found] == [("one", 0.0, "preparation")]
    whole = read(library)
    for row in vectors[::7]:
        assert places(index, row) == places(whole, row)
    bare = library.writer.create_case("bare", "unknown", (asset("bare"),)).result()
    index.refresh()
    assert index.lacking(index.encoders()[0]) == (bare,)
    assert not (library.folder / "predictions" / f"{bare.case_id}.sqlite").exists()
    library.writer.delete_case(one.case_id).result()
    index.refresh()
    assert {name for name, _ in places(index, vectors[39])} == {"two"}
    assert index.seconds(index.encoders()[0]) == 20


def test_reading_goes_on_where_it_stopped(library: Library) -> None:
    for number in range(4):
        seen_case(library, f"case {number}", directions(12, seed=number))
    third = library.cases()[2]
    index = MomentIndex(library)
    assert index.refresh(first=third.case_id, for_s=0) == (1, 4)
    assert index.seconds(index.encoders()[0]) == 12
    assert index.vector_at(index.encoders()[0], "case 2", 0).size
    # Slices that are too short for more than one case still come to an end.
    assert [index.refresh(for_s=0) for _ in range(3)] == [(2, 4), (3, 4), (4, 4)]
    assert index.seconds(index.encoders()[0]) == 48
    assert index.refresh(first=third.case_id, for_s=0) == (1, 4)
    last = library.cases()[3]
    assert index.refresh(first=last.case_id, for_s=0) == (2, 4)
    assert [c.case_id for c in index.cases] == [c.case_id for c in library.cases()]


def test_a_byte_a_number_is_enough() -> None:
    """The angle between a vector and its bytes, and the ten nearest of 2,000 beside exact ones."""
    vectors = directions(2000, seed=3).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bytes_ = coded(vectors).astype(np.float32)
    bytes_ /= np.linalg.norm(bytes_, axis=1, keepdims=True)
    cosines = np.einsum("ij,ij->i", vectors, bytes_)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 0.7
    same = [
        len(set(np.argsort(-vectors @ vectors[i])[:10]) & set(np.argsort(-bytes_ @ bytes_[i])[:10]))
        for i in range(50)
    ]
    assert np.mean(same) > 9.7
    odd = np.array([[0.0, 0.0], [np.nan, 1.0], [np.inf, -2.0]], np.float32)
    assert coded(odd).tolist() == [[0, 0], [0, 127], [0, -127]]


@pytest.mark.long
def test_two_recordings_of_the_same_minute(library: Library, shared_data: Path) -> None:
    """Two real clips overlap in time, one second apart: each second finds itself in the other."""
    card = find_model("endomamba-demo", library.folder)
    cases = []
    for name in ("VID47_f1131_triplet63", "VID47_f1132_triplet63", "VID25_f324_triplet59"):
        asset = describe_asset(shared_data / "cholec_clips" / f"{name}.mp4", name)
        cases.append(library.writer.create_case(name, "cholecystectomy", (asset,)).result())
        AnalysisJob(library, cases[-1], [card], device=choose_device("cpu"), threads=1).run()
    index = read(library)
    (encoder,) = index.encoders()
    own = cases[0].assets[0].asset_id
    for second in range(1, 32):
        vector = index.vector_at(encoder, own, 1000.0 * second)
        found = index.search(encoder, vector, apart_from=(own, 1000.0 * second))
        assert found[0].case == cases[1]
        assert abs(found[0].time_ms / 1000 - (second - 1)) <= 1
