"""Recordings that are not whole: what is said of them until they are completed."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import av
import pytest

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.recording import Recording, RecordingStage
from app.live import recover
from app.store import Library
from app.ui.load_case import load_case
from app.video import open_recording
from app.video.record.recorder import Recorder
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.helpers.human_work import asset
from tests.live.conftest import wait_for
from tests.video.record.test_record import packets_of


def interrupted(library: Library, path: Path) -> Asset:
    """What a crash leaves of a recording in the library: its case, as it began."""
    begun = replace(asset("live-1", str(path)), quick_hash="")
    recording = Recording(
        asset_id="live-1", case_id="", path=str(path), source="tower", started_utc_ms=1
    )
    library.writer.begin_recording(recording, begun, "Live", "unknown").result()
    return begun


def test_what_was_interrupted_is_called_so_until_it_is_completed(
    library: Library, long_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "live.ts"
    begun = interrupted(library, path)
    with pytest.raises(BadInput, match="was interrupted, and its file is not where it was"):
        open_recording(begun)
    assert "put it back" in load_case(library, "0001", {}).missing
    path.write_bytes(long_clip.read_bytes())
    with pytest.raises(BadInput, match="is not whole yet"):
        open_recording(begun)
    assert "record --recover" in load_case(library, "0001", {}).missing
    (found,) = recover(library)
    assert found.was_interrupted
    assert load_case(library, "0001", {}).missing == ""


def test_while_this_process_records_it_opens(
    library: Library, long_clip: Path, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "live.ts")
    begun = interrupted(library, recorder.path)
    packets = packets_of(long_clip)
    for packet in packets:
        recorder.put(packet)
    wait_for(lambda: recorder.state.frames > len(packets) // 2)
    assert load_case(library, "0001", {}).missing == ""
    with open_recording(begun) as source:
        assert len(source) > 10
    recorder.stop()


def test_a_recording_that_stays_mpeg_ts_is_told_once_and_plays(
    library: Library, tmp_path: Path
) -> None:
    whole = make_clip(tmp_path / "whole.ts", RECIPES["h264-open-gop-ts"])
    with av.open(str(whole)) as container:
        keys = [p.pos for p in container.demux(video=0) if p.is_keyframe]
    data, path = whole.read_bytes(), tmp_path / "live.ts"
    # From a keyframe on that earlier pictures follow: an MP4 would hide those.
    path.write_bytes(data[: keys[0]] + data[keys[1] :])
    interrupted(library, path)
    told: list[str] = []
    recover(library, told=lambda one: told.append(one.sentence))
    assert [t for t in told if "stays the recording" in t] == told[1:]
    assert [r.stage for r in library.recordings()] == [RecordingStage.KEPT]
    assert recover(library, told=lambda one: told.append(one.sentence)) == ()
    assert len(told) == 2
    assert load_case(library, "0001", {}).missing == ""
    (kept,) = library.case("0001").assets
    with open_recording(kept) as source:
        numbers = [number_of(f.rgb) for f in source.frames()]
    assert numbers[-5:] == [55, 56, 57, 58, 59]
    assert [p.name for p in tmp_path.glob("live*")] == ["live.ts"]
    assert library.verify().ok


def test_what_no_mp4_can_hold_is_told_once_and_disk_trouble_again(
    library: Library, long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "live.ts"
    # Its times go back in the middle, which MP4 refuses.
    path.write_bytes(2 * long_clip.read_bytes())
    interrupted(library, path)
    told: list[str] = []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("app.video.record.finalise._remux", full)
        recover(library, told=lambda one: told.append(one.sentence))
    assert "Free some space" in told[-1]
    assert [r.stage for r in library.recordings()] == [RecordingStage.WRITTEN]
    recover(library, told=lambda one: told.append(one.sentence))
    assert "MP4 cannot hold" in told[-1]
    assert [r.stage for r in library.recordings()] == [RecordingStage.KEPT]
    assert recover(library) == ()
    assert [p.name for p in tmp_path.glob("*live*")] == ["live.ts"]
