"""Damaged files: what decodes is shown, what does not keeps its index, nothing crashes or hangs."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import EnvironmentProblem, TrocarError
from app.video import UndecodableFrame, VideoSource, open_video
from tests.helpers.clips import damaged_clip, number_of

SEEDS = ("h264-mp4", "h264-mkv", "h264-ts", "hevc-mp4", "mpeg4-avi", "mjpeg-avi", "h264-fragmented")


def test_a_packet_that_does_not_decode_keeps_its_index(tmp_path: Path) -> None:
    path = damaged_clip(tmp_path / "damaged.avi", [10, 11, 39])
    with open_video(path, cache_bytes=1) as source:
        assert len(source) == 40
        for index in (12, 10, 9, 39, 11, 38):
            if index in {10, 11, 39}:
                with pytest.raises(UndecodableFrame, match=f"Frame {index} of damaged.avi"):
                    source.frame(index)
            else:
                assert number_of(source.frame(index).rgb) == index
        assert [f.index for f in source.frames(8)] == [8, 9, *range(12, 39)]
        assert source.undecodable() == (10, 11, 39)


def test_nothing_decodes(tmp_path: Path) -> None:
    path = damaged_clip(tmp_path / "dark.avi", range(40))
    with pytest.raises(TrocarError, match="none of its pictures can be decoded"):
        open_video(path)


@pytest.mark.parametrize("name", ["h264-mp4", "h264-ts"])
def test_a_frame_is_not_called_damaged_because_its_drive_was_away(
    clip: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = tmp_path / clip(name).name
    shutil.copy2(clip(name), path)
    whole, known = path.read_bytes(), path.stat()
    with open_video(path, cache_bytes=1) as source:
        assert number_of(source.frame(0).rgb) == 0
        os.truncate(path, len(whole) // 3)
        with pytest.raises(EnvironmentProblem, match="changed or taken away"):
            source.frame(55)
        with pytest.raises(EnvironmentProblem, match="changed or taken away"):
            list(source.frames(50))
        path.write_bytes(whole)
        os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
        assert number_of(source.frame(55).rgb) == 55


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A cut, flipped or spliced copy."""
    kind = draw.choice(["cut", "flip", "splice", "zeros"])
    at = draw.randrange(len(data))
    if kind == "cut":
        return data[: max(at, 1)]
    if kind == "splice":
        other = draw.randrange(len(data))
        return data[:at] + data[other:]
    changed = bytearray(data)
    if kind == "zeros":
        changed[at : at + 512] = bytes(len(changed[at : at + 512]))
    else:
        for _ in range(20):
            changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def look_through(source: VideoSource, draw: random.Random) -> int:
    """Decode all of it, forwards and at random; returns how many frames came."""
    shown = sum(1 for _ in source.frames())
    for _ in range(6):
        index = draw.randrange(len(source))
        with contextlib.suppress(UndecodableFrame):
            assert source.frame(index).index == index
    return shown


@pytest.mark.parametrize("name", SEEDS)
def test_mutated_files(clip: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    data = clip(name).read_bytes()
    opened, sentences = 0, []
    for seed in range(9):
        draw = random.Random(f"{name} {seed}")
        path = tmp_path / f"{seed}{clip(name).suffix}"
        path.write_bytes(mutated(data, draw))
        try:
            with open_video(path, trusted=True, cache_bytes=8 << 20) as source:
                look_through(source, draw)
                assert source.cached_bytes <= 8 << 20
                opened += 1
        except TrocarError as error:
            sentences.append(error.user_message)
    assert opened > 0
    assert all("." in s[:10] and s.endswith(".") for s in sentences)


@pytest.mark.long
@pytest.mark.parametrize("name", SEEDS)
def test_many_mutated_files_through_the_door(
    clip: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    data = clip(name).read_bytes()
    for seed in range(100, 180):
        draw = random.Random(f"{name} {seed}")
        path = tmp_path / f"{seed}{clip(name).suffix}"
        path.write_bytes(mutated(data, draw))
        with contextlib.suppress(TrocarError), open_video(path) as source:
            look_through(source, draw)
