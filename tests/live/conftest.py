"""Live sessions over a file that is played as if it were live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import TrocarError
from app.live import LiveSession
from app.store import Library
from app.video.live.clock import START_PTS
from app.video.live.state import LiveState, LiveStatus
from app.video.record.state import RecordingState
from tests.helpers.clips import RECIPES, make_clip, number_of


@dataclass
class Seen:
    """What a session said and showed."""

    numbers: dict[int, int] = field(default_factory=dict)
    states: list[LiveState] = field(default_factory=list)
    recordings: list[RecordingState] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    problems: list[TrocarError] = field(default_factory=list)


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Until ``condition()`` is true; fails after ``seconds``."""
    until_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until_s, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with Library.open(own_library, ballast_bytes=0) as opened:
        yield opened


@pytest.fixture
def session_of(
    library: Library, tmp_path: Path
) -> Iterator[Callable[..., tuple[LiveSession, Seen]]]:
    """``session_of(path, **options)``: a session over a file that is started already."""
    opened: list[LiveSession] = []

    def begin(source: Path, **options: object) -> tuple[LiveSession, Seen]:
        seen = Seen()
        session = LiveSession(
            library,
            f"file:{source}",
            folder=tmp_path / "recordings",
            on_frame=lambda f: seen.numbers.__setitem__(f.pts, number_of(f.rgb)),
            on_state=seen.states.append,
            on_recording=seen.recordings.append,
            on_case=seen.cases.append,
            on_problem=seen.problems.append,
            **options,
        )
        opened.append(session)
        session.start()
        return session, seen

    yield begin
    for session in opened:
        session.close()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred and forty numbered frames, 25 a second, a keyframe every 25."""
    recipe = RECIPES["h264-ts"]
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("live")
    return make_clip(folder / "source.ts", replace(recipe, frames=240, gop=25))


def is_over(session: LiveSession) -> bool:
    return session.state.status is LiveStatus.ENDED


def came(session: LiveSession) -> int:
    """How many frames of ``long_clip`` have come, shown or not."""
    return (session.capture.newest_pts - START_PTS) // 3600
