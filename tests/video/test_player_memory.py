"""A player that is used for hours takes no more memory, threads or files than at its beginning."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.video import Player, ShownFrame
from app.video.file_source import FileSource
from tests.helpers.clips import RECIPES, make_clip, number_of

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process's memory"
)
PATIENCE_S = 60.0


class Moving:
    """A player that goes to a frame and waits until it is there."""

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self._heard = threading.Condition()
        self._shown: ShownFrame | None = None
        self.player = Player(on_frame=self._hear, open_source=FileSource, cache_bytes=cache_bytes)
        self.player.open(path)
        self._until(lambda shown: shown.index == 0)

    def _hear(self, shown: ShownFrame) -> None:
        with self._heard:
            self._shown = shown
            self._heard.notify_all()

    def _until(self, there: Callable[[ShownFrame], bool]) -> ShownFrame:
        with self._heard:
            assert self._heard.wait_for(
                lambda: self._shown is not None and self._shown.exact and there(self._shown),
                PATIENCE_S,
            )
            assert self._shown is not None
            return self._shown

    def to(self, index: int) -> None:
        self.player.seek_index(index)
        assert number_of(self._until(lambda shown: shown.index == index).frame.rgb) == index

    def back(self, index: int) -> None:
        self.player.step(-1)
        assert number_of(self._until(lambda s: s.index == index - 1).frame.rgb) == index - 1


def footprint() -> dict[str, int]:
    status = Path("/proc/self/status").read_text(encoding="ascii").split()
    return {
        "kb": int(status[status.index("VmRSS:") + 1]),
        "threads": int(status[status.index("Threads:") + 1]),
        "files": len(os.listdir("/proc/self/fd")),
    }


def stays_flat(path: Path, frames: int, seeks: int, cache_bytes: int, growth_kb: int) -> None:
    draw = random.Random(4)
    moving = Moving(path, cache_bytes)
    try:
        for _ in range(seeks // 4):
            moving.to(draw.randrange(2, frames))
        before = footprint()
        for _ in range(seeks):
            index = draw.randrange(2, frames)
            moving.to(index)
            moving.back(index)
        after = footprint()
    finally:
        moving.player.close()
    assert after["threads"] == before["threads"]
    assert after["files"] == before["files"]
    assert after["kb"] - before["kb"] < growth_kb, (before, after)


@pytest.mark.parametrize("name", ["h264-long-gop", "h264-ts"])
def test_seeks_and_steps_back_leave_nothing_behind(clip: Callable[[str], Path], name: str) -> None:
    stays_flat(clip(name), RECIPES[name].frames, 60, 4 << 20, 12 << 10)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_seeks_leave_nothing_behind(tmp_path: Path) -> None:
    recipe = replace(RECIPES["h264-long-gop"], frames=300, gop=60, width_px=1280, height_px=720)
    stays_flat(make_clip(tmp_path / "clip.mp4", recipe), 300, 1000, 64 << 20, 64 << 10)
