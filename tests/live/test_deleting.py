"""A case that goes with the recording that Trocar made of it, or without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.core.recording import recorded_files
from app.inference.new_case import case_of
from app.live import delete_with_recording, deleting, finish_recording, finishing, recover
from app.store import Library
from app.video import full_hash
from app.video.record.recorder import Recorder
from tests.live.test_interrupted import interrupted


@pytest.fixture
def recorded(library: Library, long_clip: Path, tmp_path: Path) -> Path:
    """The MP4 of case 0001, recorded by Trocar."""
    path = tmp_path / "live.ts"
    path.write_bytes(long_clip.read_bytes())
    interrupted(library, path)
    recover(library)
    return tmp_path / "live.mp4"


def test_the_recording_goes_and_an_original_never(
    library: Library, recorded: Path, long_clip: Path, tmp_path: Path
) -> None:
    case = library.case("0001")
    assert recorded_files(case, library.recordings("0001")) == (str(recorded),)
    original = tmp_path / "original.ts"
    original.write_bytes(long_clip.read_bytes())
    other = case_of(library, [original])
    assert recorded_files(other, library.recordings(other.case_id)) == ()
    with pytest.raises(BadInput, match="never deletes"):
        delete_with_recording(library, other.case_id)
    assert delete_with_recording(library, "0001") == (recorded,)
    assert not recorded.exists()
    assert original.exists()
    assert [c.case_id for c in library.cases()] == [other.case_id]


def test_what_is_not_the_recording_any_more_stays(library: Library, recorded: Path) -> None:
    recorded.write_bytes(recorded.read_bytes() + b"edited")
    assert delete_with_recording(library, "0001") == ()
    assert recorded.exists()
    assert library.cases() == ()


def test_what_another_case_shows_stays(library: Library, recorded: Path) -> None:
    (asset,) = library.case("0001").assets
    library.writer.create_case("Again", "unknown", (replace(asset, asset_id="other"),)).result()
    assert delete_with_recording(library, "0001") == ()
    assert recorded.exists()


def test_an_mpeg_ts_that_was_never_completed_goes_too(
    library: Library, long_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "live.ts"
    path.write_bytes(long_clip.read_bytes())
    interrupted(library, path)
    assert delete_with_recording(library, "0001") == (path,)
    assert not path.exists()


class Crash(BaseException):
    """The program ends."""


@pytest.mark.parametrize("moment", ["before the file", "before the case"])
def test_a_deletion_that_a_crash_interrupts_is_finished_at_the_next_start(
    library: Library, recorded: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def crash(*_args: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        if moment == "before the file":
            patched.setattr(deleting, "_unlinked", crash)
        else:
            patched.setattr(library.writer, "delete_case", crash)
        with pytest.raises(Crash):
            delete_with_recording(library, "0001")
    assert recorded.exists() == (moment == "before the file")
    (told,) = recover(library)
    assert (told.case_id, told.sentence) == (
        "0001",
        "Case 0001 and its recording, whose deletion broke off, are gone.",
    )
    assert not recorded.exists()
    assert library.cases() == ()
    assert recover(library) == ()


def test_a_file_that_cannot_be_deleted_is_named(
    library: Library, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def busy(file: Path, *, missing_ok: bool = False) -> None:
        if file == recorded:
            raise PermissionError(13, "Permission denied")
        unlink(file, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", busy)
    with pytest.raises(EnvironmentProblem, match=r"is deleted, but its recording live\.mp4"):
        delete_with_recording(library, "0001")
    assert library.cases() == ()
    assert recorded.exists()


def test_what_is_being_recorded_is_not_deleted(library: Library, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "live.ts")
    interrupted(library, recorder.path)
    with pytest.raises(Refused, match="still being recorded"):
        delete_with_recording(library, "0001")
    recorder.stop()
    assert len(library.cases()) == 1


def test_an_mp4_of_a_case_that_was_deleted_meanwhile_is_nobodys(
    library: Library, long_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "live.ts"
    path.write_bytes(long_clip.read_bytes())
    interrupted(library, path)
    (recording,) = library.recordings()
    library.writer.delete_case("0001").result()
    with pytest.raises(BadInput, match="no case 0001"):
        finish_recording(library, recording)
    assert [p.name for p in tmp_path.glob("*live*")] == ["live.ts"]


def test_an_mp4_of_a_case_that_is_deleted_while_it_is_hashed_goes_too(
    library: Library, long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "live.ts"
    path.write_bytes(long_clip.read_bytes())
    interrupted(library, path)
    (recording,) = library.recordings()

    def deleted_meanwhile(file: Path) -> str:
        delete_with_recording(library, "0001")
        return full_hash(file)

    monkeypatch.setattr(finishing, "full_hash", deleted_meanwhile)
    with pytest.raises(BadInput, match="no longer in this library"):
        finish_recording(library, recording)
    assert not list(tmp_path.glob("*live*"))
