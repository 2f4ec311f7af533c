"""Split and moved recordings as a user types them: analysed, probed and found again."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from app.cli.main import run
from tests.helpers.parts import four_parts, remuxed, write_part
from tests.inference.conftest import save_instruments

LENGTHS = (12, 7, 14, 9)
MODEL = ("--model", "tools", "--device", "cpu", "--threads", 1, "--every", 10, "--json")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are the tests' own: a child process that looks at each costs half the time."""
    monkeypatch.setattr("app.video.opening.first_look", lambda _path, _cancelled: None)


@pytest.fixture
def stick(tmp_path: Path, own_library: Path) -> Path:
    """A recorder's folder, and a library with an instrument model."""
    save_instruments(own_library / "models")
    four_parts(tmp_path / "stick", ".ts", LENGTHS)
    (tmp_path / "stick" / "INDEX.XML").write_text("<x/>")
    return tmp_path / "stick"


def trocar(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command: status, stdout, stderr."""
    status = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_folder_is_analysed_as_one_recording_and_followed_when_it_moves(
    stick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = trocar(capsys, "analyze", stick, *MODEL)
    assert (status, err) == (0, "")
    assert json.loads(out)["frames"] == sum(LENGTHS)
    moved = stick.with_name("archive")
    stick.rename(moved)
    parts = sorted(moved.glob("*.ts"))
    remuxed(parts[2], moved / "third.mkv")
    parts[2].unlink()
    parts[0].rename(moved / "first.bin")
    status, _, err = trocar(capsys, "analyze", "--case", "0001", *MODEL)
    assert status == 1
    assert "is not where it was" in err
    status, out, err = trocar(capsys, "relink", moved, "--json")
    found = json.loads(out)
    assert status == 1
    assert [f["remuxed"] for f in found["found"]].count(True) == 1
    assert (len(found["found"]), len(found["missing"])) == (3, 1)
    assert "REC_0007_1.ts of case 0001 was not found" in err
    status, out, _ = trocar(capsys, "relink", moved / "first.bin")
    assert status == 0
    assert "Case 0001: REC_0007_1.ts is" in out
    assert trocar(capsys, "relink", moved)[1] == "Every recording is where it was.\n"
    status, out, _ = trocar(capsys, "analyze", "--case", "0001", *MODEL)
    assert status == 0
    (model,) = json.loads(out)["models"]
    assert (model["computed"], model["resumed"]) == (0, 5)
    shown = json.loads(trocar(capsys, "show", "0001", "--json")[1])["assets"][0]
    assert [Path(p["path"]).name for p in shown["parts"]] == [
        "first.bin", "REC_0007_2.ts", "third.mkv", "REC_0007_4.ts",
    ]  # fmt: skip


def test_order_and_joining_are_asked_for(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_instruments(own_library / "models")
    folder = tmp_path / "stick"
    folder.mkdir()
    late = write_part(folder / "r_1_1.ts", range(30, 60), start_s=Fraction(12))
    early = write_part(folder / "r_1_2.ts", range(30), start_s=Fraction(10))
    status, _, err = trocar(capsys, "analyze", folder, *MODEL)
    assert status == 1
    assert "--order name or --order time" in err
    assert trocar(capsys, "analyze", folder, "--order", "time", *MODEL)[0] == 0
    status, out, _ = trocar(capsys, "analyze", late, early, "--join", *MODEL)
    assert status == 0
    assert json.loads(out)["case"] == "0002", "another order is another recording"
    status, out, _ = trocar(capsys, "analyze", early, late, "--join", *MODEL)
    assert json.loads(out)["case"] == "0001"
    status, _, err = trocar(capsys, "analyze", early, late, "--order", "time", *MODEL)
    assert status == 1
    assert "--join" in err
    status, out, _ = trocar(capsys, "probe", early.parent, "--json")
    assert status == 1
    early.rename(folder / "r_1_0.ts")
    status, out, _ = trocar(capsys, "probe", folder, "--json", "--verify")
    found = json.loads(out)
    assert (found["frames"], found["frames_decoded"], found["undecodable"]) == (60, 60, [])
    assert any("0.8 s are missing before r_1_1.ts" in p for p in found["problems"])


def test_several_recordings_in_a_folder_are_named(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_instruments(own_library / "models")
    for name in ("left", "right"):
        write_part(tmp_path / f"{name}.mp4", range(12))
    status, _, err = trocar(capsys, "analyze", tmp_path, *MODEL)
    assert status == 1
    assert "2 recordings: left.mp4; right.mp4" in err
    empty = tmp_path / "empty"
    empty.mkdir()
    status, _, err = trocar(capsys, "analyze", empty, *MODEL)
    assert status == 1
    assert "no video" in err
