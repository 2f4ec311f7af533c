"""Predictions per case: what is put comes back, damage counts as missing."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.case import Asset, Case
from app.core.correction import Correction, PredictionRef
from app.core.errors import BadInput, EnvironmentProblem, Refused, TrocarError
from app.core.foreseen import Foreseen
from app.core.prediction import FramePrediction, Instance, PhasePrediction, Run
from app.store import Library, PredictionStore
from app.store.prediction_file import decode_instances, encode_instances
from tests.core.strategies import loose_masks
from tests.helpers.human_work import STEP, annotation, asset, change, correction, mask
from tests.store.conftest import open_small

CLASSES = ("grasper", "hook", "specimen_bag")


def _start(store: PredictionStore, recording: Asset | None = None, model: str = "m") -> Run:
    return store.start_run(
        asset=recording or asset(),
        model=model,
        task="instance-segmentation",
        weights_sha256="ab",
        classes=CLASSES,
        settings={"threshold": 0.25, "device": "cpu", "half": False, "size": 640},
        sample_every=1,
        frames_expected=100,
    )


def _frames(numbers: range) -> list[FramePrediction]:
    return [
        FramePrediction(
            pts=i * STEP,
            index=i,
            instances=tuple(
                Instance(
                    label=CLASSES[(i + k) % 3],
                    mask=mask(i + k),
                    score=None if k == 2 else 1 / (k + 3),
                    track=k or None,
                )
                for k in range(i % 4)
            ),
            computed_ms=i / 7,
        )
        for i in numbers
    ]


@pytest.fixture
def store(library: Library, case: Case) -> PredictionStore:
    """The predictions of a case."""
    return library.predictions(case.case_id)


INSTANCES = st.lists(
    st.builds(
        Instance,
        label=st.sampled_from(CLASSES),
        mask=loose_masks(),
        score=st.none() | st.floats(0, 1),
        track=st.none() | st.integers(0, 2**31 - 1),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(INSTANCES)
def test_instances_survive_their_bytes(instances: list[Instance]) -> None:
    place = {name: i for i, name in enumerate(CLASSES)}
    labels, payload = encode_instances(instances, place)
    assert decode_instances(payload, CLASSES) == tuple(instances)
    assert {CLASSES[i] for i in np.frombuffer(labels, "<u2")} == {i.label for i in instances}


def test_frames_come_back_as_they_were_put(own_library: Path) -> None:
    frames = _frames(range(100))
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        store = library.predictions(made.case_id)
        run = _start(store)
        for i in range(0, 100, 30):
            store.put_frames(run.run_id, frames[i : i + 30])
        store.put_frames(run.run_id, [])
        assert not store.runs("asset-1")[0].finished
        store.finish(run.run_id)
    with Library.open(own_library, "read") as library:
        store = library.predictions("0001")
        assert store.runs() == (replace(run, finished=True),)
        assert store.runs("asset-2") == ()
        assert store.frames(1, 0, 100 * STEP) == tuple(frames)
        assert store.frames(1, 10 * STEP, 19 * STEP) == tuple(frames[10:20])
        assert store.frame(1, 7 * STEP) == frames[7]
        assert store.frame(1, 7 * STEP + 1) is None
        assert store.stored_pts(1).tolist() == [i * STEP for i in range(100)]
        assert store.verify() == (100, [])


def test_presence_counts_frames_per_second_and_class(store: PredictionStore) -> None:
    recording = replace(asset(), start_pts=1000, time_base=Fraction(1, 90000), end_pts=10**7)
    run = _start(store, recording)
    step = Fraction(90000 * 1001, 30000)
    frames = [replace(f, pts=1000 + round(i * step)) for i, f in enumerate(_frames(range(100)))]
    order = np.random.default_rng(0).permutation(100)
    for chunk in np.array_split(order, 9):
        store.put_frames(run.run_id, [frames[i] for i in chunk])
    store.put_frames(run.run_id, frames[20:40])
    got = store.presence(run.run_id)
    expected: Counter[tuple[int, str]] = Counter()
    looked_at: Counter[int] = Counter()
    for f in frames:
        second = (f.pts - 1000) // 90000
        looked_at[second] += 1
        expected.update({(second, i.label) for i in f.instances})
    assert got.classes == CLASSES
    assert got.looked_at.tolist() == [looked_at[s] for s in range(4)]
    assert got.present.tolist() == [[expected[s, c] for c in CLASSES] for s in range(4)]


def test_an_empty_run_has_no_presence(store: PredictionStore) -> None:
    run = _start(store)
    assert store.presence(run.run_id).present.shape == (0, 3)
    assert store.stored_pts(run.run_id).size == 0
    assert store.phases(run.run_id) == ()
    assert store.state_before(run.run_id, 10**9) is None


def test_phases_and_states(store: PredictionStore) -> None:
    run = _start(store)
    phases = [
        PhasePrediction(
            pts=i * 25 * STEP, index=i * 25, probabilities=(i / 200, 0.3, 0.7 - i / 200)
        )
        for i in range(4)
    ]
    store.put_phases(run.run_id, phases[2:])
    store.put_phases(run.run_id, phases[:3])
    assert store.phases(run.run_id) == tuple(phases)
    assert store.stored_pts(run.run_id).tolist() == [p.pts for p in phases]
    store.put_state(run.run_id, 0, b"at the start")
    store.put_state(run.run_id, 60 * STEP, bytes(200_000))
    assert store.state_before(run.run_id, 59 * STEP) == (0, b"at the start")
    assert store.state_before(run.run_id, 60 * STEP) == (60 * STEP, bytes(200_000))
    assert store.state_before(run.run_id, -1) is None


def test_what_is_foreseen_comes_back(store: PredictionStore) -> None:
    run = _start(store)
    whole = Foreseen(
        pts=STEP,
        index=1,
        next_probabilities=(0.25, 0.5, 0.125, 0.125),
        minutes_to=(0.0, 2.5, 5.0),
        minutes_left=(1.0, 4.0, 9.5),
    )
    bare = replace(whole, pts=0, index=0, minutes_to=(), minutes_left=(3.0, 3.0, 3.0))
    store.put_foreseen(run.run_id, [whole, bare])
    assert store.foreseen(run.run_id) == (bare, whole)
    assert store.stored_pts(run.run_id, verify=True).tolist() == [0, STEP]
    later = replace(whole, minutes_left=(0.0, 1.0, 2.0))
    store.put_foreseen(run.run_id, [later])
    assert store.foreseen(run.run_id) == (bare, later)
    assert store.verify() == (2, [])
    few = replace(bare, next_probabilities=(0.5, 0.5), minutes_to=())
    with pytest.raises(ValueError, match="expected 4 probabilities of what follows, got 2"):
        store.put_foreseen(run.run_id, [few])


def test_a_file_of_before_the_foreseen_can_be_read(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("c", "unknown", (asset(),)).result()
        store = library.predictions(case.case_id)
        run = _start(store)
        store.put_phases(run.run_id, [PhasePrediction(pts=0, index=0, probabilities=(1, 0, 0))])
        with store._transaction() as conn:
            conn.execute("DROP TABLE foreseen")
    with Library.open(own_library, mode="read") as library:
        store = library.predictions(case.case_id)
        assert store.foreseen(run.run_id) == ()
        assert store.stored_pts(run.run_id, verify=True).tolist() == [0]


def test_what_is_told_of_tools_comes_back(own_library: Path) -> None:
    """In half precision, beside the same run's phases; a damaged row counts as missing."""
    with open_small(own_library) as library:
        case = library.writer.create_case("c", "unknown", (asset(),)).result()
        store = library.predictions(case.case_id)
        run = store.start_run(
            asset=asset(), model="m", task="phase-recognition", weights_sha256="ab",
            classes=CLASSES, settings={"tools": "hook,clipper"}, sample_every=0, frames_expected=3,
        )  # fmt: skip
        assert store.tools(run.run_id).probabilities.shape == (0, 2)
        rows = [(i * STEP, np.array([i / 3, 0.25], np.float16)) for i in range(3)]
        store.put_tools(run.run_id, rows)
        store.put_phases(run.run_id, [PhasePrediction(pts=0, index=0, probabilities=(1, 0, 0))])
        store.put_features(run.run_id, [(0, np.ones(5, np.float16))])
        told = store.tools(run.run_id)
        assert told.keys == ("hook", "clipper")
        assert told.probabilities.dtype == np.float16
        assert told.probabilities.tolist() == [row.tolist() for _, row in rows]
        assert told.pts.tolist() == [0, STEP, 2 * STEP]
        with pytest.raises(ValueError, match="expected 2 probabilities"):
            store.put_tools(run.run_id, [(0, np.ones(3, np.float16))])
        with store._transaction() as conn:
            conn.execute("UPDATE tools SET vector = x'0000' WHERE pts = ?", (STEP,))
        assert store.tools(run.run_id).pts.tolist() == [0, 2 * STEP]
        store.put_tools(run.run_id, rows[1:2])
        assert store.tools(run.run_id).probabilities.tolist() == told.probabilities.tolist()
        silent = _start(store)
        assert store.tools(silent.run_id).keys == ()
        with store._transaction() as conn:
            conn.execute("DROP TABLE tools")
    with Library.open(own_library, mode="read") as library:  # a file of before tools were kept
        assert library.predictions(case.case_id).tools(run.run_id).pts.size == 0


