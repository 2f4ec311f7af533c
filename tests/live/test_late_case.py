"""A library that cannot take a recording at first: it is asked again, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import EnvironmentProblem, Refused
from app.core.recording import RecordingStage
from app.live import LiveSession
from app.store import Library
from app.video import open_recording
from tests.helpers.clips import number_of
from tests.live.conftest import Seen, came, is_over, wait_for

Begin = Callable[..., tuple[LiveSession, Seen]]


class Busy:
    """Stands before ``begin_recording`` and refuses until it is told not to."""

    def __init__(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.is_busy = 0, True
        self._begin = library.writer.begin_recording
        monkeypatch.setattr(library.writer, "begin_recording", self)

    def __call__(self, *what: object) -> Future[Case]:
        self.asked += 1
        if not self.is_busy:
            return self._begin(*what)  # type: ignore[arg-type]
        refused: Future[Case] = Future()
        refused.set_exception(EnvironmentProblem("The library is busy."))
        return refused


@pytest.fixture
def busy(library: Library, monkeypatch: pytest.MonkeyPatch) -> Busy:
    monkeypatch.setattr("app.video.record.file.SYNC_EVERY_S", 0.1)
    return Busy(library, monkeypatch)


def test_the_case_comes_while_the_recording_goes_on(
    session_of: Begin, library: Library, long_clip: Path, busy: Busy
) -> None:
    session, seen = session_of(long_clip, speed=3)
    session.record().result()
    wait_for(lambda: busy.asked > 2 and session.state.frames > 5)
    assert [p.user_message for p in seen.problems] == ["The library is busy."]
    with pytest.raises(Refused, match="Not noted"):
        session.mark(last_s=1.0).result()
    with pytest.raises(Refused, match="Not noted"):
        session.key_phase("preparation").result()
    assert session.recording is not None
    assert session.recording.is_running
    busy.is_busy = False
    wait_for(lambda: seen.cases)
    assert session.asset is not None
    session.mark(last_s=0.1).result()
    begun = came(session)
    wait_for(lambda: is_over(session) or came(session) > begun + 20)
    assert library.fragments(session.asset.asset_id)[0].position == 0
    case = session.stop_recording().result()
    session.close(finish=True)
    assert case is not None
    (asset,) = library.case(case.case_id).assets
    assert len(library.bookmarks(asset.asset_id)) == 1
    with open_recording(asset) as source:
        numbers = [number_of(f.rgb) for f in source.frames()]
    # The last picture may have been sent before two that are shown before it.
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert numbers[-1] <= len(numbers) + 1


def test_the_case_comes_at_the_end(
    session_of: Begin, library: Library, long_clip: Path, busy: Busy
) -> None:
    session, seen = session_of(long_clip, speed=8)
    session.record().result()
    wait_for(lambda: is_over(session) and busy.asked > 1)
    busy.is_busy = False
    case = session.stop_recording().result()
    assert case is not None
    assert case.assets[0].frames == 240
    session.close(finish=True)
    (recording,) = library.recordings()
    assert recording.stage is RecordingStage.FINAL
    assert len(seen.problems) == 1


def test_the_file_stays_where_the_library_never_takes_it(
    session_of: Begin, library: Library, long_clip: Path, busy: Busy
) -> None:
    session, _ = session_of(long_clip, speed=8)
    session.record().result()
    wait_for(lambda: is_over(session) and session.recording and session.recording.frames)
    assert session.recording is not None
    path = session.recording.path
    with pytest.raises(EnvironmentProblem, match="open the file to make one"):
        session.stop_recording().result()
    assert path.is_file()
    assert library.cases() == ()
