"""Fingerprints: at once and in full, with progress and cancel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.video import describe_asset, full_hash, open_video, quick_hash


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """9 MiB of numbers."""
    path = tmp_path / "large.bin"
    path.write_bytes(b"".join(i.to_bytes(4, "big") for i in range(9 << 18)))
    return path


def test_full_hash_is_sha256_with_progress(large: Path) -> None:
    shares: list[float] = []
    assert full_hash(large, shares.append) == hashlib.sha256(large.read_bytes()).hexdigest()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 3


def test_full_hash_cancelled(large: Path) -> None:
    assert full_hash(large, cancelled=lambda: True) == ""


def test_quick_hash_sees_size_head_and_tail(large: Path) -> None:
    data = large.read_bytes()
    known = {quick_hash(large)}
    for change in (data[:-1], b"x" + data[1:], data[:-1] + b"x", data + b"x"):
        large.write_bytes(change)
        known.add(quick_hash(large))
    assert len(known) == 5
    large.rename(large.with_name("renamed.bin"))
    assert quick_hash(large.with_name("renamed.bin")) in known


@pytest.mark.parametrize("take", [quick_hash, full_hash])
def test_a_file_that_goes_meanwhile_is_a_sentence(
    large: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[Path], str]
) -> None:
    monkeypatch.setattr("app.video.fingerprint.check_readable", lambda _path: large.unlink())
    with pytest.raises(EnvironmentProblem, match="check its drive"):
        take(large)


def test_describe_asset(clip: Callable[[str], Path]) -> None:
    path = clip("vfr-mkv")
    asset = describe_asset(path, "a1")
    with open_video(path) as source:
        assert asset == describe_asset(path, "a1", source)
        assert asset.frames == len(source)
        assert (asset.start_pts, asset.end_pts) == (source.info.start_pts, source.info.end_pts)
        assert asset.duration_ms == source.info.duration_ms
        assert asset.time_ms(source.pts(17)) == source.time_ms(17)
    assert asset.asset_id == "a1"
    assert asset.path == str(path)
    assert asset.quick_hash == quick_hash(path)
    assert asset.sha256 == ""
    assert (asset.width_px, asset.height_px, asset.codec) == (320, 180, "h264")


def test_describe_asset_of_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        describe_asset(tmp_path / "gone.mp4", "a1")
