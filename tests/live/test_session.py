"""A live session: what is shown is what is recorded, and what is marked is kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.case import CaseState
from app.core.errors import Refused
from app.core.recording import RecordingStage
from app.live import LiveSession, recover
from app.store import Library
from app.video import open_recording
from app.video.live.state import LivePacket, LiveStatus
from app.video.opening import open_source
from tests.helpers.clips import number_of
from tests.live.conftest import Seen, came, is_over, wait_for

Begin = Callable[..., tuple[LiveSession, Seen]]


def test_a_session_becomes_a_case_that_shows_what_was_shown(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, seen = session_of(long_clip, speed=8, procedure="unknown", title="Lesson")
    session.record().result()
    wait_for(lambda: is_over(session))
    case = session.stop_recording().result()
    assert case is not None
    (asset,) = case.assets
    assert (case.title, asset.frames, asset.codec) == ("Lesson", 240, "h264")
    session.close(finish=True)
    assert seen.problems == []
    (final,) = library.case(case.case_id).assets
    assert final.asset_id == asset.asset_id
    assert Path(final.path).suffix == ".mp4"
    assert not Path(asset.path).exists()
    (recording,) = library.recordings()
    assert recording.stage is RecordingStage.FINAL
    assert library.fragments(asset.asset_id) == ()
    with open_recording(final) as source:
        assert len(source) == 240
        for index in range(len(source)):
            frame = source.frame(index)
            assert number_of(frame.rgb) == index
            if frame.pts in seen.numbers:
                assert seen.numbers[frame.pts] == index
        known = {source.pts(index) for index in range(len(source))}
    assert set(seen.numbers) <= known
    assert library.verify().problems == ()


def test_marks_and_phases_survive_finalising(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _ = session_of(long_clip, speed=4)
    session.record().result()
    wait_for(lambda: came(session) > 50 and session.state.frames > 5)
    mark = session.mark(last_s=1.0).result()
    first = session.key_phase("preparation", reaction_ms=200).result()
    shown = session.state.frames
    wait_for(lambda: came(session) > 120 and session.state.frames > shown + 10)
    second = session.key_phase("dissection", reaction_ms=200).result()
    wait_for(lambda: is_over(session))
    case = session.stop_recording().result()
    session.close(finish=True)
    assert case is not None
    (asset,) = library.case(case.case_id).assets
    (stored,) = library.bookmarks(asset.asset_id)
    assert stored == mark
    with open_recording(asset) as source:
        assert source.index_of(stored.frame.pts) >= 0
    timeline = library.human_timeline(asset.asset_id)
    assert timeline is not None
    assert [s.phase for s in timeline.timeline.segments] == ["preparation", "dissection"]
    assert timeline.timeline.segments[0].start_pts == first.segments[0].start_pts
    assert timeline.timeline.segments[1].start_pts == second.segments[1].start_pts
    assert timeline.timeline.segments[-1].end_pts == asset.end_pts == timeline.timeline.end_pts


def test_marks_that_begin_with_the_recording_are_all_kept(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _ = session_of(long_clip, speed=4)
    session.record().result()
    wait_for(lambda: came(session) > 50 and session.state.frames > 5)
    wait_for(lambda: session.asset is not None)
    assert library.case(session.case_id).state is CaseState.NEW
    made = [session.mark().result()]
    wait_for(lambda: library.case(session.case_id).state is CaseState.WORKING)
    wait_for(lambda: came(session) > 110)
    made += [session.mark().result(), session.mark(note="again").result()]
    case = session.stop_recording().result()
    assert case is not None
    assert case.state is CaseState.WORKING
    (asset,) = library.case(case.case_id).assets
    assert sorted(library.bookmarks(asset.asset_id), key=lambda b: b.frame.pts) == made
    assert made[0].frame.pts == asset.start_pts
    assert made[2].frame.pts - asset.start_pts < 90_000
    assert made[0].note != made[1].note
    library.writer.undo(case.case_id).result()
    assert {b.frame for b in library.bookmarks(asset.asset_id)} == {b.frame for b in made[:2]}


def test_what_came_before_is_recorded_too(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _ = session_of(long_clip, speed=4, pre_roll_s=2.0)
    wait_for(lambda: came(session) > 120)
    shown = came(session)
    session.record().result()
    wait_for(lambda: is_over(session))
    session.stop_recording().result()
    session.close()
    (case,) = library.cases()
    with open_recording(case.assets[0]) as source:
        first = number_of(source.frame(0).rgb)
    # From a keyframe (every 25 frames) at least two seconds (50 frames) back, and no farther.
    assert first % 25 == 0
    assert shown - 50 - 25 - 30 <= first <= shown - 50 + 30


def test_the_part_recorded_so_far_opens_while_recording_goes_on(
    session_of: Begin, long_clip: Path
) -> None:
    session, seen = session_of(long_clip, speed=6)
    session.record().result()
    wait_for(lambda: came(session) > 100 and session.asset is not None)
    assert session.asset is not None
    with open_source(session.asset) as early:
        count = len(early)
        assert count > 50
        wait_for(lambda: came(session) > 200)
        # Back and forth in the part that is there, while the file grows under it.
        for index in (0, count - 1, count // 2, 3, count - 2):
            frame = early.frame(index)
            assert number_of(frame.rgb) == index
            assert seen.numbers.get(frame.pts, index) == index
    with open_source(session.asset) as later:
        assert len(later) > count
        assert number_of(later.frame(len(later) - 1).rgb) == len(later) - 1
    assert session.recording is not None
    assert session.recording.is_running


def test_nothing_is_recorded_without_being_asked(
    session_of: Begin, library: Library, long_clip: Path, tmp_path: Path
) -> None:
    session, seen = session_of(long_clip, speed=0)
    wait_for(lambda: is_over(session))
    with pytest.raises(Refused, match="Nothing is being recorded"):
        session.mark().result()
    assert session.stop_recording().result() is None
    session.close()
    assert library.cases() == ()
    assert not (tmp_path / "recordings").exists()
    assert [type(p) for p in seen.problems] == [Refused]


def test_a_second_recording_makes_a_case_of_its_own(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _ = session_of(long_clip, speed=8, pre_roll_s=0.0)
    session.record().result()
    wait_for(lambda: came(session) > 60)
    first = session.stop_recording().result()
    session.record().result()
    wait_for(lambda: is_over(session))
    second = session.stop_recording().result()
    session.close(finish=True)
    assert first is not None
    assert second is not None
    assert [c.case_id for c in library.cases()] == [first.case_id, second.case_id]
    for case in library.cases():
        (asset,) = case.assets
        assert asset.path.endswith(".mp4")


def test_what_comes_between_stop_and_record_is_of_the_first(
    session_of: Begin, library: Library, long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each recording begins with its own first picture, however late the disk's thread is."""
    packets: list[LivePacket] = []
    hand_on = LiveSession._packet
    monkeypatch.setattr(LiveSession, "_packet", lambda _session, packet: packets.append(packet))
    session, _ = session_of(long_clip, speed=8, pre_roll_s=0.0)
    wait_for(lambda: is_over(session))
    keys = [n for n, packet in enumerate(packets) if packet.is_keyframe]
    session.record().result()
    late = threading.Event()
    session._later(late.wait)
    ended, begun = session.stop_recording(), session.record()
    for packet in packets[: keys[2]]:
        hand_on(session, packet)
    late.set()
    begun.result()
    for packet in packets[keys[3] :]:
        hand_on(session, packet)
    cases = [ended.result(), session.stop_recording().result()]
    session.close(finish=True)
    starts = [library.case(case.case_id).assets[0].start_pts for case in cases if case]
    assert starts == [packets[0].pts, packets[keys[3]].pts]


