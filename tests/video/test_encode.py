"""Writing videos: what is written can be read back exactly by index."""

from pathlib import Path

import numpy as np
import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.video import open_video
from app.video.encode import write_video


def _frames(count: int, size: tuple[int, int] = (48, 64)):
    for number in range(count):
        frame = np.full((*size, 3), 40, np.uint8)
        frame[:, : 4 + 4 * number] = (200, 60, 20)
        yield frame


@pytest.mark.parametrize(
    ("codec", "name"), [("h264", "a.mp4"), ("hevc", "a.mkv"), ("mpeg4", "a.avi")]
)
def test_frames_come_back(tmp_path: Path, codec: str, name: str) -> None:
    path = tmp_path / name
    assert write_video(path, _frames(12), fps=10, codec=codec, crf=18, gop=5) == 12
    with open_video(path) as source:
        assert len(source) == 12
        assert (source.info.width_px, source.info.height_px) == (64, 48)
        for index in (0, 7, 11):
            edge = 4 + 4 * index
            rgb = source.frame(index).rgb.astype(int)
            assert rgb[:, : edge - 3, 0].mean() > 150
            assert rgb[:, edge + 3 :, 0].mean() < 90
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("frames", "codec", "name"),
    [
        ([], "h264", "a.mp4"),
        ([np.zeros((48, 65, 3), np.uint8)], "h264", "a.mp4"),
        ([np.zeros((48, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)], "h264", "a.mp4"),
        ([np.zeros((48, 64, 3), np.uint8)], "vp9", "a.mp4"),
        ([np.zeros((48, 64, 3), np.uint8)], "h264", "a.nothing"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, frames, codec, name) -> None:
    with pytest.raises(BadInput):
        write_video(tmp_path / name, frames, codec=codec)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem):
        write_video(tmp_path / "no" / "a.mp4", _frames(2))
