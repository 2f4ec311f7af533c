"""Opening, listing, refusing: what a library promises before and after human work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.core.case import Case, CaseState
from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.store import Library
from app.store.restore import restore
from tests.helpers.human_work import (
    STEP,
    annotation,
    asset,
    change,
    correction,
    draw,
    review,
    timeline,
)
from tests.store.conftest import open_small

# Files on their way while the library is open.
PASSING = shutil.ignore_patterns("*.tmp")


def test_everything_is_there_after_closing_and_opening(own_library: Path) -> None:
    drawn = [annotation(f"a{i}", i, frame=i) for i in range(6)]
    human = timeline(0, 30, 55, 100)
    with open_small(own_library) as library:
        made = library.writer.create_case("Case 七 🙂", "cholecystectomy", (asset(),)).result()
        for state in (*drawn, human, review(2)):
            step = correction(made.case_id, "Step", change(None, state))
            library.writer.commit(step).result()
        library.writer.update_asset(replace(asset(), sha256="ab" * 32)).result()
        library.writer.set_state(made.case_id, CaseState.WORKING).result()
    with open_small(own_library) as library:
        (case,) = library.cases()
        assert case == library.case(made.case_id)
        assert (case.title, case.procedure) == ("Case 七 🙂", "cholecystectomy")
        assert (case.state, case.corrections) == (CaseState.WORKING, 8)
        assert case.assets == (replace(asset(), sha256="ab" * 32),)
        assert library.annotations("asset-1") == tuple(drawn)
        assert library.annotations("asset-1", 2 * STEP, 4 * STEP) == tuple(drawn[2:5])
        assert [f.pts for f in library.reviewed_frames("asset-1")] == [2 * STEP]
        assert library.human_timeline("asset-1") == human
        assert library.human_timeline("asset-2") is None
        history = library.corrections(case.case_id)
        assert [e.kind for e in history] == ["do"] * 8
        assert library.correction(history[6].seq).changes == (change(None, human),)
        assert library.verify().ok
        assert library.problems == ()


def test_case_ids_are_never_used_again(library: Library) -> None:
    ids = []
    for i in range(4):
        made = library.writer.create_case(f"Case {i}", "unknown").result()
        ids.append(made.case_id)
        if i % 2:
            library.writer.delete_case(made.case_id).result()
    assert ids == ["0001", "0002", "0003", "0004"]
    assert [c.case_id for c in library.cases()] == ["0001", "0003"]


def test_a_recording_belongs_to_one_case(library: Library, case: Case) -> None:
    with pytest.raises(Refused, match="another case"):
        library.writer.create_case("Second", "unknown", (asset(),)).result()
    assert [c.case_id for c in library.cases()] == [case.case_id]
    with pytest.raises(BadInput, match="no longer"):
        library.writer.update_asset(asset("asset-7")).result()


def test_unknown_cases_have_a_sentence(library: Library) -> None:
    with pytest.raises(BadInput, match="no case 0042"):
        library.case("0042")
    with pytest.raises(BadInput, match="no case 0042"):
        library.predictions("0042")
    with pytest.raises(BadInput, match="no case 0042"):
        library.writer.delete_case("0042").result()


def test_a_reader_sees_saved_work_while_another_writes(
    own_library: Path, library: Library, case: Case
) -> None:
    library.writer.commit(draw(case.case_id, "a")).result()
    with Library.open(own_library, "read") as reader:
        assert len(reader.annotations("asset-1")) == 1
        library.writer.commit(draw(case.case_id, "b")).result()
        assert len(reader.annotations("asset-1")) == 2
        with pytest.raises(Refused, match="reading only"):
            _ = reader.writer
        store = reader.predictions(case.case_id)
        assert store.runs() == ()
        with pytest.raises(Refused, match="reading"):
            store.finish(1)


def test_every_thread_may_read(library: Library, case: Case) -> None:
    library.writer.commit(draw(case.case_id, "a")).result()
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.append(len(library.annotations("asset-1"))))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 5


def test_a_second_writer_gets_a_sentence_that_names_the_holder(
    own_library: Path, library: Library, case: Case
) -> None:
    code = (
        "import sys; from app.cli.main import run;"
        f"sys.exit(run(['delete', '{case.case_id}', '--yes']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"process {os.getpid()}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(Refused, match=str(os.getpid())):
        open_small(own_library)
    assert library.case(case.case_id) == case


def test_the_lock_dies_with_its_holder(own_library: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from app.store import Library;"
        "Library.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(own_library)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(Refused, match=f"process {child.pid}"):
            open_small(own_library)
        child.kill()
        child.wait()
    with open_small(own_library) as library:
        assert library.cases() == ()


def test_a_folder_without_a_library_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no library"):
        Library.open(tmp_path / "none", "read")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("left", ["everything else", "the log", "the backups"])
def test_a_library_without_its_file_is_not_begun_anew(own_library: Path, left: str) -> None:
    with open_small(own_library) as library:
        library.writer.create_case("One", "unknown").result()
        backup = library.back_up()
    assert backup is not None
    (own_library / "library.sqlite").rename(own_library.parent / "moved.sqlite")
    if left != "everything else":
        (own_library / "audit-head.json").unlink()
    if left == "the log":
        backup.path.unlink()
        (own_library / "library.sqlite-wal").write_bytes(b"frames")
    with pytest.raises(BadInput, match=r"lacks its file library\.sqlite.*trocar restore"):
        open_small(own_library)
    assert not (own_library / "library.sqlite").exists()
    if left != "the log":
        restore(own_library, backup.path)
        with open_small(own_library) as library:
            assert [c.title for c in library.cases()] == ["One"]


def test_a_library_of_a_newer_version_is_left_alone(own_library: Path) -> None:
    open_small(own_library).close()
    database = own_library / "library.sqlite"
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("PRAGMA user_version=99")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = database.read_bytes()
    for mode in ("read", "write"):
        with pytest.raises(Refused, match="newer Trocar"):
            Library.open(own_library, mode)
    assert database.read_bytes() == before


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (a)")


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_bytes(b"not a database " * 500), "not a Trocar library"),
        (_foreign, "not made by Trocar"),
        (lambda p: p.write_bytes(b"SQLite format 3\0"), "not a Trocar library|not made by Trocar"),
    ],
)
def test_a_file_that_is_no_library_is_left_alone(own_library, make, sentence, mode) -> None:
    own_library.mkdir()
    database = own_library / "library.sqlite"
    make(database)
    before = database.read_bytes()
    with pytest.raises(BadInput, match=sentence):
        Library.open(own_library, mode)
    assert database.read_bytes() == before


def test_a_network_drive_is_refused(own_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = SimpleNamespace(mountpoint=str(own_library.parent), fstype="cifs", opts="rw")
    local = SimpleNamespace(mountpoint="/", fstype="ext4", opts="rw")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [local, share])
    with pytest.raises(Refused, match="network drive"):
        Library.open(own_library)
    with pytest.raises(Refused, match="network drive"):
        Library.open(Path("//server/share/library"))
    assert not own_library.exists()


def _mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine does not let the test mount a file system: {done.stderr[:80]}")


def test_a_library_on_read_only_media(own_library: Path, tmp_path: Path) -> None:
    with open_small(own_library) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        library.writer.commit(draw(made.case_id, "a")).result()
    disc = tmp_path / "disc"
    disc.mkdir()
    _mount(disc, "-t", "tmpfs", "-o", "size=8m", "tmpfs")
    try:
        shutil.copytree(own_library, disc / "library", ignore=PASSING)
        _mount(disc, "-o", "remount,ro")
        with Library.open(disc / "library", "read") as library:
            assert len(library.annotations("asset-1")) == 1
            assert library.predictions(made.case_id).runs() == ()
            assert library.verify().ok
        with pytest.raises(EnvironmentProblem, match="cannot be written"):
            Library.open(disc / "library", "write")
    finally:
        subprocess.run(["umount", str(disc)], check=True)


@pytest.mark.parametrize("index", ["with its index", "without its index"])
def test_a_library_that_was_not_closed_on_read_only_media_is_read_whole_or_not_at_all(
    own_library: Path, tmp_path: Path, index: str
) -> None:
    disc = tmp_path / "disc"
    disc.mkdir()
    with open_small(own_library) as library:
        library.writer.create_case("Case", "unknown", (asset(),)).result()
        _mount(disc, "-t", "tmpfs", "-o", "size=8m", "tmpfs")
        shutil.copytree(own_library, disc / "library", ignore=PASSING)
    try:
        if index == "without its index":
            (disc / "library" / "library.sqlite-shm").unlink()
        _mount(disc, "-o", "remount,ro")
        if index == "without its index":
            with pytest.raises(EnvironmentProblem, match="was not closed"):
                Library.open(disc / "library", "read")
        else:
            with Library.open(disc / "library", "read") as library:
                assert [c.title for c in library.cases()] == ["Case"]
    finally:
        subprocess.run(["umount", str(disc)], check=True)


def test_a_folder_that_may_not_be_written(own_library: Path) -> None:
    with open_small(own_library) as library:
        library.writer.create_case("Case", "unknown").result()
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere; the read-only mount covers this")
    own_library.chmod(0o500)
    try:
        with pytest.raises(EnvironmentProblem, match="cannot be written"):
            open_small(own_library)
        with Library.open(own_library, "read") as library:
            assert len(library.cases()) == 1
    finally:
        own_library.chmod(0o700)


def test_thumbnails_are_replaced_whole(library: Library, case: Case) -> None:
    assert not library.thumbnail_path(case.case_id).exists()
    library.save_thumbnail(case.case_id, b"first")
    assert library.save_thumbnail(case.case_id, b"second").read_bytes() == b"second"
    assert [p.name for p in library.thumbnail_path(case.case_id).parent.iterdir()] == [
        f"{case.case_id}.jpg"
    ]


def test_a_library_comes_into_being_whole(own_library: Path) -> None:
    own_library.mkdir()
    (own_library / "library.sqlite.tmp").write_bytes(b"half of a library")
    (own_library / "library.sqlite.tmp-wal").write_bytes(b"and its log")
    with open_small(own_library) as library:
        assert library.cases() == ()
    assert not list(own_library.glob("*.tmp*"))
