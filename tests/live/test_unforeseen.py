"""A recorder that ends by an error that nobody foresaw."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from app.live import LiveSession
from app.store import Library
from app.video.record.file import RecordingFile
from app.video.record.recorder import Recorder
from tests.live.conftest import Seen, came, is_over, wait_for


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_it_says_so_keeps_what_came_and_another_recording_begins(
    session_of: Callable[..., tuple[LiveSession, Seen]],
    library: Library,
    long_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_after, breaks = Recorder._look_after, []

    def broken(self: Recorder) -> None:
        look_after(self)
        if breaks and self.path == breaks[0]:
            raise RuntimeError("unforeseen")

    monkeypatch.setattr(Recorder, "_look_after", broken)
    session, seen = session_of(long_clip, speed=3)
    session.record().result()
    wait_for(lambda: session.recording and session.recording.frames > 20)
    assert session.recording is not None
    breaks.append(session.recording.path)
    wait_for(lambda: any(s.stopped_early and not s.is_running for s in seen.recordings))
    stopped = next(s for s in seen.recordings if s.stopped_early and not s.is_running)
    assert "What was recorded is kept" in stopped.sentence
    session.record().result()
    again = session.recording
    assert again is not None
    assert again.path != stopped.path
    begun = came(session)
    wait_for(lambda: is_over(session) or came(session) > begun + 40)
    assert session.recording is not None  # the end of the first one did not end the second
    assert session.stop_recording().result() is not None
    assert sorted(c.assets[0].frames > 20 for c in library.cases()) == [True, True]


def test_a_recorder_that_is_over_is_replaced(
    session_of: Callable[..., tuple[LiveSession, Seen]], library: Library, long_clip: Path
) -> None:
    session, _ = session_of(long_clip, speed=3)
    session.record().result()
    wait_for(lambda: session.recording and session.recording.frames > 20)
    assert session._running is not None
    first = session._running.recorder
    first.stop()
    session.record().result()
    assert session.recording is not None
    assert session.recording.path != first.path
    session.stop_recording().result()
    assert library.cases()


def test_where_the_disk_takes_no_picture_there_is_no_case_of_nothing(
    session_of: Callable[..., tuple[LiveSession, Seen]],
    library: Library,
    long_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_file: RecordingFile, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordingFile, "write", full)
    session, seen = session_of(long_clip, speed=3)
    session.record().result()
    wait_for(lambda: seen.cases)
    wait_for(lambda: session.recording is None and not library.cases())
    assert any("takes no more" in state.sentence for state in seen.recordings)
    assert list((tmp_path / "recordings").iterdir()) == []
    assert seen.problems == []
