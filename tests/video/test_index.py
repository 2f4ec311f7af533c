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
from app.video import index as indexing
from app.video.file_source import FileSource
from app.video.kept import KEPT
from tests.helpers.clips import RECIPES, make_clip, number_of


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


def test_the_sample_table_is_used_where_it_tells_the_truth(
    clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_table = []
    real = indexing._from_sample_table
    monkeypatch.setattr(
        indexing, "_from_sample_table", lambda *a: by_table.append(real(*a)) or by_table[-1]
    )
    used = {}
    for name in ("h264-mp4-no-b", "h264-mp4", "edit-list-mp4", "h264-fragmented", "h264-mkv"):
        first = RECIPES[name].cut_before
        with open_video(clip(name), trusted=True) as source:
            used[name] = by_table.pop() is not None
            assert [number_of(source.frame(i).rgb) for i in (0, 30)] == [first, first + 30]
    assert used == {name: name == "h264-mp4-no-b" for name in used}


@pytest.mark.parametrize("name", ["h264-mp4-no-b", "vfr-mp4-no-b", "cut-mp4-no-b"])
def test_table_and_packets_agree(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(
        RECIPES["h264-mp4-no-b"],
        pts_steps=(8, 3, 17) if name.startswith("vfr") else None,
        cut_before=15 if name.startswith("cut") else 0,
    )
    path = make_clip(tmp_path / "clip.mp4", recipe)
    with open_video(path, trusted=True) as source:
        by_table = source.index
    monkeypatch.setattr(indexing, "_from_sample_table", lambda *_: None)
    with open_video(path, trusted=True) as source:
        assert np.array_equal(source.index.pts, by_table.pts)
        assert np.array_equal(source.index.key, by_table.key)
        assert len(source) == recipe.frames - recipe.cut_before


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
