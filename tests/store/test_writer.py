"""The store thread: order, failing alone, a full disk, closing."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import EnvironmentProblem, Refused, TrocarError
from app.store import Library, Saved
from app.store.store_thread import Outcome
from tests.helpers.human_work import annotation, asset, change, correction, draw
from tests.store.conftest import open_small

resource = pytest.importorskip("resource", reason="file size limits are of Unix")


def test_requests_are_served_in_order_and_announced_after_the_commit(
    library: Library, case: Case
) -> None:
    announced: list[Saved] = []
    library.writer.on_saved(announced.append)
    futures = [library.writer.commit(draw(case.case_id, f"a{i}", i)) for i in range(40)]
    saved = [f.result() for f in futures]
    library.writer.flush().result()
    assert [s.seq for s in saved] == sorted({s.seq for s in saved})
    assert announced == saved
    assert library.writer.pending() == 0


def test_a_failing_request_fails_alone(library: Library, case: Case) -> None:
    gate = threading.Event()

    def wait(_: sqlite3.Connection) -> Outcome[None]:
        gate.wait()
        return Outcome(None)

    def half(conn: sqlite3.Connection) -> Outcome[None]:
        conn.execute("DELETE FROM cases")
        return Outcome(None)

    def bug(conn: sqlite3.Connection) -> Outcome[None]:
        conn.execute("INSERT INTO erasing VALUES ('9999', 'x')")
        raise RuntimeError("a bug")

    library.writer.submit(wait)
    good = library.writer.commit(draw(case.case_id, "a"))
    stale = correction(case.case_id, "Stale", change(annotation("b"), None))
    refused = library.writer.commit(stale)
    broken = library.writer.submit(bug)
    orphaned = library.writer.submit(half)
    also_good = library.writer.commit(draw(case.case_id, "c"))
    gate.set()
    assert good.result().seq < also_good.result().seq
    assert isinstance(refused.exception(), Refused)
    assert isinstance(broken.exception(), RuntimeError)
    assert isinstance(orphaned.exception(), sqlite3.IntegrityError)
    assert [a.annotation_id for a in library.annotations("asset-1")] == ["a", "c"]
    assert library.verify().ok


def test_a_cancelled_request_is_not_done(library: Library, case: Case) -> None:
    gate = threading.Event()

    def wait(_: sqlite3.Connection) -> Outcome[None]:
        gate.wait()
        return Outcome(None)

    library.writer.submit(wait)
    cancelled = library.writer.commit(draw(case.case_id, "a"))
    kept = library.writer.commit(draw(case.case_id, "b"))
    was_waiting = cancelled.cancel()
    gate.set()
    kept.result()
    if was_waiting:
        assert [a.annotation_id for a in library.annotations("asset-1")] == ["b"]
    assert library.writer.pending() == 0


def test_a_closed_library_takes_no_requests(own_library: Path) -> None:
    library = open_small(own_library)
    writer = library.writer
    library.close()
    with pytest.raises(RuntimeError, match="closed"):
        writer.flush()
    library.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_store_thread_leaves_nobody_waiting(
    library: Library, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def wait(_: sqlite3.Connection) -> Outcome[None]:
        gate.wait()
        return Outcome(None)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    held = library.writer.submit(wait)
    while not held.running():
        pass
    monkeypatch.setattr(library.writer, "_transaction", broken)
    queued = [library.writer.commit(draw(case.case_id, f"a{i}", i)) for i in range(3)]
    gate.set()
    held.result()
    for each in queued:
        assert isinstance(each.exception(timeout=10), RuntimeError)
    with pytest.raises(RuntimeError, match="closed"):
        library.writer.commit(draw(case.case_id, "late"))
    assert library.annotations("asset-1") == ()


def test_closing_saves_what_is_queued(own_library: Path) -> None:
    library = open_small(own_library)
    made = library.writer.create_case("Case", "unknown", (asset(),)).result()
    futures = [library.writer.commit(draw(made.case_id, f"a{i}")) for i in range(50)]
    library.close()
    assert all(f.done() and f.exception() is None for f in futures)
    with open_small(own_library) as library:
        assert len(library.annotations("asset-1")) == 50


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """Every write past ``size`` bytes of a file fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _draw_until_held_up(
    library: Library, case_id: str, held_up: threading.Event
) -> tuple[list[str], list[str]]:
    """Names of what was acknowledged, and of what was asked for."""
    acknowledged: list[str] = []
    asked: list[str] = []
    for i in range(3000):
        name = f"a{i}"
        future = library.writer.commit(draw(case_id, name, i))
        asked.append(name)
        while not future.done() and not held_up.is_set():
            held_up.wait(0.001)
        if held_up.is_set():
            return acknowledged, asked
        future.result()
        acknowledged.append(name)
    raise AssertionError("the disk never filled")


