"""A deleted case leaves no byte: rows, log, predictions, pictures, backups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import BadInput, EnvironmentProblem
from app.core.prediction import FramePrediction, Instance
from app.store import Library
from app.store.restore import restore
from tests.helpers.human_work import annotation, asset, change, correction, draw, fields, mask
from tests.store.conftest import open_small

MARKER = "Zwetschgenknödel-4711"


def _make_marked(library: Library) -> Case:
    """A case whose title, path, labels, corrections and predictions all carry the marker."""
    recording = asset("marked", f"/videos/{MARKER}.mp4")
    case = library.writer.create_case(MARKER, "unknown", (recording,)).result()
    for i in range(40):
        label = f"{MARKER}-{i}" * 20
        made = annotation(f"{MARKER}-{i}", i, asset_id="marked", frame=i, label=label)
        step = correction(case.case_id, f"Draw {MARKER}", change(None, made))
        library.writer.commit(step).result()
        if i % 3 == 0:
            library.writer.undo(case.case_id).result()
    rename = change(fields(MARKER), fields(f"{MARKER} again"))
    library.writer.commit(correction(case.case_id, "Rename", rename)).result()
    store = library.predictions(case.case_id)
    run = store.start_run(
        asset=recording, model=MARKER, task="t", weights_sha256="", classes=(MARKER,),
        settings={}, sample_every=1, frames_expected=3,
    )  # fmt: skip
    found = Instance(label=MARKER, mask=mask(), score=0.5)
    store.put_frames(run.run_id, [FramePrediction(pts=0, index=0, instances=(found,))])
    library.save_thumbnail(case.case_id, MARKER.encode())
    library.cache_folder.mkdir()
    (library.cache_folder / "recording.index").write_bytes(MARKER.encode())
    return case


def _files_with(folder: Path, *needles: bytes) -> list[str]:
    return [
        str(p.relative_to(folder))
        for p in sorted(folder.rglob("*"))
        if p.is_file() and any(n in p.read_bytes() for n in needles)
    ]


def _holds_only_the_other_case(backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert conn.execute("SELECT title FROM cases").fetchall() == [("Other",)]
        assert conn.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_no_byte_is_left(own_library: Path) -> None:
    marker = MARKER.encode()
    with open_small(own_library, backup_every_s=3600) as library:
        other = library.writer.create_case("Other", "unknown", (asset(),)).result()
        library.writer.commit(draw(other.case_id, "kept")).result()
        assert (library.back_up() or library.last_backup()) is not None
        case = _make_marked(library)
        assert library.back_up() is not None
        library.writer.commit(draw(other.case_id, "kept too")).result()
        assert library.back_up() is not None
        (own_library / "backups" / "damaged-1-library.sqlite").write_bytes(b"x" + marker)
        assert len(_files_with(own_library, marker)) >= 6

        library.writer.delete_case(case.case_id).result()

        assert _files_with(own_library, marker) == []
        assert [c.case_id for c in library.cases()] == [other.case_id]
        tombstone = library.audit()[-1]
        assert tombstone.action == "delete case"
        assert tombstone.object.startswith(f"case {case.case_id} ")
        assert library.verify().ok
        with pytest.raises(BadInput):
            library.case(case.case_id)
        with pytest.raises(BadInput):
            library.writer.delete_case(case.case_id).result()
        assert len(library.backups()) == 3
        for backup in library.backups():
            _holds_only_the_other_case(backup.path)
    assert _files_with(own_library, marker) == []


def test_a_restored_backup_does_not_bring_a_deleted_case_back(
    own_library: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    with open_small(own_library) as library:
        other = library.writer.create_case("Other", "unknown", (asset(),)).result()
        case = _make_marked(library)
        outside = library.back_up(elsewhere)
        assert outside is not None
        library.writer.delete_case(case.case_id).result()
    done = restore(own_library, outside.path)
    assert done.cases == 1
    assert _files_with(own_library, MARKER.encode()) == []
    with open_small(own_library) as library:
        assert [c.title for c in library.cases()] == [other.title]
        assert library.problems == ()
        assert library.verify().ok
        assert library.writer.create_case("New", "unknown").result().case_id == "0003"


def test_what_a_deletion_could_not_remove_goes_at_the_next_opening(
    own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = MARKER.encode()
    with open_small(own_library) as library:
        case = _make_marked(library)
        library.back_up()

        def fails(*_: object) -> None:
            raise EnvironmentProblem("The disk is away; plug it in.")

        with monkeypatch.context() as patch:
            patch.setattr(library._backups, "erase_case", fails)
            with pytest.raises(EnvironmentProblem, match="disk is away"):
                library.writer.delete_case(case.case_id).result()
        assert library.cases() == ()
        assert _files_with(own_library / "backups", marker)
    with open_small(own_library) as library:
        library.writer.flush().result()
        assert _files_with(own_library, marker) == []
        assert library.verify().ok


def test_predictions_of_an_earlier_case_of_that_number_are_not_shown(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("One", "unknown", (asset(),)).result()
        store = library.predictions(case.case_id)
        store.start_run(
            asset=asset(), model="m", task="t", weights_sha256="", classes=("a",),
            settings={}, sample_every=1, frames_expected=1,
        )  # fmt: skip
    path = own_library / "predictions" / f"{case.case_id}.sqlite"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE about SET uid = 'another'")
        conn.commit()
    with open_small(own_library) as library:
        assert library.predictions(case.case_id).runs() == ()


def test_a_picture_of_a_case_with_a_longer_number_stays(library: Library, case: Case) -> None:
    other = library.thumbnail_path(f"{case.case_id}0")
    library.save_thumbnail(case.case_id, b"picture")
    other.write_bytes(b"picture")
    library.writer.delete_case(case.case_id).result()
    assert list(other.parent.iterdir()) == [other]


def test_a_training_that_learnt_from_a_case_keeps_no_picture_of_it(
    library: Library, case: Case
) -> None:
    other = library.writer.create_case(
        "Other", "unknown", (asset("other", "/videos/other.mp4"),)
    ).result()
    for name, shown in (("mine", case), ("theirs", other)):
        for part in ("set/frames", "samples"):
            folder = library.runs_folder / name / part
            folder.mkdir(parents=True)
            (folder / f"{shown.case_id}_0.png").write_bytes(b"a picture")
        (library.runs_folder / name / "log.csv").write_text("step\n")
    library.writer.delete_case(case.case_id).result()
    left = {str(p.relative_to(library.runs_folder)) for p in library.runs_folder.rglob("*.*")}
    kept = {f"theirs/{part}/{other.case_id}_0.png" for part in ("set/frames", "samples")}
    assert {path.replace("\\", "/") for path in left} == {"mine/log.csv", "theirs/log.csv", *kept}