def test_one_object_over_a_stretch(store: PredictionStore) -> None:
    run = _start(store)
    frames = _frames(range(40))
    store.put_frames(run.run_id, frames)
    expected = [
        (f.pts, place, instance)
        for f in frames[5:31]
        for place, instance in enumerate(f.instances)
        if instance.track == 2
    ]
    assert list(store.track(run.run_id, 2, 5 * STEP, 30 * STEP)) == expected
    assert expected
    assert store.track(run.run_id, 99, 0, 40 * STEP) == ()


def test_a_label_that_the_run_does_not_know_is_a_bug(store: PredictionStore) -> None:
    run = _start(store)
    strange = Instance(label="trocar", mask=mask(), score=0.5)
    with pytest.raises(ValueError, match="trocar is not a class"):
        store.put_frames(run.run_id, [FramePrediction(pts=0, index=0, instances=(strange,))])
    assert store.stored_pts(run.run_id).size == 0


def test_a_damaged_row_counts_as_missing_and_is_computed_again(own_library: Path) -> None:
    frames = _frames(range(10))
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        store = library.predictions(made.case_id)
        run = _start(store)
        store.put_frames(run.run_id, frames)
        store.put_phases(run.run_id, [PhasePrediction(pts=1, index=0, probabilities=(1.0,))])
        store.put_state(run.run_id, 0, b"good")
        store.put_state(run.run_id, 5, b"bad")
    path = own_library / "predictions" / f"{made.case_id}.sqlite"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE frames SET payload = zeroblob(length(payload)) WHERE frame_index = 3")
        conn.execute("UPDATE phases SET probabilities = zeroblob(8)")
        conn.execute("UPDATE states SET snapshot = zeroblob(8) WHERE pts = 5")
        conn.commit()
    with open_small(own_library) as library:
        store = library.predictions(made.case_id)
        assert store.frame(run.run_id, 3 * STEP) is None
        assert [f.index for f in store.frames(run.run_id, 0, 9 * STEP)] == [0, 1, 2, *range(4, 10)]
        assert store.phases(run.run_id) == ()
        assert store.state_before(run.run_id, 9) == (0, b"good")
        report = library.verify()
        assert any("computed anew" in p for p in report.problems)
    with open_small(own_library) as library:
        store = library.predictions(made.case_id)
        assert {1, 3 * STEP} <= set(store.stored_pts(run.run_id).tolist())
        assert 1 not in store.stored_pts(run.run_id, verify=True)
        missing = set(range(0, 10 * STEP, STEP)) - set(
            store.stored_pts(run.run_id, verify=True).tolist()
        )
        assert missing == {3 * STEP}
        store.put_frames(run.run_id, [frames[3]])
        assert store.frames(run.run_id, 0, 9 * STEP) == tuple(frames)
        assert 3 * STEP in store.stored_pts(run.run_id)


