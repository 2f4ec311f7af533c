"""Bytes that change on the disk: a torn log is a prefix, its loss is told, a changed row shows."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import BadInput, TrocarError
from app.store import Library
from tests.helpers.human_work import annotation, asset, change, correction, draw
from tests.store.conftest import open_small

TRIALS = [50, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
COMMITS = 60


@pytest.fixture
def torn(own_library: Path, tmp_path: Path) -> Path:
    """A library as a crash leaves it: everything since the case was made is in the log."""
    with open_small(own_library) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
    copy = tmp_path / "torn"
    with open_small(own_library) as library:
        for i in range(COMMITS):
            library.writer.commit(draw(case.case_id, f"a{i:03}", i)).result()
        while True:
            if library.verify().ok and _head_seq(own_library) == COMMITS + 2:
                break
        shutil.copytree(
            own_library, copy, ignore=shutil.ignore_patterns("*-shm", "*.tmp", "backups")
        )
    assert (copy / "library.sqlite-wal").stat().st_size > 100_000
    return copy


def _head_seq(folder: Path) -> int:
    return int(json.loads((folder / "audit-head.json").read_bytes())["seq"])


def _harm(log: bytearray, how: str, rng: random.Random) -> None:
    at = rng.randrange(32, len(log))
    if how == "truncate":
        del log[at:]
    elif how == "flip":
        log[at] ^= 1 << rng.randrange(8)
    else:
        log[at : at + 4096] = bytes(min(4096, len(log) - at))


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("how", ["truncate", "flip", "zero"])
def test_a_torn_log_is_a_prefix_and_its_loss_is_told(
    torn: Path, tmp_path: Path, how: str, trials: int
) -> None:
    rng = random.Random(how)
    whole = (torn / "library.sqlite-wal").read_bytes()
    work = tmp_path / "work"
    lost_something = 0
    for _ in range(trials):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(torn, work)
        log = bytearray(whole)
        _harm(log, how, rng)
        (work / "library.sqlite-wal").write_bytes(log)
        with Library.open(work, "read") as library:
            kept = [a.annotation_id for a in library.annotations("asset-1")]
            report = library.verify()
        by_frame = sorted(kept)
        assert by_frame == [f"a{i:03}" for i in range(len(kept))]
        lost = len(kept) < COMMITS
        lost_something += lost
        assert any("last changes are lost" in p for p in report.problems) == lost
        assert lost or report.ok
    assert lost_something


def _drawn(folder: Path) -> dict[str, object]:
    with open_small(folder) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        for i in range(COMMITS):
            library.writer.commit(draw(case.case_id, f"a{i:03}", i)).result()
        return {a.annotation_id: a for a in library.annotations("asset-1")}


@pytest.mark.parametrize("trials", TRIALS)
def test_damage_in_the_file_never_gives_a_wrong_mask(
    own_library: Path, tmp_path: Path, trials: int
) -> None:
    drawn = _drawn(own_library)
    rng = random.Random(5)
    whole = (own_library / "library.sqlite").read_bytes()
    work = tmp_path / "work"
    shutil.copytree(
        own_library, work, ignore=shutil.ignore_patterns("*.tmp", "backups", "predictions")
    )
    read_wholly = told = 0
    for _ in range(trials):
        content = bytearray(whole)
        at = rng.randrange(100, len(content) - 64)
        content[at : at + 64] = rng.randbytes(64)
        (work / "library.sqlite").write_bytes(content)
        try:
            with Library.open(work, "read") as library:
                got = {a.annotation_id: a for a in library.annotations("asset-1")}
                assert all(drawn[name] == a for name, a in got.items())
                read_wholly += got == drawn
                assert got == drawn or not library.verify().ok
        except TrocarError:
            told += 1
    assert read_wholly + told > trials // 2
    assert read_wholly


def test_a_damaged_row_is_read_from_its_correction(own_library: Path) -> None:
    _drawn(own_library)
    database = own_library / "library.sqlite"
    content = bytearray(database.read_bytes())
    stored = annotation("a007", 7).mask.to_bytes()
    at = content.find(stored)
    assert at > 0
    content[at + 30] ^= 0xFF
    database.write_bytes(content)
    with open_small(own_library) as library:
        assert {a.annotation_id: a for a in library.annotations("asset-1")}["a007"] == annotation(
            "a007", 7
        )
        assert any("annotation" in p for p in library.verify().problems)
        step = correction("0001", "Remove", change(annotation("a007", 7), None))
        library.writer.commit(step).result()
        assert library.verify().ok


def test_a_damaged_file_is_not_written(own_library: Path) -> None:
    _drawn(own_library)
    database = own_library / "library.sqlite"
    content = bytearray(database.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    database.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        open_small(own_library)
    assert database.read_bytes() == bytes(content)


@pytest.mark.parametrize("mode", ["write", "read"])
def test_one_damaged_entry_does_not_hide_the_other_cases(own_library: Path, mode: str) -> None:
    with open_small(own_library) as library:
        hurt = library.writer.create_case("Hurt", "unknown", (asset(),)).result()
        library.writer.create_case("Whole", "unknown").result()
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn:
        conn.execute("UPDATE assets SET fields = replace(fields, 'h264', 'h265')")
        conn.commit()
    with open_small(own_library, mode) as library:
        assert [c.title for c in library.cases()] == ["Whole"]
        (problem,) = library.problems
        assert f"recording of case {hurt.case_id} is damaged" in problem
        with pytest.raises(BadInput, match="trocar restore"):
            library.case(hurt.case_id)
