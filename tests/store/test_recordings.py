"""What the library knows of live recordings: stages, stretches on the disk, damage, deletion."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import BadInput, Refused
from app.core.recording import Fragment, Gap, Raster, Recording, RecordingStage
from app.store import Library
from tests.helpers.human_work import asset
from tests.store.conftest import open_small

GAPS = (Gap(start_pts=9000, end_pts=99_000),)


def _recording(case_id: str = "", asset_id: str = "live-1") -> Recording:
    return Recording(
        asset_id=asset_id,
        case_id=case_id,
        path=f"/videos/{asset_id}.ts",
        source="rtsp://tower/1",
        started_utc_ms=1,
        rasters=(Raster(first_pts=0, width_px=64, height_px=48),),
    )


def _fragment(position: int) -> Fragment:
    return Fragment(
        position=position, first_pts=position * 100, last_pts=position * 100 + 99,
        first_byte=position * 1000, end_byte=position * 1000 + 1000, frames=50,
    )  # fmt: skip


def _begin(library: Library, recording: Recording) -> Case:
    return library.writer.begin_recording(
        recording, asset(recording.asset_id), "Live", "unknown"
    ).result()


def test_a_recording_from_its_first_picture_to_its_mp4(library: Library) -> None:
    case = _begin(library, _recording())
    (running,) = library.recordings()
    assert running == replace(_recording(), case_id=case.case_id)
    for position in range(3):
        library.writer.put_fragment("live-1", _fragment(position)).result()
    assert library.fragments("live-1") == tuple(_fragment(n) for n in range(3))
    longer = replace(asset("live-1", "/videos/live-1.mp4"), frames=150, quick_hash="1" * 64)
    final = replace(running, stage=RecordingStage.FINAL, sha256="ab", gaps=GAPS)
    library.writer.put_recording(final, longer).result()
    assert library.recordings(case.case_id) == (final,)
    assert library.case(case.case_id).assets == (longer,)
    assert library.fragments("live-1") == ()
    actions = [entry.action for entry in library.audit()]
    assert actions[-3:] == ["recording running", "update asset", "recording final"]
    assert library.verify().ok


def test_a_recording_joins_a_case(library: Library, case: Case) -> None:
    joined = _begin(library, _recording(case.case_id))
    assert joined.case_id == case.case_id
    assert [a.asset_id for a in joined.assets] == ["asset-1", "live-1"]
    with pytest.raises(BadInput, match="no case 0099"):
        _begin(library, _recording("0099", "live-2"))
    with pytest.raises(Refused, match="another case"):
        _begin(library, _recording("", "live-1"))
    assert len(library.cases()) == 1
    assert len(library.recordings()) == 1


def test_deleting_the_case_deletes_what_is_known(library: Library, own_library: Path) -> None:
    case = _begin(library, _recording())
    library.writer.put_fragment("live-1", _fragment(0)).result()
    library.back_up()
    library.writer.delete_case(case.case_id).result()
    assert library.recordings() == ()
    assert library.fragments("live-1") == ()
    assert library.verify().ok
    assert not [p for p in own_library.rglob("*.sqlite*") if b"rtsp://tower/1" in p.read_bytes()]


def test_damage_is_noticed(own_library: Path) -> None:
    with open_small(own_library) as library:
        _begin(library, _recording())
        library.writer.put_fragment("live-1", _fragment(0)).result()
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn, conn:
        conn.execute("UPDATE fragments SET end_byte = end_byte + 1")
    with open_small(own_library) as library:
        with pytest.raises(BadInput, match="part of a live recording is damaged"):
            library.fragments("live-1")
        assert any("live recording" in p for p in library.verify().problems)
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn, conn:
        conn.execute("UPDATE recordings SET fields = replace(fields, 'tower', 'power')")
    with open_small(own_library) as library:
        assert library.recordings() == ()
        assert any("of case 0001 is damaged" in p for p in library.verify().problems)