@pytest.mark.parametrize("content", [b"", b"noise" * 3000])
def test_a_file_that_cannot_be_read_is_put_aside_and_begun_anew(
    own_library: Path, content: bytes
) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        _start(library.predictions(made.case_id))
    path = own_library / "predictions" / f"{made.case_id}.sqlite"
    path.write_bytes(content)
    with open_small(own_library) as library:
        store = library.predictions(made.case_id)
        assert store.runs() == ()
        assert _start(store).run_id == 1
        assert path.with_name(path.name + ".damaged").exists() == bool(content)


def test_predictions_of_a_newer_version_are_left_alone(own_library: Path) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        _start(library.predictions(made.case_id))
    path = own_library / "predictions" / f"{made.case_id}.sqlite"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    for mode in ("write", "read"):
        with open_small(own_library, mode) as library, pytest.raises(Refused, match="newer Trocar"):
            library.predictions(made.case_id)
    assert path.read_bytes() == before


def test_a_reader_takes_no_other_cases_predictions(own_library: Path) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        _start(library.predictions(made.case_id))
    path = own_library / "predictions" / f"{made.case_id}.sqlite"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE about SET uid = 'another'")
        conn.commit()
    with Library.open(own_library, "read") as library:
        assert library.predictions(made.case_id).runs() == ()
    path.write_bytes(b"")  # the writer is about to make its tables
    with Library.open(own_library, "read") as library:
        assert library.predictions(made.case_id).runs() == ()


