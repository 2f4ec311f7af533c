"""``trocar record``: a live source to a file, devices, what a crash left behind."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from app.cli.main import run
from app.store import Library
from app.video import open_video
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.live.test_interrupted import interrupted


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


def test_a_signal_that_stays_away_ends_the_recording_and_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send_and_fall_silent() -> None:
            with server.accept()[0] as connection:
                connection.sendall(source.read_bytes())
                over.wait(60)

        sender = threading.Thread(target=send_and_fall_silent)
        sender.start()
        named = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        out = tmp_path / "case.mp4"
        status = run(["record", named, "--out", str(out), "--wait", "1", "--json"])
        over.set()
        sender.join()
    assert status == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] > 20
    assert found["signal_lost"]
    assert "no picture had come for 1 s" in found["sentence"]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("carrier-pigeon://x", "no live source that Trocar knows"),
        ("rtsp://127.0.0.1:1/tower", "nobody answers at this address"),
        ("rtsp://127.0.0.1:1/tower", "wait longer with --wait"),
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


def test_devices_and_what_is_left_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "--list", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    assert run(["record", "--recover", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    typo = tmp_path / "typo"
    assert run(["record", "--recover", "--library", str(typo)]) == 1
    assert "There is no library in" in capsys.readouterr().err
    assert not typo.exists()
    assert run(["record"]) == 2


def test_a_lone_recording_that_was_interrupted_is_finished(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = tmp_path / "case.ts"
    # Cut off in the middle of a packet, as a crash does.
    stream.write_bytes(source.read_bytes()[:-1000])
    assert run(["record", "--recover", str(stream)]) == 1
    assert "written to just now" in capsys.readouterr().err
    os.utime(stream, (1, 1))
    assert run(["record", f"file:{source}", "--out", str(tmp_path / "case.mp4")]) == 1
    assert "record --recover case.ts" in capsys.readouterr().err
    assert run(["record", "--recover", str(stream), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    with open_video(tmp_path / "case.mp4") as video:
        assert len(video) == found["frames"] > 50
        assert [number_of(f.rgb) for f in video.frames()][:50] == list(range(50))
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["case.mp4", "case.ts"]
    assert run(["record", "--recover", str(tmp_path / "case.mp4"), "--out", "b.mp4"]) == 1
    assert "no recording to finish" in capsys.readouterr().err
    assert run(["record", "--recover", str(source), "--out", str(tmp_path / "case.mp4")]) == 1
    assert "there already" in capsys.readouterr().err


def test_a_recording_of_the_library_is_finished_there(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, stream = tmp_path / "library", tmp_path / "live.ts"
    stream.write_bytes(source.read_bytes())
    os.utime(stream, (1, 1))
    with Library.open(folder, ballast_bytes=0) as library:
        interrupted(library, stream)
    assert run(["record", "--recover", str(stream), "--library", str(folder)]) == 1
    assert "is the recording of case 0001" in capsys.readouterr().err
    assert run(["record", "--recover", "--library", str(folder)]) == 0
    assert "Recovered 0:00:02" in capsys.readouterr().out
    assert not stream.exists()
    with Library.open(folder, "read") as library:
        assert library.case("0001").assets[0].path == str(tmp_path / "live.mp4")


def test_a_case_is_deleted_with_its_recording_or_without(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, stays in (([], True), (["--with-recording"], False)):
        folder, stream = tmp_path / f"library-{stays}", tmp_path / f"live-{stays}.ts"
        stream.write_bytes(source.read_bytes())
        with Library.open(folder, ballast_bytes=0) as library:
            interrupted(library, stream)
        assert run(["delete", "0001", "--yes", "--library", str(folder), *options]) == 0
        said = capsys.readouterr().out
        assert str(stream) in said
        assert ("stays" in said) == stays == stream.exists()
        assert run(["delete", "0001", "--yes", "--library", str(folder), *options]) == 1
        assert "no case 0001" in capsys.readouterr().err
