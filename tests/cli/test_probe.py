"""``trocar probe``: the JSON of the design, verification, and sentences for bad files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import run
from app.core.errors import BadInput
from app.video import probe
from tests.helpers.clips import RECIPES, damaged_clip, make_clip

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "case.mkv", RECIPES["vfr-mkv"])


def test_json(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(clip), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "frames": 60,
        "duration_s": pytest.approx(2.435),
        "width": 320,
        "height": 180,
        "codec": "h264",
        "container": "matroska,webm",
        "frame_rate": pytest.approx(24.635, abs=0.001),
        "variable_frame_rate": True,
        "interlaced": False,
        "field_order": None,
        "rotation_deg": 0,
        "pixel_aspect": "1:1",
        "time_base": "1/1000",
        "start_pts": 0,
        "end_pts": 2435,
        "stream": 0,
        "streams": [{"index": 0, "type": "video", "codec": "h264", "width": 320, "height": 180}],
        "rasters": [],
        "gaps": [],
        "problems": ["The frame rate varies: frames stand for 10.0 to 85.0 ms."],
    }


def test_frame_table(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(clip), "--frames", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["frame_table"]
    assert [row["index"] for row in table] == list(range(60))
    assert table[0] == {"index": 0, "pts": 0, "seconds": 0.0, "key": True}
    assert [row["index"] for row in table if row["key"]] == [0, 15, 30, 45]
    assert all(row["seconds"] == row["pts"] / 1000 for row in table)
    assert sorted({row["pts"] for row in table}) == [row["pts"] for row in table]


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damaged_clip(tmp_path / "damaged.avi", [3, 17])
    assert run(["probe", str(path), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["frames_decoded"]) == (40, 38)
    assert found["undecodable"] == [3, 17]
    assert found["problems"] == ["Frame 3 does not decode.", "Frame 17 does not decode."]


def test_words(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", str(clip), "--frames", "--verify"]) == 0
    text = capsys.readouterr().out
    for words in (
        "case.mkv",
        "320 x 180",
        "variable, mean 24.635",
        "60 frames; not decodable: none",
    ):
        assert words in text
    assert len([line for line in text.splitlines() if line.endswith("key")]) == 5


def test_bad_files_are_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.mp4").write_text("nothing to see")
    for name in ("gone.mp4", "notes.mp4"):
        assert run(["probe", str(tmp_path / name), "--json"]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert name in said.err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe"]) == 2
    capsys.readouterr()


def test_the_child_is_startable_from_the_command(clip: Path, tmp_path: Path) -> None:
    for path, problem in ((clip, None), (tmp_path / "gone.mp4", "no such file")):
        done = subprocess.run(
            [sys.executable, "-m", "app", "probe", "--child", str(path)],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            timeout=60,
            check=False,
        )
        answer = json.loads(done.stdout)
        assert done.returncode == 0
        assert answer["problem"] is None if problem is None else problem in answer["problem"]


def test_a_bundle_starts_its_own_child(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "trocar"
    bundle.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app "$@"\n')
    bundle.chmod(0o755)
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(clip.read_bytes() + b"\0")
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(clip.read_bytes()[:200])
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(bundle))
    assert probe(copy).frames == 60
    with pytest.raises(BadInput, match=r"bad\.mkv"):
        probe(bad)
