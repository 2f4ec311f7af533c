"""Recordings that are not whole: what is said of them until they are completed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.recording import Recording
from app.live import recover
from app.store import Library
from app.ui.load_case import load_case
from app.video import open_recording
from app.video.record.recorder import Recorder
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
