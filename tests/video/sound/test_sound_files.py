"""The sound of files: every container at its time, after any seek; damage and gaps are silence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.video import open_recording
from app.video.sound.file import sound_streams
from app.video.sound.track import SoundTrack
from app.video.split.joining import describe_joined
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.sound import RATE_HZ, SOUND_CODECS, asset_at, beeping_clip, onsets_s

# AVI says nothing of the samples that an MP3 encoder puts before the first.
LATE_MS = {".avi": 23.0}


def heard_ms(path: Path, from_ms: float, seconds: float) -> list[float]:
    """When beeps begin in the recording, read from a moment on."""
    track = SoundTrack(asset_at(path), RATE_HZ)
    try:
        track.seek(from_ms)
        return [from_ms + s * 1000 for s in onsets_s(track.read(round(seconds * RATE_HZ)))]
    finally:
        track.close()


@pytest.mark.parametrize("suffix", SOUND_CODECS)
def test_beeps_lie_at_their_times_wherever_reading_begins(tmp_path: Path, suffix: str) -> None:
    clip = beeping_clip(tmp_path / f"clip{suffix}")
    for from_ms, beeps_ms in ((2500, (3000, 4000)), (500, (1000, 2000)), (3990, (4000, 5000))):
        heard = heard_ms(clip, from_ms, 1.6)
        assert heard == pytest.approx([b + LATE_MS.get(suffix, 0.0) for b in beeps_ms], abs=2)


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_a_late_start_changes_nothing(tmp_path: Path, suffix: str) -> None:
    clip = beeping_clip(tmp_path / f"clip{suffix}", start_s=Fraction(90))
    assert heard_ms(clip, 1500, 1.6) == pytest.approx([2000, 3000], abs=2)


def test_what_is_read_in_pieces_is_what_is_read_at_once(tmp_path: Path) -> None:
    asset = asset_at(beeping_clip(tmp_path / "clip.mp4", 3.0))
    track, again = SoundTrack(asset, RATE_HZ), SoundTrack(asset, RATE_HZ)
    track.seek(700)
    again.seek(700)
    whole = track.read(RATE_HZ)
    pieces = [again.read(n) for n in (1, 999, 20_000, 27_000)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    for one in (track, again):
        one.close()


def test_damaged_packets_are_silence_and_the_rest_keeps_its_time(tmp_path: Path) -> None:
    clip = beeping_clip(tmp_path / "clip.ts")
    damaged = bytearray(clip.read_bytes())
    packets = range(0, len(damaged), 188)
    # The sound's packets of the middle third, all but their headers.
    for at in packets[len(packets) // 3 : 2 * len(packets) // 3]:
        if damaged[at + 1] & 0x1F == 1 and damaged[at + 2] == 1 and at % 5 == 0:
            damaged[at + 20 : at + 188] = bytes(168)
    assert bytes(damaged) != clip.read_bytes()
    clip.write_bytes(bytes(damaged))
    heard = heard_ms(clip, 500, 5.4)
    assert {1000, 5000} <= {round(h / 1000) * 1000 for h in heard if abs(h % 1000) < 3}


def test_sound_that_is_no_number_is_silence(tmp_path: Path) -> None:
    clip = beeping_clip(tmp_path / "clip.mov", 2.0, sound_codec="pcm_f32le")
    data = clip.read_bytes()
    sample = np.float32(0.8 * np.sin(2 * np.pi * 1000 * 12 / RATE_HZ)).tobytes() * 2
    assert data.count(sample) > 20
    clip.write_bytes(data.replace(sample, np.float32([np.nan, np.inf]).tobytes()))
    track = SoundTrack(asset_at(clip), RATE_HZ)
    track.seek(0)
    samples = track.read(2 * RATE_HZ)
    track.close()
    assert np.isfinite(samples).all()
    assert samples[12].tolist() == [0.0, 1.0]


def test_a_file_without_sound_has_no_tracks(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "mute.mp4", RECIPES["h264-mp4"])
    assert sound_streams(clip) == ()
    track = SoundTrack(asset_at(clip), RATE_HZ)
    track.seek(500)
    assert not track.read(5000).any()
    track.close()


def test_several_tracks_are_named(tmp_path: Path) -> None:
    two = sound_streams(beeping_clip(tmp_path / "two.mov", 1.0, tracks=2))
    assert [s.words for s in two] == ["Stereo, 48 kHz", "Stereo, 48 kHz"]
    assert len({s.index for s in two}) == 2


def test_a_part_that_is_gone_is_silent(tmp_path: Path) -> None:
    clip = beeping_clip(tmp_path / "clip.mp4", 2.0)
    asset = asset_at(clip)
    clip.unlink()
    track = SoundTrack(asset, RATE_HZ)
    track.seek(500)
    assert not track.read(RATE_HZ).any()
    track.close()


def test_beeps_lie_at_their_flashes_over_the_joins_of_a_split_recording(tmp_path: Path) -> None:
    """What the eye sees and what the ear hears, both in the recording's own time."""
    parts = [
        beeping_clip(tmp_path / "part1.ts", 2.2, start_s=Fraction(3)),
        beeping_clip(tmp_path / "part2.ts", 2.2, start_s=Fraction(9)),
        beeping_clip(tmp_path / "part3.ts", 2.2, start_s=Fraction(15)),
    ]
    asset = describe_joined(parts, "a")
    with open_recording(asset) as source:
        flashes_ms = [f.time_ms for f in source.frames() if f.rgb[50, 50, 0] > 128]
    assert len(flashes_ms) == 9
    track = SoundTrack(asset, RATE_HZ)
    track.seek(100)
    heard = [100 + s * 1000 for s in onsets_s(track.read(round(6.5 * RATE_HZ)))]
    track.close()
    inside = [f for f in flashes_ms if f > 100]
    late = [min(abs(h - f) for h in heard) for f in inside]
    # A part's own first samples may be missing: its beep is then heard in the middle.
    assert max(late) < 45
    assert sorted(late)[len(late) // 2] < 3
