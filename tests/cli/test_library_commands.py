"""The library's commands as a user and a script call them."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from app.core.prediction import FramePrediction, Instance
from app.store import Library
from tests.helpers.human_work import (
    STEP,
    annotation,
    asset,
    change,
    correction,
    draw,
    mask,
    review,
    timeline,
)


@pytest.fixture
def filled(own_library: Path) -> Path:
    """A library with a worked-on case and a bare one."""
    with Library.open(own_library, ballast_bytes=0) as library:
        case = library.writer.create_case("Gallbladder", "cholecystectomy", (asset(),)).result()
        for i in range(3):
            library.writer.commit(draw(case.case_id, f"a{i}", i, frame=i)).result()
        step = correction(
            case.case_id, "Phases", change(None, timeline(0, 50, 100)), change(None, review(1))
        )
        library.writer.commit(step).result()
        library.writer.undo(case.case_id).result()
        library.writer.redo(case.case_id).result()
        store = library.predictions(case.case_id)
        made = store.start_run(
            asset=asset(), model="lmsf_a_demo", task="instance-segmentation", weights_sha256="ab",
            classes=("grasper",), settings={"threshold": 0.25}, sample_every=1, frames_expected=9,
        )  # fmt: skip
        found = Instance(label="grasper", mask=mask(), score=0.5)
        store.put_frames(
            made.run_id,
            [FramePrediction(pts=i * STEP, index=i, instances=(found,)) for i in range(7)],
        )
        library.writer.create_case("Bare", "unknown").result()
    return own_library


def _json(capsys: pytest.CaptureFixture[str], *arguments: str, exit_code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == exit_code
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that fails."""
    assert run(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


def test_cases(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _json(capsys, "cases") == [
        {
            "case": "0001",
            "title": "Gallbladder",
            "procedure": "cholecystectomy",
            "state": "new",
            "assets": ["/videos/one.mp4"],
            "duration_s": 4.0,
            "models": ["lmsf_a_demo"],
            "corrections": 4,
        },
        {
            "case": "0002",
            "title": "Bare",
            "procedure": "unknown",
            "state": "new",
            "assets": [],
            "duration_s": 0,
            "models": [],
            "corrections": 0,
        },
    ]
    assert run(["cases"]) == 0
    assert "0001  Gallbladder" in capsys.readouterr().out


def test_a_case_without_a_name_is_listed_by_its_operation(
    own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(own_library, ballast_bytes=0) as library:
        for procedure in ("cholecystectomy", "unknown"):
            library.writer.create_case("Recording", procedure).result()
    assert run(["cases"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0001  Laparoscopic cholecystectomy  (")
    assert second.startswith("0002  Recording  (")


def test_cases_that_are_well_are_listed_beside_those_that_are_not(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(filled, ballast_bytes=0) as library:
        library.writer.create_case("Hurt", "unknown", (asset("hurt"),)).result()
    with closing(sqlite3.connect(filled / "predictions" / "0001.sqlite")) as conn:
        conn.execute("PRAGMA user_version=99")
    with closing(sqlite3.connect(filled / "library.sqlite")) as conn:
        conn.execute("UPDATE assets SET position = 9 WHERE asset_id = 'hurt'")
        conn.commit()
    assert run(["cases", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [(c["title"], c["models"]) for c in json.loads(out)] == [
        ("Gallbladder", []),
        ("Bare", []),
    ]
    assert "recording of case 0003 is damaged" in err
    assert "Case 0001" in err
    assert "newer Trocar" in err


def test_show(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _json(capsys, "show", "0001")
    assert shown["case"] == "0001"
    assert shown["corrections"] == 4
    assert (shown["undo"], shown["redo"]) == ("Phases", None)
    assert [h["kind"] for h in shown["history"]] == ["do"] * 4 + ["undo", "redo"]
    (recording,) = shown["assets"]
    assert (recording["annotations"], recording["reviewed_frames"]) == (3, 1)
    assert recording["phase_segments"] == 2
    (analysis,) = shown["runs"]
    assert (analysis["frames"], analysis["frames_expected"]) == (7, 9)
    assert run(["show", "0001"]) == 0
    assert "lmsf_a_demo: 7 of 9 frames" in capsys.readouterr().out
    assert "no case 0042" in _fails(capsys, "show", "0042")


def test_delete(
    filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["delete", "0001"]) == 1
    assert "“Gallbladder”" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["delete", "0001"]) == 1
    assert capsys.readouterr().err.endswith("Case 0001 was not removed.\n")
    assert len(_json(capsys, "cases")) == 2
    assert _json(capsys, "delete", "0001", "--yes") == {"deleted": "0001"}
    assert [c["case"] for c in _json(capsys, "cases")] == ["0002"]
    assert "no case 0001" in _fails(capsys, "delete", "0001", "--yes")


def test_verify(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "verify")
    assert found["ok"] is True
    assert found["cases"] == 2
    assert found["rows_checked"] > 20
    assert found["problems"] == []
    database = filled / "library.sqlite"
    content = bytearray(database.read_bytes())
    at = content.find(annotation("a1", 1).mask.to_bytes())
    content[at + 40] ^= 1
    database.write_bytes(content)
    found = _json(capsys, "verify", exit_code=1)
    assert found["ok"] is False
    assert "pts 512" in found["problems"][0]
    assert run(["verify"]) == 1
    said = capsys.readouterr()
    assert "annotation" in said.out
    assert "trocar restore" in said.err
    assert said.err.count("\n") == 1


def test_backup_and_restore(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(_json(capsys, "backup", "--list")) == 1
    assert _json(capsys, "backup")["changed"] is False
    elsewhere = _json(capsys, "backup", "--to", str(tmp_path / "usb"))
    assert elsewhere["changed"] is True
    assert Path(elsewhere["path"]).parent == tmp_path / "usb"
    assert run(["delete", "0002", "--yes"]) == 0
    listed = _json(capsys, "backup", "--list") if capsys.readouterr() else []
    assert len(listed) == 2
    name = Path(listed[0]["path"]).name
    with Library.open(filled, ballast_bytes=0) as library:
        library.writer.commit(draw("0001", "later")).result()
    done = _json(capsys, "restore", name, "--yes")
    assert done["cases"] == 1
    assert Path(done["safety_copy"]).is_file()
    assert _json(capsys, "verify")["ok"] is True
    assert _json(capsys, "cases")[0]["corrections"] == 4
    assert "no backup nonsense" in _fails(capsys, "restore", "nonsense", "--yes")
    Library.open(tmp_path / "new", ballast_bytes=0).close()
    usb = ("--to", str(tmp_path / "usb"), "--library", str(tmp_path / "new"))
    assert run(["backup", *usb]) == 0
    assert "Nothing is in this library yet" in capsys.readouterr().out


def test_the_library_may_be_named(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ("--library", str(tmp_path / "other"))
    assert "no library in" in _fails(capsys, "cases", *other)
    for command in (["delete", "0001", "--yes"], ["relink", str(tmp_path)]):
        assert "no library in" in _fails(capsys, *command, *other)
    assert not (tmp_path / "other").exists()
    assert len(_json(capsys, "cases", "--library", str(filled))) == 2


def test_commands_that_read_work_while_the_window_writes(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(filled, ballast_bytes=0):
        assert len(_json(capsys, "cases")) == 2
        assert _json(capsys, "show", "0001")["title"] == "Gallbladder"
        assert _json(capsys, "verify")["ok"] is True
        assert "being written" in _fails(capsys, "delete", "0001", "--yes")
        assert "being written" in _fails(capsys, "backup")


def test_a_library_of_a_newer_version_has_one_sentence(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(filled / "library.sqlite")) as conn:
        conn.execute("PRAGMA user_version=99")
    for command in (["cases"], ["show", "0001"], ["verify"], ["delete", "0001", "--yes"]):
        assert "newer Trocar" in _fails(capsys, *command)
