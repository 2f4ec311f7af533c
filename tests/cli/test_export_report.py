"""`trocar export` and `trocar report` on a real case with corrections."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli.main import run
from app.core.resources import RESEARCH_USE
from app.store import Library
from app.video import open_video
from tests.helpers.phantom_case import FPS, SECONDS, make_case, phantom_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def case(own_library: Path, clip: Path) -> str:
    with Library.open(own_library, ballast_bytes=4096) as library:
        return make_case(library, clip).case_id


def test_coco_with_its_pictures(
    case: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["export", case, "--format", "coco", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    data = json.loads(Path(said["path"]).read_text())
    assert said["frames"] == len(data["images"]) == FPS * SECONDS // 5
    assert said["instances"] == len(data["annotations"]) > 0
    assert data["info"]["use"] == RESEARCH_USE
    assert all(i["complete"] for i in data["images"])
    image = data["images"][2]
    png = cv2.imread(str(out / image["file_name"]))
    with open_video(clip) as source:
        exact = source.frame(image["frame_index"]).rgb
    assert np.array_equal(cv2.cvtColor(png, cv2.COLOR_BGR2RGB), exact)
    assert RESEARCH_USE in (out / "README.txt").read_text()


def test_phases_as_csv(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["export", case, "--format", "phase-csv", "--out", str(out)]) == 0
    assert "2 phase segments" in capsys.readouterr().out
    with (out / "phases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["phase"] for r in rows] == ["calot_triangle_dissection", "clipping_cutting"]
    assert (rows[0]["start_frame"], rows[1]["end_frame"]) == ("0", str(FPS * SECONDS))
    assert rows[0]["end_s"] == rows[1]["start_s"]


def test_report_is_one_file_that_reads_alone(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    assert run(["report", case, "--out", str(out)]) == 0
    html = out.read_text()
    assert RESEARCH_USE in html
    assert "Calot triangle" in html
    assert html.count("data:image/jpeg;base64,") == 2
    assert "http://" not in html
    assert "https://" not in html
    assert str(tmp_path) not in html


def test_sentences_for_what_is_not_there(
    case: str, clip: Path, own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "0999", "--out", str(tmp_path / "r.html")]) == 1
    assert run(["report", case, "--out", str(tmp_path / "r.docx")]) == 1
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run(["export", case, "--out", str(blocked / "x")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "0999" in lines[0]


def test_no_command_opens_a_socket(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert run(["report", case, "--out", str(tmp_path / "r.html")]) == 0
    assert run(["export", case, "--out", str(tmp_path / "x")]) == 0
    assert run(["cases", "--json"]) == 0
