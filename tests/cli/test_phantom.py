"""`trocar phantom` writes a video and its truth."""

import json
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from app.cli import phantom
from app.core.errors import BadInput, EnvironmentProblem
from app.video import open_video


def _run(*arguments: object) -> None:
    app = typer.Typer()
    phantom.register(app)
    app.callback()(lambda: None)
    given = ["phantom", *map(str, arguments)]
    get_command(app).main(args=given, prog_name="trocar", standalone_mode=False)


def test_a_clip_and_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, truth = tmp_path / "clip.mp4", tmp_path / "truth"
    _run(
        "--seed", 3, "--start", 30, "--seconds", 2, "--fps", 5, "--size", "128x72",
        "--out", out, "--truth", truth, "--json",
    )  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    assert said["frames"] == 10
    with open_video(out) as source:
        assert len(source) == 10
        assert source.frame(9).rgb.shape == (72, 128, 3)
    known = json.loads(Path(said["truth"]).read_text(encoding="utf-8"))
    assert known["frames"] == 10
    assert [p["phase"] for p in known["phases"]] == [
        "preparation",
        "calot_triangle_dissection",
    ]
    assert len(known["seconds"]) == 2


def test_the_whole_operation_is_one_frame_a_second(tmp_path: Path, capsys) -> None:
    out = tmp_path / "operation.mp4"
    _run("--seed", 3, "--procedure", "--seconds", 4, "--size", "64x64", "--out", out, "--json")
    assert json.loads(capsys.readouterr().out)["frames"] == 4


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem):
        _run("--out", tmp_path / "no" / "a.mp4", "--seconds", 1)
    with pytest.raises(BadInput):
        _run("--out", tmp_path / "a.mp4", "--start", 99999, "--seconds", 1)
    with pytest.raises(typer.BadParameter):
        _run("--out", tmp_path / "a.mp4", "--size", "65x64", "--seconds", 1)
    assert not list(tmp_path.iterdir())