def _answer(case_id: str, run_id: int) -> Correction:
    said = replace(annotation("answer", 1), source=PredictionRef(run_id=run_id, instance=0))
    return correction(case_id, "Accept", change(None, said))


def _damage_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(content), 2 * 4096):
        content[page : page + 64] = bytes(range(64))
    path.write_bytes(content)


def test_damaged_pages_are_put_aside_and_the_analysis_begins_anew(own_library: Path) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        store = library.predictions(made.case_id)
        run = _start(store)
        store.put_frames(run.run_id, _frames(range(80)))
        library.writer.commit(_answer(made.case_id, run.run_id)).result()
    path = own_library / "predictions" / f"{made.case_id}.sqlite"
    _damage_pages(path)
    with Library.open(own_library, "read") as library:
        with pytest.raises(BadInput, match="analyse it again"):
            library.predictions(made.case_id).stored_pts(run.run_id, verify=True)
        assert not path.with_name(path.name + ".damaged").exists()
    with open_small(own_library) as library:
        store = library.predictions(made.case_id)
        with pytest.raises(BadInput, match="analyse it again"):
            store.stored_pts(run.run_id, verify=True)
        assert path.with_name(path.name + ".damaged").exists()
        assert store.runs() == ()
        again = _start(store)
        assert again.run_id > run.run_id
        store.put_frames(again.run_id, _frames(range(80)))
        assert len(store.stored_pts(again.run_id, verify=True)) == 80
        assert len(library.annotations("asset-1")) == 1
        assert library.verify().ok


def test_runs_of_a_new_file_are_not_those_that_a_human_answered(own_library: Path) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        run = _start(library.predictions(made.case_id))
        library.writer.commit(_answer(made.case_id, run.run_id)).result()
    (own_library / "predictions" / f"{made.case_id}.sqlite").unlink()
    with open_small(own_library) as library:
        assert _start(library.predictions(made.case_id)).run_id == run.run_id + 1


def test_what_is_removed_while_it_is_read_has_a_sentence(library: Library, case: Case) -> None:
    store = library.predictions(case.case_id)
    run = _start(store)
    store.put_frames(run.run_id, _frames(range(8)))
    reading = store._read("SELECT pts FROM frames")
    next(reading)
    library.writer.delete_case(case.case_id).result()
    with pytest.raises(EnvironmentProblem, match="removed or closed meanwhile"):
        list(reading)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted on Linux")
def test_of_many_cases_few_files_are_open_and_all_can_be_used(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.library.PREDICTIONS_AWAKE", 3)
    made = [
        library.writer.create_case(f"Case {n}", "unknown", (asset(f"asset-{n}"),)).result()
        for n in range(8)
    ]

    def open_files() -> set[str]:
        folder = library.folder / "predictions"
        links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        targets = [link.resolve() for link in links if link.exists()]
        return {t.name.partition(".")[0] for t in targets if t.parent == folder.resolve()}

    stores = [library.predictions(case.case_id) for case in made]
    frame = FramePrediction(pts=asset().start_pts, index=0, instances=())
    for case, store in zip(made, stores, strict=True):
        run = _start(store)
        store.put_frames(run.run_id, [frame])
        library.predictions(case.case_id)
        assert len(open_files()) <= 4
    assert open_files() >= {case.case_id for case in made[-3:]}
    # One that was kept from before it rested, as an analysis keeps it, goes on.
    for store in stores:
        assert store.frame(1, frame.pts) == frame
        store.finish(1)
    library.predictions(made[0].case_id)
    assert len(open_files()) <= 3


def test_store_that_is_read_does_not_rest_and_closes_after(
    library: Library, store: PredictionStore, case: Case
) -> None:
    """Closed under a reading thread, SQLite ends the whole process."""
    run = _start(store)
    store.put_frames(run.run_id, _frames(range(60)))
    done, failed = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            try:
                assert len(store.frames(run.run_id, 0, 60 * STEP)) == 60
            except (AssertionError, TrocarError) as error:
                failed.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        store.rest()
        time.sleep(0.001)
    done.set()
    for reader in readers:
        reader.join()
    assert not failed
    store.rest()
    assert not store.is_awake
    assert len(library.predictions(case.case_id).frames(run.run_id, 0, 60 * STEP)) == 60
