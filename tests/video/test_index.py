"""The packet index: kept as bytes, cheap where an MP4 tells the truth, cancellable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.video import OpenCancelled, PacketIndex, keep_indices_in, open_video, opening
from app.video.container import open_container, video_stream
from app.video.file_source import FileSource
from app.video.index import build_index
from app.video.kept import KEPT
from app.video.sample_table import read_table
from tests.helpers.clips import RECIPES, make_clip, number_of

MP4_SUFFIXES = (".mp4", ".mov", ".3gp")


@st.composite
def indices(draw: st.DrawFn) -> PacketIndex:
    """Any index: ascending pts, a permutation as labels, arbitrary decode times."""
    steps = draw(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=40))
    pts = np.cumsum([draw(st.integers(-(1 << 40), 1 << 40)), *steps[:-1]]).astype(np.int64)
    order = draw(st.permutations(range(len(pts))))
    lag = draw(st.lists(st.integers(-1000, 1000), min_size=len(pts), max_size=len(pts)))
    key = draw(st.lists(st.booleans(), min_size=len(pts), max_size=len(pts)))
    return PacketIndex(
        pts=pts,
        label=pts[list(order)],
        dts=pts - np.array(lag, np.int64),
        key=np.array(key, bool),
        last_duration=draw(st.integers(1, 1 << 40)),
        doubled=draw(st.integers(0, 9)),
        timeless=draw(st.integers(0, 9)),
    )


@given(indices())
def test_bytes_and_back(index: PacketIndex) -> None:
    read = PacketIndex.from_bytes(index.to_bytes())
    for name in ("pts", "label", "dts", "key"):
        assert np.array_equal(getattr(read, name), getattr(index, name)), name
        assert getattr(read, name).dtype == getattr(index, name).dtype, name
    assert read.end_pts == index.end_pts
    assert (read.doubled, read.timeless) == (index.doubled, index.timeless)


@given(indices(), st.integers(0, 39))
def test_key_at_is_the_last_keyframe_up_to_there(index: PacketIndex, at: int) -> None:
    at = min(at, len(index) - 1)
    before = [i for i in range(at + 1) if index.key[i]]
    assert index.key_at(at) == (before[-1] if before else -1)


@given(st.binary(max_size=200))
def test_a_damaged_block_is_refused(block: bytes) -> None:
    with pytest.raises(BadInput, match="kept index"):
        PacketIndex.from_bytes(block)


def test_a_cut_block_is_refused(clip: Callable[[str], Path]) -> None:
    with open_video(clip("h264-mp4"), trusted=True) as source:
        block = source.index.to_bytes()
    assert len(block) < 4096
    for end in range(0, len(block), 97):
        with pytest.raises(BadInput, match="kept index"):
            PacketIndex.from_bytes(block[:end])


@pytest.mark.parametrize("name", ["h264-ts", "vfr-mkv", "h264-avi-b"])
def test_a_kept_index_saves_reading_the_file(
    clip: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_video(clip(name), trusted=True) as source:
        block = source.index.to_bytes()
    monkeypatch.delattr("app.video.file_source.build_index")
    monkeypatch.delattr("app.video.indexing.build_index")
    index = PacketIndex.from_bytes(block)
    with FileSource(clip(name), index=index) as source:
        assert [number_of(source.frame(i).rgb) for i in (41, 3, 59)] == [41, 3, 59]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of kept indices of a process that has opened nothing; however fast it opens."""
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    monkeypatch.setattr(opening, "WORTH_KEEPING_S", 0)
    keep_indices_in(tmp_path / "cache", writable=True)
    yield tmp_path / "cache"
    KEPT.lie_in(None, writable=False)


