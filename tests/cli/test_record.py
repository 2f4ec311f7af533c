"""``trocar record``: a live source to a file, devices, what a crash left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run
from app.video import open_video
from tests.helpers.clips import RECIPES, make_clip, number_of


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "tower.ts", RECIPES["h264-ts"])


def test_to_the_end_of_the_source(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "case.mp4"
    assert run(["record", f"file:{source}", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["copied"], found["gaps"]) == (60, True, [])
    with open_video(out) as video:
        assert [number_of(f.rgb) for f in video.frames()] == list(range(60))
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["case.mp4"]
    assert run(["record", f"file:{source}", "--out", str(out)]) == 1
    assert "there already" in capsys.readouterr().err


def test_for_some_seconds(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "case.mp4"
    assert run(["record", f"file:{source}", "--out", str(out), "--seconds", "0.5"]) == 0
    assert "frames" in capsys.readouterr().out
    with open_video(out) as video:
        assert 12 <= len(video) < 60


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("carrier-pigeon://x", "no live source that Trocar knows"),
        ("rtsp://127.0.0.1:1/tower", "nobody answers at this address"),
        ("srt://127.0.0.1:5000", "SRT is not in this FFmpeg"),
        ("device:No such tower", "no capture device"),
        ("file:none.mp4", "there is no such file"),
    ],
)
def test_what_cannot_be_recorded(
    named: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "case.mp4"
    assert run(["record", named, "--out", str(out), "--wait", "0.3"]) == 1
    assert words in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_devices_and_what_is_left_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "--list", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    assert run(["record", "--recover", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["record"]) == 2
