"""What goes wrong while a file is written is said, and leaves nothing but the old file."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.video.written_whole import written_whole


def full(part: Path) -> None:
    part.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device", str(part))


def not_encodable(part: Path) -> None:
    with av.open(str(part), "w", format="mp4") as container:
        container.add_stream("libx264", rate=25, width=65, height=48).encode(None)


def gone(part: Path) -> None:
    shutil.rmtree(part.parent)
    part.write_bytes(b"half")


def refused(part: Path) -> None:
    part.write_bytes(b"half")
    raise BadInput("The frames differ in size.")


def test_it_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.one.mp4"
    path.write_bytes(b"old")
    with written_whole(path) as part:
        part.write_bytes(b"new")
        assert (part.parent, part.suffix) == (tmp_path, ".mp4")
        assert path.read_bytes() == b"old"
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("clip.one.mp4", b"new")]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (full, r"^clip\.mp4 cannot be written \(No space left on device\); check"),
        (not_encodable, r"^clip\.mp4 cannot be written \(.+\); check"),
        (refused, "differ in size"),
    ],
)
def test_nothing_is_left_of_what_fails(
    tmp_path: Path, fault: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    problems = (EnvironmentProblem, BadInput)
    with pytest.raises(problems, match=says) as caught, written_whole(path) as part:
        fault(part)
    assert str(tmp_path) not in caught.value.user_message + caught.value.detail
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("clip.mp4", b"old")]


def test_what_does_not_reach_the_disk_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", fails)
    says = r"clip\.mp4 cannot be written \(Input/output error\)"
    with pytest.raises(EnvironmentProblem, match=says), written_whole(path) as part:
        part.write_bytes(b"new")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("clip.mp4", b"old")]


def test_a_folder_that_goes_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    says = r"clip\.mp4 cannot be written"
    with pytest.raises(EnvironmentProblem, match=says), written_whole(folder / "clip.mp4") as part:
        gone(part)


def test_a_folder_of_that_name_is_said_and_stays(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").mkdir()
    path, says = tmp_path / "clip.mp4", r"clip\.mp4 cannot be written"
    with pytest.raises(EnvironmentProblem, match=says), written_whole(path) as part:
        part.write_bytes(b"new")
    assert [f.name for f in tmp_path.iterdir()] == ["clip.mp4"]