@pytest.fixture
def held_up() -> tuple[threading.Event, threading.Event]:
    """When saving has to wait, and when it is over."""
    return threading.Event(), threading.Event()


def _watch(library: Library, held_up: tuple[threading.Event, threading.Event]) -> list[str]:
    sentences: list[str] = []

    def note(problem: TrocarError | None) -> None:
        if problem is None:
            held_up[1].set()
        else:
            sentences.append(problem.user_message)
            held_up[0].set()

    library.writer.on_problem(note)
    return sentences


def test_when_a_file_may_not_grow_nothing_is_lost_and_work_resumes(
    own_library: Path, held_up: tuple[threading.Event, threading.Event]
) -> None:
    with open_small(own_library, retry_s=0.02) as library:
        made = library.writer.create_case("Case", "unknown", (asset(),)).result()
        sentences = _watch(library, held_up)
        with _files_no_larger_than(400_000):
            acknowledged, asked = _draw_until_held_up(library, made.case_id, held_up[0])
            late = library.writer.commit(draw(made.case_id, "late"))
            assert library.writer.pending() >= 2
            assert not late.done()
        late.result(timeout=20)
        held_up[1].wait(20)
        assert len(sentences) == 1
        assert "kept" in sentences[0]
        assert library.writer.pending() == 0
        names = {a.annotation_id for a in library.annotations("asset-1")}
        assert names == {*asked, "late"} >= set(acknowledged)
        assert library.verify().ok


def test_a_full_disk(tmp_path: Path, held_up: tuple[threading.Event, threading.Event]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine does not let the test mount a small disk")
    try:
        with Library.open(disk / "library", ballast_bytes=512 * 1024, retry_s=0.02) as library:
            made = library.writer.create_case("Case", "unknown", (asset(),)).result()
            assert (disk / "library" / "ballast.bin").stat().st_size == 512 * 1024
            sentences = _watch(library, held_up)
            filler = disk / "somebody-elses.bin"
            with filler.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(4096))
                    except OSError:
                        break
            acknowledged, asked = _draw_until_held_up(library, made.case_id, held_up[0])
            assert not (disk / "library" / "ballast.bin").exists()
            assert len(acknowledged) >= 5
            with pytest.raises(EnvironmentProblem, match="not kept"):
                library.save_thumbnail(made.case_id, bytes(100_000))
            filler.unlink()
            assert held_up[1].wait(20)
            library.writer.commit(draw(made.case_id, "late")).result(timeout=20)
            assert len(sentences) == 1
            assert "full" in sentences[0]
            names = {a.annotation_id for a in library.annotations("asset-1")}
            assert names == {*asked, "late"}
            assert library.verify().ok
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_closing_on_a_full_disk_ends_and_keeps_what_was_acknowledged(
    own_library: Path, held_up: tuple[threading.Event, threading.Event]
) -> None:
    library = open_small(own_library, retry_s=0.02)
    made = library.writer.create_case("Case", "unknown", (asset(),)).result()
    _watch(library, held_up)
    with _files_no_larger_than(400_000):
        acknowledged, _ = _draw_until_held_up(library, made.case_id, held_up[0])
        late = library.writer.commit(draw(made.case_id, "late"))
        library.writer.close(give_up_after_s=0.1)
        assert isinstance(late.exception(), EnvironmentProblem)
        library.close()
    with open_small(own_library) as library:
        names = {a.annotation_id for a in library.annotations("asset-1")}
        assert names >= set(acknowledged)
        assert library.problems == ()
        assert library.verify().ok
