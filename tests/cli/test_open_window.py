"""Bare ``trocar [FILE…]`` and ``trocar demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import run
from app.cli.open_window import asked_for, has_display
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.conftest import save_instruments, save_phases

COMMANDS = ("probe", "demo")
PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (None, [])),
        (["case.mp4"], (None, [Path("case.mp4")])),
        (["a/b", "c.ts"], (None, [Path("a/b"), Path("c.ts")])),
        (["--library", "lib", "x.mkv"], (Path("lib"), [Path("x.mkv")])),
        (["--library=lib"], (Path("lib"), [])),
        (["probe", "x.mp4"], None),
        (["--help"], None),
        (["prboe"], None),
        (["--library"], None),
        (["x.mp4", "--json"], None),
    ],
)
def test_what_a_bare_call_means(
    arguments: list[str], expected: tuple[Path | None, list[Path]] | None
) -> None:
    assert asked_for(arguments, COMMANDS) == expected


def test_a_mistyped_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prboe"]) == 2
    assert "prboe" in capsys.readouterr().err


def test_a_file_that_is_not_there_gets_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([str(tmp_path / "gone.mp4")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_no_display_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not has_display()
    assert run([]) == 1
    assert "no display" in capsys.readouterr().err


@pytest.mark.parametrize("platform", [None, "offscreen"])
def test_the_demo_without_a_display_writes_report_and_picture(
    tmp_path: Path, own_library: Path, platform: str | None
) -> None:
    """A window that Qt draws where nobody sees it is no display either."""
    (own_library / "models").mkdir(parents=True)
    save_instruments(own_library / "models")
    save_phases(own_library / "models")
    clip = make_clip(tmp_path / "short.mp4", RECIPES["h264-mp4"])
    code = (
        "import sys; from pathlib import Path; import app.cli.demo as demo;"
        f"demo.demo_recording = lambda: Path({str(clip)!r});"
        "from app.cli.main import run;"
        "sys.exit(run(['demo']))"
    )
    environment = {
        k: v
        for k, v in os.environ.items()
        if k not in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    }
    environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONPATH"] = str(PROJECT)
    if platform is not None:
        environment["QT_QPA_PLATFORM"] = platform
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert "100 %" in done.stderr
    out = tmp_path / "trocar-demo"
    assert str(out / "report.html") in done.stdout
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "Research" in report
    from PySide6.QtGui import QImage

    picture = QImage(str(out / "window.png"))
    assert (picture.width(), picture.height()) == (1680, 1050)
    colours = {picture.pixel(x, 500) for x in range(200, 1400, 7)}
    assert len(colours) > 20