@pytest.mark.parametrize("name", ["h264-ts", "h264-avi-b"])
def test_another_process_finds_the_index(
    clip: Callable[[str], Path], name: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_video(clip(name)) as source:
        built = source.index
    (file,) = kept.iterdir()
    assert file.stat().st_size < 4096
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    monkeypatch.delattr("app.video.file_source.build_index")
    monkeypatch.delattr("app.video.indexing.build_index")
    with open_video(clip(name)) as source:
        assert np.array_equal(source.index.label, built.label)
        assert [number_of(source.frame(i).rgb) for i in (41, 3, 59)] == [41, 3, 59]


@pytest.mark.parametrize("fault", ["cut", "changed file", "read-only"])
def test_a_kept_index_that_is_not_right_is_built_again(
    tmp_path: Path, fault: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["h264-ts"]
    path = make_clip(tmp_path / "clip.ts", recipe)
    if fault == "read-only":
        keep_indices_in(kept, writable=False)
    open_video(path).close()
    if fault == "read-only":
        assert not kept.exists()
        return
    (file,) = kept.iterdir()
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        make_clip(path, replace(recipe, frames=30))
    with open_video(path) as source:
        assert len(source) == (recipe.frames if fault == "cut" else 30)
    newest = max(kept.iterdir(), key=lambda f: f.stat().st_mtime_ns)
    assert len(PacketIndex.from_bytes(newest.read_bytes())) == len(source)


MP4 = [name for name, recipe in RECIPES.items() if recipe.suffix in (".mp4", ".mov")]


def assert_same(one: PacketIndex, other: PacketIndex) -> None:
    for name in ("pts", "label", "dts", "key", "sizes"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("last_duration", "doubled", "timeless", "unordered"):
        assert getattr(one, name) == getattr(other, name), name


def indexed(path: Path, *, by_table: bool) -> PacketIndex:
    with open_container(path) as container:
        return build_index(container, video_stream(container, path), path, by_table=by_table)


@pytest.mark.parametrize("name", MP4)
def test_table_and_packets_agree(clip: Callable[[str], Path], name: str) -> None:
    has_table = read_table(clip(name)) is not None
    assert has_table == (name != "h264-fragmented")
    assert_same(indexed(clip(name), by_table=True), indexed(clip(name), by_table=False))


@pytest.mark.parametrize("name", ["vfr", "cut", "odd"])
def test_tables_of_uneven_steps_and_edits_agree(tmp_path: Path, name: str) -> None:
    recipe = replace(
        RECIPES["h264-mp4-no-b"],
        b_frames=3 if name == "odd" else 0,
        pts_steps=None if name == "cut" else (8, 3, 17),
        cut_before=0 if name == "vfr" else 15,
    )
    path = make_clip(tmp_path / "clip.mp4", recipe)
    by_table = indexed(path, by_table=True)
    assert read_table(path) is not None
    assert_same(by_table, indexed(path, by_table=False))
    assert len(by_table) <= recipe.frames


def test_tables_of_files_from_everywhere_agree(shared_data: Path) -> None:
    compared = tables = 0
    for path in sorted(p for p in shared_data.rglob("*") if p.suffix.lower() in MP4_SUFFIXES):
        try:
            by_packets = indexed(path, by_table=False)
        except BadInput:
            continue
        assert_same(indexed(path, by_table=True), by_packets)
        compared, tables = compared + 1, tables + (read_table(path) is not None)
    assert compared > 30
    assert tables > 25


def test_a_table_that_ffmpeg_does_not_agree_with_is_not_believed(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = bytearray(clip("h264-mp4").read_bytes())
    at = data.index(b"elst") + 8
    # Two seconds are cut off by the edit's length: the packets say otherwise than the table.
    path = tmp_path / "edited.mp4"
    data[at + 4 : at + 8] = (300).to_bytes(4, "big")
    path.write_bytes(data)
    assert_same(indexed(path, by_table=True), indexed(path, by_table=False))


def test_a_table_that_points_outside_the_file_is_not_believed(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip("h264-mp4-no-b").read_bytes()
    at = data.index(b"stsz") + 16
    broken = tmp_path / "sizes.mp4"
    broken.write_bytes(data[: at + 4 * 30] + b"\x7f\xff\xff\xff" + data[at + 4 * 31 :])
    with open_video(broken, trusted=True) as source:
        assert number_of(source.frame(10).rgb) == 10


def test_indexing_can_be_cancelled(clip: Callable[[str], Path]) -> None:
    with pytest.raises(OpenCancelled):
        open_video(clip("h264-ts"), trusted=True, cancelled=lambda: True)
