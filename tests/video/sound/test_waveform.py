"""The loudness over time: where it is loud, at every zoom, kept in a file, given up when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.case import Asset
from app.core.errors import BadInput
from app.store import Library
from app.video.sound.waveform import (
    PER_S,
    Waveform,
    WaveformCancelled,
    keep_waveform,
    kept_waveform,
    read_waveform,
)
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.sound import asset_at, beeping_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Four seconds that beep."""
    return asset_at(beeping_clip(tmp_path_factory.mktemp("waveform") / "beeps.mp4", 4.0))


@pytest.fixture
def elsewhere() -> Iterator[object]:
    """Calls something on another thread, whose priority nobody needs afterwards."""

    def call(work: object, *args: object, **options: object) -> object:
        found: list[object] = []

        def run() -> None:
            try:
                found.append(work(*args, **options))  # type: ignore[operator]
            except WaveformCancelled as cancelled:
                found.append(cancelled)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        return found[0]

    return call


def test_it_is_loud_where_it_beeps_and_nowhere_else(clip: Asset, elsewhere) -> None:
    waveform = elsewhere(read_waveform, clip)
    assert waveform.is_whole
    assert len(waveform.pairs) == 4 * PER_S + 1
    loud = np.flatnonzero(waveform.pairs[:, 1] > 60)
    assert {int(i) // PER_S for i in loud} == {0, 1, 2, 3}
    assert (loud % PER_S < 6).all()
    # 0.8 of full scale is shown at its root.
    assert waveform.pairs.max() == pytest.approx(127 * 0.8**0.5, rel=0.07)
    assert waveform.pairs.min() == pytest.approx(-127 * 0.8**0.5, rel=0.07)


def test_a_recording_without_sound_is_silent(tmp_path: Path, elsewhere) -> None:
    clip = make_clip(tmp_path / "mute.mp4", RECIPES["h264-mp4"])
    assert not elsewhere(read_waveform, asset_at(clip)).pairs.any()


def test_it_is_given_up_when_nobody_wants_it(clip: Asset, elsewhere) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) == 3

    found = elsewhere(read_waveform, clip, cancelled=cancelled)
    assert isinstance(found, WaveformCancelled)
    assert len(asked) == 3


@given(
    st.lists(st.integers(0, 127), min_size=1, max_size=900),
    st.integers(-200, 9000),
    st.floats(1.0, 20_000.0),
    st.integers(1, 300),
)
def test_no_zoom_hides_a_loud_moment_or_invents_one(
    highs: list[int], start_ms: int, length_ms: float, width: int
) -> None:
    pairs = np.array([(-h, h) for h in highs], np.int8)
    columns, known = Waveform(pairs).columns(start_ms, start_ms + length_ms, width)
    assert columns.shape == (width, 2)
    edges = np.linspace(start_ms, start_ms + length_ms, width + 1) / 1000 * PER_S
    for (low, high), is_known, a, b in zip(columns, known, edges[:-1], edges[1:], strict=True):
        assert low == -high
        if not is_known:
            continue
        first, last = int(np.floor(a)), max(int(np.ceil(b)), int(np.floor(a)) + 1)
        assert high >= max(highs[first:last], default=0)
        # A coarser level may reach over by as much as one of its pairs to either side.
        reach = max(4 * (last - first), 4)
        assert high <= max(highs[max(0, first - reach) : last + reach], default=0)


def test_it_is_kept_and_read_again(clip: Asset, tmp_path: Path) -> None:
    waveform = Waveform(np.array([(-1, 2), (-127, 127)], np.int8))
    assert kept_waveform(tmp_path / "cache", clip) is None
    keep_waveform(tmp_path / "cache", clip, waveform)
    again = kept_waveform(tmp_path / "cache", clip)
    assert again is not None
    np.testing.assert_array_equal(again.pairs, waveform.pairs)
    assert kept_waveform(tmp_path / "cache", clip, choice=1) is None
    (kept,) = (tmp_path / "cache").iterdir()
    assert "beeps" in clip.path
    assert clip.path not in kept.name
    kept.write_bytes(kept.read_bytes()[:-3])
    assert kept_waveform(tmp_path / "cache", clip) is None


@pytest.mark.parametrize("data", [b"", b"trocar-peaks-1\n", b"something else", b"\x00" * 99])
def test_something_else_is_no_waveform(data: bytes) -> None:
    with pytest.raises(BadInput):
        Waveform.from_bytes(data)


def test_deleting_a_case_takes_the_waveforms_away(clip: Asset, own_library: Path) -> None:
    with Library.open(own_library) as library:
        case = library.writer.create_case("A case", "unknown", (clip,)).result(30)
        keep_waveform(library.cache_folder, clip, Waveform(np.ones((9, 2), np.int8)))
        assert kept_waveform(library.cache_folder, clip) is not None
        library.writer.delete_case(case.case_id).result(30)
        assert kept_waveform(library.cache_folder, clip) is None
        assert list(library.cache_folder.iterdir()) == []
