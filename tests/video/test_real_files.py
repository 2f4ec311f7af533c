"""Real recordings and known hard files, where they are at hand."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import random
import re
import threading
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from app.cli.main import run
from app.cli.probe import description, verification
from app.core.errors import TrocarError
from app.video import UndecodableFrame, VideoSource, open_video


def digest(rgb: object) -> bytes:
    return hashlib.blake2b(rgb.tobytes(), digest_size=8).digest()  # type: ignore[attr-defined]


def check_random_access(path: Path, count: int) -> int:
    """Compare ``count`` random frames with playing from the start; returns the frame count."""
    with open_video(path) as source:
        played = [digest(f.rgb) for f in source.frames()]
        assert len(played) == len(source)
    draw = random.Random(path.name)
    with open_video(path, cache_bytes=16 << 20) as source:
        for index in [len(source) - 1, *draw.sample(range(len(source)), count)]:
            assert digest(source.frame(index).rgb) == played[index], index
    return len(played)


def test_a_real_clip(real_clip: Path) -> None:
    assert check_random_access(real_clip, 12) == 800


def test_a_real_clip_of_variable_rate(shared_data: Path) -> None:
    path = shared_data / "cholect50" / "VID70_vfr.mp4"
    assert check_random_access(path, 8) == 192
    with open_video(path) as source:
        assert source.info.is_variable_rate
        for index in range(len(source)):
            assert source.index_at_ms(source.time_ms(index)) == index


@pytest.mark.long
def test_all_real_clips(shared_data: Path) -> None:
    for path in sorted((shared_data / "cholec_clips").glob("*.mp4")):
        assert check_random_access(path, 60) == 800
    for path in sorted((shared_data / "cholect50").glob("*.mp4")):
        check_random_access(path, 60)


# What one plain decoder counted, corrected where it stopped at the first damaged packet.
CORRECTED = {"decord__corrupted.mp4": "49", "mp4parse__no_timescale.mp4": "170"}


def hard_files(folder: Path) -> list[dict[str, str]]:
    """The manifest's rows with the corrected number of frames."""
    with (folder / "MANIFEST.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["decoded_frames"] = CORRECTED.get(row["file"], row["decoded_frames"] or "0")
    return rows


def check_hard_files(folder: Path, rows: list[dict[str, str]], *, trusted: bool) -> None:
    for row in rows:
        if int(row["decoded_frames"]) == 0:
            with pytest.raises(TrocarError, match=re.escape(row["file"])):
                open_video(folder / row["file"])
        else:
            with open_video(folder / row["file"], trusted=trusted) as source:
                check_hard_file(source, row)


def test_hard_files(shared_data: Path) -> None:
    folder = shared_data / "nasty_video"
    rows = [row for row in hard_files(folder) if int(row["bytes"]) < 1_500_000]
    assert len(rows) == 51
    check_hard_files(folder, rows, trusted=True)


@pytest.mark.long
def test_all_hard_files_through_the_door(shared_data: Path) -> None:
    folder = shared_data / "nasty_video"
    check_hard_files(folder, hard_files(folder), trusted=False)


def check_hard_file(source: VideoSource, row: dict[str, str]) -> None:
    """Compare an open file with its row of the manifest."""
    name, info = row["file"], source.info
    shown = sum(1 for _ in source.frames())
    assert shown == int(row["decoded_frames"]), name
    assert info.codec in {row["codec"], "av1", "flv1", "msmpeg4v3"}, name
    sides = (info.width_px, info.height_px)
    turned = info.rotation_deg in {90, 270}
    assert sides[:: -1 if turned else 1] == (int(row["width"]), int(row["height"])), name
    if "rotation" in row["flags"] and "2147483648" not in row["flags"]:
        assert info.rotation_deg == -int(row["rotation"]) % 360, name
    if "vfr" in row["flags"].split():
        assert info.is_variable_rate, name
    with contextlib.suppress(UndecodableFrame):
        frame = source.frame(len(source) // 2)
        assert (frame.index, frame.rgb.shape[1::-1]) == (len(source) // 2, sides), name


# What the manifest found, as trocar probe names it.
WORDS = {
    "nonzero-start": "begins at",
    "header-count-wrong": "header names",
    "vfr": "rate varies",
    "rotation": "rotation",
}


def check_probe(
    path: Path, row: dict[str, str], capsys: pytest.CaptureFixture[str], *, child: bool
) -> None:
    """Compare ``trocar probe --verify`` with a plain decode of the whole file by FFmpeg."""
    if child:
        assert run(["probe", str(path), "--json"]) == 0
        from_index = json.loads(capsys.readouterr().out)["frames"]
    with open_video(path, trusted=not child) as source:
        found = description(source)
        found |= verification(source, quiet=True)
    if child:
        assert from_index == found["frames"]
    assert found["frames"] == found["frames_decoded"] + len(found["undecodable"])
    assert found["frames_decoded"] == plainly_decoded(path) == int(row["decoded_frames"])
    # Its header is right: one packet does not decode.
    flags = [] if row["file"] == "decord__corrupted.mp4" else row["flags"].split()
    for flag in flags:
        for start, words in WORDS.items():
            if flag.startswith(start):
                assert any(words in said for said in found["problems"]), (row["file"], flag)


def plainly_decoded(path: Path) -> int:
    """Frames that FFmpeg decodes from start to end, without an index and without a seek."""
    count = 0
    with av.open(str(path), metadata_errors="replace") as container:
        for packet in container.demux(container.streams.video[0]):
            with contextlib.suppress(av.FFmpegError):
                count += len(packet.decode())
    return count


def test_probe_agrees_with_a_full_decode(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_data / "nasty_video"
    rows = [r for r in hard_files(folder) if int(r["decoded_frames"]) and int(r["bytes"]) < 60_000]
    assert len(rows) == 16
    for row in rows:
        check_probe(folder / row["file"], row, capsys, child=False)


@pytest.mark.long
def test_probe_agrees_with_a_full_decode_on_all_of_them(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_data / "nasty_video"
    rows = [r for r in hard_files(folder) if int(r["decoded_frames"])]
    assert len(rows) == 40
    for row in rows:
        check_probe(folder / row["file"], row, capsys, child=True)


def test_high_dynamic_range_is_brought_down(shared_data: Path) -> None:
    path = shared_data / "nasty_video" / "exoplayer__hdr10-video-with-sdr-container.mp4"
    with open_video(path, trusted=True) as source:
        assert any("high dynamic range (PQ)" in said for said in source.info.problems)
        shown = source.frame(0).rgb.astype(int)
    with av.open(str(path)) as container:
        raw = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    # A daylight scene: untouched, it is grey and flat.
    assert shown.std() > 1.5 * raw.std()
    assert (
        np.abs(shown - shown.mean(2, keepdims=True)).mean()
        > 2 * np.abs(raw - raw.mean(2, keepdims=True)).mean()
    )


def test_opening_and_closing_leaves_nothing_behind(real_clip: Path) -> None:
    process = psutil.Process()
    counts = []
    for turn in range(30):
        with open_video(real_clip, trusted=True, cache_bytes=4 << 20) as source:
            source.frame(turn * 20 % 60)
        if turn >= 5:
            counts.append((process.num_fds(), process.num_threads(), threading.active_count()))
    assert len(set(counts)) == 1, counts
