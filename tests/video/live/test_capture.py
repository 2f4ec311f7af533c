"""What a capture makes of a source that cannot be opened, at first or any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from app.core.errors import EnvironmentProblem
from app.video.live import capture
from app.video.live.capture import Capture, LiveState, LiveStatus
from app.video.live.connection import LiveConnection, SignalLost, SourcePacket
from app.video.live.spec import LiveSpec, parse_spec
from tests.live.conftest import wait_for

Watch = Callable[[dict[int, Exception]], tuple[Capture, list[LiveState]]]


@pytest.fixture
def watch(clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """``watch({call: error})``: a camera that sends a clip at each other call, then is gone."""
    source = parse_spec(f"file:{clip('h264-ts')}")
    opened: list[Capture] = []

    def begin(errors: dict[int, Exception]) -> tuple[Capture, list[LiveState]]:
        calls = 0

        class Camera(LiveConnection):
            def __init__(self, _spec: LiveSpec, *timeouts_s: float) -> None:
                nonlocal calls
                calls += 1
                if calls in errors:
                    raise errors[calls]
                super().__init__(source, *timeouts_s)

            def packets(self) -> Iterator[SourcePacket]:
                yield from super().packets()
                raise SignalLost("it is unplugged")

        monkeypatch.setattr(capture, "LiveConnection", Camera)
        states: list[LiveState] = []
        watched = Capture("device:Camera", on_state=states.append, first_retry_s=0.05)
        opened.append(watched)
        watched.start()
        return watched, states

    yield begin
    for watched in opened:
        watched.close()


def test_a_camera_that_was_unplugged_is_called_until_it_is_back(watch: Watch) -> None:
    gone = EnvironmentProblem("There is no capture device Camera; connect it.")
    watched, states = watch({2: gone, 3: gone})
    wait_for(lambda: watched.state.reconnects or watched.state.status is LiveStatus.FAILED)
    assert LiveStatus.FAILED not in {s.status for s in states}
    said = [s.sentence for s in states if s.status is LiveStatus.RECONNECTING]
    assert any("There is no capture device Camera; connect it." in sentence for sentence in said)


def test_a_camera_that_was_never_there_is_given_up(watch: Watch) -> None:
    watched, states = watch({1: EnvironmentProblem("There is no capture device Camera.")})
    wait_for(lambda: watched.state.status is LiveStatus.FAILED)
    assert states[-1].sentence == "There is no capture device Camera."


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_capture_that_ended_by_an_unforeseen_error(watch: Watch) -> None:
    watched, states = watch({1: RuntimeError("unforeseen")})
    wait_for(lambda: watched.state.status is LiveStatus.FAILED, 5.0)
    assert states[-1].sentence.endswith("failed; choose the source again.")


def test_parameter_sets_that_cannot_be_read_are_a_lost_signal(
    clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = av.error.InvalidDataError(1, "Invalid data")

    def refuse(*_: object) -> None:
        raise refused

    monkeypatch.setattr(av, "BitStreamFilterContext", refuse)
    with pytest.raises(SignalLost, match="damaged"):
        LiveConnection(parse_spec(f"file:{clip('h264-mp4')}"))