def test_an_interrupted_finalising_is_taken_up_at_the_next_start(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _seen = session_of(long_clip, speed=8)
    session.record().result()
    wait_for(lambda: is_over(session))
    case = session.stop_recording().result()
    session.close()
    assert case is not None
    ((asset,),) = (library.case(case.case_id).assets,)
    found = recover(library)
    if asset.path.endswith(".ts"):
        assert [r.was_interrupted for r in found] == [False]
    (final,) = library.case(case.case_id).assets
    assert final.path.endswith(".mp4")
    with open_recording(final) as source:
        assert len(source) == 240
    assert recover(library) == ()
    assert not list(Path(final.path).parent.glob("*.ts"))


def test_only_the_recording_itself_is_cleared_away_and_only_beside_its_intact_mp4(
    session_of: Begin, library: Library, long_clip: Path
) -> None:
    session, _seen = session_of(long_clip, speed=8)
    session.record().result()
    wait_for(lambda: is_over(session))
    session.stop_recording().result()
    session.close(finish=True)
    (recording,) = library.recordings()
    (final,) = library.case(recording.case_id).assets
    old, present = Path(recording.path), Path(final.path)
    old.write_bytes(b"another recording")
    assert recover(library) == ()
    assert old.read_bytes() == b"another recording"
    sha256 = hashlib.sha256(b"another recording").hexdigest()
    library.writer.put_recording(replace(recording, sha256=sha256), final).result()
    whole = present.read_bytes()
    present.write_bytes(whole[:-1])
    assert recover(library) == ()
    assert old.exists()
    present.write_bytes(whole)
    assert recover(library) == ()
    assert not old.exists()


def test_the_source_is_named_without_its_secrets(library: Library, tmp_path: Path) -> None:
    session = LiveSession(
        library, "rtsp://surgeon:sesame@localhost:1/tower?token=abc", folder=tmp_path
    )
    assert "sesame" not in repr(session.capture.spec)
    assert session.capture.spec.name == "rtsp://localhost:1/tower"
    assert session.state.status is LiveStatus.CONNECTING
    session.close()
    assert os.listdir(tmp_path) in ([], ["library"])


def test_a_source_that_was_watched_for_long_is_recorded_in_a_clock_with_room(
    session_of: Begin, library: Library, long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.live.session.LATEST_START_PTS", 3 * 90_000)
    session, seen = session_of(long_clip, speed=8)
    wait_for(lambda: came(session) > 100)
    session.record().result()
    wait_for(lambda: is_over(session))
    case = session.stop_recording().result()
    assert case is not None
    assert case.assets[0].start_pts < 3 * 90_000
    session.close(finish=True)
    (asset,) = library.case(case.case_id).assets
    with open_recording(asset) as source:
        first = number_of(source.frame(0).rgb)
        assert first >= 100
        assert first % 25 == 0
        assert [number_of(f.rgb) for f in source.frames()] == list(range(first, 240))
    assert seen.problems == []
