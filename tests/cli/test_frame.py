"""``trocar frame``: the exact frame as a PNG, by index and by time."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from app.cli.main import run
from app.video import open_video
from tests.helpers.clips import RECIPES, damaged_clip, make_clip, number_of
from tests.helpers.dimming import DIMMER, dimming_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "case.ts", RECIPES["h264-open-gop-ts"])


def read(path: Path) -> np.ndarray:
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("index", [0, 17, 44, 59])
def test_by_index(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], index: int
) -> None:
    out = tmp_path / "frame.png"
    assert run(["frame", str(clip), "--index", str(index), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    with open_video(clip) as source:
        expected = source.frame(index)
    assert np.array_equal(read(out), expected.rgb)
    assert number_of(read(out)) == index
    assert (found["index"], found["pts"]) == (index, expected.pts)
    assert (found["width"], found["height"], found["damaged"]) == (320, 180, False)
    assert found["seconds"] == pytest.approx(index / 25)


def test_by_seconds(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "frame.png"
    for seconds, index in (("0", 0), ("0.04", 1), ("0.079", 1), ("1.23", 30), ("2.4", 59)):
        assert run(["frame", str(clip), "--seconds", seconds, "--out", str(out)]) == 0
        assert number_of(read(out)) == index
    assert "Frame 59 at 2.360 s" in capsys.readouterr().out


def test_what_is_not_there(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "frame.png"
    for option, value, words in (
        ("--index", "60", "no frame 60"),
        ("--index", "-1", "no frame -1"),
        ("--seconds", "2.5", "2.400 seconds long"),
        ("--seconds", "-0.1", "2.400 seconds long"),
        ("--seconds", "nan", "2.400 seconds long"),
    ):
        assert run(["frame", str(clip), option, value, "--out", str(out)]) == 1
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_damaged_frame_and_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damaged_clip(tmp_path / "damaged.avi", [5])
    assert run(["frame", str(path), "--index", "5", "--out", str(tmp_path / "5.png")]) == 1
    assert "Frame 5 of damaged.avi is damaged" in capsys.readouterr().err
    assert run(["frame", str(path), "--index", "4", "--out", str(tmp_path / "no" / "4.png")]) == 1
    assert "could not be written" in capsys.readouterr().err


def test_usage(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["frame", str(clip), "--out", "x.png"]) == 2
    assert run(["frame", str(clip), "--out", "x.png", "--index", "1", "--seconds", "1"]) == 2
    assert run(["frame", str(clip), "--index", "1"]) == 2
    capsys.readouterr()
    assert run(["frame", str(clip), "--index", "1", "--out", "x.jpg"]) == 1
    assert "name it with .png" in capsys.readouterr().err


def test_without_its_smoke(
    clip: Path, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dimming_model(own_library / "models")
    out, bare = tmp_path / "clear.png", tmp_path / "frame.png"
    assert run(["frame", str(clip), "--index", "17", "--out", str(bare)]) == 0
    capsys.readouterr()
    asked = ["frame", str(clip), "--index", "17", "--out", str(out), "--clear-smoke", "--json"]
    assert run(asked) == 0
    assert json.loads(capsys.readouterr().out)["smoke_cleared_by"] == "dimming"
    assert np.abs(read(out) - np.clip(read(bare) - DIMMER, 0, 255)).mean() < 0.9
    with Image.open(out) as cleared, Image.open(bare) as exact:
        assert cleared.text["Pixels"] == "smoke cleared by dimming"
        assert exact.text["Pixels"] == "as recorded"
